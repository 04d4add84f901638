/* Thousands of logs that are torn or rotten, each opened as a starting daemon opens it. What is
 * damaged may be lost, and is told of; all that is not damaged is there, byte for byte; no number
 * is given out twice.
 *
 * LIONGATE_ROT_STATE: a state directory as kill -9 left it, which test_rot.py makes;
 * LIONGATE_ROT_CASES: how many of each kind; LIONGATE_FAULTS_SEED. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "daemon/agent/recovery.h"
#include "daemon/check.h"
#include "daemon/eventlog/crc32c.h"
#include "daemon/eventlog/scan.h"
#include "tests/lib/check-main.h"
#include "tests/lib/log-fixture.h"

#define MAX_FILES 64
#define MAX_BYTES (64UL * 1024 * 1024)

/* So many lines at the end are the last batch. */
#define LAST_LINES 6

typedef struct File {
	char name[64]; /* below the state directory */
	uint64_t base; /* 0: not of a segment */
	bool is_index;
	Buf bytes;
	bool missing; /* in the case at hand */
} File;

typedef struct Line {
	uint64_t seq;
	File *file;
	size_t start, end;
	uint32_t crc;
	bool excused; /* it may be lost */
	bool served;
} Line;

static File files[MAX_FILES];
static size_t n_files;
static Line *lines;
static size_t n_lines;

/* The case at hand. */
static struct {
	char what[256];
	LogFixture f;
	Reader *reader;
	LogView view;
	uint64_t lost_from, lost_to;
	bool done;
} now;

static struct {
	unsigned cases, detected, told;
} sums;

/* ---- Chance ---- */

static uint64_t chance_state;

static size_t chance(uint64_t below)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (size_t)(chance_state % below);
}

static unsigned env_number(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* ---- What is on the disk, as it was ---- */

static int load_file(const char *path, const struct stat *st, int type, struct FTW *where)
{
	const char *root = getenv("LIONGATE_ROT_STATE");
	File *file = &files[n_files];
	const char *name = path + strlen(root) + 1, *dot = strrchr(path, '.');

	(void)st;
	if (type != FTW_F || !dot || strcmp(dot, ".lock") == 0)
		return 0;
	ck_assert_uint_lt(n_files, MAX_FILES);
	ck_assert_uint_lt(strlen(name), sizeof(file->name));
	strcpy(file->name, name);
	file->is_index = strcmp(dot, ".idx") == 0;
	if (file->is_index || strcmp(dot, ".ndjson") == 0)
		file->base = strtoull(path + where->base, NULL, 10);
	ck_assert_int_eq(file_read(AT_FDCWD, path, MAX_BYTES, &file->bytes), 0);
	n_files++;
	return 0;
}

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const File *)a)->name, ((const File *)b)->name);
}

static void add_lines(File *file)
{
	uint64_t seq = file->base;
	size_t start = 0;

	for (size_t i = 0; i < file->bytes.len; i++) {
		if (file->bytes.data[i] != '\n')
			continue;
		lines = realloc(lines, (n_lines + 1) * sizeof(*lines));
		ck_assert_ptr_nonnull(lines);
		lines[n_lines++] = (Line){
			.seq = seq++,
			.file = file,
			.start = start,
			.end = i + 1,
			.crc = crc32c(file->bytes.data + start, i + 1 - start),
		};
		start = i + 1;
	}
	ck_assert_uint_eq(start, file->bytes.len);
}

static void load(void)
{
	const char *root = getenv("LIONGATE_ROT_STATE");

	log_set_level(0);
	ck_assert_msg(root != NULL, "LIONGATE_ROT_STATE is not set");
	ck_assert_int_eq(nftw(root, load_file, 16, FTW_PHYS), 0);
	qsort(files, n_files, sizeof(files[0]), compare_files);
	for (size_t i = 0; i < n_files; i++)
		if (files[i].base > 0 && !files[i].is_index)
			add_lines(&files[i]);
	ck_assert_uint_gt(n_lines, 100);
	chance_state = env_number("LIONGATE_FAULTS_SEED", 1) + 0x9e3779b97f4a7c15ULL;
}

static void unload(void)
{
	/* A case that failed has left its files. */
	if (now.f.dir.path[0])
		temp_dir_done(&now.f.dir);
	now.f.dir.path[0] = '\0';
	for (size_t i = 0; i < n_files; i++)
		buf_done(&files[i].bytes);
	memset(files, 0, sizeof(files));
	n_files = n_lines = 0;
	free(lines);
	lines = NULL;
}

static File *find_file(const char *suffix)
{
	for (size_t i = 0; i < n_files; i++) {
		size_t len = strlen(files[i].name), n = strlen(suffix);

		if (len >= n && strcmp(files[i].name + len - n, suffix) == 0)
			return &files[i];
	}
	return NULL;
}

/* ---- What may be lost ---- */

static void excuse_seq(uint64_t seq)
{
	if (seq >= lines[0].seq && seq < lines[0].seq + n_lines)
		lines[seq - lines[0].seq].excused = true;
}

/* Bytes [from, to) of the file are not what they were. */
static void touch(const File *file, size_t from, size_t to)
{
	if (file->base == 0)
		return;
	if (file->is_index) {
		/* A record says where its line ends, and so where the next one begins. */
		for (size_t i = from / sizeof(IndexRecord); i * sizeof(IndexRecord) < to; i++) {
			excuse_seq(file->base + i);
			excuse_seq(file->base + i + 1);
		}
		return;
	}
	for (size_t i = 0; i < n_lines; i++)
		if (lines[i].file == file && lines[i].start < to && lines[i].end > from)
			lines[i].excused = true;
}

/* ---- One case ---- */

static void begin(const char *what, size_t a, size_t b)
{
	now.f = (LogFixture){
		.options = {
			.durability = DURABILITY_INTERVAL,
			.sync_interval_us = 1000,
			.segment_bytes = 65536,
		},
	};
	snprintf(now.what, sizeof(now.what), "%s, %zu, %zu", what, a, b);
	for (size_t i = 0; i < n_lines; i++)
		lines[i].excused = lines[i].served = false;
	for (size_t i = 0; i < n_files; i++)
		files[i].missing = false;
}

static void write_files(void)
{
	int dirfd;

	temp_dir_init(&now.f.dir);
	dirfd = now.f.dir.fd;
	ck_assert_int_eq(mkdirat(dirfd, "log", 0700), 0);
	for (size_t i = 0; i < n_files; i++) {
		_cleanup_close_ int fd = -1;

		if (files[i].missing)
			continue;
		fd = openat(dirfd, files[i].name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(fd_write_all(fd, files[i].bytes.data, files[i].bytes.len), 0);
	}
}

/* What liongated --check says of it: how many problems, all of them said. */
static uint64_t check(char **ret_text)
{
	Config config = { .state_dir = now.f.dir.path };
	uint64_t problems = 0;
	size_t len;
	FILE *out = open_memstream(ret_text, &len);
	int r = check_state(&config, out);

	fclose(out);
	ck_assert_msg(r == 0 || r == -EBADMSG, "%s: the check fails: %d", now.what, r);
	if (r < 0)
		problems = 1;
	return problems;
}

static bool scan_run(ReaderJob *job, Reader *r)
{
	_cleanup_buf_ Buf line = { 0 };
	ScanEvent event;
	uint64_t gap;
	Scan s;
	int step;

	(void)job;
	ck_assert_int_eq(scan_init(&s, r, &now.view, now.view.oldest_seq), 0);
	while ((step = scan_next(&s, &event, &gap)) != SCAN_END) {
		Line *l;

		ck_assert_msg(step >= 0, "%s: the scan fails: %d", now.what, step);
		if (step == SCAN_GAP || event.seq < lines[0].seq ||
			event.seq >= lines[0].seq + n_lines)
			continue;
		l = &lines[event.seq - lines[0].seq];
		line.len = 0;
		if (scan_read_line(&event, &line) < 0)
			continue;
		l->served = true;
		ck_assert_msg(crc32c(line.data, line.len) == l->crc,
			"%s: event %llu is rotten, and served as if it were right", now.what,
			(unsigned long long)event.seq);
	}
	scan_done(&s);
	return false;
}

static void scan_done_job(ReaderJob *job)
{
	(void)job;
	now.done = true;
}

/* As a daemon does it. */
static void start(void)
{
	LogFixture *f = &now.f;
	ReaderJob job = { .run = scan_run, .done = scan_done_job };
	Registry registry = { 0 };
	Catalog *catalog = NULL;
	CatalogStats totals;
	uint64_t applied;
	int r = eventlog_open(f->dir.path, &f->options, &f->log);

	ck_assert_msg(r == 0, "%s: not opened: %d", now.what, r);
	r = recovery_run(f->dir.path, f->log, &registry, &catalog, &applied, &totals);
	ck_assert_msg(r == 0, "%s: not recovered: %d", now.what, r);
	registry_done(&registry);
	eventlog_lost(f->log, &now.lost_from, &now.lost_to);
	log_fixture_run(f);
	ck_assert_int_eq(reader_new(eventlog_dirfd(f->log), catalog, f->main, &now.reader), 0);
	now.view = eventlog_view(f->log);
	now.done = false;
	reader_post(now.reader, &job);
	while (!now.done)
		log_fixture_pump(f);
	log_view_release(&now.view);
}

static void stop(void)
{
	uint64_t seq = eventlog_end_seq(now.f.log);

	log_fixture_announce(&now.f);
	log_fixture_wait(&now.f, seq);
	reader_stop(now.reader);
	log_fixture_stop(&now.f);
	reader_free(now.reader);
}

static bool is_told(uint64_t seq, uint64_t end_seq)
{
	return (seq >= now.lost_from && seq <= now.lost_to) || seq < end_seq;
}

/* From `fresh_seq` on they were never committed, so their numbers may be given out; 0: all were. */
static void assert_kept(uint64_t end_seq, uint64_t fresh_seq)
{
	for (size_t i = 0; i < n_lines; i++) {
		const Line *l = &lines[i];

		if (l->served)
			continue;
		ck_assert_msg(
			l->excused, "%s: event %llu is lost", now.what, (unsigned long long)l->seq);
		ck_assert_msg((fresh_seq > 0 && l->seq >= fresh_seq) || is_told(l->seq, end_seq),
			"%s: nothing tells that event %llu is lost, and its number is given out "
			"again",
			now.what, (unsigned long long)l->seq);
		sums.told++;
	}
}

typedef struct Expect {
	bool detected; /* --check must see it */
	uint64_t fresh_seq;
	bool sound; /* and after the start there is nothing to see any more */
} Expect;

static void run(Expect expect)
{
	char *before = NULL, *after = NULL;
	uint64_t problems, end_seq;

	write_files();
	problems = check(&before);
	ck_assert_msg(problems > 0 || !expect.detected, "%s: not seen by --check", now.what);
	sums.cases++;
	sums.detected += problems > 0;
	start();
	end_seq = eventlog_end_seq(now.f.log);
	assert_kept(end_seq, expect.fresh_seq);
	stop();
	problems = check(&after);
	ck_assert_msg(problems == 0 || !expect.sound, "%s: after the start: %s", now.what, after);
	free(before);
	free(after);
	temp_dir_done(&now.f.dir);
	now.f.dir.path[0] = '\0';
	buf_done(&now.f.lines);
}

static void summary(const char *name)
{
	printf("%s: %u cases, %u seen by --check, %u events lost and told\n", name, sums.cases,
		sums.detected, sums.told);
	fflush(stdout);
	memset(&sums, 0, sizeof(sums));
}

/* ---- Torn ---- */

/* `boot`: the machine was started anew since. */
static void set_boot(bool other)
{
	File *meta = find_file("log.json");
	char *id = strstr(meta->bytes.data, "\"boot_id\":\"");

	ck_assert_ptr_nonnull(id);
	id += strlen("\"boot_id\":\"");
	if (other)
		*id = *id == 'f' ? '0' : 'f';
}

typedef struct Saved {
	File *file;
	char *data;
	size_t len;
} Saved;

static Saved save(File *file)
{
	Saved s = { .file = file, .data = malloc(file->bytes.len + 1), .len = file->bytes.len };

	ck_assert_ptr_nonnull(s.data);
	memcpy(s.data, file->bytes.data, s.len);
	return s;
}

static void restore(Saved *s)
{
	s->file->bytes.len = 0;
	ck_assert_int_eq(buf_append(&s->file->bytes, s->data, s->len), 0);
	free(s->data);
}

static File *index_of(const File *segment)
{
	for (size_t i = 0; i < n_files; i++)
		if (files[i].is_index && files[i].base == segment->base)
			return &files[i];
	ck_abort_msg("no index");
}

/* How much of the index of the last batch was written. */
enum { INDEX_BEFORE, INDEX_ALL, INDEX_HALF, _INDEX_MAX };

/* Cut at every byte of the last batch. */
START_TEST(test_cut)
{
	File *last = lines[n_lines - 1].file, *index = index_of(last);
	size_t first = n_lines - LAST_LINES, step = env_number("LIONGATE_ROT_STEP", 1);
	Saved text = save(last), records = save(index), meta = save(find_file("log.json"));
	size_t kept[_INDEX_MAX] = {
		[INDEX_BEFORE] = index->bytes.len - LAST_LINES * sizeof(IndexRecord),
		[INDEX_ALL] = index->bytes.len,
		[INDEX_HALF] = index->bytes.len - LAST_LINES * sizeof(IndexRecord) / 2 - 7,
	};
	int kind = _i % _INDEX_MAX;

	ck_assert_ptr_eq(lines[first].file, last);
	set_boot(_i >= _INDEX_MAX);
	for (size_t len = lines[first].start + chance(step); len < text.len; len += step) {
		begin("cut", len, (size_t)_i);
		last->bytes.len = len;
		index->bytes.len = kept[kind];
		touch(last, len, text.len);
		run((Expect){
			/* Where lines and index end together, nothing tells that there was more. */
			.detected = kind != INDEX_BEFORE || len > lines[first].start,
			.fresh_seq = last->base + kept[kind] / sizeof(IndexRecord),
			.sound = true,
		});
	}
	restore(&text);
	restore(&records);
	restore(&meta);
	summary(kind == INDEX_BEFORE ? "cut, before the index"
		: kind == INDEX_ALL  ? "cut, behind the index"
				     : "cut, in the index");
}
END_TEST

static const struct {
	const char *what, *bytes;
	size_t len;
} tails[] = {
	{ "within a UTF-8 sequence", PROTOCOL_EVENT_PREFIX "{\"seq\":1,\"x\":\"\xc3", 0 },
	{ "within JSON", PROTOCOL_EVENT_PREFIX "{\"seq\":", 0 },
	{ "valid JSON without a newline", "{\"jsonrpc\":\"2.0\"}", 0 },
	{ "a newline", "\n", 0 },
	{ "another's line", "something else entirely\n", 0 },
	{ "NUL", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
		40 },
};

START_TEST(test_tails)
{
	File *last = lines[n_lines - 1].file;
	Saved text = save(last), meta = save(find_file("log.json"));

	set_boot(_i > 0);
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		size_t len = tails[i].len > 0 ? tails[i].len : strlen(tails[i].bytes);

		for (unsigned times = 1; times <= 4096; times *= 64) {
			begin(tails[i].what, times, (size_t)_i);
			last->bytes.len = text.len;
			for (unsigned n = 0; n < times; n++)
				ck_assert_int_eq(buf_append(&last->bytes, tails[i].bytes, len), 0);
			run((Expect){ .detected = true, .sound = true });
		}
	}
	/* The last line, without its newline: whole, but nobody had it. */
	begin("no newline", 0, (size_t)_i);
	last->bytes.len = text.len - 1;
	touch(last, text.len - 1, text.len);
	run((Expect){ .detected = true, .sound = true });
	restore(&text);
	restore(&meta);
	summary("tails");
}
END_TEST

/* ---- Files ---- */

/* Each file of the log: empty, missing, its first half, NUL from its half on, padded with NUL. */
START_TEST(test_files)
{
	static const char *const whats[] = { "empty", "missing", "half", "zeroed", "padded" };

	for (size_t i = 0; i < n_files; i++) {
		File *file = &files[i];
		Saved bytes = save(file);
		size_t half = bytes.len / 2, from[] = { 0, 0, half, half, bytes.len };
		char zeros[4096] = { 0 };

		if (file->base == 0)
			continue;
		begin(whats[_i], i, 0);
		touch(file, from[_i], bytes.len);
		if (_i == 3)
			memset(file->bytes.data + half, 0, bytes.len - half);
		else if (_i == 4)
			ck_assert_int_eq(buf_append(&file->bytes, zeros, sizeof(zeros)), 0);
		else
			file->bytes.len = from[_i];
		file->missing = _i == 1;
		/* The oldest segment may have gone with retention. */
		run((Expect){ .detected = !(_i == 1 && file->base == lines[0].seq) });
		restore(&bytes);
	}
	summary(whats[_i]);
}
END_TEST

/* An index that ends earlier, that is another segment's, or whose records are one out of step. */
START_TEST(test_stale_index)
{
	for (size_t i = 0; i < n_files; i++) {
		File *file = &files[i], *other = &files[(i + 2) % n_files];
		Saved bytes = save(file);

		if (!file->is_index)
			continue;
		if (!other->is_index)
			other = index_of(lines[0].file);
		begin("stale", i, (size_t)_i);
		touch(file, 0, bytes.len);
		if (_i == 0) {
			file->bytes.len =
				sizeof(IndexRecord) * chance(bytes.len / sizeof(IndexRecord));
		} else if (_i == 1) {
			Saved others = save(other);

			file->bytes.len = 0;
			ck_assert_int_eq(buf_append(&file->bytes, others.data, others.len), 0);
			free(others.data);
		} else {
			memmove(file->bytes.data, file->bytes.data + sizeof(IndexRecord),
				bytes.len - sizeof(IndexRecord));
		}
		run((Expect){ .detected = file != other || _i != 1 });
		restore(&bytes);
	}
	summary("stale index");
}
END_TEST

/* ---- Bits ---- */

/* The reserved byte of a record says nothing. */
static bool is_reserved(const File *file, size_t at)
{
	return file->is_index && at % sizeof(IndexRecord) == offsetof(IndexRecord, reserved);
}

static void flip(File *file, size_t at, unsigned bit, Expect expect)
{
	begin(file->name, at, bit);
	file->bytes.data[at] ^= (char)(1U << bit);
	touch(file, at, at + 1);
	run(expect);
	file->bytes.data[at] ^= (char)(1U << bit);
}

START_TEST(test_bits)
{
	unsigned n = env_number("LIONGATE_ROT_CASES", 100);
	Saved meta = save(find_file("log.json"));

	set_boot(_i > 0);
	for (unsigned i = 0; i < n; i++) {
		File *file;
		size_t at;

		do {
			file = &files[chance(n_files)];
		} while (file->base == 0 || file->bytes.len == 0);
		at = chance(file->bytes.len);
		flip(file, at, (unsigned)chance(8), (Expect){ .detected = !is_reserved(file, at) });
	}
	restore(&meta);
	summary("bits of the log");
}
END_TEST

/* Every byte of log.json, and many of the catalog: of these two nothing in the log depends. */
START_TEST(test_other_bits)
{
	static const char *const names[] = { "log.json", "catalog.db", "catalog.db-wal",
		"catalog.db-shm" };
	File *file = find_file(names[_i]);
	unsigned n = env_number("LIONGATE_ROT_CASES", 100);

	if (!file || file->bytes.len == 0)
		return;
	for (unsigned i = 0; i < n; i++) {
		size_t at = _i == 0 ? i % file->bytes.len : chance(file->bytes.len);

		flip(file, at, (unsigned)chance(8), (Expect){ 0 });
	}
	summary(names[_i]);
}
END_TEST

/* Files that are made anew. */
START_TEST(test_other_files)
{
	static const char *const names[] = { "log.json", "catalog.db", "catalog.db-wal",
		"catalog.db-shm" };

	for (size_t i = 0; i < ARRAY_SIZE(names) * 4; i++) {
		File *file = find_file(names[i / 4]);
		Saved bytes;

		if (!file)
			continue;
		bytes = save(file);
		begin(file->name, i % 4, 0);
		if (i % 4 == 0)
			file->missing = true;
		else if (i % 4 == 1)
			file->bytes.len = 0;
		else if (i % 4 == 2)
			file->bytes.len /= 2;
		else
			memset(file->bytes.data, 'x', file->bytes.len);
		run((Expect){ 0 });
		restore(&bytes);
	}
	summary("other files");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("rot");
	TCase *tc = tcase_create("rot");

	tcase_add_checked_fixture(tc, load, unload);
	tcase_set_timeout(tc, 3600);
	tcase_add_loop_test(tc, test_cut, 0, 2 * _INDEX_MAX);
	tcase_add_loop_test(tc, test_tails, 0, 2);
	tcase_add_loop_test(tc, test_files, 0, 5);
	tcase_add_loop_test(tc, test_stale_index, 0, 3);
	tcase_add_loop_test(tc, test_bits, 0, 2);
	tcase_add_loop_test(tc, test_other_bits, 0, 4);
	tcase_add_test(tc, test_other_files);
	suite_add_tcase(s, tc);
	return s;
}
