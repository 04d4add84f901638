/* The lives of the agents in a log, held to the grammar of the protocol event by event.
 *
 * Where something is missing (the beginning was pruned, a line cannot be read, a power cut took
 * some) the agents that it may have been about are looked at leniently from there on. Costs 64
 * bytes for each agent that the log names.
 *
 * Thread: any (one at a time). */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "common/uuid.h"
#include "daemon/eventlog/findings.h"
#include "daemon/eventlog/segment.h"

typedef enum LifeStage {
	LIFE_NONE,    /* a place in the table that is free */
	LIFE_UNKNOWN, /* something is missing */
	LIFE_QUEUED,
	LIFE_RUNNING,
	LIFE_ENDED,
	_LIFE_STAGE_MAX,
} LifeStage;

typedef struct Life {
	Uuid id;
	uint64_t number;    /* seq of its AgentSpawned; 0: not known */
	uint64_t last_seq;  /* of its newest event */
	uint64_t known_seq; /* of its newest event that the catalog ought to know; 0: none */
	uint64_t chunks, bytes;
	uint32_t attempt;
	uint8_t stage;    /* LifeStage */
	uint8_t state;    /* AgentState, once it has ended */
	bool whole : 1;   /* `bytes` and `attempt` are of all there was */
	bool counted : 1; /* `chunks` is */
	bool has_row : 1; /* the catalog has it */
} Life;

typedef struct LifeCheck {
	Findings *findings; /* lent */
	uint64_t applied;   /* the catalog knows all up to here */
	uint64_t
		hole_seq; /* everything before it may have had more events; 0: nothing is missing */
	Life *table;      /* open addressing */
	size_t cap, n;
} LifeCheck;

void life_check_done(LifeCheck *c);
/* An event that segment_index_event() has found in order; `number` is what the index says about its
 * agent, 0: nothing. -ENOMEM. */
int life_check_event(LifeCheck *c, json_object *event, uint64_t seq, const IndexRecord *record,
	uint64_t number) _must_check_;
/* What stood before `seq` is not all there. */
void life_check_hole(LifeCheck *c, uint64_t seq);
/* NULL: the log does not name it. */
Life *life_check_find(const LifeCheck *c, const Uuid *id);
