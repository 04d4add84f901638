/* What the committer committed in one go: consecutive events of one segment, as bytes of the wire
 * and as a table.
 *
 * Thread: made by the committer; from its message on main's, which keeps the newest few for its
 * subscriptions. */
#pragma once

#include <stdint.h>

#include "common/protocol.h"
#include "daemon/eventlog/segment.h"
#include "daemon/loop/mailbox.h"

typedef struct Committer Committer;

/* What whoever emits an event says about it, beside its text. */
typedef struct EventMeta {
	void *owner; /* given back with the committed event; its meaning is the emitter's and main's
		      */
	uint64_t agent;     /* seq of its AgentSpawned; 0: about no agent, or it is that one */
	uint32_t raw_bytes; /* AgentPartialOutput */
	int32_t pid;        /* AgentStarted; 0: none */
	uint8_t type;       /* EventType */
	uint8_t channel;    /* AgentPartialOutput */
	uint8_t code;       /* AgentError, AgentRetrying: AgentErrorCode */
	bool holds; /* AgentError, AgentRetrying: the delay is one for all calls of that provider */
	uint32_t delay_ms; /* AgentRetrying; AgentError that holds: 0: for how long is not known */
} EventMeta;

typedef struct BatchEntry {
	EventMeta meta;
	uint32_t offset; /* of the line in `data` */
	uint32_t len;    /* of the line, newline included */
} BatchEntry;

/* Of an event that is traced: see emitter_trace(). */
typedef struct TraceMark {
	uint64_t seq;
	uint64_t emitted_us; /* monotonic */
} TraceMark;

/* One piece of memory: the batch, its entries, its lines; and one for its marks, of which most have
 * none. */
typedef struct Batch {
	MailboxItem item;
	Committer *committer; /* that it comes from */
	size_t cap;           /* bytes of that memory, which it is charged with */
	uint64_t first_seq;
	uint64_t time_us;   /* realtime: what stands in each line */
	uint64_t took_us;   /* from then on, until it was written */
	uint64_t raw_bytes; /* of all its events */
	BatchEntry *entries;
	size_t n;
	char *data;
	size_t len;
	Segment *segment; /* one reference */
	uint64_t offset;  /* of `data` in the segment */
	TraceMark *marks; /* NULL: there are none; by seq */
	size_t n_marks;
	uint64_t committed_us; /* monotonic; where there are marks */
} Batch;

static inline uint64_t batch_end_seq(const Batch *b)
{
	return b->first_seq + b->n; /* one past the last */
}

/* Bears NULL. Not after its committer. */
void batch_free(Batch *b);

/* The event object in a line of the log or the wire: what stands between the notification's prefix
 * and suffix. */
static inline const char *line_event(const char *line, size_t len, size_t *ret_len)
{
	*ret_len = len - (sizeof(PROTOCOL_EVENT_PREFIX) - 1) - (sizeof(PROTOCOL_EVENT_SUFFIX) - 1);
	return line + sizeof(PROTOCOL_EVENT_PREFIX) - 1;
}
