#include "common/socket-path.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* The environment's value; an empty one counts as none. */
static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* 0 with *ret NULL if there is no such socket. */
static int find_in_runtime_dir(char **ret)
{
	const char *dir = variable("XDG_RUNTIME_DIR");
	_cleanup_free_ char *path = NULL;

	*ret = NULL;
	/* The XDG specification: a path that is not absolute is to be ignored. */
	if (!dir || *dir != '/')
		return 0;
	if (asprintf(&path, "%s/liongate/control.sock", dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	if (access(path, F_OK) == 0)
		*ret = TAKE_PTR(path);
	return 0;
}

int socket_path_find(const char *explicit_path, char **ret)
{
	const char *given = explicit_path ? explicit_path : variable("LIONGATE_SOCKET");
	char *path = NULL;

	if (!given) {
		int r = find_in_runtime_dir(&path);

		if (r < 0)
			return r;
		given = SOCKET_PATH_SYSTEM;
	}
	if (!path)
		path = strdup(given);
	if (!path)
		return -ENOMEM;
	*ret = path;
	return strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path) ? 0 : -ENAMETOOLONG;
}
