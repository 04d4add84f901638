/* Where the control socket is, for whoever looks for it (protocol.md, Transport).
 *
 * Thread: any. */
#pragma once

#include "common/cleanup.h"

#define SOCKET_PATH_SYSTEM "/run/liongate/control.sock"

/* `explicit_path` (may be NULL), else $LIONGATE_SOCKET, else $XDG_RUNTIME_DIR/liongate/control.sock
 * if it exists, else SOCKET_PATH_SYSTEM. The caller frees *ret. -ENOMEM; -ENAMETOOLONG for a path
 * that does not fit into a sockaddr_un (*ret is set all the same). */
int socket_path_find(const char *explicit_path, char **ret) _must_check_;
