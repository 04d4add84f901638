/* agent.list, page by page.
 *
 * Thread: main. */
#pragma once

#include "client/context.h"
#include "client/filter.h"

typedef struct AgentListQuery {
	Filter filter; /* its correlation_id and labels */
	const char *const *states;
	size_t n_states;
	const char *backend;
	const char *group;
	uint64_t limit; /* in all; 0: no limit */
} AgentListQuery;

/* {"agents": [...], "next"?: seq}, newest first; the caller puts *ret. */
int agent_list_fetch(Context *ctx, const AgentListQuery *query, json_object **ret) _must_check_;
