/* A log in a directory of its own, with a mailbox for a main and an emitter: what the tests of
 * whatever stands on the log begin with.
 *
 * Failures fail the test. Thread: the test's. */
#pragma once

#include "daemon/eventlog/emitter.h"
#include "daemon/eventlog/eventlog.h"
#include "daemon/eventlog/log-meta.h"
#include "tests/lib/temp-dir.h"

typedef struct LogFixture {
	TempDir dir;
	EventLogOptions options; /* for the next start */
	EventLog *log;           /* NULL: not open */
	Mailbox *main;
	Emitter emitter;
	/* What came in since the start. */
	uint64_t n_batches, n_events, n_rejected, n_drained, n_states;
	int state;
	uint64_t synced_seq;
	void *rejected; /* the owner of the last */
	Buf lines;      /* of all batches, one behind another */
	/* What recovery told. */
	uint64_t n_recovered, first_recovered;
} LogFixture;

void log_fixture_init(LogFixture *f);
void log_fixture_done(LogFixture *f);
/* Opens and recovers. */
void log_fixture_open(LogFixture *f);
/* Starts what is open and recovered. */
void log_fixture_run(LogFixture *f);
/* Opens, recovers and starts. */
void log_fixture_start(LogFixture *f);
/* Ends in order: leaves the clean-stop mark. */
void log_fixture_stop(LogFixture *f);
/* Ends as kill -9 would: what was committed is there, the mark is not. */
void log_fixture_crash(LogFixture *f);
/* Makes the log believe that the machine was started anew since. */
void log_fixture_reboot(LogFixture *f);

int log_fixture_dirfd(LogFixture *f); /* to be closed */
LogMeta log_fixture_meta(LogFixture *f);
/* How many segments there are, which are less than `max`. */
size_t log_fixture_list(LogFixture *f, uint64_t *bases, size_t max);
/* -1: there is no such file. */
off_t log_fixture_size(LogFixture *f, uint64_t base, const char *suffix);
/* Takes so many bytes off its end. */
void log_fixture_cut(LogFixture *f, uint64_t base, const char *suffix, off_t bytes);

/* One event of `body_len` bytes or a little more, about no agent if `owner` is NULL. */
void log_fixture_emit(LogFixture *f, EventType type, void *owner, size_t body_len);
/* What a daemon says first: DaemonStarted, with what was lost. */
void log_fixture_announce(LogFixture *f);
void log_fixture_flush(LogFixture *f);
/* Delivers what has come, or waits for something. */
void log_fixture_pump(LogFixture *f);
/* Until the log ends with `seq`. */
void log_fixture_wait(LogFixture *f, uint64_t seq);

/* Looks at the whole log on the disk; `notes` may be there, problems may not. */
void log_fixture_assert_sound(LogFixture *f);
