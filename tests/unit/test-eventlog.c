#include "daemon/eventlog/eventlog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/log.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/log-fixture.h"

#define CEILING_STEP (16ULL * 1024 * 1024)
#define KIB          1024UL
#define MIB          (1024UL * KIB)

static LogFixture f;
static uint64_t next_index;                /* owner of chunks: an agent's */
static const EventLogRecovery no_recovery; /* for what has nothing to deliver */

static void setup(void)
{
	log_fixture_init(&f);
	next_index = 0;
}

static void teardown(void)
{
	log_fixture_done(&f);
}

static void emit(size_t n, size_t body_len)
{
	for (size_t i = 0; i < n; i++)
		log_fixture_emit(&f, EVENT_TYPE_DAEMON_STOPPING, NULL, body_len);
}

/* What main was given is what the files hold, byte for byte. */
static void assert_files_are_what_came(void)
{
	_cleanup_close_ int fd = log_fixture_dirfd(&f);
	_cleanup_buf_ Buf all = { 0 };
	uint64_t bases[256];
	size_t n = log_fixture_list(&f, bases, ARRAY_SIZE(bases));

	for (size_t i = 0; i < n; i++) {
		char name[SEGMENT_NAME_LEN + 16];

		segment_name(bases[i], ".ndjson", name);
		ck_assert_int_eq(file_read(fd, name, 64 * MIB, &all), 0);
	}
	ck_assert_uint_eq(all.len, f.lines.len);
	ck_assert(all.len == 0 || memcmp(all.data, f.lines.data, all.len) == 0);
}

/* ---- Order ---- */

START_TEST(test_order)
{
	f.options.durability = _i == 0 ? DURABILITY_INTERVAL : DURABILITY_FSYNC;
	log_fixture_start(&f);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 1);
	ck_assert_uint_eq(eventlog_oldest_seq(f.log), 1);
	for (uint64_t i = 1; i <= 500; i++) {
		emit(1, (size_t)(i % 50));
		if (i % 7 == 0)
			log_fixture_flush(&f);
	}
	log_fixture_wait(&f, 500);
	ck_assert_uint_eq(f.n_events, 500);
	assert_files_are_what_came();
	log_fixture_assert_sound(&f);
	for (uint64_t seq = 1; seq <= 500; seq++) {
		size_t at;
		const Batch *b = eventlog_hot_find(f.log, seq, &at);
		char expected[128];
		const BatchEntry *e;

		ck_assert(b->first_seq <= seq && seq < batch_end_seq(b));
		ck_assert_ptr_eq(eventlog_hot_at(f.log, at), b);
		e = &b->entries[seq - b->first_seq];
		(void)snprintf(expected, sizeof(expected),
			PROTOCOL_EVENT_PREFIX "{\"seq\":%" PRIu64 ",\"time\":\"20", seq);
		ck_assert_mem_eq(b->data + e->offset, expected, strlen(expected));
		ck_assert_int_eq(b->data[e->offset + e->len - 1], '\n');
	}
	while (eventlog_synced_seq(f.log) < 500)
		log_fixture_pump(&f);
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
	ck_assert_int_eq(log_fixture_size(&f, 1, ".ndjson"), (off_t)f.lines.len);
}
END_TEST

/* The events of an agent follow its AgentSpawned's number, which is given out only here. */
START_TEST(test_metas)
{
	size_t at;
	const Batch *b;

	log_fixture_start(&f);
	log_fixture_emit(&f, EVENT_TYPE_DAEMON_STARTED, NULL, 0);
	log_fixture_emit(&f, EVENT_TYPE_AGENT_SPAWNED, &next_index, 3);
	log_fixture_emit(&f, EVENT_TYPE_AGENT_STARTED, &next_index, 3);
	log_fixture_emit(&f, EVENT_TYPE_AGENT_PARTIAL_OUTPUT, &next_index, 3);
	log_fixture_wait(&f, 4);
	b = eventlog_hot_find(f.log, 1, &at);
	ck_assert_uint_eq(b->n, 4);
	ck_assert_uint_eq(b->entries[0].meta.agent, 0);
	ck_assert_uint_eq(b->entries[1].meta.agent, 2);
	ck_assert_ptr_eq(b->entries[1].meta.owner, &next_index);
	ck_assert_uint_eq(b->entries[3].meta.type, EVENT_TYPE_AGENT_PARTIAL_OUTPUT);
	ck_assert_uint_eq(b->entries[3].meta.raw_bytes, 3);
}
END_TEST

#define N_EMITTERS 4
#define N_EACH     3000U

static void *emit_many(void *userdata)
{
	Emitter emitter;

	emitter_init(&emitter, eventlog_committer(f.log));
	for (uint32_t i = 0; i < N_EACH; i++) {
		EventMeta meta = {
			.owner = userdata,
			.type = EVENT_TYPE_DAEMON_STOPPING,
			.pid = (int32_t)i,
		};

		jw_key_cstring(emitter_begin(&emitter), "type", "DaemonStopping");
		ck_assert_int_eq(emitter_end(&emitter, &meta), 0);
		if (i % 13 == 0)
			emitter_flush(&emitter);
	}
	emitter_flush(&emitter);
	emitter_done(&emitter);
	return NULL;
}

/* Of each thread, every event once and in the thread's order. */
START_TEST(test_threads)
{
	int32_t counters[N_EMITTERS] = { 0 };
	pthread_t threads[N_EMITTERS];
	size_t at;

	f.options.segment_bytes = 64 * KIB;
	log_fixture_start(&f);
	for (size_t i = 0; i < N_EMITTERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, emit_many, &counters[i]), 0);
	log_fixture_wait(&f, (uint64_t)N_EMITTERS * N_EACH);
	for (size_t i = 0; i < N_EMITTERS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(eventlog_hot_seq(f.log), 1);
	(void)eventlog_hot_find(f.log, 1, &at);
	for (const Batch *b; (b = eventlog_hot_at(f.log, at)); at++)
		for (size_t i = 0; i < b->n; i++)
			ck_assert_int_eq(
				b->entries[i].meta.pid, (*(int32_t *)b->entries[i].meta.owner)++);
	assert_files_are_what_came();
	log_fixture_assert_sound(&f);
}
END_TEST

/* ---- Segments ---- */

START_TEST(test_rotation)
{
	uint64_t bases[64];
	size_t n;

	f.options.segment_bytes = 10000;
	f.options.durability = _i == 0 ? DURABILITY_INTERVAL : DURABILITY_FSYNC;
	log_fixture_start(&f);
	emit(300, 100);
	log_fixture_wait(&f, 300);
	assert_files_are_what_came();
	ck_assert_uint_eq(eventlog_bytes(f.log), f.lines.len);
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
	n = log_fixture_list(&f, bases, ARRAY_SIZE(bases));
	ck_assert_uint_gt(n, 5);
	ck_assert_uint_eq(bases[0], 1);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_le(log_fixture_size(&f, bases[i], ".ndjson"), 10000);
		ck_assert_int_gt(log_fixture_size(&f, bases[i], ".ndjson"), i + 1 < n ? 9000 : 0);
	}
	log_fixture_start(&f);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 301);
	ck_assert_uint_eq(f.n_recovered, 300);
}
END_TEST

/* It gets a segment of its own; the others go on as they were. */
START_TEST(test_line_above_segment)
{
	static const uint64_t expected[] = { 1, 4, 5, 7, 8, 9 };
	uint64_t bases[16];
	size_t n;

	f.options.segment_bytes = 10000;
	log_fixture_start(&f);
	emit(3, 100);
	emit(1, 3 * MIB);
	emit(2, 100);
	emit(1, 20000);
	emit(1, 20000);
	emit(1, 10);
	log_fixture_wait(&f, 9);
	assert_files_are_what_came();
	log_fixture_assert_sound(&f);
	n = log_fixture_list(&f, bases, ARRAY_SIZE(bases));
	ck_assert_uint_eq(n, ARRAY_SIZE(expected));
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(bases[i], expected[i]);
	log_fixture_crash(&f);
	log_fixture_start(&f);
	ck_assert_uint_eq(f.n_recovered, 9);
}
END_TEST

START_TEST(test_first_line_above_segment)
{
	f.options.segment_bytes = 10000;
	log_fixture_start(&f);
	emit(1, 50000);
	log_fixture_wait(&f, 1);
	ck_assert_int_gt(log_fixture_size(&f, 1, ".ndjson"), 50000);
	log_fixture_assert_sound(&f);
}
END_TEST

/* A reload holds from the next line on. */
START_TEST(test_configure)
{
	uint64_t bases[16];

	log_fixture_start(&f);
	emit(5, 1000);
	log_fixture_wait(&f, 5);
	f.options.segment_bytes = 5000;
	eventlog_configure(f.log, &f.options);
	emit(1, 1000);
	log_fixture_wait(&f, 6);
	ck_assert_uint_eq(log_fixture_list(&f, bases, 16), 2);
	ck_assert_uint_eq(bases[1], 6);
}
END_TEST

/* There is no memory to list the segments that are begun: no view goes beyond what is listed, and
 * their sizes are right once there is. */
START_TEST(test_rotation_without_memory)
{
	uint64_t bases[16];
	size_t n;
	LogView view;

	f.options.segment_bytes = 10000;
	log_fixture_start(&f);
	emit(1, 100);
	log_fixture_wait(&f, 1);
	fault_calloc_after(0);
	emit(150, 100);
	log_fixture_wait(&f, 151);
	fault_calloc_after(-1);
	n = log_fixture_list(&f, bases, ARRAY_SIZE(bases));
	ck_assert_uint_gt(n, 2);
	view = eventlog_view(f.log);
	ck_assert_uint_eq(view.table->n, 1);
	ck_assert_uint_eq(view.end_seq, bases[1]);
	log_view_release(&view);
	emit(1, 100);
	log_fixture_wait(&f, 152);
	view = eventlog_view(f.log);
	ck_assert_uint_eq(view.table->n, n);
	ck_assert_uint_eq(view.end_seq, 153);
	for (size_t i = 0; i + 1 < n; i++) {
		ck_assert_uint_eq(view.table->infos[i].base, bases[i]);
		ck_assert_uint_eq(view.table->infos[i].end, bases[i + 1]);
		ck_assert_int_eq(
			view.table->infos[i].bytes, log_fixture_size(&f, bases[i], ".ndjson"));
	}
	ck_assert_uint_eq(eventlog_bytes(f.log), f.lines.len);
	log_view_release(&view);
}
END_TEST

/* ---- Ends and starts ---- */

START_TEST(test_restart)
{
	Uuid log_id;

	log_fixture_start(&f);
	log_id = *eventlog_id(f.log);
	ck_assert(!log_fixture_meta(&f).clean);
	for (uint64_t round = 0; round < 4; round++) {
		ck_assert(!eventlog_power_cut(f.log));
		ck_assert_uint_eq(eventlog_end_seq(f.log), round * 10 + 1);
		ck_assert_uint_eq(f.n_recovered, round * 10);
		ck_assert_uint_eq(eventlog_synced_seq(f.log), round * 10);
		emit(10, 100);
		if (round % 2)
			log_fixture_crash(&f);
		else
			log_fixture_stop(&f);
		ck_assert(log_fixture_meta(&f).clean == (round % 2 == 0));
		ck_assert_uint_gt(log_fixture_meta(&f).seq_ceiling, round * 10 + 10);
		log_fixture_assert_sound(&f);
		log_fixture_start(&f);
		ck_assert(uuid_equal(eventlog_id(f.log), &log_id));
	}
}
END_TEST

/* What was posted before the end is committed. */
START_TEST(test_stop_commits)
{
	log_fixture_start(&f);
	emit(2000, 200);
	log_fixture_stop(&f);
	ck_assert_uint_eq(f.n_events, 2000);
	assert_files_are_what_came();
}
END_TEST

/* Opened, and closed before it was started: nothing is claimed. */
START_TEST(test_never_started)
{
	log_fixture_start(&f);
	emit(3, 10);
	log_fixture_crash(&f);
	log_fixture_open(&f);
	eventlog_close(f.log);
	f.log = NULL;
	ck_assert(!log_fixture_meta(&f).clean);
	eventlog_close(NULL);
}
END_TEST

START_TEST(test_meta_is_gone)
{
	Uuid log_id;

	log_fixture_start(&f);
	log_id = *eventlog_id(f.log);
	emit(3, 10);
	log_fixture_stop(&f);
	if (_i == 0)
		ck_assert_int_eq(unlink(temp_dir_path(&f.dir, "log/log.json")), 0);
	else
		ck_assert_int_eq(truncate(temp_dir_path(&f.dir, "log/log.json"), 20), 0);
	log_fixture_start(&f);
	ck_assert(!uuid_equal(eventlog_id(f.log), &log_id));
	ck_assert_uint_eq(eventlog_end_seq(f.log), 4);
	emit(1, 10);
	log_fixture_wait(&f, 4);
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
}
END_TEST

/* ---- A disk that is full ---- */

static rlim_t set_file_limit(rlim_t bytes)
{
	struct rlimit limit, before;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	return before.rlim_cur;
}

START_TEST(test_full)
{
	uint64_t owner = 0;
	rlim_t before;

	signal(SIGXFSZ, SIG_IGN);
	log_set_level(0);
	f.options.durability = _i == 0 ? DURABILITY_INTERVAL : DURABILITY_FSYNC;
	log_fixture_start(&f);
	emit(10, 100);
	log_fixture_wait(&f, 10);
	before = set_file_limit((rlim_t)f.lines.len + 150);

	emit(1, 10);
	log_fixture_emit(&f, EVENT_TYPE_AGENT_SPAWNED, &owner, 1000);
	emit(1, 20);
	log_fixture_flush(&f);
	while (f.n_rejected == 0 || f.state == 0)
		log_fixture_pump(&f);
	ck_assert_uint_eq(f.n_rejected, 1);
	ck_assert_ptr_eq(f.rejected, &owner);
	ck_assert_int_eq(f.state, -EFBIG);
	ck_assert_int_eq(eventlog_error(f.log), -EFBIG);
	/* Those that wait are still to come, and further spawns are refused at once. */
	log_fixture_emit(&f, EVENT_TYPE_AGENT_SPAWNED, &owner, 1000);
	log_fixture_flush(&f);
	while (f.n_rejected < 2)
		log_fixture_pump(&f);

	set_file_limit(before);
	log_fixture_wait(&f, 12);
	while (f.state != 0)
		log_fixture_pump(&f);
	ck_assert_int_eq(eventlog_error(f.log), 0);
	assert_files_are_what_came();
	log_fixture_emit(&f, EVENT_TYPE_AGENT_SPAWNED, &owner, 1000);
	log_fixture_wait(&f, 13);
	ck_assert_uint_eq(f.n_rejected, 2);
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
}
END_TEST

/* Stopped while it cannot be written: what was not committed is not there, and what was is whole.
 */
START_TEST(test_full_to_the_end)
{
	rlim_t before;

	signal(SIGXFSZ, SIG_IGN);
	log_set_level(0);
	log_fixture_start(&f);
	emit(10, 100);
	log_fixture_wait(&f, 10);
	before = set_file_limit((rlim_t)f.lines.len + 150);
	emit(5, 1000);
	log_fixture_flush(&f);
	while (f.state == 0)
		log_fixture_pump(&f);
	log_fixture_stop(&f);
	set_file_limit(before);
	ck_assert_uint_eq(f.n_events, 10);
	log_fixture_assert_sound(&f);
	log_fixture_start(&f);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 11);
}
END_TEST

/* ---- What stays in memory ---- */

START_TEST(test_hot)
{
	size_t at;

	log_fixture_start(&f);
	ck_assert_uint_eq(eventlog_hot_seq(f.log), 1);
	ck_assert_ptr_null(eventlog_hot_find(f.log, 1, &at));
	for (uint64_t i = 1; i <= 60; i++) {
		emit(1, 100 * KIB);
		log_fixture_wait(&f, i);
	}
	ck_assert_uint_eq(eventlog_hot_seq(f.log), 1);
	eventlog_trim(f.log);
	ck_assert_uint_gt(eventlog_hot_seq(f.log), 10);
	ck_assert_uint_lt(eventlog_hot_seq(f.log), 40);
	ck_assert_uint_eq(eventlog_hot_find(f.log, eventlog_hot_seq(f.log), &at)->first_seq,
		eventlog_hot_seq(f.log));
	ck_assert_uint_eq(at, 0);
	ck_assert_uint_eq(eventlog_hot_find(f.log, 60, &at)->first_seq, 60);
	ck_assert_ptr_null(eventlog_hot_at(f.log, at + 1));
	/* One batch that alone is above the bound stays. */
	emit(1, 6 * MIB);
	log_fixture_wait(&f, 61);
	eventlog_trim(f.log);
	ck_assert_uint_eq(eventlog_hot_seq(f.log), 61);
}
END_TEST

/* ---- Backpressure ---- */

START_TEST(test_backpressure)
{
	uint64_t n_drained;
	Committer *c;

	f.options.segment_bytes = 64 * MIB;
	log_fixture_start(&f);
	c = eventlog_committer(f.log);
	ck_assert(!committer_is_full(c));
	/* Nothing is delivered to main meanwhile, so it counts all. */
	emit(50, 100 * KIB);
	log_fixture_flush(&f);
	ck_assert(committer_is_full(c));
	ck_assert_uint_eq(f.n_drained, 0);
	log_fixture_wait(&f, 50);
	/* More than once where batches are charged while others are released. */
	n_drained = f.n_drained;
	ck_assert_uint_ge(n_drained, 1);
	ck_assert(!committer_is_full(c));
	emit(10, 10);
	log_fixture_wait(&f, 60);
	ck_assert_uint_eq(f.n_drained, n_drained);
}
END_TEST

/* What is rejected is given back too. */
START_TEST(test_backpressure_of_rejected)
{
	uint64_t owner = 0;
	rlim_t before;

	signal(SIGXFSZ, SIG_IGN);
	log_set_level(0);
	log_fixture_start(&f);
	before = set_file_limit(100);
	for (int i = 0; i < 50; i++)
		log_fixture_emit(&f, EVENT_TYPE_AGENT_SPAWNED, &owner, 100 * KIB);
	log_fixture_flush(&f);
	ck_assert(committer_is_full(eventlog_committer(f.log)));
	while (f.n_rejected < 50)
		log_fixture_pump(&f);
	set_file_limit(before);
	emit(1, 10);
	log_fixture_wait(&f, 1);
	ck_assert(!committer_is_full(eventlog_committer(f.log)));
	ck_assert_uint_ge(f.n_drained, 1);
}
END_TEST

/* ---- Retention ---- */

START_TEST(test_prune)
{
	uint64_t *bases = NULL, all[64];
	size_t n = 0, n_all;
	LogView view;

	f.options.segment_bytes = 10000;
	f.options.retain_bytes = 25000;
	log_fixture_start(&f);
	emit(300, 100);
	log_fixture_wait(&f, 300);
	view = eventlog_view(f.log);
	n_all = log_fixture_list(&f, all, ARRAY_SIZE(all));
	/* Only what the catalog knows. */
	ck_assert_int_eq(eventlog_prune(f.log, 1, &bases, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(eventlog_prune(f.log, all[1] - 1, &bases, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(eventlog_prune(f.log, all[1], &bases, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(bases[0], 1);
	free(bases);
	ck_assert_uint_eq(eventlog_oldest_seq(f.log), all[1]);
	n = 0;
	ck_assert_int_eq(eventlog_prune(f.log, 301, &bases, &n), 0);
	ck_assert_uint_gt(n, 2);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(bases[i], all[i + 1]);
	free(bases);
	ck_assert_uint_eq(eventlog_oldest_seq(f.log), all[n + 1]);
	ck_assert_uint_le(eventlog_bytes(f.log), 25000);
	/* Nor are they served from memory. */
	ck_assert_uint_eq(eventlog_hot_seq(f.log), all[n + 1]);
	eventlog_trim(f.log);
	ck_assert_uint_eq(eventlog_hot_seq(f.log), all[n + 1]);
	ck_assert_uint_eq(eventlog_hot_at(f.log, 0)->first_seq, all[n + 1]);
	/* A view is a picture that does not change. */
	ck_assert_uint_eq(view.oldest_seq, 1);
	ck_assert_uint_eq(view.table->n, n_all);
	log_view_release(&view);
	n = 0;
	ck_assert_int_eq(eventlog_prune(f.log, 301, &bases, &n), 0);
	ck_assert_uint_eq(n, 0);
}
END_TEST

/* The active segment never goes, whatever its size. */
START_TEST(test_prune_active)
{
	uint64_t *bases = NULL;
	size_t n = 0;

	f.options.retain_bytes = 1;
	f.options.retain_age_us = 1;
	log_fixture_start(&f);
	emit(10, 100);
	log_fixture_wait(&f, 10);
	ck_assert_int_eq(eventlog_prune(f.log, 11, &bases, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_uint_eq(eventlog_oldest_seq(f.log), 1);
}
END_TEST

/* ---- What cannot be ---- */

START_TEST(test_overlap)
{
	EventLog *log = NULL;

	f.options.segment_bytes = 10000;
	log_set_level(0);
	log_fixture_start(&f);
	emit(150, 100);
	log_fixture_stop(&f);
	/* The second segment under a number that is too small. */
	ck_assert_int_eq(rename(temp_dir_path(&f.dir, "log/00000000000000000001.ndjson"),
				 temp_dir_path(&f.dir, "log/00000000000000000003.ndjson")),
		0);
	ck_assert_int_eq(rename(temp_dir_path(&f.dir, "log/00000000000000000001.idx"),
				 temp_dir_path(&f.dir, "log/00000000000000000003.idx")),
		0);
	ck_assert_int_eq(eventlog_open(f.dir.path, &f.options, &log), 0);
	ck_assert_int_eq(eventlog_recover(log, UINT64_MAX, &no_recovery), -EBADMSG);
	eventlog_close(log);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("eventlog");
	TCase *tc = tcase_create("eventlog");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_order, 0, 2);
	tcase_add_test(tc, test_metas);
	tcase_add_test(tc, test_threads);
	tcase_add_loop_test(tc, test_rotation, 0, 2);
	tcase_add_test(tc, test_line_above_segment);
	tcase_add_test(tc, test_first_line_above_segment);
	tcase_add_test(tc, test_configure);
	tcase_add_test(tc, test_rotation_without_memory);
	tcase_add_test(tc, test_restart);
	tcase_add_test(tc, test_stop_commits);
	tcase_add_test(tc, test_never_started);
	tcase_add_loop_test(tc, test_meta_is_gone, 0, 2);
	tcase_add_loop_test(tc, test_full, 0, 2);
	tcase_add_test(tc, test_full_to_the_end);
	tcase_add_test(tc, test_hot);
	tcase_add_test(tc, test_backpressure);
	tcase_add_test(tc, test_backpressure_of_rejected);
	tcase_add_test(tc, test_prune);
	tcase_add_test(tc, test_prune_active);
	tcase_add_test(tc, test_overlap);
	suite_add_tcase(s, tc);
	return s;
}
