#include "daemon/state-dir.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config-places.h"

int state_dir_find(const Config *config, char **ret)
{
	if (!config->state_dir)
		return config_places_state_dir(geteuid(), ret);
	return (*ret = strdup(config->state_dir)) ? 0 : -ENOMEM;
}
