#include "daemon/eventlog/log-recover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
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
	uint64_t skips;    /* in a hole, so it is not; UINT64_MAX: who knows */
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
	if (seen.next_seq == seen.skips)
		seen.next_seq++;
	if (seen.skips == UINT64_MAX)
		ck_assert_uint_ge(seq, seen.next_seq);
	else
		ck_assert_uint_eq(seq, seen.next_seq);
	seen.next_seq = seq + 1;
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
	bool verify;
	uint64_t from_seq; /* 0: from the beginning */
} Options;

static int recover(Options o, SegmentState *ret)
{
	const EventLogRecovery recovery = { .on_event = on_event, .resolve = resolve };
	_cleanup_segment_ Segment *s = NULL;
	int r;

	ck_assert_int_eq(segment_open(dir.fd, BASE, false, &s), 0);
	seen.next_seq = o.from_seq > BASE ? o.from_seq : BASE;
	r = segment_recover(s, o.verify, o.from_seq, &recovery, ret);
	return r < 0 ? r : segment_cut(dir.fd, s, ret);
}

/* The first `n` lines are what there is, and their index is right. How many that were there are
 * lost. */
static uint64_t assert_recovered(Options o, uint64_t n, const char *what, size_t at)
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
	ck_assert_msg(left.len == end, "%s, %zu: not cut", what, at);
	ck_assert_msg(end == 0 || memcmp(left.data, lines.data, left.len) == 0, "%s, %zu: lines",
		what, at);
	return state.lost;
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

static size_t indexed(IndexKind kind)
{
	static const size_t numbers[_INDEX_MAX] = {
		[INDEX_NONE] = 0,
		[INDEX_BEFORE] = N - 3,
		[INDEX_ALL] = N,
		[INDEX_TORN] = N - 1,
	};

	return numbers[kind];
}

static void write_index(IndexKind kind)
{
	size_t torn = kind == INDEX_TORN ? 11 : 0;

	write_file(".idx", records, indexed(kind) * sizeof(IndexRecord) + torn);
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
		uint64_t n = whole_lines(len), lost;

		write_file(".ndjson", lines.data, len);
		write_index(kind);
		lost = assert_recovered(o, n, "torn", len);
		/* Only the index can know that there was more than a line that never became whole.
		 */
		ck_assert_uint_eq(lost, indexed(kind) > n ? indexed(kind) - n : 0);
		/* And once more, with what that has left. */
		ck_assert_uint_eq(assert_recovered(o, n, "torn again", len), 0);
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
			assert_recovered(o, whole_lines(len), "known", len);
		}
	}
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

static void append_bad_tail(Buf *b, size_t i)
{
	if (i < ARRAY_SIZE(tails))
		ck_assert_int_eq(buf_append(b, tails[i].bytes, tails[i].len), 0);
	else
		append_line(b, BASE + N, bad_bodies[i - ARRAY_SIZE(tails)]);
}

/* Behind good lines: cut off, whatever it is. */
START_TEST(test_bad_tails)
{
	for (size_t i = 0; i < ARRAY_SIZE(tails) + ARRAY_SIZE(bad_bodies); i++) {
		_cleanup_buf_ Buf b = { 0 };
		Options o = { .verify = _i };

		ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
		append_bad_tail(&b, i);
		for (int kind = 0; kind < _INDEX_MAX; kind++) {
			uint64_t lost;

			write_file(".ndjson", b.data, b.len);
			write_index((IndexKind)kind);
			lost = assert_recovered(o, N, "bad tail", i);
			/* A line that is not whole was never seen; a few bytes are none. */
			ck_assert((lost > 0) ==
				  (b.data[b.len - 1] == '\n' && b.len >= lines.len + 100));
		}
	}
}
END_TEST

/* ---- Holes ---- */

/* The first `n` lines of `b`, and those from `next` on; between them nothing can be read. */
static void assert_hole(Options o, const Buf *b, uint64_t n, uint64_t next, uint64_t end,
	const char *what, size_t at)
{
	_cleanup_buf_ Buf index = { 0 }, left = { 0 };
	const IndexRecord *record;
	SegmentState state;
	int r = recover(o, &state);

	ck_assert_msg(r == 0 && state.end == BASE + end && state.lost == 0 && state.bytes == b->len,
		"%s, %zu: %d, up to %llu", what, at, r, (unsigned long long)state.end);
	read_file(".ndjson", &left);
	ck_assert(left.len == b->len && memcmp(left.data, b->data, b->len) == 0);
	read_file(".idx", &index);
	ck_assert_uint_eq(index.len, end * sizeof(IndexRecord));
	record = (const IndexRecord *)(const void *)index.data;
	for (uint64_t i = 0; i < end; i++) {
		uint32_t start = i > 0 ? record[i - 1].end : 0;

		ck_assert_msg(segment_is_hole(&record[i]) == (i >= n && i < next), "%s, %zu: %llu",
			what, at, (unsigned long long)i);
		if (!segment_is_hole(&record[i]))
			ck_assert_uint_eq(
				record[i].crc, crc32c(b->data + start, record[i].end - start));
	}
}

/* What is good behind it is kept, and its number tells how many events are missing. */
START_TEST(test_good_behind_bad)
{
	log_set_level(0);
	for (size_t i = 0; i < ARRAY_SIZE(tails) + ARRAY_SIZE(bad_bodies); i++) {
		_cleanup_buf_ Buf b = { 0 };
		Options o = { .verify = _i };

		ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
		append_bad_tail(&b, i);
		if (b.data[b.len - 1] != '\n' || b.len == lines.len)
			continue;
		append_line(&b, BASE + N + 1, bodies[0]);
		append_line(&b, BASE + N + 2, bodies[6]);
		for (int kind = 0; kind < _INDEX_MAX; kind++) {
			write_file(".ndjson", b.data, b.len);
			write_index((IndexKind)kind);
			seen.skips = BASE + N;
			assert_hole(o, &b, N, N + 1, N + 3, "hole", i);
			assert_hole(o, &b, N, N + 1, N + 3, "hole, again", i);
			seen.skips = 0;
		}
	}
}
END_TEST

/* An output is told by its record, which is still good: it counts as one. */
static uint64_t skipped_if_rotten(unsigned line)
{
	return records[line].type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT ? 0 : BASE + line;
}

/* Whichever byte rots, of whichever line but the last: no other event is lost, and nothing is cut.
 */
START_TEST(test_rotten_byte)
{
	log_set_level(0);
	for (size_t at = 0; at < records[N - 2].end - 1; at++) {
		_cleanup_buf_ Buf b = { 0 };
		unsigned char rot = _i == 0 ? 0x80 : '\n';
		SegmentState state;

		ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
		b.data[at] = (char)((unsigned char)b.data[at] == rot ? 'x' : rot);
		write_file(".ndjson", b.data, b.len);
		write_index(INDEX_NONE);
		seen.skips = UINT64_MAX;
		ck_assert_int_eq(recover((Options){ 0 }, &state), 0);
		seen.skips = 0;
		ck_assert_msg(state.end == BASE + N && state.bytes == b.len && state.lost == 0,
			"byte %zu: up to %llu", at, (unsigned long long)state.end);
	}
}
END_TEST

/* A line that is rotten and still reads well is known by its CRC, and nothing is done that would
 * make it look right: its event is lost, no other. */
START_TEST(test_rotten_text)
{
	Options o = { .verify = _i };

	log_set_level(0);
	for (unsigned i = 0; i < N; i++) {
		_cleanup_buf_ Buf b = { 0 }, index = { 0 };
		SegmentState state;
		size_t from = i > 0 ? records[i - 1].end : 0;
		char *digit;

		ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
		digit = memmem(b.data + from, b.len - from, "000000Z", 7);
		ck_assert_ptr_nonnull(digit);
		*digit = '9';
		write_file(".ndjson", b.data, b.len);
		write_index(INDEX_ALL);
		seen.skips = skipped_if_rotten(i);
		ck_assert_int_eq(recover(o, &state), 0);
		ck_assert_uint_ge(seen.next_seq + (seen.skips == BASE + N - 1), BASE + N);
		seen.skips = 0;
		ck_assert(state.end == BASE + N && state.bytes == lines.len && state.lost == 0);
		read_file(".idx", &index);
		ck_assert_uint_eq(index.len, sizeof(records));
		ck_assert_mem_eq(index.data, records, sizeof(records));
	}
}
END_TEST

/* Nor is the event behind one whose end has rotted, or in whose midst one has grown, where the
 * index tells them apart. */
START_TEST(test_rotten_end)
{
	log_set_level(0);
	for (size_t at = 0; at < records[N - 2].end; at++) {
		_cleanup_buf_ Buf b = { 0 }, index = { 0 };
		SegmentState state;
		unsigned line = 0;

		while (records[line].end <= at)
			line++;
		ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
		b.data[at] = b.data[at] == '\n' ? '*' : '\n';
		write_file(".ndjson", b.data, b.len);
		write_index(INDEX_ALL);
		seen.skips = skipped_if_rotten(line);
		ck_assert_int_eq(recover((Options){ .verify = true }, &state), 0);
		seen.skips = 0;
		ck_assert_msg(seen.next_seq == BASE + N, "byte %zu", at);
		ck_assert(state.end == BASE + N && state.bytes == lines.len && state.lost == 0);
		read_file(".idx", &index);
		ck_assert_uint_eq(index.len, sizeof(records));
		ck_assert_mem_eq(index.data, records, sizeof(records));
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
	assert_recovered((Options){ 0 }, N, "wrong seq", 0);
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
	assert_recovered(o, N, "padding", 0);
}
END_TEST

/* What is cut off is kept beside, and what was kept before too. */
START_TEST(test_set_aside)
{
	static const char *const names[] = { ".torn", ".torn-2", ".torn-3" };
	_cleanup_buf_ Buf b = { 0 };
	size_t at = records[N - 2].end;

	ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
	b.data[at + 60] ^= 1;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		write_file(".ndjson", b.data, b.len);
		write_index(INDEX_BEFORE);
		ck_assert_uint_eq(
			assert_recovered((Options){ .verify = true }, N - 1, "rotten", i), 1);
		b.data[at + 50 + i] ^= 1;
	}
	for (size_t i = ARRAY_SIZE(names); i-- > 0;) {
		_cleanup_buf_ Buf torn = { 0 };

		b.data[at + 50 + i] ^= 1;
		read_file(names[i], &torn);
		ck_assert_uint_eq(torn.len, b.len - at);
		ck_assert_mem_eq(torn.data, b.data + at, torn.len);
	}
}
END_TEST

/* Where it cannot be kept, whole lines are not cut off; what was never whole is. */
START_TEST(test_cannot_set_aside)
{
	size_t whole = _i == 0 ? 0 : 1;
	_cleanup_buf_ Buf b = { 0 }, left = { 0 };
	struct rlimit limit, before;
	SegmentState state;
	int r;

	signal(SIGXFSZ, SIG_IGN);
	log_set_level(0);
	ck_assert_int_eq(buf_append(&b, lines.data, lines.len), 0);
	for (int i = 0; i < 4096; i++)
		ck_assert_int_eq(buf_append_char(&b, 'x'), 0);
	if (whole)
		ck_assert_int_eq(buf_append_char(&b, '\n'), 0);
	write_file(".ndjson", b.data, b.len);
	write_index(INDEX_ALL);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 1024;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	r = recover((Options){ 0 }, &state);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
	ck_assert_int_eq(r, whole ? -EFBIG : 0);
	read_file(".ndjson", &left);
	ck_assert_uint_eq(left.len, whole ? b.len : lines.len);
}
END_TEST

/* ---- The index ---- */

START_TEST(test_no_files)
{
	Options o = { .verify = _i };

	write_file(".ndjson", "", 0);
	assert_recovered(o, 0, "empty, no index", 0);
	write_file(".ndjson", "", 0);
	write_index(INDEX_ALL);
	assert_recovered(o, 0, "empty, with an index", 0);
	write_file(".ndjson", "x", 1);
	assert_recovered(o, 0, "one byte", 0);
}
END_TEST

START_TEST(test_short_index)
{
	for (size_t len = 0; len <= sizeof(records); len++) {
		write_file(".ndjson", lines.data, lines.len);
		write_file(".idx", records, len);
		assert_recovered((Options){ .verify = _i }, N, "short index", len);
	}
	for (uint64_t from = BASE; from < BASE + N + 2; from++) {
		write_file(".ndjson", lines.data, lines.len);
		write_file(".idx", records, 2 * sizeof(IndexRecord));
		assert_recovered((Options){ .from_seq = from }, N, "short, known", (size_t)from);
	}
}
END_TEST

/* One byte after the other: verification finds what matters, and makes the index anew from there.
 * Only where it is the CRC nobody can tell whether that is wrong or the line: the event is lost. */
START_TEST(test_damaged_index)
{
	log_set_level(0);
	for (size_t at = 0; at < sizeof(records); at++) {
		IndexRecord bad[N];
		size_t field = at % sizeof(IndexRecord);
		bool is_end =
			field >= offsetof(IndexRecord, end) && field < offsetof(IndexRecord, crc);
		bool is_crc = field >= offsetof(IndexRecord, crc) &&
			      field < offsetof(IndexRecord, raw_bytes);
		_cleanup_buf_ Buf index = { 0 };
		SegmentState state;

		memcpy(bad, records, sizeof(bad));
		((unsigned char *)bad)[at] ^= 0x55;
		write_file(".ndjson", lines.data, lines.len);
		write_file(".idx", bad, sizeof(bad));
		seen.skips = UINT64_MAX;
		ck_assert_int_eq(recover((Options){ .verify = true }, &state), 0);
		seen.skips = 0;
		ck_assert_msg(state.end == BASE + N, "byte %zu: lines are lost", at);
		ck_assert_uint_eq(state.bytes, lines.len);
		read_file(".idx", &index);
		if (is_end || is_crc)
			ck_assert_msg(
				memcmp(index.data, is_end ? records : bad, sizeof(records)) == 0,
				"byte %zu", at);
	}
}
END_TEST

/* Records at the end of an index that are wrong, on a start that has nothing to deliver: no line is
 * cut, no number is given out anew. */
START_TEST(test_bad_last_records)
{
	static const uint32_t ends[] = { 0, 1, 300, UINT32_MAX };
	static const uint64_t froms[] = { 0, BASE + N - 2, BASE + N };

	for (unsigned n = 1; n <= N; n++) {
		for (size_t i = 0; i < ARRAY_SIZE(ends) * ARRAY_SIZE(froms); i++) {
			IndexRecord bad[N];
			Options o = { .from_seq = froms[i / ARRAY_SIZE(ends)] };

			memcpy(bad, records, sizeof(bad));
			for (unsigned k = N - n; k < N; k++) {
				uint32_t by = ends[i % ARRAY_SIZE(ends)];

				if (by == 0)
					bad[k] = (IndexRecord){ 0 };
				else
					bad[k].end -= by;
			}
			write_file(".ndjson", lines.data, lines.len);
			write_file(".idx", bad, sizeof(bad));
			ck_assert_uint_eq(assert_recovered(o, N, "bad last records", n), 0);
		}
	}
}
END_TEST

/* A record that is missing in the middle puts all that follow out of step. */
START_TEST(test_shifted_index)
{
	IndexRecord bad[N];

	for (unsigned at = 0; at < N - 1; at++) {
		memcpy(bad, records, sizeof(bad));
		memmove(&bad[at], &bad[at + 1], (N - 1 - at) * sizeof(bad[0]));
		write_file(".ndjson", lines.data, lines.len);
		write_file(".idx", bad, sizeof(bad) - sizeof(bad[0]));
		ck_assert_uint_eq(
			assert_recovered((Options){ .from_seq = BASE + N }, N, "shifted", at), 0);
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
		assert_recovered((Options){ .verify = true }, N, "garbage", seed);
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

/* Outputs are told by their records alone, but not those whose lines turn out to be gone. */
START_TEST(test_rotten_outputs)
{
	const unsigned n = 5; /* the last two are outputs */

	for (unsigned good = n - 2; good < n; good++) {
		_cleanup_buf_ Buf b = { 0 };
		uint32_t from = records[good - 1].end;

		ck_assert_int_eq(buf_append(&b, lines.data, records[n - 1].end), 0);
		memset(b.data + from, 'x', b.len - from);
		write_file(".ndjson", b.data, b.len);
		write_file(".idx", records, n * sizeof(IndexRecord));
		ck_assert_uint_eq(
			assert_recovered((Options){ .verify = _i }, good, "rotten outputs", good),
			n - good);
	}
}
END_TEST

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
	tcase_add_loop_test(tc, test_bad_tails, 0, 2);
	tcase_add_test(tc, test_wrong_seq);
	tcase_add_loop_test(tc, test_padding, 0, 2);
	tcase_add_loop_test(tc, test_good_behind_bad, 0, 2);
	tcase_add_loop_test(tc, test_rotten_byte, 0, 2);
	tcase_add_loop_test(tc, test_rotten_text, 0, 2);
	tcase_add_test(tc, test_rotten_end);
	tcase_add_test(tc, test_set_aside);
	tcase_add_loop_test(tc, test_cannot_set_aside, 0, 2);
	tcase_add_loop_test(tc, test_no_files, 0, 2);
	tcase_add_loop_test(tc, test_short_index, 0, 2);
	tcase_add_test(tc, test_damaged_index);
	tcase_add_test(tc, test_bad_last_records);
	tcase_add_test(tc, test_shifted_index);
	tcase_add_test(tc, test_garbage_index);
	tcase_add_loop_test(tc, test_long_lines, 0, 2);
	tcase_add_loop_test(tc, test_rotten_outputs, 0, 2);
	tcase_add_test(tc, test_on_event_fails);
	suite_add_tcase(s, tc);
	return s;
}
