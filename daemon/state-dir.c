#include "daemon/state-dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int state_dir_find(const Config *config, char **ret)
{
	const char *given = getenv("STATE_DIRECTORY"); /* systemd's; may be a list */
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *path;
	int n;

	if (config->state_dir)
		n = asprintf(&path, "%s", config->state_dir);
	else if (given && *given)
		n = asprintf(&path, "%.*s", (int)strcspn(given, ":"), given);
	else if (geteuid() == 0)
		n = asprintf(&path, "/var/lib/liongate");
	else if (xdg && *xdg == '/')
		n = asprintf(&path, "%s/liongate", xdg);
	else if (home && *home == '/')
		n = asprintf(&path, "%s/.local/state/liongate", home);
	else
		return -ENOENT;
	if (n < 0)
		return -ENOMEM;
	*ret = path;
	return 0;
}
