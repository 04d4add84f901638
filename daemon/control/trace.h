/* The way of a traced agent's events: one line of the daemon's own log for each, whatever log_level
 * says, with the time at each step. Emitted: its text was written down, on a worker or on main.
 * Committed: it is in the log, as durable as that is. Published: main has applied it, and woken
 * whom it concerns. Written: the socket has taken the last byte of its line. Lengths are told, what
 * an agent puts out never is.
 *
 * The line comes once all who wanted the event when it was published have it, or have gone. How
 * many may be waited for is bounded: beyond that the oldest events are told as things stand.
 *
 * Thread: main. */
#pragma once

#include "common/list.h"
#include "daemon/eventlog/batch.h"

typedef struct Trace {
	ListNode events; /* TraceEvents that are waited for, by seq */
	size_t n_links;
} Trace;

typedef struct TraceEvent TraceEvent;

#define TRACE_MAX_LINKS 16384U

void trace_init(Trace *t);

/* The event of the batch's i-th mark, which is published now; NULL: no memory, which is said. Then
 * trace_expect() for each who wants it, then trace_settle(). */
TraceEvent *trace_publish(Trace *t, const Batch *b, size_t i);
/* One who wants it: the head of a list of theirs, of whatever they wait for. */
void trace_expect(TraceEvent *e, ListNode *taker);
/* Tells it, if nobody has to be waited for. It is not the caller's any more. */
void trace_settle(TraceEvent *e);

/* That one has now got all that it wants of what comes before `seq`. */
void trace_written(ListNode *taker, uint64_t seq);
/* That one goes. */
void trace_gone(ListNode *taker);
