/* What happens to STATE/catalog.db: made, damaged, another's, full. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/log.h"
#include "daemon/eventlog/catalog-internal.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

static TempDir dir;
static Catalog *catalog;
static const Uuid log_id = { { 0x10, 0x20 } };

static void open_catalog(void)
{
	ck_assert_int_eq(catalog_open(dir.path, &log_id, &catalog), 0);
}

static void close_catalog(void)
{
	catalog_close(catalog);
	catalog = NULL;
}

static void setup(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	temp_dir_init(&dir);
	open_catalog();
}

static void teardown(void)
{
	close_catalog();
	temp_dir_done(&dir);
}

static off_t size_of(const char *name)
{
	struct stat st;

	return lstat(temp_dir_path(&dir, name), &st) < 0 ? -1 : st.st_size;
}

static void assert_mode_0600(const char *name)
{
	struct stat st;

	ck_assert_int_eq(lstat(temp_dir_path(&dir, name), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}

static void execute(const char *sql)
{
	ck_assert_int_eq(sqlite3_exec(catalog->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int put(uint64_t seq, size_t spec_len)
{
	static char spec[1024 * 1024];
	CatalogRow row = {
		.seq = seq,
		.agent_id = { { (uint8_t)seq, 1 } },
		.backend = "mock",
		.group = "default",
		.state = AGENT_STATE_COMPLETED,
		.last_seq = seq,
		.spec = memset(spec, 'x', sizeof(spec)),
		.spec_len = spec_len,
	};
	int r = catalog_begin(catalog);

	if (r == 0)
		r = catalog_put(catalog, &row);
	return r < 0 ? r : catalog_commit(catalog, seq);
}

static void put_some(void)
{
	for (uint64_t seq = 1; seq <= 50; seq++)
		ck_assert_int_eq(put(seq, 3000), 0);
	close_catalog();
}

static int ignore_row(const CatalogRow *row _unused_, void *userdata _unused_)
{
	return 0;
}

static void overwrite(off_t offset, const char *bytes, size_t n)
{
	_cleanup_close_ int fd = open(temp_dir_path(&dir, "catalog.db"), O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, n, offset), (ssize_t)n);
}

static void assert_made_anew(void)
{
	open_catalog();
	ck_assert_uint_eq(catalog_applied(catalog), 0);
	ck_assert_int_eq(catalog_get(catalog, 1, ignore_row, NULL), -ENOENT);
	ck_assert_int_eq(put(1, 10), 0);
	assert_mode_0600("catalog.db");
	assert_mode_0600("catalog.db-wal");
}

START_TEST(test_private)
{
	ck_assert_int_eq(put(1, 10), 0);
	assert_mode_0600("catalog.db");
	assert_mode_0600("catalog.db-wal");
	assert_mode_0600("catalog.db-shm");
}
END_TEST

START_TEST(test_kept)
{
	put_some();
	open_catalog();
	ck_assert_uint_eq(catalog_applied(catalog), 50);
	ck_assert_int_eq(catalog_get(catalog, 50, ignore_row, NULL), 0);
}
END_TEST

START_TEST(test_no_state_dir)
{
	Catalog *c = NULL;

	ck_assert_int_eq(catalog_open(temp_dir_path(&dir, "none"), &log_id, &c), -ENOENT);
	ck_assert_int_eq(catalog_open_readonly(temp_dir_path(&dir, "none"), &c), -ENOENT);
	ck_assert_ptr_null(c);
}
END_TEST

START_TEST(test_not_a_database)
{
	put_some();
	overwrite(0, "What is this?", 13);
	assert_made_anew();
	ck_assert_int_gt(size_of("catalog.db.bad-1"), 0);
	close_catalog();

	overwrite(0, "And this?", 9);
	assert_made_anew();
	ck_assert_int_gt(size_of("catalog.db.bad-2"), 0);
	ck_assert_int_eq(size_of("catalog.db.bad-3"), -1);
}
END_TEST

START_TEST(test_truncated)
{
	put_some();
	ck_assert_int_eq(truncate(temp_dir_path(&dir, "catalog.db"), 5000), 0);
	assert_made_anew();
	ck_assert_int_eq(size_of("catalog.db.bad-1"), 5000);
}
END_TEST

START_TEST(test_empty_file)
{
	put_some();
	ck_assert_int_eq(truncate(temp_dir_path(&dir, "catalog.db"), 0), 0);
	assert_made_anew();
	ck_assert_int_eq(size_of("catalog.db.bad-1"), -1);
}
END_TEST

/* Each leaves a file that is a good database and not ours. */
START_TEST(test_not_ours)
{
	static const char *const changes[] = {
		"PRAGMA user_version = 99",
		"PRAGMA user_version = 0",
		"PRAGMA user_version = 99; DROP TABLE meta",
		"UPDATE meta SET log_id = x'00112233445566778899aabbccddeeff'",
	};

	ck_assert_int_eq(put(1, 10), 0);
	execute(changes[_i]);
	close_catalog();
	assert_made_anew();
	ck_assert_int_eq(size_of("catalog.db.bad-1"), -1);
}
END_TEST

/* Each makes no sense to this schema version. */
START_TEST(test_damaged_contents)
{
	static const char *const changes[] = {
		"DELETE FROM meta",
		"UPDATE meta SET log_id = x'00'",
		"UPDATE meta SET epoch = 7",
		"ALTER TABLE meta RENAME COLUMN applied TO appliee",
	};

	ck_assert_int_eq(put(1, 10), 0);
	execute(changes[_i]);
	close_catalog();
	assert_made_anew();
	ck_assert_int_gt(size_of("catalog.db.bad-1"), 0);
}
END_TEST

START_TEST(test_damaged_at_run_time)
{
	static const char garbage[3 * 4096] = { 1, 2, 3 };
	_cleanup_buf_ Buf report = { 0 };
	int r = 0;

	put_some();
	overwrite(15 * 4096, garbage, sizeof(garbage));
	open_catalog();
	ck_assert_int_eq(catalog_check(catalog, &report), -EBADMSG);
	ck_assert_uint_gt(report.len, 0);
	for (uint64_t seq = 1; seq <= 50 && r == 0; seq++)
		r = catalog_get(catalog, seq, ignore_row, NULL);
	ck_assert_int_eq(r, -EBADMSG);
	close_catalog();
	ck_assert_int_eq(catalog_set_aside(dir.path, "damaged"), 0);
	assert_made_anew();
	ck_assert_int_gt(size_of("catalog.db.bad-1"), 0);
}
END_TEST

START_TEST(test_totals_are_checked)
{
	_cleanup_buf_ Buf report = { 0 };

	ck_assert_int_eq(put(1, 10), 0);
	execute("UPDATE agents SET chunks = 5");
	ck_assert_int_eq(catalog_check(catalog, &report), -EBADMSG);
}
END_TEST

static void assert_goes_on_after(int expected)
{
	CatalogStats stats;
	int r = 0;

	for (uint64_t seq = 1; seq <= 100 && r == 0; seq++)
		r = put(seq, 1000000);
	ck_assert_int_eq(r, expected);
	ck_assert_int_eq(catalog_stats(catalog, NULL, &stats), 0);
	ck_assert_uint_eq(stats.spawned, catalog_applied(catalog));
	ck_assert_int_eq(catalog_commit(catalog, 100), -EINVAL);
}

START_TEST(test_full)
{
	_cleanup_buf_ Buf report = { 0 };

	execute("PRAGMA max_page_count = 2000");
	assert_goes_on_after(-ENOSPC);
	execute("PRAGMA max_page_count = 1000000");
	ck_assert_int_eq(put(99, 1000000), 0);
	ck_assert_int_eq(catalog_check(catalog, &report), 0);
}
END_TEST

START_TEST(test_write_error)
{
	_cleanup_buf_ Buf report = { 0 };
	const struct rlimit small = { 8000000, RLIM_INFINITY };
	const struct rlimit large = { RLIM_INFINITY, RLIM_INFINITY };

	(void)signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_goes_on_after(-EIO);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &large), 0);
	ck_assert_int_eq(put(99, 1000000), 0);
	ck_assert_int_eq(catalog_check(catalog, &report), 0);
}
END_TEST

START_TEST(test_readonly)
{
	_cleanup_buf_ Buf report = { 0 };
	Catalog *other = NULL;

	ck_assert_int_eq(put(1, 10), 0);
	ck_assert_int_eq(catalog_open_readonly(dir.path, &other), 0);
	ck_assert_uint_eq(catalog_applied(other), 1);
	ck_assert_int_eq(put(2, 10), 0);
	ck_assert_int_eq(catalog_get(other, 2, ignore_row, NULL), 0);
	ck_assert_int_eq(catalog_check(other, &report), 0);
	catalog_close(other);
	other = NULL;
	close_catalog();

	ck_assert_int_eq(catalog_open_readonly(dir.path, &catalog), 0);
	ck_assert_int_eq(put(3, 10), -EROFS);
	close_catalog();

	overwrite(0, "What is this?", 13);
	ck_assert_int_eq(catalog_open_readonly(dir.path, &other), -EBADMSG);
	ck_assert_int_eq(size_of("catalog.db.bad-1"), -1);
	ck_assert_int_eq(unlink(temp_dir_path(&dir, "catalog.db")), 0);
	ck_assert_int_eq(catalog_open_readonly(dir.path, &other), -ENOENT);
	ck_assert_int_eq(size_of("catalog.db"), -1);
}
END_TEST

/* Another connection's statement with this number finds a row and an epoch put before it. */
static int until_put;
static uint64_t n_put;

static int on_statement(unsigned what _unused_, void *userdata _unused_, void *statement _unused_,
	void *text _unused_)
{
	if (until_put > 0 && --until_put == 0) {
		catalog->state.epoch_rows = UINT32_MAX;
		ck_assert_int_eq(put(++n_put, 10), 0);
	}
	return 0;
}

static int on_connection(sqlite3 *db, const char **ret_error _unused_, const void *api _unused_)
{
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, on_statement, NULL);
}

/* Before whichever of the reader's statements the daemon commits. */
START_TEST(test_readonly_beside_a_writer)
{
	ck_assert_int_eq(sqlite3_auto_extension((void (*)(void))on_connection), SQLITE_OK);
	for (int n = 1; until_put == 0; n++) {
		Catalog *other = NULL;

		until_put = n;
		ck_assert_int_eq(catalog_open_readonly(dir.path, &other), 0);
		catalog_close(other);
	}
	sqlite3_reset_auto_extension();
	ck_assert_uint_ge(n_put, 3);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("catalog-file");
	TCase *tc = tcase_create("file");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_private);
	tcase_add_test(tc, test_kept);
	tcase_add_test(tc, test_no_state_dir);
	tcase_add_test(tc, test_not_a_database);
	tcase_add_test(tc, test_truncated);
	tcase_add_test(tc, test_empty_file);
	tcase_add_loop_test(tc, test_not_ours, 0, 4);
	tcase_add_loop_test(tc, test_damaged_contents, 0, 4);
	tcase_add_test(tc, test_damaged_at_run_time);
	tcase_add_test(tc, test_totals_are_checked);
	tcase_add_test(tc, test_full);
	tcase_add_test(tc, test_write_error);
	tcase_add_test(tc, test_readonly);
	tcase_add_test(tc, test_readonly_beside_a_writer);
	suite_add_tcase(s, tc);
	return s;
}
