#include "daemon/agent/orphans.h"

#include <string.h>

#include "daemon/reaper/reaper-orphans.h"

static bool is_known(const char *agent_id, void *userdata)
{
	const Registry *registry = userdata;
	Uuid id;

	return uuid_parse(agent_id, strlen(agent_id), &id) == 0 && registry_find(registry, &id);
}

void orphans_end(const Registry *registry)
{
	reaper_end_orphans(is_known, (void *)registry);
}
