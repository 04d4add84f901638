/* Power cuts, and whatever else takes events away: what is left counts, what is lost is told, no
 * number is given out twice. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "daemon/eventlog/eventlog.h"
#include "tests/lib/check-main.h"
#include "tests/lib/log-fixture.h"

static LogFixture f;
static const EventLogRecovery no_recovery; /* for what has nothing to deliver */

static void setup(void)
{
	log_fixture_init(&f);
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

/* ---- Power cuts ---- */

static void assert_lost(uint64_t from, uint64_t to)
{
	uint64_t lost_from = 0, lost_to = 0;

	ck_assert(eventlog_lost(f.log, &lost_from, &lost_to) == (from > 0));
	if (from > 0) {
		ck_assert_uint_eq(lost_from, from);
		ck_assert_uint_eq(lost_to, to);
	}
}

/* Numbers that may have been seen are not given out again. */
START_TEST(test_power_cut)
{
	uint64_t ceiling;

	log_fixture_start(&f);
	assert_lost(0, 0);
	emit(20, 100);
	log_fixture_wait(&f, 20);
	log_fixture_crash(&f);
	ceiling = log_fixture_meta(&f).seq_ceiling;
	log_fixture_reboot(&f);
	log_fixture_start(&f);
	ck_assert(eventlog_power_cut(f.log));
	assert_lost(21, ceiling - 1);
	ck_assert_uint_eq(eventlog_end_seq(f.log), ceiling);
	ck_assert_uint_eq(eventlog_oldest_seq(f.log), 1);
	log_fixture_announce(&f);
	log_fixture_wait(&f, ceiling);
	ck_assert_int_gt(log_fixture_size(&f, ceiling, ".ndjson"), 0);
	log_fixture_stop(&f);
	log_fixture_start(&f);
	ck_assert(!eventlog_power_cut(f.log));
	assert_lost(0, 0);
	ck_assert_uint_eq(eventlog_end_seq(f.log), ceiling + 1);
}
END_TEST

/* A cut, and then a crash before anything could announce it: still to be announced. */
START_TEST(test_power_cut_and_crash)
{
	uint64_t ceiling;

	log_fixture_start(&f);
	emit(20, 100);
	log_fixture_wait(&f, 20);
	log_fixture_crash(&f);
	ceiling = log_fixture_meta(&f).seq_ceiling;
	log_fixture_reboot(&f);
	for (int i = 0; i < 3; i++) {
		log_fixture_start(&f);
		ck_assert(eventlog_power_cut(f.log) == (i == 0));
		assert_lost(21, ceiling - 1);
		ck_assert_uint_eq(eventlog_end_seq(f.log), ceiling);
		log_fixture_crash(&f);
	}
	/* Two cuts in a row are one hole. */
	log_fixture_reboot(&f);
	log_fixture_start(&f);
	assert_lost(21, eventlog_end_seq(f.log) - 1);
	ck_assert_uint_ge(eventlog_end_seq(f.log), ceiling);
	ceiling = eventlog_end_seq(f.log);
	log_fixture_announce(&f);
	log_fixture_wait(&f, ceiling);
	log_fixture_crash(&f);
	log_fixture_start(&f);
	assert_lost(0, 0);
}
END_TEST

/* With fsync nothing that was seen is lost, so no number need be passed over. */
START_TEST(test_power_cut_fsync)
{
	f.options.durability = DURABILITY_FSYNC;
	log_fixture_start(&f);
	emit(20, 100);
	log_fixture_wait(&f, 20);
	log_fixture_crash(&f);
	log_fixture_reboot(&f);
	log_fixture_start(&f);
	ck_assert(eventlog_power_cut(f.log));
	assert_lost(0, 0);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 21);
}
END_TEST

/* A clean stop needs no such care. */
START_TEST(test_clean_reboot)
{
	log_fixture_start(&f);
	emit(20, 100);
	log_fixture_stop(&f);
	log_fixture_reboot(&f);
	log_fixture_start(&f);
	ck_assert(!eventlog_power_cut(f.log));
	assert_lost(0, 0);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 21);
}
END_TEST

/* What the cut has taken is gone, what it has left counts, and the number of the lost line is not
 * given out again. */
START_TEST(test_power_cut_takes_lines)
{
	log_fixture_start(&f);
	emit(20, 100);
	log_fixture_wait(&f, 20);
	log_fixture_crash(&f);
	log_fixture_cut(&f, 1, ".ndjson", 250);
	log_fixture_reboot(&f);
	log_fixture_start(&f);
	assert_lost(19, log_fixture_meta(&f).seq_ceiling - 1);
	ck_assert_uint_eq(f.n_recovered, 18);
	log_fixture_announce(&f);
	log_fixture_stop(&f);
	log_fixture_start(&f);
	assert_lost(0, 0);
	ck_assert_uint_eq(f.n_recovered, 19);
}
END_TEST

/* ---- Losses, whatever they come from ---- */

/* The log goes on at the ceiling, says so once, and is whole again. */
static void assert_goes_on(uint64_t from, uint64_t ceiling)
{
	for (int i = 0; i < 3; i++) { /* until it could say so */
		log_fixture_start(&f);
		assert_lost(from, ceiling - 1);
		ck_assert_uint_eq(eventlog_end_seq(f.log), ceiling);
		log_fixture_crash(&f);
	}
	log_fixture_start(&f);
	log_fixture_announce(&f);
	log_fixture_wait(&f, ceiling);
	log_fixture_crash(&f);
	log_fixture_assert_sound(&f);
	log_fixture_start(&f);
	assert_lost(0, 0);
	ck_assert_uint_eq(eventlog_end_seq(f.log), ceiling + 1);
}

/* Whole lines are gone that the index knows of: somebody may have seen their numbers. */
START_TEST(test_lost_lines)
{
	size_t len;

	f.options.durability = _i % 2 == 0 ? DURABILITY_INTERVAL : DURABILITY_FSYNC;
	log_fixture_start(&f);
	emit(20, 100);
	log_fixture_wait(&f, 20);
	len = f.lines.len / 20;
	if (_i < 2)
		log_fixture_crash(&f);
	else
		log_fixture_stop(&f);
	log_fixture_cut(&f, 1, ".ndjson", (off_t)(_i < 4 ? 4 * len : 3 * len + 7));
	assert_goes_on(17, log_fixture_meta(&f).seq_ceiling);
	ck_assert_uint_eq(f.n_recovered, 17);
}
END_TEST

/* A line that never became whole was not committed: nothing is lost with it. */
START_TEST(test_torn_line)
{
	log_fixture_start(&f);
	emit(20, 100);
	log_fixture_wait(&f, 20);
	log_fixture_crash(&f);
	log_fixture_cut(&f, 1, ".ndjson", 7);
	log_fixture_cut(&f, 1, ".idx", sizeof(IndexRecord));
	log_fixture_start(&f);
	assert_lost(0, 0);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 20);
}
END_TEST

/* One rotten line, and no index: the lines behind it stay what they are. */
START_TEST(test_rotten_line)
{
	_cleanup_close_ int fd = -1;

	log_fixture_start(&f);
	emit(26, 100);
	log_fixture_wait(&f, 26);
	log_fixture_stop(&f);
	fd = open(temp_dir_path(&f.dir, "log/00000000000000000001.ndjson"), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "\x80", 1, (off_t)(f.lines.len / 26 * 9 + 60)), 1);
	if (_i == 0)
		ck_assert_int_eq(unlink(temp_dir_path(&f.dir, "log/00000000000000000001.idx")), 0);
	log_set_level(0);
	log_fixture_start(&f);
	assert_lost(0, 0);
	ck_assert_uint_eq(f.n_recovered, 25);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 27);
}
END_TEST

/* Records at the end of the index are zeroed: it is made anew, and nothing else happens. */
START_TEST(test_zeroed_records)
{
	const IndexRecord zero = { 0 };
	_cleanup_close_ int fd = -1;

	log_fixture_start(&f);
	emit(27, 100);
	log_fixture_stop(&f);
	fd = open(temp_dir_path(&f.dir, "log/00000000000000000001.idx"), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, &zero, sizeof(zero), 26 * sizeof(zero)), sizeof(zero));
	ck_assert_int_eq(eventlog_open(f.dir.path, &f.options, &f.log), 0);
	ck_assert_int_eq(eventlog_recover(f.log, 28, &no_recovery), 0);
	assert_lost(0, 0);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 28);
	log_fixture_assert_sound(&f);
}
END_TEST

/* A tail that a sealed segment lost is told too, and what is left of it is in order. */
START_TEST(test_lost_in_sealed)
{
	uint64_t bases[16];
	size_t n;

	f.options.segment_bytes = 10000;
	log_fixture_start(&f);
	emit(150, 100);
	log_fixture_wait(&f, 150);
	log_fixture_crash(&f);
	n = log_fixture_list(&f, bases, ARRAY_SIZE(bases));
	ck_assert_uint_ge(n, 3);
	log_fixture_cut(&f, bases[n - 2], ".ndjson", 250);
	if (_i > 0)
		log_fixture_cut(&f, bases[n - 2], ".idx", 2 * sizeof(IndexRecord));
	log_fixture_reboot(&f);
	assert_goes_on(bases[n - 1] - 2, log_fixture_meta(&f).seq_ceiling);
}
END_TEST

/* In one that is long synced, which is looked at because the catalog is gone. */
START_TEST(test_lost_in_old)
{
	uint64_t bases[16];

	f.options.segment_bytes = 10000;
	log_fixture_start(&f);
	emit(500, 100);
	log_fixture_stop(&f);
	ck_assert_uint_ge(log_fixture_list(&f, bases, ARRAY_SIZE(bases)), 6);
	log_fixture_cut(&f, bases[1], ".ndjson", 250);
	log_fixture_start(&f);
	assert_lost(bases[2] - 2, log_fixture_meta(&f).seq_ceiling - 1);
	log_fixture_announce(&f);
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
	log_fixture_start(&f);
	assert_lost(0, 0);
}
END_TEST

/* The files are gone, but log.json says which numbers were given out. */
START_TEST(test_lost_all)
{
	log_fixture_start(&f);
	emit(20, 100);
	log_fixture_stop(&f);
	ck_assert_int_eq(unlink(temp_dir_path(&f.dir, "log/00000000000000000001.ndjson")), 0);
	log_fixture_start(&f);
	assert_lost(1, log_fixture_meta(&f).seq_ceiling - 1);
	log_fixture_announce(&f);
	log_fixture_stop(&f);
	log_fixture_assert_sound(&f);
}
END_TEST

/* And so does the catalog, which is given up after that. */
START_TEST(test_lost_to_catalog)
{
	log_fixture_start(&f);
	emit(20, 100);
	log_fixture_wait(&f, 20);
	log_fixture_crash(&f);
	ck_assert_int_eq(eventlog_open(f.dir.path, &f.options, &f.log), 0);
	ck_assert_int_eq(eventlog_recover(f.log, 25, &no_recovery), 0);
	assert_lost(0, 0);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 21);
	ck_assert_int_eq(eventlog_recover(f.log, UINT64_MAX, &no_recovery), 0);
	assert_lost(21, log_fixture_meta(&f).seq_ceiling - 1);
}
END_TEST

/* What was sealed and synced long ago is not even opened. */
START_TEST(test_old_is_listed)
{
	const char *path;

	f.options.segment_bytes = 10000;
	log_fixture_start(&f);
	emit(500, 100);
	log_fixture_crash(&f);
	path = temp_dir_path(&f.dir, "log/00000000000000000001.ndjson");
	ck_assert_int_eq(unlink(path), 0);
	/* It has a size, and cannot be opened for writing. */
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(
		mkdir(temp_dir_path(&f.dir, "log/00000000000000000001.ndjson/x"), 0700), 0);
	ck_assert_int_eq(eventlog_open(f.dir.path, &f.options, &f.log), 0);
	ck_assert_int_eq(eventlog_recover(f.log, 501, &no_recovery), 0);
	ck_assert_uint_eq(eventlog_oldest_seq(f.log), 1);
	ck_assert_uint_eq(eventlog_end_seq(f.log), 501);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("eventlog-loss");
	TCase *tc = tcase_create("eventlog-loss");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_power_cut);
	tcase_add_test(tc, test_power_cut_and_crash);
	tcase_add_test(tc, test_power_cut_fsync);
	tcase_add_test(tc, test_clean_reboot);
	tcase_add_test(tc, test_power_cut_takes_lines);
	tcase_add_loop_test(tc, test_lost_lines, 0, 6);
	tcase_add_test(tc, test_torn_line);
	tcase_add_loop_test(tc, test_rotten_line, 0, 2);
	tcase_add_test(tc, test_zeroed_records);
	tcase_add_loop_test(tc, test_lost_in_sealed, 0, 2);
	tcase_add_test(tc, test_lost_in_old);
	tcase_add_test(tc, test_lost_all);
	tcase_add_test(tc, test_lost_to_catalog);
	tcase_add_test(tc, test_old_is_listed);
	suite_add_tcase(s, tc);
	return s;
}
