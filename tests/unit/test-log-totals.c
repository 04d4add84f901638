#include "daemon/eventlog/log-totals.h"

#include "tests/lib/check-main.h"
#include "tests/lib/log-fixture.h"

static LogFixture f;

static void setup(void)
{
	log_fixture_init(&f);
}

static void teardown(void)
{
	log_fixture_done(&f);
}

static uint64_t batches(const Histogram *h)
{
	uint64_t n = 0;

	for (size_t i = 0; i <= h->n_bounds; i++)
		n += h->counts[i];
	return n;
}

/* `n` events in one batch, of the `first` number. */
static void commit(uint64_t first, size_t n, EventType type, size_t body_len)
{
	for (size_t i = 0; i < n; i++)
		log_fixture_emit(&f, type, &f, body_len);
	log_fixture_flush(&f);
	log_fixture_wait(&f, first + n - 1);
}

START_TEST(test_totals)
{
	const LogTotals *t;

	log_fixture_start(&f);
	t = eventlog_totals(f.log);
	ck_assert_uint_eq(t->events, 0);
	commit(1, 1, EVENT_TYPE_AGENT_SPAWNED, 10);
	commit(2, 3, EVENT_TYPE_AGENT_PARTIAL_OUTPUT, 5);
	ck_assert_uint_eq(t->events, 4);
	ck_assert_uint_eq(t->bytes, f.lines.len);
	ck_assert_uint_eq(t->output_bytes, 15);
	ck_assert_uint_eq(batches(&t->batch_events), f.n_batches);
	ck_assert_uint_eq(t->batch_events.sum, 4);
	ck_assert_uint_eq(t->batch_events.counts[0], 1);
	ck_assert_uint_eq(batches(&t->commit_us), f.n_batches);
}
END_TEST

/* A commit that syncs is none of them. */
START_TEST(test_syncs)
{
	Histogram took_us;

	f.options.durability = _i == 0 ? DURABILITY_INTERVAL : DURABILITY_FSYNC;
	log_fixture_start(&f);
	/* The first is counted before the second begins. */
	for (uint64_t seq = 1; seq <= 2; seq++) {
		commit(seq, 1, EVENT_TYPE_DAEMON_STOPPING, 10);
		while (eventlog_synced_seq(f.log) < seq)
			log_fixture_pump(&f);
	}
	committer_sync_durations(eventlog_committer(f.log), &took_us);
	if (_i == 0)
		ck_assert_uint_ge(batches(&took_us), 1);
	else
		ck_assert_uint_eq(batches(&took_us), 0);
}
END_TEST

static void assert_falls(uint64_t from, uint64_t to)
{
	for (uint64_t seq = from; seq < to; seq++)
		ck_assert_uint_gt(log_bytes_from(f.log, seq), log_bytes_from(f.log, seq + 1));
}

/* What is hot, to the byte. */
START_TEST(test_bytes_from_hot)
{
	uint64_t bytes;

	log_fixture_start(&f);
	ck_assert_uint_eq(log_bytes_from(f.log, 1), 0);
	commit(1, 10, EVENT_TYPE_DAEMON_STOPPING, 10);
	bytes = f.lines.len;
	ck_assert_uint_eq(log_bytes_from(f.log, 1), bytes);
	commit(11, 10, EVENT_TYPE_DAEMON_STOPPING, 3000);
	ck_assert_uint_eq(log_bytes_from(f.log, 11), f.lines.len - bytes);
	ck_assert_uint_eq(log_bytes_from(f.log, 1), f.lines.len);
	assert_falls(1, 21);
	ck_assert_uint_eq(log_bytes_from(f.log, 21), 0);
	ck_assert_uint_eq(log_bytes_from(f.log, 1000), 0);
}
END_TEST

/* Nothing is hot after a start: at the borders of segments, and about the middle between them. */
START_TEST(test_bytes_from_cold)
{
	uint64_t bases[64];
	size_t n;

	f.options.segment_bytes = 8192;
	log_fixture_start(&f);
	commit(1, 200, EVENT_TYPE_DAEMON_STOPPING, 100);
	log_fixture_stop(&f);
	n = log_fixture_list(&f, bases, ARRAY_SIZE(bases));
	ck_assert_uint_ge(n, 3);
	log_fixture_start(&f);
	ck_assert_uint_eq(eventlog_hot_seq(f.log), 201);
	ck_assert_uint_eq(log_bytes_from(f.log, 1), eventlog_bytes(f.log));
	for (size_t i = 0; i + 1 < n; i++)
		ck_assert_uint_eq(
			log_bytes_from(f.log, bases[i]) - log_bytes_from(f.log, bases[i + 1]),
			(uint64_t)log_fixture_size(&f, bases[i], ".ndjson"));
	assert_falls(1, 201);
	ck_assert_uint_eq(log_bytes_from(f.log, 201), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("log-totals");
	TCase *tc = tcase_create("log-totals");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_totals);
	tcase_add_loop_test(tc, test_syncs, 0, 2);
	tcase_add_test(tc, test_bytes_from_hot);
	tcase_add_test(tc, test_bytes_from_cold);
	suite_add_tcase(s, tc);
	return s;
}
