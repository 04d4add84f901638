/* The log, as main sees it: which segments there are, where it ends, and its newest few batches in
 * memory.
 *
 * Start-up: eventlog_open() lists the segments, eventlog_recover() walks what the catalog does not
 * know yet and cuts a torn tail, eventlog_start() starts the committer. Then whatever the committer
 * commits comes in as on_batch.
 *
 * Thread: main. */
#pragma once

#include "common/uuid.h"
#include "daemon/eventlog/batch.h"
#include "daemon/eventlog/committer.h"
#include "daemon/eventlog/durability.h"
#include "daemon/eventlog/log-totals.h"
#include "daemon/eventlog/log-view.h"

typedef struct EventLog EventLog;

typedef struct EventLogOptions {
	Durability durability;
	uint64_t sync_interval_us;
	uint64_t segment_bytes;
	uint64_t retain_bytes;  /* 0: all */
	uint64_t retain_age_us; /* 0: for ever */
} EventLogOptions;

typedef struct EventLogHooks {
	/* Committed, and hot from now on. Lent: the log keeps it as long as it is hot. */
	void (*on_batch)(const Batch *batch, void *userdata);
	/* An AgentSpawned that could not be written: `owner` is its EventMeta.owner. */
	void (*on_rejected)(void *owner, int error, void *userdata);
	void (*on_state)(int error, void *userdata);
	void (*on_synced)(uint64_t seq, void *userdata);
	/* Backpressure is over. */
	void (*on_drained)(void *userdata);
	void *userdata;
} EventLogHooks;

typedef struct EventLogRecovery {
	/* Each event from `from_seq` on, in order. `line` is NULL for AgentPartialOutput, even
	 * where it is damaged, else the whole line, lent. < 0 ends it. */
	int (*on_event)(uint64_t seq, const IndexRecord *record, const char *line, size_t len,
		void *userdata);
	/* The seq of the AgentSpawned of that agent; 0: not known. For lines whose index is lost.
	 */
	uint64_t (*resolve)(const Uuid *agent_id, void *userdata);
	void *userdata;
} EventLogRecovery;

/* Opens STATE/log, making it if need be. What is wrong is logged. -errno. */
int eventlog_open(
	const char *state_dir, const EventLogOptions *options, EventLog **ret) _must_check_;
int eventlog_recover(
	EventLog *log, uint64_t from_seq, const EventLogRecovery *recovery) _must_check_;
/* The machine went down under the last daemon. Known once it is open. */
bool eventlog_power_cut(const EventLog *log);
/* Among these events there are some that a power cut or damage took, to be announced first: false
 * if there are none. */
bool eventlog_lost(const EventLog *log, uint64_t *ret_from, uint64_t *ret_to);
/* Starts the committer. Its messages come through `main`. -errno. */
int eventlog_start(EventLog *log, Mailbox *main, const EventLogHooks *hooks) _must_check_;
/* Commits and syncs what was posted, and stops the committer; what it committed has yet to be
 * delivered from the mailbox. */
void eventlog_stop(EventLog *log);
/* After that was delivered: leaves the clean-stop mark and frees. Bears NULL, and a log that was
 * never started. */
void eventlog_close(EventLog *log);
/* All but the durability, which stays. */
void eventlog_configure(EventLog *log, const EventLogOptions *options);

const Uuid *eventlog_id(const EventLog *log);
int eventlog_dirfd(const EventLog *log);
Committer *eventlog_committer(EventLog *log);
/* 0, or why it cannot be written. */
int eventlog_error(const EventLog *log);
/* Of the oldest event there is; one past the newest where there is none. */
uint64_t eventlog_oldest_seq(const EventLog *log);
/* One past the newest committed event. */
uint64_t eventlog_end_seq(const EventLog *log);
/* Where the segment begins that is being written, as far as it is listed: all before it are sealed.
 */
uint64_t eventlog_active_seq(const EventLog *log);
uint64_t eventlog_synced_seq(const EventLog *log);
uint64_t eventlog_bytes(const EventLog *log);
const LogTotals *eventlog_totals(const EventLog *log);

/* A view to give to the reader, with a reference, to be released with log_view_release(). */
LogView eventlog_view(const EventLog *log);
void log_view_release(LogView *view);

/* The oldest seq that is still in memory, and in the log; eventlog_end_seq() if none. */
uint64_t eventlog_hot_seq(const EventLog *log);
/* The hot batch that holds `seq` (>= eventlog_hot_seq(), < end), and by number: batches are
 * consecutive until the next event. */
const Batch *eventlog_hot_find(const EventLog *log, uint64_t seq, size_t *ret_at);
const Batch *eventlog_hot_at(const EventLog *log, size_t at); /* NULL past the end */
/* Lets go of what is hot no more, or in the log no more: at the end of a turn, when nobody holds a
 * pointer into it. */
void eventlog_trim(EventLog *log);

/* Something is too much or too old. */
bool eventlog_prune_due(const EventLog *log);
/* What retention would take: segments whose events are all below `projected_seq` (the catalog knows
 * them durably). Takes them out of the table, and returns their bases in *ret_bases (free()) to be
 * unlinked by the reader; 0 if there are none. */
int eventlog_prune(
	EventLog *log, uint64_t projected_seq, uint64_t **ret_bases, size_t *ret_n) _must_check_;
