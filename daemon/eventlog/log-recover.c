#include "daemon/eventlog/log-recover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base64.h"
#include "common/fd.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "daemon/eventlog/crc32c.h"

#define RECORDS_AT_ONCE 2048
#define READ_BYTES      (256U * 1024)

/* So many lines are read to find the end of an index before all of it is held against the lines. */
#define MAX_TRIES 8

/* No line of an event is shorter. */
#define MIN_LINE 100U

/* A DaemonStarted is shorter. */
#define MAX_ANNOUNCEMENT 4096U

/* How often what is cut off a segment is kept. */
#define MAX_TORN 10000

typedef struct Walk {
	const Segment *segment;
	uint64_t size;     /* of the file */
	uint64_t n_index;  /* records in the index */
	uint64_t from_seq; /* the next to be delivered */
	const EventLogRecovery *recovery;
	uint64_t n;   /* records that are good */
	uint64_t pos; /* where the last of them ends */
	Buf data;
} Walk;

bool segment_is_line(const char *line, size_t len)
{
	const size_t prefix = sizeof(PROTOCOL_EVENT_PREFIX) - 1;
	const size_t suffix = sizeof(PROTOCOL_EVENT_SUFFIX) - 1;

	return len > prefix + suffix && memcmp(line, PROTOCOL_EVENT_PREFIX, prefix) == 0 &&
	       memcmp(line + len - suffix, PROTOCOL_EVENT_SUFFIX, suffix) == 0;
}

static int index_chunk(json_object *event, IndexRecord *record)
{
	const char *channel = jsonx_get_string(event, "channel", NULL);
	size_t len;
	const char *chunk = jsonx_get_string(event, "chunk", &len);
	int number = channel ? channel_from_string(channel) : -EINVAL;

	if (number < 0 || !chunk)
		return -EBADMSG;
	record->channel = (uint8_t)number;
	if (jsonx_get_string(event, "encoding", NULL)) {
		_cleanup_buf_ Buf raw = { 0 };
		int r = base64_decode(chunk, len, &raw);

		if (r < 0)
			return r;
		len = raw.len;
	}
	record->raw_bytes = (uint32_t)len;
	return 0;
}

static int index_error(json_object *event, IndexRecord *record)
{
	const char *code = jsonx_get_string(event, "code", NULL);

	for (uint8_t i = 0; code && i < _AGENT_ERROR_MAX; i++) {
		if (strcmp(agent_error_to_string(i), code) == 0) {
			record->code = i;
			return 0;
		}
	}
	return -EBADMSG;
}

static int index_agent(json_object *event, uint64_t seq, uint64_t (*resolve)(const Uuid *, void *),
	void *userdata, IndexRecord *record)
{
	size_t len;
	const char *text = jsonx_get_string(event, "agent_id", &len);
	Uuid id;

	if (record->type == EVENT_TYPE_AGENT_SPAWNED)
		record->agent = seq;
	else if (text && uuid_parse(text, len, &id) == 0)
		record->agent = resolve(&id, userdata);
	return text || record->type <= EVENT_TYPE_DAEMON_STOPPING ? 0 : -EBADMSG;
}

int segment_index_event(json_object *event, uint64_t seq, uint64_t (*resolve)(const Uuid *, void *),
	void *userdata, IndexRecord *ret)
{
	const char *type = jsonx_get_string(event, "type", NULL);
	IndexRecord record = { 0 };
	int r = type ? protocol_event_from_name(type) : -EINVAL;

	if (r < 0 || jsonx_get_uint(event, "seq", 0) != seq)
		return -EBADMSG;
	record.type = (uint8_t)r;
	r = index_agent(event, seq, resolve, userdata, &record);
	if (r == 0 && record.type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		r = index_chunk(event, &record);
	else if (r == 0 && record.type == EVENT_TYPE_AGENT_ERROR)
		r = index_error(event, &record);
	if (r == 0)
		*ret = record;
	return r;
}

int segment_index_line(const char *line, size_t len, uint64_t seq,
	uint64_t (*resolve)(const Uuid *, void *), void *userdata, IndexRecord *ret)
{
	_cleanup_json_ json_object *event = NULL;
	const char *text;
	size_t text_len;
	JsonxError why;
	int r;

	if (!segment_is_line(line, len))
		return -EBADMSG;
	text = line_event(line, len, &text_len);
	r = jsonx_parse(text, text_len, &event, &why);
	if (r == 0)
		r = segment_index_event(event, seq, resolve, userdata, ret);
	if (r == 0)
		ret->crc = crc32c(line, len);
	return r;
}

static int read_data(Walk *w, uint64_t offset, size_t n)
{
	ssize_t got;
	int r;

	w->data.len = 0;
	r = buf_reserve(&w->data, n);
	if (r < 0)
		return r;
	got = fd_pread_all(w->segment->fd, w->data.data, n, (off_t)offset);
	if (got < 0)
		return (int)got;
	w->data.len = (size_t)got;
	return (size_t)got == n ? 0 : -EBADMSG;
}

/* What the callback objects to is not the log's damage: nothing may be cut off for it. No event is
 * told twice. */
static int deliver(Walk *w, uint64_t seq, const IndexRecord *record, const char *line, size_t len)
{
	int r = w->recovery->on_event(seq, record, line, len, w->recovery->userdata);

	w->from_seq = seq + 1;
	return r == -EBADMSG ? -EUCLEAN : r;
}

/* ---- The index ---- */

/* 1: the `n`th record is that of the `n`th line, beyond doubt. */
static int is_line_of(Walk *w, uint64_t n, uint64_t start, const IndexRecord *record)
{
	IndexRecord made;
	int r = read_data(w, start, (size_t)(record->end - start));

	if (r >= 0)
		r = segment_index_line(w->data.data, w->data.len, w->segment->base + n - 1,
			w->recovery->resolve, w->recovery->userdata, &made);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	return made.crc == record->crc;
}

/* 1: the next record is that of the line behind this one's, so that this one's end is right. */
static int next_fits(Walk *w, const IndexRecord *record)
{
	IndexRecord next;
	ssize_t n = segment_read_index(w->segment, w->n + 1, &next, 1);

	if (n <= 0)
		return (int)n;
	if (!segment_record_makes_sense(&next, record->end) || next.end > w->size)
		return 0;
	return is_line_of(w, w->n + 2, record->end, &next);
}

/* What is rotten: a line of which only the record is there to tell, or the record? 1: the line. */
static int line_is_rotten(Walk *w, const IndexRecord *record)
{
	const char *newline = memchr(w->data.data, '\n', w->data.len);

	/* Where its end has rotted, or one has grown in its midst, it looks like no line at all. */
	return newline == w->data.data + w->data.len - 1 ? 1 : next_fits(w, record);
}

/* Of an output the record says all that recovery wants to know. */
static bool tells_line(const IndexRecord *record)
{
	return record->type != EVENT_TYPE_AGENT_PARTIAL_OUTPUT;
}

/* 0: the record fits what came before it, and its line, if that is to be looked at. */
static int check_record(Walk *w, const IndexRecord *record, bool verify)
{
	uint64_t seq = w->segment->base + w->n;
	bool read = verify || (seq >= w->from_seq && tells_line(record));
	int r = 0;

	if (segment_is_hole(record) && record->end >= w->pos && record->end <= w->size)
		return 0;
	if (!segment_record_makes_sense(record, w->pos) || record->end > w->size)
		return -EBADMSG;
	if (read)
		r = read_data(w, w->pos, (size_t)(record->end - w->pos));
	if (r < 0)
		return r;
	if (read && crc32c(w->data.data, w->data.len) != record->crc) {
		r = line_is_rotten(w, record);
		if (r <= 0)
			return r < 0 ? r : -EBADMSG;
		/* It was good once, so what follows it is too: this one event is lost, and will be
		 * served as a gap. With a record made anew nobody could tell any more. */
		log_error("event %" PRIu64 " is damaged in the log", seq);
	}
	return 0;
}

/* The records behind those that are known to be good, as far as they are, too. */
static int walk_index(Walk *w, bool verify)
{
	_cleanup_free_ IndexRecord *records = malloc(RECORDS_AT_ONCE * sizeof(*records));
	ssize_t n;

	if (!records)
		return -ENOMEM;
	while ((n = segment_read_index(w->segment, w->n, records, RECORDS_AT_ONCE)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			int r = check_record(w, &records[i], verify);

			if (r < 0)
				return r == -EBADMSG ? 0 : r;
			w->pos = records[i].end;
			w->n++;
		}
	}
	return (int)n;
}

/* Nothing is cut off, and no number given out, on the word of an index: back from `n` records to
 * one whose line is there. 0: none of the last few is such a one. */
static int find_place(Walk *w, uint64_t n)
{
	for (unsigned tries = 0; n > 0 && tries < MAX_TRIES; n--) {
		uint64_t start = 0;
		IndexRecord pair[2] = { 0 };
		size_t before = n > 1;
		ssize_t got = segment_read_index(w->segment, n - 1 - before, pair, before + 1);
		int r;

		if (got < 0)
			return (int)got;
		if (before)
			start = pair[0].end;
		if ((size_t)got <= before || !segment_record_makes_sense(&pair[before], start) ||
			pair[before].end > w->size)
			continue;
		tries++;
		r = is_line_of(w, n, start, &pair[before]);
		if (r > 0) {
			w->n = n;
			w->pos = pair[before].end;
		}
		if (r != 0)
			return r;
	}
	return 0;
}

/* Where the index ends, as far as it is good. */
static int use_index(Walk *w, bool verify)
{
	int r = 0;

	if (verify)
		return walk_index(w, true);
	if (w->from_seq >= w->segment->base + w->n_index)
		w->n = w->n_index; /* nothing to deliver */
	else
		r = walk_index(w, false);
	if (r == 0)
		r = find_place(w, w->n);
	if (r == 0)
		w->n = w->pos = 0;
	/* Behind the place there may be lines that are rotten: their records say so, and stay. */
	return r < 0 ? r : walk_index(w, true);
}

static int tell_record(Walk *w, uint64_t seq, const IndexRecord *record, uint64_t start)
{
	size_t len = (size_t)(record->end - start);
	int r;

	if (segment_is_hole(record))
		return 0;
	if (!tells_line(record))
		return deliver(w, seq, record, NULL, len);
	r = read_data(w, start, len);
	if (r < 0)
		return r == -EBADMSG ? -EIO : r;
	if (crc32c(w->data.data, len) != record->crc)
		return 0; /* damaged, as was said */
	return deliver(w, seq, record, w->data.data, len);
}

/* The events that are wanted of those in the index, which is known to be good: nothing is told that
 * might turn out not to be there. */
static int tell_index(Walk *w)
{
	_cleanup_free_ IndexRecord *records = NULL;
	uint64_t base = w->segment->base, end = base + w->n;
	uint64_t seq = w->from_seq > base ? w->from_seq : base;
	uint32_t start;
	int r;

	if (seq >= end)
		return 0;
	records = malloc(RECORDS_AT_ONCE * sizeof(*records));
	if (!records)
		return -ENOMEM;
	r = segment_line_start(w->segment, seq - base, &start);
	while (r == 0 && seq < end) {
		uint64_t want = end - seq < RECORDS_AT_ONCE ? end - seq : RECORDS_AT_ONCE;
		ssize_t n = segment_read_index(w->segment, seq - base, records, (size_t)want);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		for (ssize_t i = 0; r == 0 && i < n; i++, seq++) {
			r = tell_record(w, seq, &records[i], start);
			start = records[i].end;
		}
	}
	return r == -EBADMSG ? -EIO : r;
}

/* ---- The lines ---- */

static int put_record(Walk *w, const IndexRecord *record)
{
	ssize_t n = pwrite(
		w->segment->idx_fd, record, sizeof(*record), (off_t)(w->n * sizeof(*record)));

	if (n < 0)
		return -errno;
	if (n != sizeof(*record))
		return -EIO;
	w->n++;
	w->pos = record->end;
	return 0;
}

static int index_line(Walk *w, const char *line, size_t len)
{
	uint64_t seq = w->segment->base + w->n;
	IndexRecord record;
	int r = segment_index_line(
		line, len, seq, w->recovery->resolve, w->recovery->userdata, &record);

	if (r < 0)
		return r;
	record.end = (uint32_t)(w->pos + len);
	r = put_record(w, &record);
	if (r < 0 || seq < w->from_seq)
		return r;
	return deliver(w, seq, &record, line, len);
}

/* How many events are missing where `line` follows upon bytes that are none, which have so many
 * ends of lines; 0: it does not follow. */
static uint64_t missing_before(
	const Walk *w, const char *line, size_t len, uint64_t bad_bytes, uint64_t bad_lines)
{
	_cleanup_json_ json_object *event = NULL;
	uint64_t next = w->segment->base + w->n, fit = bad_bytes / MIN_LINE, seq;
	const char *text;
	IndexRecord record;
	size_t text_len;
	JsonxError why;

	if (!segment_is_line(line, len))
		return 0;
	text = line_event(line, len, &text_len);
	if (jsonx_parse(text, text_len, &event, &why) < 0)
		return 0;
	seq = jsonx_get_uint(event, "seq", 0);
	/* A number that is rotten itself must not make a hole that is larger than the bytes at
	 * hand. */
	if (seq <= next || seq - next > (fit > bad_lines ? fit : bad_lines))
		return 0;
	return segment_index_event(
		       event, seq, w->recovery->resolve, w->recovery->userdata, &record) == 0
		       ? seq - next
		       : 0;
}

static int put_hole(Walk *w, uint64_t events, uint64_t bytes)
{
	const IndexRecord hole = { .end = (uint32_t)(w->pos + bytes) };
	uint64_t first = w->segment->base + w->n;
	int r = 0;

	log_error("segment %020" PRIu64 ": %" PRIu64 " bytes are damaged; events %" PRIu64
		  "-%" PRIu64 " are lost",
		w->segment->base, bytes, first, first + events - 1);
	for (uint64_t i = 0; r == 0 && i < events; i++)
		r = put_record(w, &hole);
	return r;
}

/* What begins at `bad` is no line of the log. If one follows upon it, the events between are a
 * hole, and *ret_len says how long it is; else that is 0. */
static int index_hole(Walk *w, const char *bad, size_t len, size_t *ret_len)
{
	const char *line = bad, *end = bad + len, *newline;
	uint64_t n = 0;

	*ret_len = 0;
	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		size_t before = (size_t)(line - bad);
		uint64_t missing =
			n == 0 ? 0
			       : missing_before(w, line, (size_t)(newline + 1 - line), before, n);

		if (missing > 0) {
			*ret_len = before;
			return put_hole(w, missing, before);
		}
		line = newline + 1;
		n++;
	}
	return 0;
}

/* The whole lines in w->data. *ret_used: how much of it they are, and the holes between them. */
static int index_lines(Walk *w, size_t *ret_used)
{
	size_t used = 0;
	int r = 0;

	while (r == 0) {
		const char *line = w->data.data + used;
		size_t left = w->data.len - used, len;
		const char *newline = memchr(line, '\n', left);

		if (!newline)
			break;
		len = (size_t)(newline + 1 - line);
		r = index_line(w, line, len);
		if (r == -EBADMSG)
			r = index_hole(w, line, left, &len);
		if (len == 0)
			break;
		if (r == 0)
			used += len;
	}
	*ret_used = used;
	return r;
}

/* The lines past the index, to the end or to where no good one follows any more. */
static int walk_lines(Walk *w)
{
	size_t want = READ_BYTES;

	while (w->pos < w->size) {
		size_t used = 0, n = w->size - w->pos < want ? (size_t)(w->size - w->pos) : want;
		int r = read_data(w, w->pos, n);

		if (r == 0)
			r = index_lines(w, &used);
		if (r < 0)
			return r == -EBADMSG ? 0 : r;
		if (used == 0 && n < want)
			return 0;
		want = used == 0 ? want * 2 : READ_BYTES;
	}
	return 0;
}

/* ---- What is lost ---- */

/* How many events there were behind those that are there, as the index has it. */
static int count_records(const Walk *w, uint64_t *ret)
{
	_cleanup_free_ IndexRecord *records = malloc(RECORDS_AT_ONCE * sizeof(*records));
	uint64_t count = 0, pos = w->pos;
	ssize_t n;

	if (!records)
		return -ENOMEM;
	while ((n = segment_read_index(w->segment, w->n + count, records, RECORDS_AT_ONCE)) > 0) {
		ssize_t i = 0;

		for (; i < n && segment_record_makes_sense(&records[i], pos); i++)
			pos = records[i].end;
		count += (uint64_t)i;
		if (i < n)
			break;
	}
	*ret = count;
	return n < 0 ? (int)n : 0;
}

/* And as the lines have it: one that is not whole was never committed, and in a few bytes there
 * never was an event. */
static int count_lines(Walk *w, uint64_t *ret)
{
	uint64_t count = 0, whole = 0;

	for (uint64_t pos = w->pos, n; pos < w->size; pos += n) {
		int r;

		n = w->size - pos < READ_BYTES ? w->size - pos : READ_BYTES;
		r = read_data(w, pos, (size_t)n);
		if (r < 0)
			return r == -EBADMSG ? -EIO : r;
		for (size_t i = 0; i < w->data.len; i++) {
			if (w->data.data[i] != '\n')
				continue;
			count++;
			whole = pos + i + 1 - w->pos;
		}
	}
	*ret = whole < MIN_LINE ? 0 : count;
	return 0;
}

static int recover(Walk *w, bool verify, SegmentState *ret)
{
	uint64_t records = 0, lines = 0;
	int r = use_index(w, verify);

	if (r >= 0)
		r = tell_index(w);
	if (r >= 0)
		r = walk_lines(w);
	if (r == 0)
		r = count_records(w, &records);
	if (r == 0)
		r = count_lines(w, &lines);
	if (r < 0)
		return r;
	*ret = (SegmentState){
		.end = w->segment->base + w->n,
		.bytes = w->pos,
		.lost = records > lines ? records : lines,
	};
	return 0;
}

int segment_recover(const Segment *s, bool verify, uint64_t from_seq,
	const EventLogRecovery *recovery, SegmentState *ret)
{
	Walk w = { .segment = s, .from_seq = from_seq, .recovery = recovery };
	struct stat st;
	int r;

	if (fstat(s->fd, &st) < 0)
		return -errno;
	w.size = (uint64_t)st.st_size;
	if (fstat(s->idx_fd, &st) < 0)
		return -errno;
	w.n_index = (uint64_t)st.st_size / sizeof(IndexRecord);
	r = recover(&w, verify, ret);
	buf_done(&w.data);
	return r;
}

/* ---- Cutting ---- */

/* A name beside the segment that is not taken: what was set aside before is not ours to destroy. */
static int free_name(int log_dirfd, uint64_t base, char out[SEGMENT_NAME_LEN + 16])
{
	char suffix[16] = ".torn";

	for (unsigned i = 2; i < MAX_TORN; i++) {
		segment_name(base, suffix, out);
		if (faccessat(log_dirfd, out, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
		(void)snprintf(suffix, sizeof(suffix), ".torn-%u", i);
	}
	return -EEXIST;
}

static int set_aside(int log_dirfd, const Segment *s, uint64_t from, uint64_t size)
{
	char name[SEGMENT_NAME_LEN + 16];
	_cleanup_buf_ Buf tail = { 0 };
	ssize_t n;
	int r = free_name(log_dirfd, s->base, name);

	if (r == 0)
		r = buf_reserve(&tail, (size_t)(size - from));
	if (r < 0)
		return r;
	n = fd_pread_all(s->fd, tail.data, (size_t)(size - from), (off_t)from);
	if (n < 0)
		return (int)n;
	r = file_replace(log_dirfd, name, tail.data, (size_t)n);
	if (r == 0)
		log_warning("what was cut off is kept in %s", name);
	return r;
}

static int cut_tail(int log_dirfd, const Segment *s, const SegmentState *state, uint64_t size)
{
	int r = set_aside(log_dirfd, s, state->bytes, size);

	if (r < 0 && state->lost > 0) {
		log_error("segment %020" PRIu64 ": the %" PRIu64 " bytes after event %" PRIu64
			  " are damaged, and cannot be kept beside: %s; nothing is cut off",
			s->base, size - state->bytes, state->end - 1, strerror(-r));
		return r;
	}
	if (r < 0)
		log_warning("what is cut off cannot be kept: %s", strerror(-r));
	log_warning("segment %020" PRIu64 ": %" PRIu64 " bytes after event %" PRIu64
		    " are torn and are cut off",
		s->base, size - state->bytes, state->end - 1);
	return ftruncate(s->fd, (off_t)state->bytes) < 0 ? -errno : 0;
}

int segment_cut(int log_dirfd, const Segment *s, const SegmentState *state)
{
	off_t idx_bytes = (off_t)((state->end - s->base) * sizeof(IndexRecord));
	struct stat st;
	int r = 0;

	if (fstat(s->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > state->bytes)
		r = cut_tail(log_dirfd, s, state, (uint64_t)st.st_size);
	if (r < 0)
		return r;
	if (fstat(s->idx_fd, &st) < 0)
		return -errno;
	return st.st_size != idx_bytes && ftruncate(s->idx_fd, idx_bytes) < 0 ? -errno : 0;
}

/* ---- Announcements ---- */

bool segment_event_announces(json_object *event, uint64_t from, uint64_t to)
{
	const char *type = jsonx_get_string(event, "type", NULL);
	json_object *lost = jsonx_get(event, "lost", json_type_object);

	return type && protocol_event_from_name(type) == EVENT_TYPE_DAEMON_STARTED &&
	       jsonx_get_uint(lost, "from", UINT64_MAX) <= from &&
	       jsonx_get_uint(lost, "to", 0) >= to;
}

int segment_announces(int log_dirfd, uint64_t base, uint64_t from, uint64_t to)
{
	_cleanup_segment_ Segment *s = NULL;
	_cleanup_json_ json_object *event = NULL;
	_cleanup_buf_ Buf b = { 0 };
	const char *newline, *text;
	size_t text_len;
	JsonxError why;
	ssize_t n;
	int r = segment_open_readonly(log_dirfd, base, &s);

	if (r >= 0)
		r = buf_reserve(&b, MAX_ANNOUNCEMENT);
	if (r < 0)
		return r;
	n = fd_pread_all(s->fd, b.data, MAX_ANNOUNCEMENT, 0);
	if (n <= 0)
		return (int)n;
	newline = memchr(b.data, '\n', (size_t)n);
	if (!newline || !segment_is_line(b.data, (size_t)(newline + 1 - b.data)))
		return 0;
	text = line_event(b.data, (size_t)(newline + 1 - b.data), &text_len);
	r = jsonx_parse(text, text_len, &event, &why);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	return segment_event_announces(event, from, to);
}
