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

/* The parameters of one page, of `limit` agents that were spawned before `before` (0: the newest).
 */
int agent_list_write_params(
	const AgentListQuery *query, uint64_t limit, uint64_t before, Buf *b) _must_check_;

/* {"agents": [...], "next"?: seq}, newest first; the caller puts *ret. */
int agent_list_fetch(Context *ctx, const AgentListQuery *query, json_object **ret) _must_check_;
