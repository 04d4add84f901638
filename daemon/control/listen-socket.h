/* Makes the listening socket file: a stale one is taken over, a live one is not.
 *
 * Thread: main. */
#pragma once

#include <sys/types.h>

#include "common/cleanup.h"

typedef struct ListenSocket {
	int fd; /* -1: none */
	char *path;
	dev_t device; /* what was bound there */
	ino_t inode;
} ListenSocket;

/* Whether listen_socket_open() would be refused the place: -EADDRINUSE, somebody answers there;
 * -EEXIST, something else is there. -errno; the reason is logged. Changes nothing. */
int listen_socket_check(const char *path) _must_check_;
/* Binds and listens; non-blocking, O_CLOEXEC. `mode` and `group` (NULL: leave it) hold before
 * anybody can connect. -EADDRINUSE: somebody answers there. -errno; the reason is logged. */
int listen_socket_open(
	const char *path, mode_t mode, const char *group, ListenSocket *ret) _must_check_;
/* Closes it, and removes the file if it is still the one that was made. */
void listen_socket_close(ListenSocket *s);
