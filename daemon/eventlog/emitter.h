/* Where events are born: one for each thread that makes any. Gathers the events of a turn of its
 * loop in one block of memory, and hands that over to the committer in one message.
 *
 * Thread: its own. */
#pragma once

#include "common/json-writer.h"
#include "daemon/eventlog/batch.h"

typedef struct Emitter {
	Committer *committer;
	Buf block;          /* EventBlock, EventHead, body, EventHead, body, … */
	size_t begin_bytes; /* what the next block begins with */
	size_t n;
	size_t head;         /* of the event that is being written */
	uint64_t emitted_us; /* of that event, if it is traced; else 0 */
	JsonWriter writer;
} Emitter;

/* What stands at the beginning of a block: handing it over takes no memory, so it cannot fail. */
typedef struct EventBlock {
	MailboxItem item;
	size_t len; /* of all, this head included */
	size_t cap; /* of its memory */
	size_t n;   /* events */
} EventBlock;

/* What stands before each body in a block. */
typedef struct EventHead {
	EventMeta meta;
	size_t body_len;
	size_t size;         /* of head, body and padding: where the next one begins */
	uint64_t emitted_us; /* monotonic; 0: it is not traced */
	bool ahead;          /* the committer's: see pending.h */
} EventHead;

void emitter_init(Emitter *e, Committer *c);
void emitter_done(Emitter *e);

/* Begins an event. The writer takes its members from "type" on; seq and time are the committer's.
 */
JsonWriter *emitter_begin(Emitter *e);
/* It is traced: that this is when it was emitted is noted, and when it is committed will be.
 * Between beginning and end. */
void emitter_trace(Emitter *e);
/* Ends it. -ENOMEM: there is no such event. */
int emitter_end(Emitter *e, const EventMeta *meta) _must_check_;
/* Hands over what has gathered. At the end of each turn. */
void emitter_flush(Emitter *e);
