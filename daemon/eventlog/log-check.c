#include "daemon/eventlog/log-check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/jsonx.h"
#include "daemon/eventlog/crc32c.h"
#include "daemon/eventlog/log-recover.h"
#include "daemon/eventlog/postings.h"

#define RECORDS_AT_ONCE 2048U
#define READ_BYTES      (256U * 1024)

typedef struct Walk {
	LogCheck *check;
	Findings *findings;
	Segment segment; /* its descriptors are the walk's */
	bool last;
	bool open_end; /* last, and a daemon is writing to it */
	uint64_t size; /* of the file when it was opened */
	uint64_t n;    /* lines so far */
	uint64_t pos;  /* where the line at hand begins */
	Buf data;
	size_t start;    /* of the line at hand in it */
	size_t searched; /* up to here there is no end of that line */
	uint64_t skew;   /* by how much the lines' numbers were off last */
	uint64_t n_index;
	IndexRecord *records;
	uint64_t first;
	size_t n_records;
	char name[SEGMENT_NAME_LEN + 16];
} Walk;

/* ---- Which segments there are ---- */

static uint64_t base_at(const Buf *bases, size_t i)
{
	uint64_t base;

	memcpy(&base, bases->data + i * sizeof(base), sizeof(base));
	return base;
}

int log_check_oldest(int log_dirfd, uint64_t *ret)
{
	_cleanup_buf_ Buf bases = { 0 };
	int r = segment_list(log_dirfd, &bases);

	if (r == 0)
		*ret = bases.len > 0 ? base_at(&bases, 0) : UINT64_MAX;
	return r;
}

/* ---- Holes ---- */

static void note_gap(LogCheck *c, uint64_t from, uint64_t to)
{
	if (c->gap_from == 0)
		c->gap_from = from;
	c->gap_to = to;
	life_check_hole(&c->lives, to + 1);
}

typedef struct Gap {
	uint64_t from, to;
} Gap;

/* False: the event says nothing of it. */
static bool is_announced(LogCheck *c, json_object *event, const Gap *gap)
{
	if (!segment_event_announces(event, gap->from, gap->to))
		return false;
	findings_note(
		c->findings, "gap %" PRIu64 "-%" PRIu64 ", which is announced", gap->from, gap->to);
	return true;
}

/* The event after a gap is the one to announce it; or a later DaemonStarted does, where it was
 * found later. */
static int settle_gaps(LogCheck *c, json_object *event, const IndexRecord *record)
{
	Gap gap = { c->gap_from, c->gap_to }, *gaps = (Gap *)(void *)c->unannounced.data;
	size_t n = c->unannounced.len / sizeof(Gap), kept = 0;

	c->gap_from = c->gap_to = 0;
	for (size_t i = 0; i < n && record->type == EVENT_TYPE_DAEMON_STARTED; i++)
		if (!is_announced(c, event, &gaps[i]))
			gaps[kept++] = gaps[i];
	if (record->type == EVENT_TYPE_DAEMON_STARTED)
		c->unannounced.len = kept * sizeof(Gap);
	if (gap.from == 0 || is_announced(c, event, &gap))
		return 0;
	return buf_append(&c->unannounced, &gap, sizeof(gap));
}

static void report_gaps(LogCheck *c)
{
	const Gap *gaps = (const Gap *)(const void *)c->unannounced.data;

	for (size_t i = 0; i < c->unannounced.len / sizeof(Gap); i++)
		findings_problem(c->findings,
			"gap %" PRIu64 "-%" PRIu64 ", which nothing announces", gaps[i].from,
			gaps[i].to);
	if (c->gap_from > 0)
		findings_note(c->findings, "gap %" PRIu64 "-%" PRIu64 " at the end of the log",
			c->gap_from, c->gap_to);
}

/* ---- One line ---- */

/* NULL: there is none; then that has been said, if it is wrong. */
static const IndexRecord *next_record(Walk *w)
{
	ssize_t n;

	if (w->n >= w->n_index)
		return NULL;
	if (w->n >= w->first + w->n_records) {
		n = segment_read_index(&w->segment, w->n, w->records, RECORDS_AT_ONCE);
		if (n <= 0) {
			findings_problem(w->findings, "the index cannot be read");
			w->n_index = w->n;
			return NULL;
		}
		w->first = w->n;
		w->n_records = (size_t)n;
	}
	return &w->records[w->n - w->first];
}

/* `a` is in the index, `b` what the line says. */
static bool same_meaning(const IndexRecord *a, const IndexRecord *b, uint64_t seq)
{
	/* An agent whose AgentSpawned is gone has a number that only the index knows. */
	bool gone = b->agent == 0 && b->type > EVENT_TYPE_DAEMON_STOPPING && a->agent < seq;

	return (a->agent == b->agent || gone) && a->type == b->type && a->channel == b->channel &&
	       a->code == b->code && a->raw_bytes == b->raw_bytes;
}

/* `expected` NULL: the line makes no sense, so its bytes alone are compared. */
static void check_record(Walk *w, const char *line, size_t len, const IndexRecord *record,
	const IndexRecord *expected)
{
	/* That it is damaged has been said, and the index knows it. */
	if (!expected && segment_is_hole(record))
		return;
	if (record->end != w->pos + len)
		findings_problem(w->findings,
			"the index has it end at byte %" PRIu32 ", not %" PRIu64, record->end,
			w->pos + len);
	else if (record->crc != crc32c(line, len))
		findings_problem(
			w->findings, "the line is not the one that the index has the CRC of");
	else if (expected && !same_meaning(record, expected, w->segment.base + w->n))
		findings_problem(w->findings, "the index says otherwise of it");
}

/* The event in the line; NULL: there is none, and that has been said. */
static int parse_line(Walk *w, const char *line, size_t len, json_object **ret)
{
	const char *text;
	size_t text_len;
	JsonxError why;
	int r;

	if (!segment_is_line(line, len)) {
		findings_problem(w->findings, "the line is no notification of an event");
		return 0;
	}
	text = line_event(line, len, &text_len);
	r = jsonx_parse(text, text_len, ret, &why);
	if (r == -EBADMSG) {
		findings_problem(w->findings, "the event is not JSON: %s (byte %zu of the line)",
			why.why, why.offset + (size_t)(text - line));
		return 0;
	}
	if (r == 0 && !json_object_is_type(*ret, json_type_object)) {
		findings_problem(w->findings, "the event is no JSON object");
		json_object_put(*ret);
		*ret = NULL;
	}
	return r;
}

static uint64_t resolve(const Uuid *id, void *userdata)
{
	const Life *l = life_check_find(userdata, id);

	return l ? l->number : 0;
}

/* A line too many or too few puts all that follow out of step: that is said once. */
static bool check_seq(Walk *w, uint64_t said, uint64_t seq)
{
	uint64_t skew = said - seq;

	if (skew != 0 && skew != w->skew)
		findings_problem(w->findings, "the line says that its seq is %" PRIu64, said);
	w->skew = skew;
	return skew == 0;
}

/* False: it is no event of this place in the log, and that has been said. */
static bool check_members(Walk *w, json_object *event, uint64_t seq, IndexRecord *ret)
{
	const char *time = jsonx_get_string(event, "time", NULL);
	const char *type = jsonx_get_string(event, "type", NULL);
	uint64_t time_us;

	if (!check_seq(w, jsonx_get_uint(event, "seq", 0), seq))
		return false;
	if (!type || protocol_event_from_name(type) < 0)
		findings_problem(w->findings, "no type that is known");
	else if (!time || clock_parse_rfc3339(time, strlen(time), &time_us) < 0)
		findings_problem(w->findings, "`time` is no time");
	else if (segment_index_event(event, seq, resolve, &w->check->lives, ret) < 0)
		findings_problem(w->findings, "the %s has not the members that it must have", type);
	else
		return true;
	return false;
}

static int check_line(Walk *w, const char *line, size_t len)
{
	LogCheck *c = w->check;
	uint64_t seq = w->segment.base + w->n;
	const IndexRecord *record;
	_cleanup_json_ json_object *event = NULL;
	IndexRecord expected;
	bool good;
	int r;

	findings_at(w->findings, seq, w->pos);
	record = next_record(w);
	r = parse_line(w, line, len, &event);
	if (r < 0)
		return r;
	good = event && check_members(w, event, seq, &expected);
	if (record && w->skew == 0)
		check_record(w, line, len, record, good ? &expected : NULL);
	c->events++;
	if (!good) {
		life_check_hole(&c->lives, seq);
		return 0;
	}
	r = settle_gaps(c, event, &expected);
	if (r < 0)
		return r;
	return life_check_event(&c->lives, event, seq, &expected, record ? record->agent : 0);
}

/* ---- One segment ---- */

/* More of the file behind what there is of the line at hand. How many bytes; 0 at the end. */
static ssize_t read_more(Walk *w)
{
	uint64_t at = w->pos + w->data.len - w->start;
	size_t want = w->size - at < READ_BYTES ? (size_t)(w->size - at) : READ_BYTES;
	ssize_t n;
	int r;

	buf_consume(&w->data, w->start);
	w->searched -= w->start;
	w->start = 0;
	if (want == 0)
		return 0;
	r = buf_reserve(&w->data, want);
	if (r < 0)
		return r;
	n = fd_pread_all(w->segment.fd, w->data.data + w->data.len, want, (off_t)at);
	if (n < 0)
		return n;
	if ((size_t)n < want)
		w->size = at + (size_t)n; /* it was cut meanwhile */
	w->data.len += (size_t)n;
	return n;
}

/* 1: *ret_len bytes from w->start on are the line at hand; 0: the file ends before it does. */
static int find_line(Walk *w, size_t *ret_len)
{
	ssize_t n = 1;

	while (n > 0) {
		size_t left = w->data.len - w->searched;
		const char *newline =
			left > 0 ? memchr(w->data.data + w->searched, '\n', left) : NULL;

		if (newline) {
			*ret_len = (size_t)(newline + 1 - w->data.data) - w->start;
			return 1;
		}
		w->searched = w->data.len;
		n = read_more(w);
	}
	return n < 0 ? (int)n : 0;
}

static int check_lines(Walk *w)
{
	size_t len = 0;
	int r;

	while ((r = find_line(w, &len)) > 0) {
		r = check_line(w, w->data.data + w->start, len);
		if (r < 0)
			return r;
		w->n++;
		w->pos += len;
		w->start += len;
		w->searched = w->start;
	}
	return r;
}

/* What stands behind the last line, and behind its record. */
static void check_ends(Walk *w)
{
	uint64_t torn = w->size - w->pos;

	findings_at(w->findings, 0, 0);
	if (w->open_end)
		return;
	if (torn > 0) {
		findings_problem(w->findings,
			"%" PRIu64 " bytes after seq %" PRIu64 ", byte %" PRIu64 " are torn%s",
			torn, w->segment.base + w->n - 1, w->pos,
			w->last ? "; the next start cuts them off" : "");
		life_check_hole(&w->check->lives, w->segment.base + w->n);
	}
	if (w->segment.idx_fd >= 0 && w->n_index != w->n)
		findings_problem(w->findings,
			"the index has %" PRIu64 " records for %" PRIu64 " lines%s", w->n_index,
			w->n, w->last ? "; the next start mends it" : "");
}

/* Retention took it, and all that was before it. */
static int note_pruned(const Walk *w)
{
	w->check->oldest_seq = 0;
	return 0;
}

/* 0: there is none (any more), which has been said where it is wrong. */
static int open_files(Walk *w)
{
	int dirfd = w->check->dirfd;
	char name[SEGMENT_NAME_LEN + 16];
	struct stat st;

	w->segment.fd = openat(dirfd, w->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (w->segment.fd < 0 && errno == ENOENT && w->check->running)
		return note_pruned(w);
	/* Its size first: the index may only be ahead of what is looked at. */
	if (w->segment.fd < 0 || fstat(w->segment.fd, &st) < 0)
		return -errno;
	w->size = (uint64_t)st.st_size;
	segment_name(w->segment.base, ".idx", name);
	w->segment.idx_fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (w->segment.idx_fd < 0 && errno != ENOENT)
		return -errno;
	if (w->segment.idx_fd < 0 && w->check->running &&
		faccessat(dirfd, w->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return note_pruned(w);
	/* A daemon that runs makes the one file after the other. */
	if (w->segment.idx_fd < 0 && w->check->running && w->last)
		return 0;
	if (w->segment.idx_fd < 0) {
		findings_problem(w->findings, "its index, %s, is missing", name);
		return 1;
	}
	if (fstat(w->segment.idx_fd, &st) < 0)
		return -errno;
	w->n_index = (uint64_t)st.st_size / sizeof(IndexRecord);
	if ((uint64_t)st.st_size % sizeof(IndexRecord) != 0 && !w->open_end)
		findings_problem(w->findings, "its index ends within a record");
	return 1;
}

/* Where the segment begins, against where the one before it ended. */
static void check_base(Walk *w)
{
	LogCheck *c = w->check;
	uint64_t base = w->segment.base;

	if (c->oldest_seq == 0) {
		c->oldest_seq = base;
		if (base > 1)
			life_check_hole(&c->lives, base);
	} else if (base < c->end_seq) {
		findings_problem(c->findings,
			"it begins before the end of the segment before it, which is %" PRIu64,
			c->end_seq - 1);
	} else if (base > c->end_seq) {
		note_gap(c, c->end_seq, base - 1);
	}
}

/* Nothing is lost with them, but what has touched them may have touched more. */
static int check_postings(const Walk *w)
{
	int r;

	/* A daemon that runs may just be making them. */
	if (w->check->running || w->segment.idx_fd < 0 || w->n_index != w->n ||
		w->n > POSTINGS_MAX_EVENTS)
		return 0;
	r = postings_check(w->check->dirfd, &w->segment, (uint32_t)w->n);
	if (r == -EBADMSG)
		findings_problem(w->findings, "its postings do not fit its index");
	else if (r == -ENODATA)
		findings_note(w->findings,
			"its postings are torn: they are made anew when somebody asks for agents");
	return r == -EBADMSG || r == -ENODATA || r >= 0 ? 0 : r;
}

static int check_files(Walk *w)
{
	LogCheck *c = w->check;
	uint64_t problems;
	int r = open_files(w);

	if (r <= 0)
		return r;
	check_base(w);
	problems = w->findings->problems;
	w->records = malloc(RECORDS_AT_ONCE * sizeof(*w->records));
	if (!w->records)
		return -ENOMEM;
	r = check_lines(w);
	if (r < 0)
		return r;
	check_ends(w);
	/* What is wrong with the index would be said twice. */
	r = w->last || w->findings->problems > problems ? 0 : check_postings(w);
	if (r < 0)
		return r;
	c->segments++;
	c->bytes += w->pos;
	c->end_seq = w->segment.base + w->n;
	return 0;
}

static int check_segment(LogCheck *c, uint64_t base, bool last)
{
	Walk w = {
		.check = c,
		.findings = c->findings,
		.segment = { .base = base, .fd = -1, .idx_fd = -1 },
		.last = last,
		.open_end = last && c->running,
	};
	int r;

	segment_name(base, ".ndjson", w.name);
	findings_file(c->findings, w.name);
	r = check_files(&w);
	findings_file(c->findings, NULL);
	if (w.segment.fd >= 0)
		close(w.segment.fd);
	if (w.segment.idx_fd >= 0)
		close(w.segment.idx_fd);
	free(w.records);
	buf_done(&w.data);
	return r;
}

int log_check_run(LogCheck *c)
{
	_cleanup_buf_ Buf bases = { 0 };
	size_t n;
	int r = segment_list(c->dirfd, &bases);

	c->lives.findings = c->findings;
	c->lives.applied = c->applied;
	n = bases.len / sizeof(uint64_t);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = check_segment(c, base_at(&bases, i), i + 1 == n);
	if (r == 0)
		report_gaps(c);
	return r;
}

void log_check_done(LogCheck *c)
{
	life_check_done(&c->lives);
	buf_done(&c->unannounced);
}
