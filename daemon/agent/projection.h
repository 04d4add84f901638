/* Keeps the catalog behind the log: gathers which agents have changed, and has the reader write their rows in batches,
 * once the log is synced that far.
 *
 * What has begun or ended is written soon; a running agent's counters only when the catalog would otherwise fall so far
 * behind that a start would have to read too much. "Applied" is the event before the oldest one that some row does
 * not know.
 *
 * Thread: main. */
#pragma once

#include "daemon/agent/agent.h"
#include "daemon/eventlog/eventlog.h"
#include "daemon/eventlog/reader.h"

typedef struct Projection {
	EventLog *log;   /* lent */
	Reader *reader;  /* lent */
	ListNode dirty;  /* agents with changes, by their first unknown event */
	ListNode urgent; /* of these, who has begun or ended since its row was written */
	size_t n_dirty, n_urgent;
	bool failed; /* the last write */
	uint64_t applied;
	uint64_t durable; /* what was applied when the catalog was last synced */
	bool in_flight;
	bool pruning;
	CatalogStats pruned; /* what retention has taken out of the catalog */
} Projection;

void projection_init(Projection *p, EventLog *log, Reader *reader, uint64_t applied);
/* An event of the agent, `seq`, is committed and applied. */
void projection_note(Projection *p, Agent *a, uint64_t seq, bool urgent);
/* The log is synced further, or a segment was begun: writes what is due, and lets retention take what it may. */
void projection_run(Projection *p);
/* Everything, also what is not urgent: on the way out. */
void projection_flush(Projection *p);
/* True: nothing is being written or waiting to be. */
bool projection_idle(const Projection *p);
/* True: the last write failed; it is tried again with the next sync. */
bool projection_failed(const Projection *p);
/* True: the catalog knows all of it, so that it may be forgotten. */
bool projection_knows(const Agent *a);
