#include "daemon/eventlog/log-recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "common/log.h"
#include "daemon/eventlog/crc32c.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

#define BASE     41U
#define N        7U
#define NUMBER   4711U /* what resolve() says */
#define LONG_LEN (700U * 1024)

#define ID "\"agent_id\":\"0f0f0f0f-0000-4000-8000-000000000001\""

static const char *const bodies[N] = {
	"\"type\":\"DaemonStarted\"",
	"\"type\":\"AgentSpawned\"," ID,
	"\"type\":\"AgentStarted\"," ID,
	"\"type\":\"AgentPartialOutput\"," ID ",\"chunk\":\"h\xc3\xa9\\n\",\"channel\":\"error\"",
	"\"type\":\"AgentPartialOutput\"," ID
	",\"chunk\":\"//79\",\"channel\":\"output\",\"encoding\":\"base64\"",
	"\"type\":\"AgentError\"," ID ",\"code\":\"timeout\"",
	"\"type\":\"DaemonStopping\"",
};

static const IndexRecord meanings[N] = {
	{ .type = EVENT_TYPE_DAEMON_STARTED },
	{ .type = EVENT_TYPE_AGENT_SPAWNED, .agent = BASE + 1 },
	{ .type = EVENT_TYPE_AGENT_STARTED, .agent = NUMBER },
	{ .type = EVENT_TYPE_AGENT_PARTIAL_OUTPUT,
		.agent = NUMBER,
		.channel = CHANNEL_ERROR,
		.raw_bytes = 4 },
	{ .type = EVENT_TYPE_AGENT_PARTIAL_OUTPUT, .agent = NUMBER, .raw_bytes = 3 },
	{ .type = EVENT_TYPE_AGENT_ERROR, .agent = NUMBER, .code = AGENT_ERROR_TIMEOUT },
	{ .type = EVENT_TYPE_DAEMON_STOPPING },
};

static TempDir dir;
static Buf lines;              /* the good ones */
static IndexRecord records[N]; /* of them */

static struct {
	uint64_t next_seq; /* the one that is to be delivered next */
	int answer;        /* of on_event */
} seen;

static void append_line(Buf *b, uint64_t seq, const char *body)
{
	ck_assert_int_eq(buf_printf(b,
				 PROTOCOL_EVENT_PREFIX
				 "{\"seq\":%llu,\"time\":\"2026-01-01T00:00:00.000000Z\","
				 "%s}" PROTOCOL_EVENT_SUFFIX,
				 (unsigned long long)seq, body),
		0);
}

static void setup(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	temp_dir_init(&dir);
	for (unsigned i = 0; i < N; i++) {
		size_t start = lines.len;

		append_line(&lines, BASE + i, bodies[i]);
		records[i] = meanings[i];
		records[i].end = (uint32_t)lines.len;
		records[i].crc = crc32c(lines.data + start, lines.len - start);
	}
}

static void teardown(void)
{
	temp_dir_done(&dir);
	buf_done(&lines);
}

static uint64_t resolve(const Uuid *id, void *userdata)
{
	(void)userdata;
	return id->bytes[0] == 0x0f ? NUMBER : 0;
}

static int on_event(
	uint64_t seq, const IndexRecord *record, const char *line, size_t len, void *userdata)
{
	(void)userdata;
	ck_assert_uint_eq(seq, seen.next_seq);
	seen.next_seq++;
	if (line && seq < BASE + N)
		ck_assert_uint_eq(crc32c(line, len), record->crc);
	ck_assert(line || record->type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT);
	return seen.answer;
}

static void write_file(const char *suffix, const void *bytes, size_t n)
{
	char name[SEGMENT_NAME_LEN + 16];
	_cleanup_close_ int fd = -1;

	segment_name(BASE, suffix, name);
	fd = openat(dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert(fd >= 0 && fd_write_all(fd, bytes, n) == 0);
}

static void read_file(const char *suffix, Buf *b)
{
	char name[SEGMENT_NAME_LEN + 16];

	segment_name(BASE, suffix, name);
	ck_assert_int_eq(file_read(dir.fd, name, 64UL * 1024 * 1024, b), 0);
}

typedef struct Options {
	bool verify, sealed;
	uint64_t from_seq; /* 0: from the beginning */
} Options;

static int recover(Options o, SegmentState *ret)
{
	const EventLogRecovery recovery = { .on_event = on_event, .resolve = resolve };
	_cleanup_segment_ Segment *s = NULL;

	ck_assert_int_eq(segment_open(dir.fd, BASE, false, &s), 0);
	seen.next_seq = o.from_seq > BASE ? o.from_seq : BASE;
	return segment_recover(dir.fd, s, o.verify, !o.sealed, o.from_seq, &recovery, ret);
}

/* The first `n` lines are what there is, and their index is right; `cut`: and nothing else is. */
static void assert_recovered(Options o, uint64_t n, bool cut, const char *what, size_t at)
{
	_cleanup_buf_ Buf left = { 0 }, index = { 0 };
	uint64_t from = o.from_seq > BASE ? o.from_seq : BASE;
	uint64_t end = n > 0 ? records[n - 1].end : 0;
	SegmentState state = { 0 };
	int r = recover(o, &state);

	ck_assert_msg(r == 0, "%s, %zu: %d", what, at, r);
	ck_assert_msg(state.end == BASE + n, "%s, %zu: up to %llu, not %llu", what, at,
		(unsigned long long)state.end, (unsigned long long)(BASE + n));
	ck_assert_msg(state.bytes == end, "%s, %zu", what, at);
	ck_assert_msg(seen.next_seq == (state.end > from ? state.end : from),
		"%s, %zu: told up to %llu", what, at, (unsigned long long)seen.next_seq);
	read_file(".idx", &index);
	ck_assert_msg(index.len == n * sizeof(IndexRecord), "%s, %zu: index", what, at);
	if (n > 0)
		ck_assert_msg(
			memcmp(index.data, records, index.len) == 0, "%s, %zu: index", what, at);
	read_file(".ndjson", &left);
	if (cut)
		ck_assert_msg(left.len == end, "%s, %zu: not cut", what, at);
	ck_assert_msg(left.len >= end && (end == 0 || memcmp(left.data, lines.data, end) == 0),
		"%s, %zu: lines", what, at);
}

/* ---- A torn tail ---- */

/* How much of the index is there. */
typedef enum IndexKind {
	INDEX_NONE,
	INDEX_BEFORE, /* the lines before the batch of the last three */
	INDEX_ALL,    /* of what is not there any more, too */
	INDEX_TORN,   /* ends within a record */
	_INDEX_MAX,
} IndexKind;

static void write_index(IndexKind kind)
{
	static const size_t lengths[_INDEX_MAX] = {
		[INDEX_NONE] = 0,
		[INDEX_BEFORE] = (N - 3) * sizeof(IndexRecord),
		[INDEX_ALL] = N * sizeof(IndexRecord),
		[INDEX_TORN] = (N - 1) * sizeof(IndexRecord) + 11,
	};

	write_file(".idx", records, lengths[kind]);
}

static uint64_t whole_lines(size_t len)
{
	uint64_t n = 0;

	while (n < N && records[n].end <= len)
		n++;
	return n;
}

/* At every byte of the last three lines: what is whole stays, what is not goes. */
START_TEST(test_torn)
{
	IndexKind kind = (IndexKind)(_i % _INDEX_MAX);
	Options o = { .verify = _i / _INDEX_MAX };

	for (size_t len = records[N - 4].end; len <= lines.len; len++) {
		write_file(".ndjson", lines.data, len);
		write_index(kind);
		assert_recovered(o, whole_lines(len), true, "torn", len);
		/* And once more, with what that has left. */
		assert_recovered(o, whole_lines(len), true, "torn again", len);
	}
}
END_TEST

/* The catalog knows it all, or part of it: only what it does not know is told. */
START_TEST(test_torn_known)
{
	for (uint64_t from = BASE; from <= BASE + N + 1; from++) {
		for (size_t len = records[N - 4].end; len <= lines.len; len += 9) {
			Options o = { .from_seq = from, .verify = _i };

			write_file(".ndjson", lines.data, len);
			write_index(INDEX_BEFORE);
			assert_recovered(o, whole_lines(len), true, "known", len);
		}
	}
}
END_TEST

/* What a sealed segment ends in is not cut: it is not ours to destroy. */
START_TEST(test_sealed)
{
	Options o = { .sealed = true };
	_cleanup_buf_ Buf left = { 0 };

	write_file(".ndjson", lines.data, lines.len - 5);
	write_index(INDEX_NONE);
	assert_recovered(o, N - 1, false, "sealed", 0);
	read_file(".ndjson", &left);
	ck_assert_uint_eq(left.len, lines.len - 5);
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
} tails[] = {
	{ "", 0 },
	{ "\n", 1 },
	{ "\n\n\n", 3 },
	{ "\0", 1 },
	{ "\0\0\0\0\0\0\0\n", 8 },
	{ "{}\n", 3 },
	{ "garbage", 7 },
	{ "garbage\n", 8 },
	{ PROTOCOL_EVENT_PREFIX "{}" PROTOCOL_EVENT_SUFFIX,
		sizeof(PROTOCOL_EVENT_PREFIX "{}" PROTOCOL_EVENT_SUFFIX) - 1 },
	{ PROTOCOL_EVENT_PREFIX "null" PROTOCOL_EVENT_SUFFIX,
		sizeof(PROTOCOL_EVENT_PREFIX "null" PROTOCOL_EVENT_SUFFIX) - 1 },
	{ PROTOCOL_EVENT_PREFIX PROTOCOL_EVENT_SUFFIX,
		sizeof(PROTOCOL_EVENT_PREFIX PROTOCOL_EVENT_SUFFIX) - 1 },
};

static const char *const bad_bodies[] = {
	"\"type\":\"Nothing\"",
	"\"type\":1",
	"\"type\":\"AgentStarted\"",
	"\"type\":\"AgentPartialOutput\"," ID,
	"\"type\":\"AgentPartialOutput\"," ID ",\"chunk\":\"x\",\"channel\":\"nothing\"",
	"\"type\":\"AgentPartialOutput\"," ID
	",\"chunk\":\"?\",\"channel\":\"output\",\"encoding\":\"base64\"",
	"\"type\":\"AgentError\"," ID ",\"code\":\"nothing\"",
	"\"type\":\"AgentError\"," ID,
};

/* Behind good lines: cut off, whatever it is. */
START_TEST(test_bad_tails)
{
	for (size_t i = 0; i < ARRAY_SIZE(tails) + ARRAY_SIZE(bad_bodies); i++) {
		_cleanup_buf_ Buf b = { 0 };
		Options o = { .verify = _i };

		ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
		if (i < ARRAY_SIZE(tails))
			ck_assert_int_eq(buf_append(&b, tails[i].bytes, tails[i].len), 0);
		else
			append_line(&b, BASE + N, bad_bodies[i - ARRAY_SIZE(tails)]);
		/* Good ones behind a bad one do not save it. */
		if (b.len > lines.len)
			append_line(&b, BASE + N + 1, bodies[0]);
		for (int kind = 0; kind < _INDEX_MAX; kind++) {
			write_file(".ndjson", b.data, b.len);
			write_index((IndexKind)kind);
			assert_recovered(o, N, true, "bad tail", i);
		}
	}
}
END_TEST

/* The numbers of lines are part of what makes them good. */
START_TEST(test_wrong_seq)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
	append_line(&b, BASE + N + 1, bodies[0]);
	write_file(".ndjson", b.data, b.len);
	write_index(INDEX_NONE);
	assert_recovered((Options){ 0 }, N, true, "wrong seq", 0);
}
END_TEST

/* A file that a power cut has left longer than what was written to it; its index too. */
START_TEST(test_padding)
{
	_cleanup_buf_ Buf b = { 0 }, index = { 0 };
	char zeros[5000] = { 0 };
	Options o = { .verify = _i };

	ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
	ck_assert_int_eq(buf_append(&b, zeros, sizeof(zeros)), 0);
	ck_assert_int_eq(buf_append(&index, records, sizeof(records)), 0);
	ck_assert_int_eq(buf_append(&index, zeros, sizeof(zeros)), 0);
	write_file(".ndjson", b.data, b.len);
	write_file(".idx", index.data, index.len);
	assert_recovered(o, N, true, "padding", 0);
}
END_TEST

/* What verification cuts off is kept beside. */
START_TEST(test_set_aside)
{
	_cleanup_buf_ Buf b = { 0 }, torn = { 0 };
	size_t at = records[2].end;

	ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
	b.data[at + 60] ^= 1;
	write_file(".ndjson", b.data, b.len);
	write_index(INDEX_ALL);
	assert_recovered((Options){ .verify = true }, 3, true, "rotten", 0);
	read_file(".torn", &torn);
	ck_assert_uint_eq(torn.len, b.len - at);
	ck_assert_mem_eq(torn.data, b.data + at, torn.len);
}
END_TEST

/* ---- The index ---- */

START_TEST(test_no_files)
{
	Options o = { .verify = _i };

	write_file(".ndjson", "", 0);
	assert_recovered(o, 0, true, "empty, no index", 0);
	write_file(".ndjson", "", 0);
	write_index(INDEX_ALL);
	assert_recovered(o, 0, true, "empty, with an index", 0);
	write_file(".ndjson", "x", 1);
	assert_recovered(o, 0, true, "one byte", 0);
}
END_TEST

START_TEST(test_short_index)
{
	for (size_t len = 0; len <= sizeof(records); len++) {
		write_file(".ndjson", lines.data, lines.len);
		write_file(".idx", records, len);
		assert_recovered((Options){ .verify = _i }, N, true, "short index", len);
	}
	for (uint64_t from = BASE; from < BASE + N + 2; from++) {
		write_file(".ndjson", lines.data, lines.len);
		write_file(".idx", records, 2 * sizeof(IndexRecord));
		assert_recovered((Options){ .from_seq = from }, N, true, "short, known", from);
	}
}
END_TEST

/* One byte after the other: verification finds what matters, and makes the index anew from there. */
START_TEST(test_damaged_index)
{
	for (size_t at = 0; at < sizeof(records); at++) {
		IndexRecord bad[N];
		size_t field = at % sizeof(IndexRecord);
		_cleanup_buf_ Buf index = { 0 };
		SegmentState state;

		memcpy(bad, records, sizeof(bad));
		((unsigned char *)bad)[at] ^= 0x55;
		write_file(".ndjson", lines.data, lines.len);
		write_file(".idx", bad, sizeof(bad));
		ck_assert_int_eq(recover((Options){ .verify = true }, &state), 0);
		ck_assert_msg(state.end == BASE + N, "byte %zu: lines are lost", at);
		ck_assert_uint_eq(state.bytes, lines.len);
		read_file(".idx", &index);
		/* `end` and `crc` are held against the lines themselves. */
		if (field >= offsetof(IndexRecord, end) && field < offsetof(IndexRecord, raw_bytes))
			ck_assert_msg(
				memcmp(index.data, records, sizeof(records)) == 0, "byte %zu", at);
	}
}
END_TEST

START_TEST(test_garbage_index)
{
	for (unsigned seed = 1; seed < 200; seed++) {
		unsigned char garbage[sizeof(records) + 50];

		for (size_t i = 0; i < sizeof(garbage); i++)
			garbage[i] = (unsigned char)(seed * 2654435761U >> (i * seed) % 24);
		write_file(".ndjson", lines.data, lines.len);
		write_file(".idx", garbage, sizeof(garbage));
		assert_recovered((Options){ .verify = true }, N, true, "garbage", seed);
	}
}
END_TEST

/* ---- Lines above what is read at once ---- */

START_TEST(test_long_lines)
{
	static const size_t cuts[] = { 0, 1, 2, 1000, 255 * 1024, 256 * 1024, 512 * 1024 };
	_cleanup_free_ char *chunk = malloc(LONG_LEN + 1);
	_cleanup_buf_ Buf body = { 0 }, b = { 0 };

	memset(chunk, 'x', LONG_LEN);
	chunk[LONG_LEN] = '\0';
	ck_assert_int_eq(buf_printf(&body,
				 "\"type\":\"AgentPartialOutput\"," ID
				 ",\"channel\":\"output\",\"chunk\":\"%s\"",
				 chunk),
		0);
	ck_assert_int_eq(buf_append(&b, lines.data, records[0].end), 0);
	append_line(&b, BASE + 1, body.data);
	append_line(&b, BASE + 2, body.data);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		SegmentState state;

		write_file(".ndjson", b.data, b.len - cuts[i]);
		write_index(INDEX_NONE);
		ck_assert_int_eq(recover((Options){ .verify = _i }, &state), 0);
		ck_assert_uint_eq(state.end, BASE + (cuts[i] == 0 ? 3 : 2));
	}
}
END_TEST

/* ---- What is told ---- */

START_TEST(test_on_event_fails)
{
	SegmentState state = { .end = 5 };

	for (int kind = 0; kind < _INDEX_MAX; kind++) {
		write_file(".ndjson", lines.data, lines.len);
		write_index((IndexKind)kind);
		seen.answer = -ENOSPC;
		ck_assert_int_eq(recover((Options){ 0 }, &state), -ENOSPC);
		seen.answer = 0;
		ck_assert_uint_eq(state.end, 5);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("log-recover");
	TCase *tc = tcase_create("log-recover");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_torn, 0, 2 * _INDEX_MAX);
	tcase_add_loop_test(tc, test_torn_known, 0, 2);
	tcase_add_test(tc, test_sealed);
	tcase_add_loop_test(tc, test_bad_tails, 0, 2);
	tcase_add_test(tc, test_wrong_seq);
	tcase_add_loop_test(tc, test_padding, 0, 2);
	tcase_add_test(tc, test_set_aside);
	tcase_add_loop_test(tc, test_no_files, 0, 2);
	tcase_add_loop_test(tc, test_short_index, 0, 2);
	tcase_add_test(tc, test_damaged_index);
	tcase_add_test(tc, test_garbage_index);
	tcase_add_loop_test(tc, test_long_lines, 0, 2);
	tcase_add_test(tc, test_on_event_fails);
	suite_add_tcase(s, tc);
	return s;
}
