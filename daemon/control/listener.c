#include "daemon/control/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "common/rpc-error.h"
#include "common/socket-path.h"
#include "daemon/config-places.h"
#include "daemon/control/listen-socket.h"

/* Clients that come in one turn, so that those who are there are served meanwhile. */
#define ACCEPTS_PER_TURN 2

/* Without a descriptor for the next client, accepting pauses: the client stays in the queue, and
 * the socket would be ready at every turn. */
static const struct timeval pause_for = { .tv_usec = 100000 };
#define PAUSE_WARNING_US (60 * USEC_PER_SEC)

/* What a refused client has sent already is read, so that it finds the end after its error line,
 * and no ECONNRESET. */
#define REFUSED_MAX_READS 16

struct Listener {
	struct event_base *base;
	ConnServer *server;
	const Config *config;
	ListenSocket own; /* fd -1: systemd's */
	int fd;
	char *path;
	struct event *event;
	struct event *resume_event;
	uint64_t warned_us; /* 0: not yet */
};

static void refuse(int fd, const RpcError *e)
{
	_cleanup_buf_ Buf line = { 0 };
	char bytes[4096];
	int r = buf_append_str(&line, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":");

	if (r == 0)
		r = rpc_error_write(e, &line);
	if (r == 0)
		r = buf_append_str(&line, "}\n");
	/* The socket is new and empty: it takes the whole line, or the client has gone. */
	if (r == 0 && send(fd, line.data, line.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
	for (int i = 0; i < REFUSED_MAX_READS; i++)
		if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
			return;
}

/* True: it was told why not. */
static bool is_refused(const Listener *l, int fd, const Peer *peer)
{
	ConnTotals *totals = conn_server_totals(l->server);
	_cleanup_rpc_error_ RpcError e = { 0 };

	if (peer->role < ROLE_OBSERVE) {
		totals->without_role++;
		log_notice("uid %u may not connect", (unsigned)peer->uid);
		(void)rpc_error_set(
			&e, RPC_PERMISSION_DENIED, "uid %u has no role here", (unsigned)peer->uid);
		rpc_error_add_string(&e, "need", role_to_string(ROLE_OBSERVE));
	} else if (conn_server_count(l->server) >= l->config->max_clients) {
		totals->too_many++;
		(void)rpc_error_set(
			&e, RPC_QUEUE_FULL, "there are %u clients already", l->config->max_clients);
		rpc_error_add_uint(&e, "limit", l->config->max_clients);
	} else {
		return false;
	}
	refuse(fd, &e);
	return true;
}

static void take_client(Listener *l, int new_fd)
{
	_cleanup_close_ int fd = new_fd;
	Peer peer;
	Conn *c;
	int r = access_peer(fd, l->config, &peer);

	if (r == 0 && is_refused(l, fd, &peer))
		return;
	if (r == 0)
		r = conn_new(l->server, fd, &peer, &c);
	if (r < 0) {
		log_error("a client cannot be served: %s", strerror(-r));
		return;
	}
	conn_server_totals(l->server)->accepted++;
	TAKE_FD(fd);
}

static void pause_accepting(Listener *l, int error)
{
	uint64_t now = clock_monotonic_us();

	if (l->warned_us == 0 || now - l->warned_us >= PAUSE_WARNING_US) {
		log_warning("clients have to wait: %s", strerror(error));
		l->warned_us = now;
	}
	if (event_add(l->resume_event, &pause_for) == 0)
		event_del(l->event);
}

static void on_resume(evutil_socket_t fd, short what, void *userdata)
{
	Listener *l = userdata;

	(void)fd;
	(void)what;
	if (event_add(l->event, NULL) < 0)
		(void)event_add(l->resume_event, &pause_for);
}

static void on_ready(evutil_socket_t listen_fd, short what, void *userdata)
{
	Listener *l = userdata;

	(void)what;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			take_client(l, fd);
			continue;
		}
		if (errno == EAGAIN)
			return;
		/* One that has gone again already is no reason to stop. */
		if (errno == EINTR || errno == ECONNABORTED || errno == EPERM || errno == EPROTO)
			continue;
		pause_accepting(l, errno);
		return;
	}
}

/* The first stream socket that systemd hands over. 0: there is none. */
static int take_from_systemd(Listener *l)
{
	struct sockaddr_un address = { 0 };
	socklen_t len = sizeof(address);
	int n = sd_listen_fds(1);

	for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
		int r;

		if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
			continue;
		r = fd_set_nonblocking(fd, true);
		if (r < 0)
			return r;
		if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
			return -errno;
		l->path = strndup(address.sun_path, sizeof(address.sun_path));
		l->fd = fd;
		return l->path ? 1 : -ENOMEM;
	}
	return n < 0 ? n : 0;
}

/* The caller frees *ret. Its directory is made, if it can be. */
static int usual_path(char **ret)
{
	_cleanup_free_ char *path = NULL;
	mode_t mode;
	char *slash;
	int r;

	r = config_places_socket(geteuid(), &path);
	if (r < 0)
		return r;
	/* The system's is for whoever the socket itself lets in. */
	mode = strcmp(path, SOCKET_PATH_SYSTEM) == 0 ? 0755 : 0700;
	slash = strrchr(path, '/');
	*slash = '\0';
	r = dir_make(path, mode);
	if (r < 0) {
		log_error("the directory %s of the control socket cannot be made: %s", path,
			strerror(-r));
		return r;
	}
	*slash = '/';
	*ret = TAKE_PTR(path);
	return 0;
}

static int open_own(Listener *l)
{
	int r = 0;

	if (l->config->socket) {
		l->path = strdup(l->config->socket);
		r = l->path ? 0 : -ENOMEM;
	} else {
		r = usual_path(&l->path);
	}
	if (r < 0)
		return r;
	r = listen_socket_open(
		l->path, (mode_t)l->config->socket_mode, l->config->socket_group, &l->own);
	l->fd = l->own.fd;
	return r;
}

int listener_check(const Config *config)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (sd_listen_fds(0) > 0)
		return 0;
	if (config->socket)
		return listen_socket_check(config->socket);
	r = config_places_socket(geteuid(), &path);
	return r < 0 ? r : listen_socket_check(path);
}

int listener_new(struct event_base *base, ConnServer *server, const Config *config, Listener **ret)
{
	Listener *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->base = base;
	l->server = server;
	l->config = config;
	l->fd = l->own.fd = -1;
	r = take_from_systemd(l);
	if (r == 0)
		r = open_own(l);
	else if (r < 0)
		log_error("the control socket cannot be had from systemd: %s", strerror(-r));
	if (r >= 0) {
		l->event = event_new(base, l->fd, EV_READ | EV_PERSIST, on_ready, l);
		l->resume_event = event_new(base, -1, 0, on_resume, l);
		r = l->event && l->resume_event ? 0 : -ENOMEM;
	}
	if (r < 0) {
		listener_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

int listener_start(Listener *l)
{
	return event_add(l->event, NULL) < 0 ? -ENOMEM : 0;
}

void listener_free(Listener *l)
{
	if (!l)
		return;
	if (l->event)
		event_free(l->event);
	if (l->resume_event)
		event_free(l->resume_event);
	if (l->own.fd < 0 && l->fd >= 0)
		close(l->fd);
	listen_socket_close(&l->own);
	free(l->path);
	free(l);
}

const char *listener_path(const Listener *l)
{
	return l->path;
}

void listener_set_config(Listener *l, const Config *config)
{
	l->config = config;
}
