#include "daemon/eventlog/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tests/lib/check-main.h"
#include "tests/lib/log-fixture.h"

static LogFixture f;
static Reader *reader;

static void setup(void)
{
	log_fixture_init(&f);
	f.options.segment_bytes = 64UL * 1024;
}

static void teardown(void)
{
	if (reader)
		reader_stop(reader);
	reader_free(reader);
	log_fixture_done(&f);
}

static void emit(size_t n)
{
	uint64_t from = eventlog_end_seq(f.log);

	for (size_t i = 0; i < n; i++)
		log_fixture_emit(&f, EVENT_TYPE_DAEMON_STOPPING, NULL, i % 40);
	log_fixture_wait(&f, from + n - 1);
}

/* ---- On the reader's thread ---- */

typedef struct Job {
	ReaderJob job;
	LogView view;
	void (*f)(Reader *r, const LogView *view);
	bool done;
} Job;

static bool run_job(ReaderJob *job, Reader *r)
{
	Job *j = container_of(job, Job, job);

	j->f(r, &j->view);
	return false;
}

static void job_done(ReaderJob *job)
{
	Job *j = container_of(job, Job, job);

	log_view_release(&j->view);
	j->done = true;
}

/* Has the reader do it, on the log as it is now. */
static void on_reader(void (*function)(Reader *r, const LogView *view))
{
	Job j = {
		.job = { .run = run_job, .done = job_done },
		.view = eventlog_view(f.log),
		.f = function,
	};

	if (!reader)
		ck_assert_int_eq(reader_new(eventlog_dirfd(f.log), NULL, f.main, &reader), 0);
	reader_post(reader, &j.job);
	while (!j.done)
		log_fixture_pump(&f);
}

/* ---- What is there ---- */

static const char *line_at; /* of what came to main, the next line to be compared */

/* Step by step, or by itself where there is no scan. */
static void assert_next_line(Scan *s, const ScanEvent *event)
{
	_cleanup_buf_ Buf alone = { 0 };
	const char *line;
	size_t len;

	if (s) {
		ck_assert_int_eq(scan_line(s, event, &line, &len), 0);
	} else {
		ck_assert_int_eq(scan_read_line(event, &alone), 0);
		line = alone.data;
		len = alone.len;
	}
	ck_assert_uint_eq(len, event->record.end - event->start);
	ck_assert_mem_eq(line, line_at, len);
	line_at += len;
}

static void walk_forward(Reader *r, const LogView *view)
{
	ScanEvent event;
	uint64_t gap;
	Scan s;

	line_at = f.lines.data;
	ck_assert_int_eq(scan_init(&s, r, view, view->oldest_seq), 0);
	for (uint64_t seq = view->oldest_seq; seq < view->end_seq; seq++) {
		ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_EVENT);
		ck_assert_uint_eq(event.seq, seq);
		ck_assert_uint_eq(s.seq, seq + 1);
		assert_next_line(&s, &event);
	}
	ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_END);
	ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_END);
	ck_assert_ptr_eq(line_at, f.lines.data + f.lines.len);
	scan_done(&s);
	scan_done(&s);
}

/* Returns how many runs there were. */
static size_t walk_runs_of(Reader *r, const LogView *view, size_t bytes)
{
	uint64_t gap, seq = view->oldest_seq;
	size_t n = 0, held = 0;
	ScanRun run;
	Scan s;

	line_at = f.lines.data;
	ck_assert_int_eq(scan_init(&s, r, view, seq), 0);
	for (; scan_next_run(&s, bytes, &run, &gap) == SCAN_EVENT; n++) {
		uint32_t start = run.start;

		ck_assert_uint_eq(run.seq, seq);
		ck_assert_uint_ge(run.n, 1);
		ck_assert(run.n == 1 || run.records[run.n - 1].end - run.start <= bytes);
		for (size_t i = 0; i < run.n; i++) {
			ScanEvent event = {
				.seq = seq++,
				.record = run.records[i],
				.start = start,
				.segment = run.segment,
			};

			start = event.record.end;
			assert_next_line(NULL, &event);
		}
		ck_assert_uint_eq(s.seq, seq);
		held = run.n > held ? run.n : held;
	}
	ck_assert_uint_eq(seq, view->end_seq);
	ck_assert_ptr_eq(line_at, f.lines.data + f.lines.len);
	ck_assert(held > 1 || bytes == 1);
	scan_done(&s);
	return n;
}

static void walk_runs(Reader *r, const LogView *view)
{
	size_t alone = walk_runs_of(r, view, 1), some = walk_runs_of(r, view, 1000);

	ck_assert_uint_eq(alone, view->end_seq - view->oldest_seq);
	ck_assert_uint_lt(some, alone);
	ck_assert_uint_lt(walk_runs_of(r, view, SIZE_MAX), some);
}

/* Lines near each other and lines far apart, twice the same, and one of an earlier segment. */
static void read_some(Reader *r, const LogView *view)
{
	const char *line, *at = f.lines.data;
	ScanEvent event, first;
	uint64_t gap;
	size_t len;
	Scan s;

	ck_assert_int_eq(scan_init(&s, r, view, view->oldest_seq), 0);
	for (uint64_t i = 0; scan_next(&s, &event, &gap) == SCAN_EVENT; i++) {
		size_t want = event.record.end - event.start;

		if (i == 0) {
			first = event;
			segment_ref(first.segment);
		}
		for (unsigned again = 0; again < 2 && (i % 1000 < 5 || i % 1000 == 500); again++) {
			ck_assert_int_eq(scan_line(&s, &event, &line, &len), 0);
			ck_assert_uint_eq(len, want);
			ck_assert_mem_eq(line, at, len);
		}
		at += want;
	}
	ck_assert_int_eq(scan_line(&s, &first, &line, &len), 0);
	ck_assert_mem_eq(line, f.lines.data, len);
	segment_unref(first.segment);
	scan_done(&s);
}

/* From the end to the beginning, and on the way forward again a few. */
static void walk_backward(Reader *r, const LogView *view)
{
	ScanEvent event, again;
	uint64_t gap;
	Scan s;

	ck_assert_int_eq(scan_init(&s, r, view, view->end_seq), 0);
	for (uint64_t seq = view->end_seq - 1; seq >= view->oldest_seq; seq--) {
		ck_assert_int_eq(scan_previous(&s, &event), SCAN_EVENT);
		ck_assert_uint_eq(event.seq, seq);
		ck_assert_uint_eq(s.seq, seq);
		if (seq % 100 != 0)
			continue;
		ck_assert_int_eq(scan_next(&s, &again, &gap), SCAN_EVENT);
		ck_assert_uint_eq(again.seq, seq);
		ck_assert_uint_eq(again.start, event.start);
		ck_assert_int_eq(scan_previous(&s, &event), SCAN_EVENT);
		ck_assert_uint_eq(event.seq, seq);
	}
	ck_assert_int_eq(scan_previous(&s, &event), SCAN_END);
	scan_done(&s);
}

static void find_each(Reader *r, const LogView *view)
{
	ScanEvent event;

	line_at = f.lines.data;
	for (uint64_t seq = view->oldest_seq; seq < view->end_seq; seq++) {
		ck_assert_int_eq(scan_find(r, view, seq, &event), 0);
		ck_assert_uint_eq(event.seq, seq);
		assert_next_line(NULL, &event);
	}
	ck_assert_int_eq(scan_find(r, view, view->end_seq, &event), -ENOENT);
	ck_assert_int_eq(scan_find(r, view, UINT64_MAX, &event), -ENOENT);
}

/* Many segments, or one with more events than are read at once. */
START_TEST(test_whole)
{
	if (_i == 1)
		f.options.segment_bytes = 16UL * 1024 * 1024;
	log_fixture_start(&f);
	emit(5000);
	on_reader(walk_forward);
	on_reader(walk_runs);
	on_reader(read_some);
	on_reader(walk_backward);
	on_reader(find_each);
}
END_TEST

static void walk_nothing(Reader *r, const LogView *view)
{
	ScanEvent event;
	uint64_t gap;
	Scan s;

	ck_assert_int_eq(scan_init(&s, r, view, 1), 0);
	ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_END);
	ck_assert_int_eq(scan_previous(&s, &event), SCAN_END);
	ck_assert_int_eq(scan_find(r, view, 1, &event), -ENOENT);
	scan_done(&s);
}

START_TEST(test_empty)
{
	log_fixture_start(&f);
	on_reader(walk_nothing);
}
END_TEST

/* The log goes on growing under a view: that ends where it ended. */
static void walk_to_view_end(Reader *r, const LogView *view)
{
	ScanEvent event;
	uint64_t gap;
	Scan s;

	ck_assert_uint_eq(view->end_seq, 101);
	ck_assert_int_eq(scan_init(&s, r, view, 50), 0);
	for (uint64_t seq = 50; seq <= 100; seq++)
		ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_EVENT);
	ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_END);
	scan_done(&s);
}

START_TEST(test_view)
{
	Job j = { .job = { .run = run_job, .done = job_done }, .f = walk_to_view_end };

	log_fixture_start(&f);
	emit(100);
	j.view = eventlog_view(f.log);
	emit(3000);
	ck_assert_int_eq(reader_new(eventlog_dirfd(f.log), NULL, f.main, &reader), 0);
	reader_post(reader, &j.job);
	while (!j.done)
		log_fixture_pump(&f);
}
END_TEST

/* ---- What is not ---- */

/* Forwards: every event once, gaps where they are expected; backwards: the same without them. What
 * is not there is from `from` up to before `to`. */
static uint64_t hole_from, hole_to;

static void walk_hole(Reader *r, const LogView *view)
{
	uint64_t seq = view->oldest_seq < hole_from ? view->oldest_seq : hole_from, gap;
	ScanEvent event;
	Scan s;

	ck_assert_int_eq(scan_init(&s, r, view, seq), 0);
	while (seq < view->end_seq) {
		int step = scan_next(&s, &event, &gap);

		if (seq == hole_from) {
			ck_assert_int_eq(step, SCAN_GAP);
			ck_assert_uint_eq(gap, hole_from);
			ck_assert_uint_le(s.seq, hole_to);
			seq = hole_from = s.seq;
			if (s.seq == hole_to)
				hole_from = 0;
			continue;
		}
		ck_assert_int_eq(step, SCAN_EVENT);
		ck_assert_uint_eq(event.seq, seq);
		seq++;
	}
	ck_assert_uint_eq(hole_from, 0);
	ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_END);
	scan_done(&s);
}

static uint64_t n_backward;

static void count_backward(Reader *r, const LogView *view)
{
	uint64_t last = view->end_seq;
	ScanEvent event;
	Scan s;
	int step;

	n_backward = 0;
	ck_assert_int_eq(scan_init(&s, r, view, view->end_seq), 0);
	while ((step = scan_previous(&s, &event)) == SCAN_EVENT) {
		ck_assert_uint_lt(event.seq, last);
		last = event.seq;
		n_backward++;
	}
	ck_assert_int_eq(step, SCAN_END);
	scan_done(&s);
}

static void assert_hole(uint64_t from, uint64_t to, uint64_t n_left)
{
	hole_from = from;
	hole_to = to;
	on_reader(walk_hole);
	on_reader(count_backward);
	ck_assert_uint_eq(n_backward, n_left);
}

/* Numbers that a power cut took. */
START_TEST(test_gap)
{
	uint64_t end;

	log_fixture_start(&f);
	emit(100);
	log_fixture_crash(&f);
	log_fixture_reboot(&f);
	log_fixture_start(&f);
	assert_hole(101, eventlog_end_seq(f.log), 100);
	end = eventlog_end_seq(f.log);
	emit(100);
	assert_hole(101, end, 200);
}
END_TEST

/* What the second segment holds. */
static SegmentInfo second(void)
{
	LogView view = eventlog_view(f.log);
	SegmentInfo info = view.table->infos[1];

	ck_assert_uint_gt(view.table->n, 3);
	log_view_release(&view);
	return info;
}

static const char *path_of(uint64_t base, const char *suffix)
{
	char name[SEGMENT_NAME_LEN + 32] = "log/";

	segment_name(base, suffix, name + 4);
	return temp_dir_path(&f.dir, name);
}

/* A file that is gone, or its index. */
START_TEST(test_missing)
{
	SegmentInfo info;

	log_fixture_start(&f);
	emit(3000);
	info = second();
	ck_assert_int_eq(unlink(path_of(info.base, _i == 0 ? ".ndjson" : ".idx")), 0);
	assert_hole(info.base, info.end, 3000 - (info.end - info.base));
}
END_TEST

/* Older than what the log begins with. */
static void walk_from_one(Reader *r, const LogView *view)
{
	ScanEvent event;
	uint64_t gap;
	Scan s;

	ck_assert_int_eq(scan_init(&s, r, view, 1), 0);
	ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_GAP);
	ck_assert_uint_eq(gap, 1);
	ck_assert_uint_eq(s.seq, view->oldest_seq);
	ck_assert_int_eq(scan_next(&s, &event, &gap), SCAN_EVENT);
	ck_assert_uint_eq(event.seq, view->oldest_seq);
	ck_assert_int_eq(scan_previous(&s, &event), SCAN_EVENT);
	ck_assert_int_eq(scan_previous(&s, &event), SCAN_END);
	ck_assert_int_eq(scan_find(r, view, 1, &event), -ENOENT);
	scan_done(&s);
}

START_TEST(test_pruned)
{
	uint64_t *bases;
	size_t n = 0;

	f.options.retain_bytes = 100000;
	log_fixture_start(&f);
	emit(3000);
	ck_assert_int_eq(eventlog_prune(f.log, 3001, &bases, &n), 0);
	ck_assert_uint_gt(n, 1);
	free(bases);
	ck_assert_uint_gt(eventlog_oldest_seq(f.log), 1);
	on_reader(walk_from_one);
}
END_TEST

/* The end of a sealed segment's index is gone: its beginning still serves. */
START_TEST(test_short_index)
{
	SegmentInfo info;

	log_fixture_start(&f);
	emit(3000);
	info = second();
	ck_assert_int_eq(truncate(path_of(info.base, ".idx"), 10 * sizeof(IndexRecord) + 5), 0);
	assert_hole(info.base + 10, info.end, 3000 - (info.end - info.base - 10));
}
END_TEST

/* ---- Lines that are not what they were ---- */

static uint64_t bad_seq;

static void read_bad(Reader *r, const LogView *view)
{
	_cleanup_buf_ Buf b = { 0 };
	ScanEvent event;

	ck_assert_int_eq(buf_append_str(&b, "kept"), 0);
	/* Found out by the index alone, or with the line. */
	if (scan_find(r, view, bad_seq, &event) == 0)
		ck_assert_int_eq(scan_read_line(&event, &b), -EBADMSG);
	else
		ck_assert_int_eq(scan_find(r, view, bad_seq, &event), -EBADMSG);
	ck_assert_uint_eq(b.len, 4);
	/* Its neighbours are not hurt. */
	ck_assert_int_eq(scan_find(r, view, bad_seq - 1, &event), 0);
	ck_assert_int_eq(scan_read_line(&event, &b), 0);
	ck_assert_int_eq(scan_find(r, view, bad_seq + 2, &event), 0);
	ck_assert_int_eq(scan_read_line(&event, &b), 0);
}

/* It lies among what was read ahead. */
static void pass_bad(Reader *r, const LogView *view)
{
	unsigned n_bad = 0;
	const char *line;
	ScanEvent event;
	uint64_t gap;
	size_t len;
	int step;
	Scan s;

	ck_assert_int_eq(scan_init(&s, r, view, view->oldest_seq), 0);
	while ((step = scan_next(&s, &event, &gap)) != SCAN_END) {
		if (step == SCAN_EVENT && scan_line(&s, &event, &line, &len) == 0)
			continue;
		ck_assert_uint_ge(s.seq - 1, bad_seq);
		ck_assert_uint_le(s.seq - 1, bad_seq + 1);
		n_bad++;
	}
	ck_assert_uint_ge(n_bad, 1);
	scan_done(&s);
}

static const struct {
	const char *suffix;
	off_t offset; /* in the record, or from the beginning of the line */
	const char *bytes;
	size_t n;
} rot[] = {
	{ ".ndjson", 60, "?", 1 },
	{ ".idx", offsetof(IndexRecord, crc), "?", 1 },
	{ ".idx", offsetof(IndexRecord, end), "\0\0\0\0", 4 },
	{ ".idx", offsetof(IndexRecord, end), "\xff\xff\xff\xff", 4 },
};

START_TEST(test_rotten)
{
	_cleanup_close_ int fd = -1;
	SegmentInfo info;
	ScanEvent event;
	off_t at;

	log_fixture_start(&f);
	emit(3000);
	info = second();
	bad_seq = info.base + 20;
	at = (off_t)(20 * sizeof(IndexRecord));
	if (rot[_i].offset == 60) {
		_cleanup_segment_ Segment *s = NULL;

		ck_assert_int_eq(segment_open_readonly(eventlog_dirfd(f.log), info.base, &s), 0);
		ck_assert_int_eq(segment_line_start(s, 20, &event.start), 0);
		at = event.start;
	}
	fd = open(path_of(info.base, rot[_i].suffix), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(
		pwrite(fd, rot[_i].bytes, rot[_i].n, at + rot[_i].offset), (ssize_t)rot[_i].n);
	on_reader(read_bad);
	on_reader(pass_bad);
}
END_TEST

/* A record that cannot be is a hole of one event; one whose end is wrong takes the next one's
 * beginning with it. */
START_TEST(test_bad_record)
{
	static const struct {
		size_t offset;
		const char *bytes;
		size_t n, lost;
	} bad[] = {
		{ offsetof(IndexRecord, type), "\0", 1, 1 },
		{ offsetof(IndexRecord, type), "\x7f", 1, 1 },
		{ offsetof(IndexRecord, channel), "\x7f", 1, 1 },
		{ offsetof(IndexRecord, code), "\x7f", 1, 1 },
		{ offsetof(IndexRecord, end), "\0\0\0\0", 4, 1 },
		{ offsetof(IndexRecord, end), "\xff\xff\xff\xff", 4, 2 },
	};
	_cleanup_close_ int fd = -1;
	SegmentInfo info;

	log_fixture_start(&f);
	emit(3000);
	info = second();
	fd = open(path_of(info.base, ".idx"), O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, bad[_i].bytes, bad[_i].n,
				 (off_t)(20 * sizeof(IndexRecord) + bad[_i].offset)),
		(ssize_t)bad[_i].n);
	assert_hole(info.base + 20, info.base + 20 + bad[_i].lost, 3000 - bad[_i].lost);
}
END_TEST

/* ---- Segments that the reader keeps open ---- */

static void open_many(Reader *r, const LogView *view)
{
	Segment *s, *first;

	ck_assert_uint_gt(view->table->n, 12);
	ck_assert_int_eq(reader_segment(r, view->table->infos[0].base, &first), 0);
	ck_assert_int_eq(reader_segment(r, view->table->infos[0].base, &s), 0);
	ck_assert_ptr_eq(s, first);
	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < view->table->n; i++) {
			uint64_t base = view->table->infos[(i * 5) % view->table->n].base;

			ck_assert_int_eq(reader_segment(r, base, &s), 0);
			ck_assert_uint_eq(s->base, base);
			ck_assert_int_eq(reader_segment(r, 999999999, &s), -ENOENT);
		}
	}
}

START_TEST(test_open_segments)
{
	f.options.segment_bytes = 8000;
	log_fixture_start(&f);
	emit(1000);
	on_reader(open_many);
}
END_TEST

/* What is pruned is closed, and no other is. */
static void open_and_forget(Reader *r, const LogView *view)
{
	Segment *open[6], *s;

	for (size_t i = 0; i < ARRAY_SIZE(open); i++) {
		ck_assert_int_eq(reader_segment(r, view->table->infos[i].base, &s), 0);
		open[i] = segment_ref(s);
	}
	reader_forget(r, view->table->infos[4].base);
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		ck_assert_uint_eq(open[i]->refs, i < 4 ? 1 : 2);
	ck_assert_int_eq(reader_segment(r, view->table->infos[5].base, &s), 0);
	ck_assert_ptr_eq(s, open[5]);
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		segment_unref(open[i]);
}

START_TEST(test_forget)
{
	f.options.segment_bytes = 8000;
	log_fixture_start(&f);
	emit(1000);
	on_reader(open_and_forget);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("scan");
	TCase *tc = tcase_create("scan");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_whole, 0, 2);
	tcase_add_test(tc, test_empty);
	tcase_add_test(tc, test_view);
	tcase_add_test(tc, test_gap);
	tcase_add_loop_test(tc, test_missing, 0, 2);
	tcase_add_test(tc, test_pruned);
	tcase_add_test(tc, test_short_index);
	tcase_add_loop_test(tc, test_rotten, 0, ARRAY_SIZE(rot));
	tcase_add_loop_test(tc, test_bad_record, 0, 6);
	tcase_add_test(tc, test_open_segments);
	tcase_add_test(tc, test_forget);
	suite_add_tcase(s, tc);
	return s;
}
