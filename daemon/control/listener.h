/* The control socket: makes it (or takes it from systemd) and accepts.
 *
 * A socket file whose daemon is dead is taken over; one at which somebody answers is not. Access is
 * checked here: who has no role gets one error line, and so does who comes when max_clients are
 * there already.
 *
 * Thread: main. */
#pragma once

#include "daemon/control/conn.h"

typedef struct Listener Listener;

/* -EADDRINUSE and the like, logged: listener_new() would find the place of the socket taken. Makes
 * nothing. */
int listener_check(const Config *config) _must_check_;
/* A socket that systemd hands over (sd_listen_fds()) is used before all others. Else
 * config->socket; NULL: the usual place (socket-path.h: as root SOCKET_PATH_SYSTEM, else
 * $XDG_RUNTIME_DIR/liongate/control.sock, else SOCKET_PATH_SYSTEM; its directory is made). It
 * has the mode and the group of the configuration before anybody can connect. Clients queue from
 * now on. -EADDRINUSE: a daemon answers there. -errno; the reason is logged. `config` lends
 * until listener_set_config(). */
int listener_new(struct event_base *base, ConnServer *server, const Config *config,
	Listener **ret) _must_check_;
/* From now on connections are accepted. -errno. */
int listener_start(Listener *l) _must_check_;
/* Removes the socket file, if it made it and it is still the same. Bears NULL. */
void listener_free(Listener *l);
const char *listener_path(const Listener *l);
/* After a reload. Lends. */
void listener_set_config(Listener *l, const Config *config);
