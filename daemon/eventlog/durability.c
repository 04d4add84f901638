#include "daemon/eventlog/durability.h"

#include "common/str.h"

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
	return str_find(names, _DURABILITY_MAX, name);
}
