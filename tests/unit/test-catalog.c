#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/buf.h"
#include "common/log.h"
#include "daemon/eventlog/catalog-internal.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

/* Instead of libc's, also for SQLite: counts. */
static unsigned n_syncs;

int fdatasync(int fd)
{
	(void)fd;
	n_syncs++;
	return 0;
}

int fsync(int fd)
{
	return fdatasync(fd);
}

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

/* The id of the agent with this seq: not in the order of the seqs. */
static Uuid id_of(uint64_t seq)
{
	Uuid u;
	uint64_t x = seq * 0x9e3779b97f4a7c15ULL;

	memcpy(u.bytes, &x, 8);
	x ^= x << 17;
	memcpy(u.bytes + 8, &x, 8);
	return u;
}

static CatalogRow row_of(uint64_t seq)
{
	static const char spec[] = "{\"type\":\"AgentSpawned\",\"prompt\":\"hi\"}";

	return (CatalogRow){
		.seq = seq,
		.agent_id = id_of(seq),
		.backend = "mock",
		.group = "default",
		.spawned_us = 1000 + seq,
		.last_seq = seq,
		.spec = spec,
		.spec_len = sizeof(spec) - 1,
	};
}

static CatalogRow ended_row_of(uint64_t seq, AgentState state, uint64_t last_seq)
{
	CatalogRow row = row_of(seq);

	row.state = state;
	row.last_seq = last_seq;
	row.chunks = 2;
	row.bytes = 10;
	row.ending = "{\"type\":\"AgentCompleted\"}";
	row.ending_len = strlen(row.ending);
	return row;
}

static void put(CatalogRow row)
{
	ck_assert_int_eq(catalog_begin(catalog), 0);
	ck_assert_int_eq(catalog_put(catalog, &row), 0);
	ck_assert_int_eq(catalog_commit(catalog, row.last_seq), 0);
}

static void assert_sound(void)
{
	_cleanup_buf_ Buf report = { 0 };
	int r = catalog_check(catalog, &report);

	ck_assert_msg(r == 0, "%d: %.*s", r, (int)report.len, report.data ? report.data : "");
}

typedef struct Seen {
	uint64_t seqs[64];
	size_t n;
	int answer;
	CatalogRow last;
	char text[256];
} Seen;

static int on_row(const CatalogRow *row, void *userdata)
{
	Seen *seen = userdata;

	if (seen->n < ARRAY_SIZE(seen->seqs))
		seen->seqs[seen->n] = row->seq;
	seen->n++;
	seen->last = *row;
	(void)snprintf(seen->text, sizeof(seen->text), "%s %s %s %.*s %.*s", row->backend,
		row->group, row->correlation_id ? row->correlation_id : "-", (int)row->spec_len,
		row->spec, (int)row->ending_len, row->ending ? row->ending : "");
	return seen->answer;
}

static void assert_seen(const Seen *seen, const char *expected, const char *what)
{
	_cleanup_buf_ Buf b = { 0 };

	for (size_t i = 0; i < seen->n && i < ARRAY_SIZE(seen->seqs); i++)
		ck_assert_int_eq(buf_printf(&b, "%s%llu", i > 0 ? " " : "",
					 (unsigned long long)seen->seqs[i]),
			0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_msg(strcmp(b.data, expected) == 0, "%s: got \"%s\", not \"%s\"", what, b.data,
		expected);
}

START_TEST(test_round_trip)
{
	CatalogRow row = ended_row_of(7, AGENT_STATE_FAILED, INT64_MAX);
	Seen seen = { 0 };

	row.backend = "exec";
	row.group = "nightly";
	row.correlation_id = "run-\xc3\xa9";
	row.uid = UINT32_MAX;
	row.priority = INT32_MIN;
	row.attempt = 3;
	row.started_us = 5;
	row.ended_us = 6;
	row.output_seq = 9;
	put(row);
	close_catalog();
	open_catalog();
	ck_assert_uint_eq(catalog_applied(catalog), INT64_MAX);
	ck_assert_int_eq(catalog_get(catalog, 7, on_row, &seen), 0);
	ck_assert_str_eq(seen.text, "exec nightly run-\xc3\xa9 "
				    "{\"type\":\"AgentSpawned\",\"prompt\":\"hi\"} "
				    "{\"type\":\"AgentCompleted\"}");
	ck_assert(uuid_equal(&seen.last.agent_id, &row.agent_id));
	ck_assert_uint_eq(seen.last.uid, row.uid);
	ck_assert_int_eq(seen.last.priority, row.priority);
	ck_assert_uint_eq(seen.last.spawned_us, row.spawned_us);
	ck_assert_int_eq(seen.last.state, row.state);
	ck_assert_uint_eq(seen.last.attempt, row.attempt);
	ck_assert_uint_eq(seen.last.started_us, row.started_us);
	ck_assert_uint_eq(seen.last.ended_us, row.ended_us);
	ck_assert_uint_eq(seen.last.chunks, row.chunks);
	ck_assert_uint_eq(seen.last.bytes, row.bytes);
	ck_assert_uint_eq(seen.last.last_seq, row.last_seq);
	ck_assert_uint_eq(seen.last.output_seq, row.output_seq);
	ck_assert_int_eq(catalog_get(catalog, 8, on_row, &seen), -ENOENT);
}
END_TEST

START_TEST(test_put_goes_forward_only)
{
	CatalogRow row = row_of(5), later = ended_row_of(5, AGENT_STATE_COMPLETED, 9);
	Seen seen = { 0 };

	row.spec_len = 0;
	ck_assert_int_eq(catalog_begin(catalog), 0);
	ck_assert_int_eq(catalog_put(catalog, &row), -ENOENT);
	ck_assert_int_eq(catalog_commit(catalog, 4), 0);

	put(row_of(5));
	later.spec_len = 0;
	put(later);
	row.last_seq = 8;
	row.state = AGENT_STATE_RUNNING;
	put(row);
	ck_assert_int_eq(catalog_get(catalog, 5, on_row, &seen), 0);
	ck_assert_int_eq(seen.last.state, AGENT_STATE_COMPLETED);
	ck_assert_uint_eq(seen.last.last_seq, 9);
	ck_assert_str_eq(seen.text, "mock default - "
				    "{\"type\":\"AgentSpawned\",\"prompt\":\"hi\"} "
				    "{\"type\":\"AgentCompleted\"}");
	assert_sound();
}
END_TEST

START_TEST(test_put_back)
{
	CatalogRow row = row_of(5);
	CatalogStats stats;
	Seen seen = { 0 };

	row.state = AGENT_STATE_RUNNING;
	row.last_seq = 9;
	row.chunks = 3;
	put(row);
	row = row_of(5);
	row.spec_len = 0;
	ck_assert_int_eq(catalog_begin(catalog), 0);
	ck_assert_int_eq(catalog_put_back(catalog, &row), 0);
	ck_assert_int_eq(catalog_commit(catalog, 5), 0);
	ck_assert_int_eq(catalog_get(catalog, 5, on_row, &seen), 0);
	ck_assert_int_eq(seen.last.state, AGENT_STATE_QUEUED);
	ck_assert_uint_eq(seen.last.last_seq, 5);
	ck_assert_int_eq(catalog_stats(catalog, NULL, &stats), 0);
	ck_assert_uint_eq(stats.chunks, 0);
	assert_sound();
}
END_TEST

static int query(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	int value;

	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(s), SQLITE_ROW);
	value = sqlite3_column_int(s, 0);
	ck_assert_int_eq(sqlite3_finalize(s), SQLITE_OK);
	return value;
}

/* Who reads an old state holds nobody up; and there need be nothing new. */
START_TEST(test_sync)
{
	sqlite3 *reader;

	put(row_of(1));
	ck_assert_int_eq(sqlite3_open(temp_dir_path(&dir, "catalog.db"), &reader), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(reader, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(query(reader, "SELECT count(*) FROM agents"), 1);
	put(row_of(2));
	for (int i = 0; i < 3; i++) {
		n_syncs = 0;
		ck_assert_int_eq(catalog_sync(catalog), 0);
		ck_assert_uint_gt(n_syncs, 0);
	}
	n_syncs = 0;
	put(row_of(3));
	ck_assert_uint_eq(n_syncs, 0);
	ck_assert_int_eq(query(reader, "SELECT count(*) FROM agents"), 1);
	ck_assert_int_eq(query(catalog->db, "PRAGMA user_version"), 1);
	sqlite3_close(reader);
}
END_TEST

START_TEST(test_transactions)
{
	CatalogRow row = ended_row_of(1, AGENT_STATE_COMPLETED, 4);
	CatalogStats stats;
	Seen seen = { 0 };
	int status;
	pid_t pid;

	ck_assert_int_eq(catalog_put(catalog, &row), -EINVAL);
	ck_assert_int_eq(catalog_commit(catalog, 3), -EINVAL);
	ck_assert_int_eq(catalog_begin(catalog), 0);
	ck_assert_int_eq(catalog_put(catalog, &row), 0);
	catalog_rollback(catalog);
	ck_assert_int_eq(catalog_stats(catalog, NULL, &stats), 0);
	ck_assert_uint_eq(stats.spawned, 0);
	ck_assert_int_eq(catalog_get(catalog, 1, on_row, &seen), -ENOENT);
	close_catalog();

	pid = fork();
	if (pid == 0) {
		open_catalog();
		put(row);
		row = row_of(2);
		_exit(catalog_begin(catalog) < 0 || catalog_put(catalog, &row) < 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	open_catalog();
	ck_assert_uint_eq(catalog_applied(catalog), 4);
	ck_assert_int_eq(catalog_get(catalog, 1, on_row, &seen), 0);
	ck_assert_int_eq(catalog_get(catalog, 2, on_row, &seen), -ENOENT);
	assert_sound();
}
END_TEST

START_TEST(test_prefix)
{
	static const struct {
		const char *prefix, *expected;
	} cases[] = {
		{ "0123", "3 1 2" },
		{ "0123456", "3 1 2" },
		{ "01234567", "3 1 2" },
		{ "01234567-", "3 1 2" },
		{ "01234567-8", "3 1 2" },
		{ "01234567-89ab-cdef-0123-456789abcde", "1 2" },
		{ "01234567-89ab-cdef-0123-456789abcdef", "1" },
		{ "01234567-89ab-cdef-f", "3" },
		{ "f", "4" },
		{ "ffffffff-ffff-ffff-ffff-ffffffffffff", "4" },
		{ "0124", "" },
		{ "", "4 3 1 2" },
		{ "012345678", "" },
		{ "0123-", "" },
		{ "01234567--", "" },
		{ "01234567-89AB", "" },
		{ "012x", "" },
		{ "01234567-89ab-cdef-0123-456789abcdef0", "" },
		{ "01234567-89ab-cdef-0123-456789abcdef-", "" },
	};
	static const char *const ids[] = { "01234567-89ab-cdef-0123-456789abcdef",
		"01234567-89ab-cdef-0123-456789abcde0", "01234567-89ab-cdef-f123-456789abcdef",
		"ffffffff-ffff-ffff-ffff-ffffffffffff" };
	Seen seen = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		CatalogRow row = row_of(i + 1);

		ck_assert_int_eq(uuid_parse(ids[i], UUID_TEXT_LEN, &row.agent_id), 0);
		put(row);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		seen = (Seen){ 0 };
		ck_assert_int_eq(
			catalog_find_prefix(catalog, cases[i].prefix, 10, on_row, &seen), 0);
		assert_seen(&seen, cases[i].expected, cases[i].prefix);
	}
	seen = (Seen){ 0 };
	ck_assert_int_eq(catalog_find_prefix(catalog, "0123", 2, on_row, &seen), 0);
	ck_assert_uint_eq(seen.n, 2);
}
END_TEST

static void put_labelled(uint64_t seq, AgentState state, const char *correlation,
	const char *backend, const char *labels)
{
	CatalogRow row = ended_row_of(seq, state, seq + 1);
	char spec[256];

	(void)snprintf(
		spec, sizeof(spec), labels ? "{\"prompt\":\"p\",\"labels\":%s}" : "{", labels);
	row.spec = spec;
	row.spec_len = strlen(spec);
	row.correlation_id = correlation;
	row.backend = backend;
	row.group = seq % 2 == 0 ? "even" : "odd";
	put(row);
}

START_TEST(test_list)
{
	const CatalogLabel one[] = { { "team", "a\"\n\xc3\xa9" } };
	const CatalogLabel two[] = { { "team", "a\"\n\xc3\xa9" }, { "k", "1" } };
	const struct {
		const char *what;
		CatalogQuery query;
		const char *expected;
	} cases[] = {
		{ "all", { .limit = 9 }, "6 5 4 3 2 1" },
		{ "limit", { .limit = 2 }, "6 5" },
		{ "before", { .limit = 9, .before = 4 }, "3 2 1" },
		{ "before all", { .limit = 9, .before = 1 }, "" },
		{ "before beyond", { .limit = 9, .before = INT64_MAX }, "6 5 4 3 2 1" },
		{ "none", { .limit = 0 }, "" },
		{ "live", { .limit = 9, .states = 3 }, "5 3" },
		{ "running", { .limit = 9, .states = 2 }, "5" },
		{ "failed", { .limit = 9, .states = 8 }, "2" },
		{ "not well", { .limit = 9, .states = 24 }, "4 2" },
		{ "ended", { .limit = 9, .states = 28 }, "6 4 2 1" },
		{ "running, completed", { .limit = 1, .states = 6, .before = 6 }, "5" },
		{ "correlation", { .limit = 9, .correlation_id = "x" }, "6 3 2 1" },
		{ "correlation page", { .limit = 2, .correlation_id = "x", .before = 6 }, "3 2" },
		{ "correlation, state", { .limit = 9, .correlation_id = "x", .states = 4 }, "6 1" },
		{ "no such correlation", { .limit = 9, .correlation_id = "" }, "" },
		{ "backend", { .limit = 9, .backend = "exec" }, "6 3" },
		{ "group", { .limit = 9, .group = "odd", .backend = "mock" }, "5 1" },
		{ "label", { .limit = 9, .labels = one, .n_labels = 1 }, "6 2 1" },
		{ "labels", { .limit = 9, .labels = two, .n_labels = 2 }, "6 2" },
		{ "label, failed", { .limit = 9, .labels = one, .n_labels = 1, .states = 8 }, "2" },
		{ "label, correlation",
			{ .limit = 9, .labels = two, .n_labels = 2, .correlation_id = "x" },
			"6 2" },
		{ "label, live", { .limit = 9, .labels = one, .n_labels = 1, .states = 3 }, "" },
	};

	put_labelled(1, AGENT_STATE_COMPLETED, "x", "mock", "{\"team\":\"a\\\"\\n\xc3\xa9\"}");
	put_labelled(
		2, AGENT_STATE_FAILED, "x", "mock", "{\"k\":\"1\",\"team\":\"a\\\"\\n\\u00e9\"}");
	put_labelled(3, AGENT_STATE_QUEUED, "x", "exec", "{\"team\":\"b\"}");
	put_labelled(4, AGENT_STATE_CANCELLED, NULL, "mock", "{\"k\":1}");
	put_labelled(5, AGENT_STATE_RUNNING, "y", "mock", NULL);
	put_labelled(6, AGENT_STATE_COMPLETED, "x", "exec",
		"{\"team\":\"a\\\"\\n\xc3\xa9\",\"k\":\"1\",\"z\":\"\"}");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CatalogQuery query = cases[i].query;
		Seen seen = { 0 };

		if (query.before == 0)
			query.before = UINT64_MAX;
		ck_assert_int_eq(catalog_list(catalog, &query, on_row, &seen), 0);
		assert_seen(&seen, cases[i].expected, cases[i].what);
	}
	for (int answer = -7; answer <= 7; answer += 14) {
		const CatalogQuery query = { .limit = 9, .before = UINT64_MAX };
		Seen seen = { .answer = answer };

		ck_assert_int_eq(
			catalog_list(catalog, &query, on_row, &seen), answer < 0 ? answer : 0);
		assert_seen(&seen, "6", "stopped");
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CatalogQuery query = cases[i].query;
		Seen seen = { 0 };

		query.before = 0;
		ck_assert_int_eq(catalog_list(catalog, &query, on_row, &seen), 0);
		assert_seen(&seen, "", "nothing is older than seq 0");
	}
}
END_TEST

/* Each looks at a part of the rows, also where none matches; together they see all. */
START_TEST(test_stretches)
{
	const CatalogLabel none[] = { { "k", "no" } }, some[] = { { "k", "1" } };
	const CatalogQuery queries[] = {
		{ .labels = none, .n_labels = 1 },
		{ .labels = none, .n_labels = 1, .states = 1U << AGENT_STATE_FAILED },
		{ .labels = none, .n_labels = 1, .states = 1U << AGENT_STATE_RUNNING },
		{ .labels = none, .n_labels = 1, .correlation_id = "x" },
		{ .labels = some, .n_labels = 1 },
		{ .labels = some, .n_labels = 1, .states = 1U << AGENT_STATE_FAILED },
		{ .labels = some, .n_labels = 1, .states = 1U << AGENT_STATE_RUNNING },
		{ .labels = some, .n_labels = 1, .correlation_id = "x" },
	};

	for (uint64_t i = 0; i < 999; i++)
		put_labelled(1000 - i, AGENT_STATE_RUNNING + 2 * (i % 2), i % 3 == 0 ? "x" : NULL,
			"mock", i % 100 < 2 ? "{\"k\":\"1\"}" : "{}");
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		CatalogQuery q = queries[i];
		unsigned stretches = 0;
		Seen seen = { 0 }, whole = { 0 };
		int r;

		q.before = UINT64_MAX;
		q.limit = 64;
		ck_assert_int_eq(catalog_list(catalog, &q, on_row, &whole), 0);
		do {
			uint64_t before = q.before;

			r = catalog_list_stretch(catalog, &q, on_row, &seen);
			ck_assert_int_ge(r, 0);
			ck_assert_uint_lt(q.before, before);
			ck_assert_uint_lt(before - q.before, before == UINT64_MAX ? before : 600);
			stretches++;
		} while (r > 0);
		ck_assert_uint_gt(stretches, 333 / 128);
		ck_assert_uint_eq(seen.n, whole.n);
		ck_assert_uint_eq(seen.n > 0, i >= 4);
		ck_assert(memcmp(seen.seqs, whole.seqs, sizeof(seen.seqs)) == 0);
	}
}
END_TEST

START_TEST(test_live_and_stats)
{
	CatalogStats stats;
	Seen seen = { 0 };

	put_labelled(9, AGENT_STATE_RUNNING, "x", "mock", "{}");
	put_labelled(2, AGENT_STATE_QUEUED, NULL, "mock", "{}");
	put_labelled(4, AGENT_STATE_CANCELLED, "x", "mock", "{}");
	put_labelled(6, AGENT_STATE_RUNNING, "x", "mock", "{}");
	put(ended_row_of(6, AGENT_STATE_COMPLETED, 8));
	ck_assert_int_eq(catalog_live(catalog, on_row, &seen), 0);
	assert_seen(&seen, "2 9", "live");

	ck_assert_int_eq(catalog_stats(catalog, NULL, &stats), 0);
	ck_assert(memcmp(&stats, &(CatalogStats){ 4, 1, 0, 1, 8, 40 }, sizeof(stats)) == 0);
	ck_assert_int_eq(catalog_stats(catalog, "x", &stats), 0);
	ck_assert(memcmp(&stats, &(CatalogStats){ 3, 1, 0, 1, 6, 30 }, sizeof(stats)) == 0);
	ck_assert_int_eq(catalog_stats(catalog, "none", &stats), 0);
	ck_assert(memcmp(&stats, &(CatalogStats){ 0 }, sizeof(stats)) == 0);
	close_catalog();
	open_catalog();
	ck_assert_int_eq(catalog_stats(catalog, NULL, &stats), 0);
	ck_assert_uint_eq(stats.bytes, 40);
	assert_sound();
}
END_TEST

/* Enough for three epochs, with the rows of a batch not in order and one that comes late. */
START_TEST(test_epochs_and_prune)
{
	const uint64_t n = 40000, oldest = 350000;
	const CatalogQuery rare = {
		.before = UINT64_MAX,
		.limit = 64,
		.correlation_id = "rare",
	};
	uint64_t deleted, sum = 0, before = UINT64_MAX;
	CatalogStats stats;
	Seen seen = { 0 };

	ck_assert_int_eq(catalog_begin(catalog), 0);
	for (uint64_t i = 1; i <= n; i++) {
		CatalogRow row = ended_row_of(10 * (i ^ 1), AGENT_STATE_COMPLETED, 10 * i + 15);

		row.correlation_id = i % 1000 == 0 ? "rare" : NULL;
		if (i != n / 2)
			ck_assert_int_eq(catalog_put(catalog, &row), 0);
	}
	ck_assert_int_eq(catalog_commit(catalog, 10 * n), 0);
	put_labelled(10 * ((n / 2) ^ 1), AGENT_STATE_RUNNING, "rare", "mock", "{}");
	ck_assert_uint_eq(catalog->state.epoch, 3);

	ck_assert_int_eq(catalog_list(catalog, &rare, on_row, &seen), 0);
	ck_assert_uint_eq(seen.n, n / 1000);
	for (size_t i = 0; i < seen.n; before = seen.seqs[i++])
		ck_assert_uint_lt(seen.seqs[i], before);
	for (uint64_t i = 2; i <= n; i += 333) {
		const Uuid id = id_of(10 * i);

		seen = (Seen){ 0 };
		ck_assert_int_eq(catalog_get_by_id(catalog, &id, on_row, &seen), 0);
		ck_assert_uint_eq(seen.seqs[0], 10 * i);
	}

	do {
		ck_assert_int_eq(catalog_prune(catalog, oldest, &deleted), 0);
		ck_assert_uint_le(deleted, 5000);
		sum += deleted;
	} while (deleted > 0);
	/* The one that runs stays, and those of which an event is not older. */
	ck_assert_uint_gt(sum, 34990);
	ck_assert_uint_lt(sum, 35000);
	ck_assert_int_eq(catalog_get(catalog, 10 * ((n / 2) ^ 1), on_row, &seen), 0);
	ck_assert_int_eq(catalog_get(catalog, 349980, on_row, &seen), 0);
	ck_assert_int_eq(catalog_get(catalog, 349990, on_row, &seen), -ENOENT);
	ck_assert_int_eq(catalog_stats(catalog, NULL, &stats), 0);
	ck_assert_uint_eq(stats.spawned, n - sum);
	ck_assert_int_eq(catalog_stats(catalog, "rare", &stats), 0);
	ck_assert_uint_eq(stats.spawned, 7);

	/* One that is older than what is left still finds its place. */
	put_labelled(3, AGENT_STATE_COMPLETED, "rare", "mock", "{}");
	seen = (Seen){ 0 };
	ck_assert_int_eq(catalog_list(catalog, &rare, on_row, &seen), 0);
	ck_assert_uint_eq(seen.n, 8);
	ck_assert_uint_eq(seen.seqs[7], 3);
	ck_assert_int_eq(catalog_sync(catalog), 0);
	assert_sound();
}
END_TEST

/* Against a plain array: what a random run of puts, commits and rollbacks leaves. */
START_TEST(test_random_run)
{
	enum { N = 40 };
	CatalogRow committed[N] = { 0 }, now[N] = { 0 };
	uint32_t random = 1;

	for (int turn = 0; turn < 400; turn++) {
		ck_assert_int_eq(catalog_begin(catalog), 0);
		for (int i = 0; i < 10; i++) {
			random = random * 1664525 + 1013904223;
			size_t k = (random >> 8) % N;
			CatalogRow row = ended_row_of(k + 1, (random >> 16) % _AGENT_STATE_MAX,
				100 + (random >> 20) % 200);

			row.chunks = random >> 24;
			ck_assert_int_eq(catalog_put(catalog, &row), 0);
			if (row.last_seq >= now[k].last_seq)
				now[k] = row;
		}
		if (turn % 3 == 0) {
			catalog_rollback(catalog);
			memcpy(now, committed, sizeof(now));
		} else {
			ck_assert_int_eq(catalog_commit(catalog, (uint64_t)turn), 0);
			memcpy(committed, now, sizeof(now));
		}
	}
	for (size_t k = 0; k < N; k++) {
		Seen seen = { 0 };

		ck_assert_int_eq(catalog_get(catalog, k + 1, on_row, &seen), 0);
		ck_assert_int_eq(seen.last.state, now[k].state);
		ck_assert_uint_eq(seen.last.chunks, now[k].chunks);
		ck_assert_uint_eq(seen.last.last_seq, now[k].last_seq);
	}
	assert_sound();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("catalog");
	TCase *tc = tcase_create("rows");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_round_trip);
	tcase_add_test(tc, test_put_goes_forward_only);
	tcase_add_test(tc, test_put_back);
	tcase_add_test(tc, test_sync);
	tcase_add_test(tc, test_transactions);
	tcase_add_test(tc, test_prefix);
	tcase_add_test(tc, test_list);
	tcase_add_test(tc, test_stretches);
	tcase_add_test(tc, test_live_and_stats);
	tcase_add_test(tc, test_epochs_and_prune);
	tcase_add_test(tc, test_random_run);
	suite_add_tcase(s, tc);
	return s;
}
