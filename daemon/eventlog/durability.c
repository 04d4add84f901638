#include "daemon/eventlog/durability.h"

#include <errno.h>
#include <string.h>

static const char *const names[_DURABILITY_MAX] = {
	[DURABILITY_INTERVAL] = "interval",
	[DURABILITY_FSYNC] = "fsync",
};

const char *durability_to_string(Durability d)
{
	return d < _DURABILITY_MAX ? names[d] : NULL;
}

int durability_from_string(const char *name)
{
	for (int i = 0; i < _DURABILITY_MAX; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -EINVAL;
}
