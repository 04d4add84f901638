#include "daemon/eventlog/log-recover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base64.h"
#include "common/fd.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "daemon/eventlog/crc32c.h"

#define RECORDS_AT_ONCE 2048
#define READ_BYTES      (256U * 1024)

typedef struct Walk {
	int log_dirfd;
	const Segment *segment;
	uint64_t size; /* of the file */
	uint64_t from_seq;
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

/* What the callback objects to is not the log's damage: nothing may be cut off for it. */
static int deliver(
	const Walk *w, uint64_t seq, const IndexRecord *record, const char *line, size_t len)
{
	int r = w->recovery->on_event(seq, record, line, len, w->recovery->userdata);

	return r == -EBADMSG ? -EUCLEAN : r;
}

/* 0: the record fits what came before it, and its line, if that is to be looked at. */
static int check_record(Walk *w, const IndexRecord *record, bool verify, bool wanted)
{
	uint64_t seq = w->segment->base + w->n;
	bool read = verify || (wanted && record->type != EVENT_TYPE_AGENT_PARTIAL_OUTPUT);
	int r = 0;

	if (record->end <= w->pos || record->end > w->size || record->type == EVENT_TYPE_NONE ||
		record->type >= _EVENT_TYPE_MAX)
		return -EBADMSG;
	if (read)
		r = read_data(w, w->pos, record->end - w->pos);
	if (r < 0)
		return r;
	if (read && crc32c(w->data.data, w->data.len) != record->crc) {
		if (verify)
			return -EBADMSG;
		/* It was good once, so what follows it is too: this one event is lost, and will be served as a gap. */
		log_error("event %" PRIu64 " is damaged in the log", seq);
		return 0;
	}
	if (!wanted)
		return 0;
	return deliver(w, seq, record,
		record->type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT ? NULL : w->data.data, w->data.len);
}

/* The records that are there, as far as they are good. Returns 1 if the index ends before the lines, or with a bad record. */
static int walk_index(Walk *w, bool verify)
{
	_cleanup_free_ IndexRecord *records = malloc(RECORDS_AT_ONCE * sizeof(*records));
	ssize_t n;

	if (!records)
		return -ENOMEM;
	while ((n = segment_read_index(w->segment, w->n, records, RECORDS_AT_ONCE)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			bool wanted = w->segment->base + w->n >= w->from_seq;
			int r = check_record(w, &records[i], verify, wanted);

			if (r == -EBADMSG)
				return 1;
			if (r < 0)
				return r;
			w->pos = records[i].end;
			w->n++;
		}
	}
	return n < 0 ? (int)n : w->pos < w->size;
}

/* Nothing to deliver and nothing to verify: the last record alone says where the index ends. */
static int skip_index(Walk *w)
{
	struct stat st;
	IndexRecord record;
	ssize_t n;

	if (fstat(w->segment->idx_fd, &st) < 0)
		return -errno;
	w->n = (uint64_t)st.st_size / sizeof(IndexRecord);
	for (; w->n > 0; w->n--) {
		n = segment_read_index(w->segment, w->n - 1, &record, 1);
		if (n < 0)
			return (int)n;
		w->pos = record.end;
		if (record.end <= w->size)
			break;
	}
	if (w->n == 0)
		w->pos = 0;
	return w->pos < w->size;
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
	if (pwrite(w->segment->idx_fd, &record, sizeof(record), (off_t)(w->n * sizeof(record))) !=
		sizeof(record))
		return errno ? -errno : -EIO;
	w->n++;
	w->pos += len;
	if (seq < w->from_seq)
		return 0;
	return deliver(w, seq, &record, line, len);
}

/* The whole lines in w->data. *ret_used: how much of it they are. -EBADMSG at the first bad one. */
static int index_lines(Walk *w, size_t *ret_used)
{
	size_t used = 0;
	int r = 0;

	while (r == 0) {
		const char *line = w->data.data + used;
		const char *newline = memchr(line, '\n', w->data.len - used);

		if (!newline)
			break;
		r = index_line(w, line, (size_t)(newline + 1 - line));
		if (r == 0)
			used = (size_t)(newline + 1 - w->data.data);
	}
	*ret_used = used;
	return r;
}

/* The lines past the index. 1: not all of them are good. */
static int walk_lines(Walk *w)
{
	size_t want = READ_BYTES;

	while (w->pos < w->size) {
		size_t used = 0, n = w->size - w->pos < want ? (size_t)(w->size - w->pos) : want;
		int r = read_data(w, w->pos, n);

		if (r == 0)
			r = index_lines(w, &used);
		if (r == -EBADMSG)
			return 1;
		if (r < 0)
			return r;
		if (used == 0 && n < want)
			return 1; /* the file ends without a newline */
		want = used == 0 ? want * 2 : READ_BYTES;
	}
	return 0;
}

static void set_aside(Walk *w)
{
	char name[SEGMENT_NAME_LEN + 16];

	segment_name(w->segment->base, ".torn", name);
	if (read_data(w, w->pos, (size_t)(w->size - w->pos)) < 0 ||
		file_replace(w->log_dirfd, name, w->data.data, w->data.len) < 0)
		log_warning("%s could not be written", name);
	else
		log_warning("what was cut off is kept in %s", name);
}

static int cut_tail(Walk *w)
{
	log_warning("segment %020" PRIu64 ": %" PRIu64 " bytes after event %" PRIu64
		    " are torn and are cut off",
		w->segment->base, w->size - w->pos, w->segment->base + w->n - 1);
	set_aside(w);
	return ftruncate(w->segment->fd, (off_t)w->pos) < 0 ? -errno : 0;
}

int segment_recover(int log_dirfd, const Segment *s, bool verify, bool last, uint64_t from_seq,
	const EventLogRecovery *recovery, SegmentState *ret)
{
	Walk w = {
		.log_dirfd = log_dirfd,
		.segment = s,
		.from_seq = from_seq,
		.recovery = recovery,
	};
	struct stat st;
	int r;

	if (fstat(s->fd, &st) < 0)
		return -errno;
	w.size = (uint64_t)st.st_size;
	if (fstat(s->idx_fd, &st) < 0)
		return -errno;
	if (!verify && from_seq >= s->base + (uint64_t)st.st_size / sizeof(IndexRecord))
		r = skip_index(&w);
	else
		r = walk_index(&w, verify);
	if (r > 0)
		r = walk_lines(&w);
	if (r > 0)
		r = last ? cut_tail(&w) : 0;
	if (r == 0 && ftruncate(s->idx_fd, (off_t)(w.n * sizeof(IndexRecord))) < 0)
		r = -errno;
	buf_done(&w.data);
	if (r == 0)
		*ret = (SegmentState){ .end = s->base + w.n, .bytes = w.pos };
	return r;
}
