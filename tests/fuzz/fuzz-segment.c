/* Any bytes as a segment of the log, with an index that is missing, made up, or nearly right:
 * recovery comes through, keeps every line up to the first bad one, and what is there afterwards is
 * whole, but for holes.
 *
 * Input: a byte of flags, a byte that cuts the rest in two (the index's part first, in units of 8),
 * then the two parts. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "common/log.h"
#include "daemon/eventlog/log-recover.h"
#include "daemon/eventlog/scan.h"
#include "tests/fuzz/fuzz.h"

#define BASE        41U
#define FLAG_VERIFY 1U
#define FLAG_SKIP   4U  /* the catalog knows it all: nothing is to be delivered */
#define FLAG_RAW    8U  /* the index's part is the index */
#define FLAG_NEARLY 16U /* the index is the right one, xor the index's part */

typedef struct Case {
	unsigned flags;
	const char *index, *lines;
	size_t index_len, lines_len;
	uint64_t good_end; /* one past the last event before the first bad line */
	uint64_t next_seq; /* to be delivered */
} Case;

static char dir_path[64];
static int dir_fd = -1;

/* It would be kept for ever. */
static void remove_torn(void)
{
	char name[SEGMENT_NAME_LEN + 16];

	segment_name(BASE, ".torn", name);
	(void)unlinkat(dir_fd, name, 0);
}

static void remove_dir(void)
{
	static const char *const suffixes[] = { ".ndjson", ".idx" };
	char name[SEGMENT_NAME_LEN + 16];

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		segment_name(BASE, suffixes[i], name);
		(void)unlinkat(dir_fd, name, 0);
	}
	(void)rmdir(dir_path);
}

static void make_dir(void)
{
	if (dir_fd >= 0)
		return;
	log_set_level(LOG_LEVEL_ERROR);
	/* In memory, where that can be: each run writes files. */
	(void)snprintf(dir_path, sizeof(dir_path), "%s/liongate-fuzz-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	FUZZ_CHECK(mkdtemp(dir_path));
	dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(dir_fd >= 0);
	FUZZ_CHECK(atexit(remove_dir) == 0);
}

static void write_file(const char *suffix, const void *bytes, size_t n)
{
	char name[SEGMENT_NAME_LEN + 16];
	_cleanup_close_ int fd = -1;

	segment_name(BASE, suffix, name);
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && fd_write_all(fd, bytes, n) == 0);
}

static uint64_t size_of(int fd)
{
	struct stat st;

	FUZZ_CHECK(fstat(fd, &st) == 0);
	return (uint64_t)st.st_size;
}

static uint64_t resolve(const Uuid *agent_id, void *userdata)
{
	(void)userdata;
	return agent_id->bytes[0];
}

static int on_event(
	uint64_t seq, const IndexRecord *record, const char *line, size_t len, void *userdata)
{
	Case *c = userdata;

	FUZZ_CHECK(seq >= c->next_seq);
	c->next_seq = seq + 1;
	FUZZ_CHECK(record->type > EVENT_TYPE_NONE && record->type < _EVENT_TYPE_MAX);
	if (line && !(c->flags & FLAG_RAW))
		FUZZ_CHECK(len > 0 && memchr(line, '\n', len) == line + len - 1);
	return 0;
}

/* The index as it ought to be, as far as the lines are good. */
static void make_index(Case *c, Buf *index)
{
	const char *line = c->lines, *end = c->lines + c->lines_len, *newline;

	c->good_end = BASE;
	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		size_t len = (size_t)(newline + 1 - line);
		IndexRecord record;

		if (segment_index_line(line, len, c->good_end, resolve, NULL, &record) < 0)
			return;
		line = newline + 1;
		record.end = (uint32_t)(line - c->lines);
		FUZZ_CHECK(buf_append(index, &record, sizeof(record)) == 0);
		c->good_end++;
	}
}

static void write_files(Case *c)
{
	_cleanup_buf_ Buf index = { 0 };

	make_index(c, &index);
	write_file(".ndjson", c->lines, c->lines_len);
	if (c->flags & FLAG_RAW) {
		write_file(".idx", c->index, c->index_len);
	} else if (c->flags & FLAG_NEARLY) {
		for (size_t i = 0; i < index.len && i < c->index_len; i++)
			index.data[i] = (char)(index.data[i] ^ c->index[i]);
		write_file(".idx", index.data, index.len);
	} else {
		write_file(".idx", "", 0);
	}
}

static void recover(Case *c, const Segment *s, unsigned flags, SegmentState *ret)
{
	const EventLogRecovery recovery = {
		.on_event = on_event,
		.resolve = resolve,
		.userdata = c,
	};
	uint64_t from_seq = flags & FLAG_SKIP ? UINT64_MAX : BASE;
	int r;

	c->next_seq = BASE;
	r = segment_recover(s, flags & FLAG_VERIFY, from_seq, &recovery, ret);
	FUZZ_CHECK(r == 0);
	FUZZ_CHECK(segment_cut(dir_fd, s, ret) == 0);
	remove_torn();
	FUZZ_CHECK(
		flags & FLAG_SKIP || c->next_seq <= ret->end); /* a damaged event is passed over */
	FUZZ_CHECK(size_of(s->idx_fd) == (ret->end - BASE) * sizeof(IndexRecord));
	FUZZ_CHECK(size_of(s->fd) == ret->bytes);
}

/* What a reader gets: whole lines, holes, or nothing. How many of the former there are. */
static uint64_t read_lines(const Case *c, Segment *s, const SegmentState *state)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < state->end - BASE; i++) {
		_cleanup_buf_ Buf line = { 0 };
		ScanEvent event = { .seq = BASE + i, .segment = s };
		int r;

		FUZZ_CHECK(segment_read_index(s, i, &event.record, 1) == 1);
		FUZZ_CHECK(segment_line_start(s, i, &event.start) == 0);
		if (segment_is_hole(&event.record)) {
			n++;
			continue;
		}
		r = scan_read_line(&event, &line);
		FUZZ_CHECK(r == 0 || r == -EBADMSG);
		if (r == 0 && !(c->flags & FLAG_RAW))
			FUZZ_CHECK(memchr(line.data, '\n', line.len) == line.data + line.len - 1);
		n += r == 0;
	}
	return n;
}

static void check(Case *c)
{
	/* Every line was looked at. */
	bool sure = (c->flags & FLAG_VERIFY || !(c->flags & (FLAG_RAW | FLAG_NEARLY)));
	/* A record whose CRC is wrong is not made right: nobody knows which of the two is rotten.
	 */
	bool whole = !(c->flags & (FLAG_RAW | FLAG_NEARLY));
	_cleanup_segment_ Segment *s = NULL;
	SegmentState first, second;

	FUZZ_CHECK(segment_open(dir_fd, BASE, false, &s) == 0);
	recover(c, s, c->flags, &first);
	if (sure && !(c->flags & FLAG_RAW))
		FUZZ_CHECK(first.end >= c->good_end);
	if (read_lines(c, s, &first) != first.end - BASE)
		FUZZ_CHECK(!whole);
	recover(c, s, FLAG_VERIFY, &second);
	if (sure)
		FUZZ_CHECK(second.end == first.end && second.bytes == first.bytes);
	if (read_lines(c, s, &second) != second.end - BASE)
		FUZZ_CHECK(!whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Case c;
	size_t cut;

	if (size < 2)
		return 0;
	make_dir();
	cut = 2 + (size_t)data[1] * 8;
	if (cut > size)
		cut = size;
	c = (Case){
		.flags = data[0],
		.index = (const char *)data + 2,
		.index_len = cut - 2,
		.lines = (const char *)data + cut,
		.lines_len = size - cut,
	};
	write_files(&c);
	check(&c);
	return 0;
}
