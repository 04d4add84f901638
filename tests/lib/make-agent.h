/* Agents for tests, out of a spawn's parameters.
 *
 * Thread: any. */
#pragma once

#include "daemon/agent/agent.h"

/* An id that nobody else has: the n-th. */
Uuid make_agent_id(uint64_t n);
/* The n-th agent; `members` (may be NULL) go into its spec, led by a comma: `,"priority":3`. Fails
 * the test if it cannot be. */
Agent *make_agent(uint64_t n, const char *members);
