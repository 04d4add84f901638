#include "daemon/config-places.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "common/socket-path.h"

bool config_places_is_service(uid_t uid)
{
	return uid < 1000 || (uid >= 61184 && uid <= 65519) || uid == 65534;
}

static const char *home_of(uid_t uid)
{
	const char *home = getenv("HOME");
	const struct passwd *user;

	if (home && home[0] == '/')
		return home;
	user = getpwuid(uid);
	return user ? user->pw_dir : NULL;
}

static int join(const char *a, const char *b, char **ret)
{
	char *path;

	if (asprintf(&path, "%s/%s", a, b) < 0)
		return -ENOMEM;
	*ret = path;
	return 0;
}

/* `below` the directory that the variable names, or else the one below the home. The XDG
 * specification: a path that is not absolute is to be ignored. */
static int own_place(
	uid_t uid, const char *variable, const char *below_home, const char *below, char **ret)
{
	const char *base = getenv(variable), *home;
	_cleanup_free_ char *usual = NULL;
	int r;

	if (base && base[0] == '/')
		return join(base, below, ret);
	home = home_of(uid);
	if (!home)
		return -ENOENT;
	r = join(home, below_home, &usual);
	return r < 0 ? r : join(usual, below, ret);
}

int config_places_file(uid_t uid, char **ret)
{
	static const char below[] = "liongate/liongated.conf";

	return config_places_is_service(uid)
		       ? join("/etc", below, ret)
		       : own_place(uid, "XDG_CONFIG_HOME", ".config", below, ret);
}

int config_places_state_dir(uid_t uid, char **ret)
{
	const char *given = getenv("STATE_DIRECTORY"); /* may be a list */

	if (given && *given)
		return (*ret = strndup(given, strcspn(given, ":"))) ? 0 : -ENOMEM;
	return config_places_is_service(uid)
		       ? join("/var/lib", "liongate", ret)
		       : own_place(uid, "XDG_STATE_HOME", ".local/state", "liongate", ret);
}

int config_places_socket(uid_t uid, char **ret)
{
	const char *runtime = config_places_is_service(uid) ? NULL : getenv("XDG_RUNTIME_DIR");

	if (runtime && runtime[0] == '/')
		return join(runtime, "liongate/control.sock", ret);
	return (*ret = strdup(SOCKET_PATH_SYSTEM)) ? 0 : -ENOMEM;
}
