/* The `agents` parameter: finds all that it names, then goes on.
 *
 * Thread: main. */
#pragma once

#include "daemon/control/control.h"

/* A prefix costs a look at every agent in memory, on main. */
#define AGENT_SET_MAX_PREFIXES 100

/* `seqs` (of their spawns) goes over to the callee; `n` may be 0 only if the parameter is absent:
 * then by_agents is false. Not called if some id is none, or too many of them are prefixes: the
 * request is answered then. `params` is lent. */
typedef void (*AgentSetFound)(Control *control, Request *req, json_object *params, bool by_agents,
	uint64_t *seqs, size_t n);

void agent_set_find(Control *control, Request *req, json_object *params, AgentSetFound on_found);
