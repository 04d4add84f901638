/* Which events a client wants: by agents, types, correlation_id and labels; all that are given must
 * fit.
 *
 * Immutable once made, so that main and the reader can both look at it. Owned by who made it. */
#pragma once

#include <json-c/json.h>

#include "daemon/agent/agent.h"
#include "daemon/eventlog/scan.h"

typedef struct FilterLabel {
	char *name, *value;
} FilterLabel;

typedef struct Filter {
	uint32_t types;   /* bits (1 << EventType); 0: all */
	bool by_agents;   /* `agents` counts */
	uint64_t *agents; /* by seq of their spawn, ascending */
	size_t n_agents;
	char *correlation_id; /* NULL: any */
	FilterLabel *labels;
	size_t n_labels;
} Filter;

/* What the reader has found out about agents; kept until its client has caught up. */
typedef struct FilterMemory {
	uint64_t *agents; /* open addressing; the lowest bit is the answer, the rest the seq */
	size_t n, cap;
	Buf scratch;
	Places places; /* of the filter's agents, in the segment that was looked at last */
} FilterMemory;

/* Main. From the parameters types, correlation_id, labels; the agents are added with
 * filter_set_agents(). -ENOMEM. */
int filter_new(json_object *params, Filter **ret) _must_check_;
/* Any. Bears NULL. */
void filter_free(Filter *f);
/* Takes `seqs`, in any order. */
void filter_set_agents(Filter *f, uint64_t *seqs, size_t n);

/* Any. It lets all events pass. */
bool filter_is_open(const Filter *f);
/* Any. It asks something of the agent. */
bool filter_asks_agent(const Filter *f);
bool filter_wants_type(const Filter *f, uint8_t type);
/* Main. */
bool filter_wants_agent(const Filter *f, const Agent *a);
/* Reader. Looks the agent up in the log or the catalog where need be. -errno. */
int filter_wants_event(const Filter *f, FilterMemory *m, Reader *reader, const LogView *view,
	const IndexRecord *record) _must_check_;
/* Reader. Before a step of a scan, forwards or back: passes over what the filter does not want, as
 * far as that can be told without walking. -errno. */
int filter_skip(const Filter *f, FilterMemory *m, Scan *s) _must_check_;
int filter_skip_back(const Filter *f, FilterMemory *m, Scan *s) _must_check_;
void filter_memory_done(FilterMemory *m);
