#include "daemon/eventlog/postings.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "daemon/eventlog/crc32c.h"
#include "daemon/eventlog/scan.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

#define LINE     "x\n"
#define LINE_LEN 2U

/* Segments of so many events, one behind another; the last is being written. */
static const uint32_t sizes[] = { 3000, 1, 5000, 700 };

static TempDir dir;
static Mailbox *mailbox;
static Reader *reader; /* stopped: what it does is done here */
static LogView view;

/* Whose the event is: long stretches of one, some that are rare, holes, and many that come once. */
static uint64_t agent_of(uint64_t seq)
{
	if (seq % 501 == 500)
		return 0;
	if (seq >= 1000 && seq < 1500)
		return 7;
	if (seq % 97 == 3)
		return 42;
	return seq % 3 == 0 ? 1 + seq % 10 : 100000 + seq;
}

static IndexRecord record_of(uint64_t seq, uint32_t place)
{
	return (IndexRecord){
		.agent = agent_of(seq),
		.end = (place + 1) * LINE_LEN,
		.crc = agent_of(seq) > 0 ? crc32c(LINE, LINE_LEN) : 0,
		.type = agent_of(seq) > 0 ? EVENT_TYPE_AGENT_PARTIAL_OUTPUT : EVENT_TYPE_NONE,
	};
}

static void write_segment(uint64_t base, uint32_t n)
{
	_cleanup_segment_ Segment *s = NULL;
	_cleanup_buf_ Buf lines = { 0 }, records = { 0 };

	for (uint32_t i = 0; i < n; i++) {
		IndexRecord record = record_of(base + i, i);

		ck_assert_int_eq(buf_append(&lines, LINE, LINE_LEN), 0);
		ck_assert_int_eq(buf_append(&records, &record, sizeof(record)), 0);
	}
	ck_assert_int_eq(segment_open(dir.fd, base, true, &s), 0);
	ck_assert_int_eq(fd_write_all(s->fd, lines.data, lines.len), 0);
	ck_assert_int_eq(fd_write_all(s->idx_fd, records.data, records.len), 0);
}

static void setup(void)
{
	uint64_t base = 1;

	temp_dir_init(&dir);
	ck_assert_int_eq(mailbox_new(&mailbox), 0);
	ck_assert_int_eq(reader_new(dir.fd, NULL, mailbox, &reader), 0);
	reader_stop(reader);
	view = (LogView){ .table = segment_table_copy(NULL, 0, ARRAY_SIZE(sizes)),
		.oldest_seq = 1 };
	ck_assert_ptr_nonnull(view.table);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		write_segment(base, sizes[i]);
		view.table->infos[i] = (SegmentInfo){ .base = base, .end = base + sizes[i] };
		base += sizes[i];
	}
	view.table->infos[ARRAY_SIZE(sizes) - 1].end = UINT64_MAX;
	view.end_seq = view.fresh_seq = base;
}

static void teardown(void)
{
	reader_free(reader);
	mailbox_free(mailbox);
	segment_table_unref(view.table);
	temp_dir_done(&dir);
}

/* ---- What is wanted ---- */

static const struct {
	size_t n;
	uint64_t agents[4];
} sets[] = {
	{ 1, { 42 } },
	{ 1, { 7 } },
	{ 1, { 100001 } },
	{ 1, { 99999999 } },
	{ 2, { 7, 42 } },
	{ 4, { 1, 4, 42, 100001 } },
	{ 3, { 42, 42, 42 } },
};

static bool wanted(uint64_t seq, size_t set)
{
	for (size_t i = 0; i < sets[set].n; i++)
		if (agent_of(seq) == sets[set].agents[i])
			return true;
	return false;
}

/* All that is wanted comes, and every hole, and they in their order. */
static void walk(uint64_t from, size_t set, size_t most_steps)
{
	Places places = { .agents = sets[set].agents, .n_agents = sets[set].n };
	uint64_t seq = from, gap;
	size_t steps = 0;
	ScanEvent event;
	Scan s;
	int r;

	ck_assert_int_eq(scan_init(&s, reader, &view, from), 0);
	for (;; steps++) {
		ck_assert_int_eq(scan_skip(&s, &places), 0);
		r = scan_next(&s, &event, &gap);
		if (r == SCAN_END)
			break;
		for (; seq < s.seq - 1; seq++)
			ck_assert_msg(!wanted(seq, set) && agent_of(seq) != 0, "%d", (int)seq);
		ck_assert_int_eq(r, agent_of(seq) == 0 ? SCAN_GAP : SCAN_EVENT);
		if (r == SCAN_EVENT) {
			ck_assert_uint_eq(event.seq, seq);
			ck_assert_uint_eq(event.record.agent, agent_of(seq));
		}
		seq++;
	}
	for (; seq < view.end_seq; seq++)
		ck_assert(!wanted(seq, set) && agent_of(seq) != 0);
	ck_assert_uint_le(steps, most_steps);
	scan_done(&s);
	places_clear(&places);
}

static void walk_back(uint64_t from, size_t set)
{
	Places places = { .agents = sets[set].agents, .n_agents = sets[set].n };
	uint64_t seq = from;
	ScanEvent event;
	Scan s;

	ck_assert_int_eq(scan_init(&s, reader, &view, from), 0);
	for (;;) {
		ck_assert_int_eq(scan_skip_back(&s, &places), 0);
		if (scan_previous(&s, &event) == SCAN_END)
			break;
		for (seq--; seq > event.seq; seq--)
			ck_assert(!wanted(seq, set));
		ck_assert_uint_eq(event.record.agent, agent_of(seq));
	}
	for (seq--; seq > 0; seq--)
		ck_assert(!wanted(seq, set));
	scan_done(&s);
	places_clear(&places);
}

START_TEST(test_skips)
{
	for (uint64_t from = 1; from <= view.end_seq; from += 1777) {
		walk(from, (size_t)_i, SIZE_MAX);
		walk_back(from, (size_t)_i);
	}
}
END_TEST

/* An agent that is rare costs few steps: its events, the holes, and what is not sealed. */
START_TEST(test_few_steps)
{
	walk(1, 2, 1 + 20 + sizes[3]);
}
END_TEST

/* One is gone, and the places of the one before it are known: all of it is a gap. */
START_TEST(test_gone)
{
	Places places = { .agents = sets[2].agents, .n_agents = 1 };
	uint64_t second = view.table->infos[2].base, gap;
	ScanEvent event;
	Scan s;

	ck_assert_int_eq(scan_init(&s, reader, &view, 1), 0);
	ck_assert_int_eq(scan_skip(&s, &places), 0);
	ck_assert(places.at && places.base == 1);
	scan_done(&s);
	ck_assert_int_eq(unlinkat(dir.fd, "00000000000000003002.ndjson", 0), 0);
	ck_assert_uint_eq(second, 3002);
	ck_assert_int_eq(scan_init(&s, reader, &view, second), 0);
	ck_assert_int_eq(scan_skip(&s, &places), 0);
	ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_GAP);
	ck_assert_uint_eq(gap, second);
	ck_assert_uint_eq(s.seq, view.table->infos[2].end);
	scan_done(&s);
	places_clear(&places);
}
END_TEST

/* Records that make no sense may have been anybody's. */
START_TEST(test_nonsense)
{
	_cleanup_segment_ Segment *s = NULL;
	Places places = { .agents = sets[0].agents, .n_agents = 1 };
	IndexRecord rotten;

	memset(&rotten, 0xa5, sizeof(rotten));
	ck_assert_int_eq(segment_open(dir.fd, 1, false, &s), 0);
	ck_assert_int_eq(
		pwrite(s->idx_fd, &rotten, sizeof(rotten), 10 * sizeof(rotten)), sizeof(rotten));
	ck_assert_int_eq(postings_find(dir.fd, s, sizes[0], &places), 0);
	ck_assert_uint_eq(places.at[places_before(&places, 10)], 10);
	places_clear(&places);
}
END_TEST

/* ---- The file ---- */

static Segment *open_first(void)
{
	Segment *s;

	ck_assert_int_eq(segment_open(dir.fd, 1, false, &s), 0);
	return s;
}

static size_t file_bytes(void)
{
	struct stat st;

	ck_assert_int_eq(fstatat(dir.fd, "00000000000000000001.post", &st, 0), 0);
	return (size_t)st.st_size;
}

/* Makes the file. */
static void make(const Segment *s, uint32_t n_events)
{
	_cleanup_postings_ Postings p = { 0 };

	ck_assert_int_eq(postings_build(s, n_events, &p), 0);
	ck_assert_int_eq(postings_save(&p, dir.fd), 0);
}

static void assert_found(const Segment *s, uint32_t n_events)
{
	const uint64_t agent = 42;
	Places places = { .agents = &agent, .n_agents = 1 };
	size_t i = 0;

	ck_assert_int_eq(postings_find(dir.fd, s, n_events, &places), 0);
	ck_assert(places.at && places.base == 1);
	for (uint32_t place = 0; place < n_events; place++)
		if (agent_of(place + 1) == agent || agent_of(place + 1) == 0)
			ck_assert_uint_eq(places.at[i++], place);
	ck_assert_uint_eq(places.n, i);
	places_clear(&places);
}

START_TEST(test_file)
{
	_cleanup_segment_ Segment *s = open_first();

	ck_assert_int_eq(postings_check(dir.fd, s, sizes[0]), 0);
	make(s, sizes[0]);
	ck_assert_int_eq(postings_check(dir.fd, s, sizes[0]), 1);
	assert_found(s, sizes[0]);
	/* Made by whoever asks. */
	ck_assert_int_eq(unlinkat(dir.fd, "00000000000000000001.post", 0), 0);
	assert_found(s, sizes[0]);
	ck_assert_int_eq(postings_check(dir.fd, s, sizes[0]), 1);
}
END_TEST

/* Each byte of header and table, and some of the places: it is noticed, said, and mended. */
START_TEST(test_rotten)
{
	_cleanup_segment_ Segment *s = open_first();
	size_t bytes, step = 1;

	make(s, sizes[0]);
	bytes = file_bytes();
	for (size_t i = 0; i < bytes; i += step) {
		_cleanup_close_ int fd =
			openat(dir.fd, "00000000000000000001.post", O_RDWR | O_CLOEXEC);
		char byte;

		step = i < 64 ? 5 : 2503;
		ck_assert_int_eq(pread(fd, &byte, 1, (off_t)i), 1);
		byte ^= (char)(1 << i % 8);
		ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)i), 1);
		ck_assert_int_eq(postings_check(dir.fd, s, sizes[0]), -EBADMSG);
		assert_found(s, sizes[0]);
		make(s, sizes[0]);
	}
}
END_TEST

START_TEST(test_torn)
{
	_cleanup_segment_ Segment *s = open_first();
	size_t bytes;

	make(s, sizes[0]);
	bytes = file_bytes();
	for (size_t i = 0; i < bytes; i += i < 50 ? 10 : 2503) {
		_cleanup_close_ int fd =
			openat(dir.fd, "00000000000000000001.post", O_RDWR | O_CLOEXEC);

		ck_assert_int_eq(ftruncate(fd, (off_t)i), 0);
		ck_assert_int_eq(postings_check(dir.fd, s, sizes[0]), -ENODATA);
		/* Or with blocks that were never written. */
		ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
		ck_assert_int_eq(postings_check(dir.fd, s, sizes[0]), -ENODATA);
		assert_found(s, sizes[0]);
		make(s, sizes[0]);
	}
}
END_TEST

/* Of the segment as it was before its end was cut off. */
START_TEST(test_of_another_state)
{
	_cleanup_segment_ Segment *s = open_first();
	const off_t len = 2990 * (off_t)sizeof(IndexRecord);

	make(s, sizes[0]);
	ck_assert_int_eq(ftruncate(s->idx_fd, len), 0);
	ck_assert_int_eq(postings_check(dir.fd, s, 2990), -EBADMSG);
	assert_found(s, 2990);
	ck_assert_int_eq(postings_check(dir.fd, s, 2990), 1);
}
END_TEST

START_TEST(test_refused)
{
	_cleanup_segment_ Segment *s = open_first();
	_cleanup_postings_ Postings p = { 0 };

	ck_assert_int_eq(postings_build(s, sizes[0] + 1, &p), -EBADMSG);
	ck_assert_int_eq(postings_build(s, 0, &p), -EBADMSG);
	ck_assert_int_eq(postings_build(s, POSTINGS_MAX_EVENTS + 1, &p), -EBADMSG);
	/* Of a segment that retention has taken nothing is left behind. */
	ck_assert_int_eq(postings_build(s, sizes[0], &p), 0);
	ck_assert_int_eq(unlinkat(dir.fd, "00000000000000000001.ndjson", 0), 0);
	ck_assert_int_eq(postings_save(&p, dir.fd), -ENOENT);
	ck_assert_int_eq(faccessat(dir.fd, "00000000000000000001.post", F_OK, 0), -1);
	ck_assert_int_eq(faccessat(dir.fd, "postings.new", F_OK, 0), -1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("postings");
	TCase *t = tcase_create("skips");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, test_skips, 0, ARRAY_SIZE(sets));
	tcase_add_test(t, test_few_steps);
	tcase_add_test(t, test_gone);
	tcase_add_test(t, test_nonsense);
	suite_add_tcase(s, t);
	t = tcase_create("file");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_file);
	tcase_add_test(t, test_rotten);
	tcase_add_test(t, test_torn);
	tcase_add_test(t, test_of_another_state);
	tcase_add_test(t, test_refused);
	suite_add_tcase(s, t);
	return s;
}
