/* Keeps the catalog behind the log: gathers which agents have changed, and has the reader write
 * their rows in batches, once the log is synced that far.
 *
 * What has ended is written as soon as it is synced; what has begun one sync later, if it has not
 * ended by then, or when there is nothing more to sync; a running agent's counters only when the
 * catalog would otherwise fall so far behind that a start would have to read too much. "Applied" is
 * the event before the oldest one that some row does not know.
 *
 * Thread: main. */
#pragma once

#include "daemon/agent/agent.h"
#include "daemon/eventlog/eventlog.h"
#include "daemon/eventlog/reader.h"

/* Something that has failed, and is tried again after a while that grows. */
typedef struct Retry {
	int error; /* 0: it has not */
	uint64_t wait_us, at_us;
} Retry;

typedef struct Projection {
	EventLog *log;  /* lent */
	Reader *reader; /* lent */
	ListNode dirty; /* agents with changes, by their first unknown event */
	ListNode begun; /* of these, who has begun since its row was written, */
	ListNode ended; /* and who has ended; by Agent.urgent */
	size_t n_dirty, n_urgent;
	uint64_t applied;
	uint64_t synced_seq;    /* as far as it was last looked at, */
	uint64_t settled_seq;   /* and what was before that */
	uint64_t durable;       /* what was applied when the catalog was last synced */
	Retry writing, syncing; /* of the catalog */
	Retry removing;         /* of segments */
	bool in_flight;
	bool pruning;
	uint64_t *doomed; /* bases of segments that are out of the log, and still on the disk */
	size_t n_doomed;
	CatalogStats pruned; /* what retention has taken out of the catalog */
} Projection;

void projection_init(Projection *p, EventLog *log, Reader *reader, uint64_t applied);
void projection_done(Projection *p);
/* An event of the agent, `seq`, is committed and applied. */
void projection_note(Projection *p, Agent *a, uint64_t seq, bool urgent);
/* The log is synced further, a segment was begun, or it is time to try again: writes what is due,
 * and lets retention take what it may. */
void projection_run(Projection *p);
/* Everything, also what is not urgent: on the way out. */
void projection_flush(Projection *p);
/* True: nothing is being written or waiting to be. */
bool projection_idle(const Projection *p);
/* 0, or why the last write failed. */
int projection_error(const Projection *p);
/* In how many microseconds projection_run() is to be called, whether or not there is an event; -1:
 * only then. */
int64_t projection_retry_us(const Projection *p);
/* What has failed may be tried again at once: on the way out. */
void projection_forgive(Projection *p);
/* Writes fail, and what is not forgotten for that has become too much: no more agents. */
bool projection_is_full(const Projection *p);
/* True: the catalog knows all of it, so that it may be forgotten. */
bool projection_knows(const Agent *a);
