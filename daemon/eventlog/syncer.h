/* Brings the log to the disk behind the committer's back: with durability = interval, at most one
 * interval after the first event that was not synced.
 *
 * A sync that failed is not just tried again: Linux would say that all is well. What was not synced
 * is written once more before; until that has worked nothing after it counts as durable.
 *
 * Thread: its own; each function says who may call it. */
#pragma once

#include <stdint.h>

#include "common/histogram.h"
#include "daemon/eventlog/segment.h"

typedef struct Syncer Syncer;

typedef struct SyncerHooks {
	/* On the syncer's thread. Everything up to `seq` is durable; or `error` (-errno) happened
	 * and it is not. */
	void (*on_synced)(uint64_t seq, int error, void *userdata);
	void *userdata;
} SyncerHooks;

/* `log_dirfd` is lent. -errno. */
int syncer_new(
	int log_dirfd, uint64_t interval_us, const SyncerHooks *hooks, Syncer **ret) _must_check_;
/* Syncs what is left and joins the thread. Bears NULL. */
void syncer_free(Syncer *s);
/* Committer. Events up to `seq` are committed, the last of them to `segment` (lent), as its bytes
 * [from, to). */
void syncer_committed(Syncer *s, Segment *segment, uint64_t from, uint64_t to, uint64_t seq);
/* Committer. `segment` (lent) is complete, and has `bytes`. Waits while another sealed one is still
 * being synced. -EIO: that one cannot be synced, and this one was not taken: try again later. */
int syncer_sealed(Syncer *s, Segment *segment, uint64_t bytes) _must_check_;
/* Any; needs no Syncer. `again`: that has failed before. -errno. */
int syncer_sync_index(const Segment *segment, bool again) _must_check_;
/* Any. How long each sync took that went well, in microseconds. */
void syncer_durations(Syncer *s, Histogram *ret);
/* Any. */
void syncer_set_interval(Syncer *s, uint64_t interval_us);
