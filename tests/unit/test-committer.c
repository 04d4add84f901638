#include "daemon/eventlog/committer.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/log-fixture.h"

#define KIB 1024UL
#define MIB (1024UL * KIB)

static LogFixture f;

static struct {
	uint64_t seq, chunks, bytes;
	bool traced;
} agents[4]; /* from 1 */

static void setup(void)
{
	log_fixture_init(&f);
	log_set_level(0);
	f.options.segment_bytes = 64 * MIB;
	memset(agents, 0, sizeof(agents));
}

static void teardown(void)
{
	fault_fallocate_above(SIZE_MAX, 0);
	log_fixture_done(&f);
}

static JsonWriter *begin(unsigned agent, EventType type)
{
	JsonWriter *w = emitter_begin(&f.emitter);
	char id[] = "0f0f0f0f-0000-4000-8000-000000000000";

	id[sizeof(id) - 2] = (char)('0' + agent);
	jw_key_cstring(w, "type", protocol_event_name(type));
	jw_key_cstring(w, "agent_id", id);
	return w;
}

static void end(unsigned agent, EventMeta meta)
{
	meta.owner = &agents[agent];
	meta.agent = agents[agent].seq;
	if (agents[agent].traced)
		emitter_trace(&f.emitter);
	ck_assert_int_eq(emitter_end(&f.emitter, &meta), 0);
}

static void say_spawned(unsigned agent)
{
	begin(agent, EVENT_TYPE_AGENT_SPAWNED);
	end(agent, (EventMeta){ .type = EVENT_TYPE_AGENT_SPAWNED });
}

/* Accepted and started. */
static void run_agent(unsigned agent)
{
	say_spawned(agent);
	agents[agent].seq = eventlog_end_seq(f.log);
	log_fixture_wait(&f, agents[agent].seq);
	jw_key_uint(begin(agent, EVENT_TYPE_AGENT_STARTED), "attempt", 1);
	end(agent, (EventMeta){ .type = EVENT_TYPE_AGENT_STARTED });
	log_fixture_wait(&f, agents[agent].seq + 1);
}

static void say_chunk(unsigned agent, size_t len)
{
	JsonWriter *w = begin(agent, EVENT_TYPE_AGENT_PARTIAL_OUTPUT);
	_cleanup_free_ char *text = malloc(len);

	memset(text, 'x', len);
	jw_key_uint(w, "index", agents[agent].chunks++);
	jw_key(w, "chunk");
	jw_string(w, text, len);
	jw_key_cstring(w, "channel", "output");
	agents[agent].bytes += len;
	end(agent,
		(EventMeta){ .type = EVENT_TYPE_AGENT_PARTIAL_OUTPUT, .raw_bytes = (uint32_t)len });
}

static void say_ended(unsigned agent)
{
	JsonWriter *w = begin(agent, EVENT_TYPE_AGENT_COMPLETED);

	jw_key_uint(w, "chunks", agents[agent].chunks);
	jw_key_uint(w, "bytes", agents[agent].bytes);
	end(agent, (EventMeta){ .type = EVENT_TYPE_AGENT_COMPLETED });
}

static void say_stopping(void)
{
	EventMeta meta = { .type = EVENT_TYPE_DAEMON_STOPPING };

	jw_key_cstring(emitter_begin(&f.emitter), "type", "DaemonStopping");
	ck_assert_int_eq(emitter_end(&f.emitter, &meta), 0);
}

/* ---- A disk that is full: nothing can be reserved any more, or a write fails ---- */

static void wait_state(int state)
{
	log_fixture_flush(&f);
	while (f.state != state)
		log_fixture_pump(&f);
	/* The state is that of now, also where it is told by a call from before: what was
	 * committed before it may only be on its way. */
	mailbox_deliver(f.main, NULL);
}

static void assert_newest(const EventMeta *expected, size_t n)
{
	uint64_t seq = eventlog_end_seq(f.log) - n;

	for (size_t i = 0; i < n; i++, seq++) {
		size_t at;
		const Batch *b = eventlog_hot_find(f.log, seq, &at);
		const EventMeta *meta = &b->entries[seq - b->first_seq].meta;

		ck_assert_int_eq(meta->type, expected[i].type);
		ck_assert_uint_eq(meta->agent, expected[i].agent);
	}
}

static bool newest_is(EventType type)
{
	uint64_t seq = eventlog_end_seq(f.log) - 1;
	size_t at;
	const Batch *b = eventlog_hot_find(f.log, seq, &at);

	return b->entries[seq - b->first_seq].meta.type == type;
}

/* Two agents run, and more output of the first than the reserve has room for waits. */
static void fill_disk(int error)
{
	log_fixture_start(&f);
	run_agent(1);
	run_agent(2);
	fault_fallocate_above(64 * KIB, error);
	for (int i = 0; i < 300; i++)
		say_chunk(1, 10 * KIB);
	wait_state(-error);
}

/* An end goes ahead of the output of others, with all that waits of its own agent; and all goes on
 * in the end. */
START_TEST(test_ends_go_ahead)
{
	const EventMeta expected[] = {
		{ .type = EVENT_TYPE_AGENT_PARTIAL_OUTPUT, .agent = 3 },
		{ .type = EVENT_TYPE_AGENT_PARTIAL_OUTPUT, .agent = 3 },
		{ .type = EVENT_TYPE_AGENT_COMPLETED, .agent = 3 },
		{ .type = EVENT_TYPE_DAEMON_STOPPING },
	};

	f.options.durability = _i == 0 ? DURABILITY_INTERVAL : DURABILITY_FSYNC;
	fill_disk(ENOSPC);
	ck_assert_uint_eq(agents[2].seq, 3);
	say_chunk(2, 100);
	say_chunk(1, 100);
	say_spawned(3);
	say_chunk(2, 100);
	say_ended(1); /* too much of it waits */
	say_ended(2);
	say_stopping();
	log_fixture_flush(&f);
	while (!newest_is(EVENT_TYPE_DAEMON_STOPPING))
		log_fixture_pump(&f);
	assert_newest(expected, ARRAY_SIZE(expected));
	ck_assert_uint_lt(eventlog_end_seq(f.log), 200);
	ck_assert_int_eq(f.state, -ENOSPC);
	ck_assert_uint_eq(f.n_rejected, 1);

	fault_fallocate_above(SIZE_MAX, 0);
	log_fixture_wait(&f, 4 + 300 + 1 + 1 + 4);
	ck_assert(newest_is(EVENT_TYPE_AGENT_COMPLETED));
	wait_state(0);
	ck_assert(!committer_is_full(eventlog_committer(f.log)));
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
}
END_TEST

/* Output never takes the half of the reserve that is for ends; a limit on the size of files is a
 * full disk. */
START_TEST(test_output_leaves_the_reserve)
{
	static const int errors[] = { ENOSPC, EDQUOT, EFBIG };

	fill_disk(errors[_i]);
	ck_assert_uint_gt(eventlog_bytes(f.log), 400 * KIB);
	ck_assert_uint_lt(eventlog_bytes(f.log), 512 * KIB);
	log_fixture_stop(&f);
	ck_assert_uint_lt(f.lines.len, 512 * KIB);
	log_fixture_assert_sound(&f);
}
END_TEST

/* What is left of the reserve is taken along into a new segment. */
START_TEST(test_ends_begin_a_segment)
{
	fill_disk(ENOSPC);
	f.options.segment_bytes = 64 * KIB;
	eventlog_configure(f.log, &f.options);
	say_ended(2);
	log_fixture_flush(&f);
	while (!newest_is(EVENT_TYPE_AGENT_COMPLETED))
		log_fixture_pump(&f);
	fault_fallocate_above(SIZE_MAX, 0);
	wait_state(0);
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
}
END_TEST

/* What fits is written, also when all of it together does not, on a file system that cannot
 * reserve. */
START_TEST(test_smaller_batches)
{
	struct rlimit limit, before;
	uint64_t end_seq;

	signal(SIGXFSZ, SIG_IGN);
	fault_fallocate_above(0, EOPNOTSUPP);
	log_fixture_start(&f);
	run_agent(1);
	end_seq = eventlog_end_seq(f.log);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)f.lines.len + 20 * KIB;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int i = 0; i < 300; i++)
		say_chunk(1, KIB);
	wait_state(-EFBIG);
	ck_assert_uint_gt(eventlog_end_seq(f.log), end_seq + 15);
	ck_assert_uint_lt(eventlog_end_seq(f.log), end_seq + 20);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	log_fixture_wait(&f, end_seq + 299);
	wait_state(0);
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
}
END_TEST

/* ---- A disk that fails ---- */

/* What could not be synced is written again before it is believed to be synced; active segments,
 * sealed ones, and with durability = fsync. */
START_TEST(test_sync_fails)
{
	static const struct {
		Durability durability;
		size_t segment_bytes;
	} cases[] = {
		{ DURABILITY_INTERVAL, 64 * MIB },
		{ DURABILITY_INTERVAL, 20 * KIB },
		{ DURABILITY_FSYNC, 64 * MIB },
		{ DURABILITY_FSYNC, 20 * KIB },
	};

	f.options.durability = cases[_i].durability;
	f.options.segment_bytes = cases[_i].segment_bytes;
	log_fixture_start(&f);
	run_agent(1);
	while (eventlog_synced_seq(f.log) < 2)
		log_fixture_pump(&f);
	fault_fdatasync(INT_MAX);
	for (int i = 0; i < 50; i++)
		say_chunk(1, KIB);
	wait_state(-EIO);
	ck_assert_uint_eq(eventlog_synced_seq(f.log), 2);
	fault_fdatasync(0);
	wait_state(0);
	log_fixture_wait(&f, 52);
	while (eventlog_synced_seq(f.log) < 52)
		log_fixture_pump(&f);
	ck_assert_int_gt(fault_fdatasync_failed(), 0);
	ck_assert(!fault_fdatasync_believed());
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
}
END_TEST

/* ---- Tracing ---- */

static const Batch *batch_of(uint64_t seq)
{
	size_t at;

	return eventlog_hot_find(f.log, seq, &at);
}

/* Nothing is noted but of events that are traced, and of those in whatever batches they come. */
START_TEST(test_marks)
{
	uint64_t from_us = clock_monotonic_us(), seq, n_marks = 0;
	const Batch *b = NULL;

	log_fixture_start(&f);
	run_agent(1);
	run_agent(2);
	seq = eventlog_end_seq(f.log);
	ck_assert_uint_eq(batch_of(seq - 1)->n_marks, 0);
	agents[2].traced = true;
	for (int i = 0; i < 2000; i++)
		say_chunk(i % 2 + 1, 10);
	log_fixture_flush(&f);
	log_fixture_wait(&f, seq + 1999);
	for (int i = 1; i < 2000; i += 2) {
		const TraceMark *mark;

		if (b != batch_of(seq + i)) {
			b = batch_of(seq + i);
			n_marks = 0;
		}
		ck_assert_uint_lt(n_marks, b->n_marks);
		mark = &b->marks[n_marks++];
		ck_assert_uint_eq(mark->seq, seq + i);
		ck_assert_uint_ge(mark->emitted_us, from_us);
		ck_assert_uint_ge(b->committed_us, mark->emitted_us);
		ck_assert_uint_le(b->committed_us, clock_monotonic_us());
	}
	log_fixture_stop(&f);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("committer");
	TCase *tc = tcase_create("bad disk");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_ends_go_ahead, 0, 2);
	tcase_add_loop_test(tc, test_output_leaves_the_reserve, 0, 3);
	tcase_add_test(tc, test_ends_begin_a_segment);
	tcase_add_test(tc, test_smaller_batches);
	tcase_add_loop_test(tc, test_sync_fails, 0, 4);
	suite_add_tcase(s, tc);
	tc = tcase_create("tracing");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_marks);
	suite_add_tcase(s, tc);
	return s;
}
