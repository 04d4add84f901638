/* The events that wait to be committed, in the order in which they came.
 *
 * On a full disk what ends agents goes ahead of the others' output, into the room that is reserved
 * for it. What else waits of such an agent goes with it, in its order: only between agents does the
 * order change.
 *
 * Owns the blocks. Thread: the committer's. */
#pragma once

#include "daemon/eventlog/emitter.h"
#include "daemon/eventlog/spares.h"

typedef struct Pending {
	MailboxItem *first, **tail; /* EventBlocks */
	size_t offset;              /* in the first of them */
	size_t n_ahead;             /* events that go ahead */
	Spares *spares;             /* lent: where blocks go that are done with */
} Pending;

typedef struct PendingPosition {
	MailboxItem *block;
	size_t offset;
} PendingPosition;

typedef struct PendingRoom {
	uint64_t bytes, lines;
	size_t line_bytes; /* that a line has besides its body */
} PendingRoom;

void pending_init(Pending *p, Spares *spares);
/* Frees what is left. */
void pending_done(Pending *p);
/* Takes the block. */
void pending_add(Pending *p, EventBlock *block);

PendingPosition pending_start(const Pending *p);
/* The event there; NULL: no more. One of EVENT_TYPE_NONE was taken out. */
EventHead *pending_at(PendingPosition *at);
void pending_step(PendingPosition *at);
/* Nothing waits any more but what was taken out. */
bool pending_is_done(const Pending *p);
/* An upper bound of how many events there are, if it is less than `most`. */
size_t pending_count(const Pending *p, size_t most);
/* Gives back the blocks before `at`; returns how much memory that was. */
size_t pending_advance(Pending *p, const PendingPosition *at);

/* Marks (EventHead.ahead) those that go ahead: what the daemon says of itself, and agents that end,
 * each with all that waits of it, as far as there is room. -ENOMEM: none does. */
int pending_choose_ends(Pending *p, PendingRoom room) _must_check_;
/* The first `n` of those that go ahead are committed. */
void pending_take_out(Pending *p, size_t n);
