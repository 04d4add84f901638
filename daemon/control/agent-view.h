/* An agent as agent.get, agent.wait and agent.list show it.
 *
 * Thread: any. */
#pragma once

#include "common/json-writer.h"
#include "daemon/agent/agent.h"

/* What no catalog knows of it. Lent: as long as the agent is held. */
typedef struct AgentNow {
	int32_t pid;         /* 0: none */
	const char *waiting; /* the reason; NULL: it does not wait for a provider */
	const char *provider;
	uint64_t until_us; /* realtime; 0: not known */
} AgentNow;

/* Main. */
AgentNow agent_view_now(const Agent *a);

/* `row->spec` must be there, or `list_spec` for an entry of a list. `now` NULL: it is in the
 * catalog alone. Errors stick to the writer. */
void agent_view_write(JsonWriter *w, const CatalogRow *row, const AgentNow *now);
/* Without options and context, the prompt cut. */
void agent_view_write_entry(JsonWriter *w, const CatalogRow *row, const AgentNow *now);
