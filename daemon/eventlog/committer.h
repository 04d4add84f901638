/* The only writer of the log: gives each event its seq and time, appends, commits, tells main.
 *
 * Takes whatever has come (that is the batch), lays the lines one behind another, and appends them
 * with one write(); then the index; then, with durability = fsync, one fdatasync(); then, and only
 * then, the batch goes to main. With durability = interval a thread beside it (the syncer) calls
 * fdatasync(), so that a slow disk delays nobody until it is two segments behind: the second full
 * before the first is synced.
 *
 * When the disk is full or fails: AgentSpawned events that are not written yet are rejected, the
 * others wait; main is told (on_state), and again when it works. A megabyte is reserved ahead,
 * which output may not use: ends go into it, ahead of what waits of other agents.
 *
 * Backpressure: charged is the memory of the blocks that were handed over, until they are
 * committed, and of the batches that main is not done with. Above the high mark committer_is_full()
 * says so; main is told to wake who waits when it falls below the low one.
 *
 * Thread: its own; each function says who may call it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/histogram.h"
#include "daemon/eventlog/batch.h"
#include "daemon/eventlog/durability.h"
#include "daemon/eventlog/emitter.h"
#include "daemon/eventlog/spares.h"

typedef struct CommitterHooks {
	/* All on main. */
	void (*on_batch)(Batch *batch, void *userdata); /* owns it */
	void (*on_rejected)(
		void *owner, int error, void *userdata); /* a spawn that was not written */
	void (*on_state)(int error, void *userdata);     /* 0: it works (again) */
	void (*on_synced)(uint64_t seq, void *userdata); /* durable up to here */
	void (*on_drained)(void *userdata); /* charged bytes are below the low mark again */
	void *userdata;
} CommitterHooks;

typedef struct CommitterStart {
	int log_dirfd;    /* lent */
	Segment *segment; /* the active one; takes the reference */
	uint64_t bytes;   /* in it */
	uint64_t next_seq;
	uint64_t seq_ceiling; /* synced: below it numbers may be given out */
	Durability durability;
	uint64_t sync_interval_us;
	uint64_t segment_bytes;
	Mailbox *main; /* lent */
	/* Makes a greater ceiling durable. Committer's thread, rarely. -errno. */
	int (*raise_ceiling)(uint64_t seq_ceiling, void *userdata);
	void *ceiling_userdata;
	CommitterHooks hooks;
} CommitterStart;

#define COMMITTER_HIGH_BYTES (4U * 1024 * 1024)
#define COMMITTER_LOW_BYTES  (2U * 1024 * 1024)

/* Main. Starts the threads. -errno. */
int committer_new(const CommitterStart *start, Committer **ret) _must_check_;
/* Main. Commits what was posted before, syncs, joins the threads; afterwards main's mailbox holds
 * what was committed. -errno: some of it is not on the disk. */
int committer_stop(Committer *c);
/* Main, after committer_stop(). Bears NULL. */
void committer_free(Committer *c);

/* Any thread. Takes the block. */
void committer_take_block(Committer *c, EventBlock *block);
/* Any thread. For blocks: where their memory comes from. Lends. */
Spares *committer_spares(Committer *c);
/* Any thread. Bytes. */
size_t committer_charged(const Committer *c);
/* Any thread. True: take no more intake. */
bool committer_is_full(const Committer *c);
/* Main: it is done with so many charged bytes. True: they have just fallen below the low mark. */
bool committer_release(Committer *c, size_t bytes);
/* Main: how long each sync took, in microseconds, with durability = interval; else there are none.
 */
void committer_sync_durations(Committer *c, Histogram *ret);
/* Main: a reload. */
void committer_set_limits(Committer *c, uint64_t sync_interval_us, uint64_t segment_bytes);
