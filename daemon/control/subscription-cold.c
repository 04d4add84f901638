/* Subscriptions whose cursor is further back than what is hot: a turn of them on the reader's thread.
 *
 * The lines are read and compared with their CRC before anything is sent; then long stretches go by sendfile(2), whose pages are
 * in memory by then. */
#include <errno.h>
#include <inttypes.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "common/fd.h"
#include "common/log.h"
#include "daemon/control/subscription.h"
#include "daemon/eventlog/crc32c.h"

/* What is read and sent in one go, and how many goes a turn has. */
#define STRETCH_BYTES  (256U * 1024)
#define STRETCH_LINES  4096U
#define TURN_STRETCHES 4
#define SENDFILE_BYTES (8U * 1024)

/* How many events that do not match are passed over before others get their turn. */
#define SCAN_EVENTS 262144U

typedef struct ColdJob {
	ReaderJob job;
	Subscription *subscription; /* its filter and memory are the reader's meanwhile */
	LogView view;
	int fd;
	uint64_t cursor;
	uint64_t told_seq;
	uint64_t gap_from, gap_to; /* 0: none */
	Buf rest;                  /* of a line that was cut */
	int error;                 /* -EAGAIN: the socket is full */
	Scan scan;
	unsigned stretches;
} ColdJob;

/* Lines that are sent together: they follow each other in one segment. */
typedef struct Stretch {
	Segment *segment; /* one reference */
	uint32_t start;
	size_t n;
	struct {
		uint64_t seq;
		uint32_t end, crc;
	} lines[STRETCH_LINES];
	Buf data;
} Stretch;

static void stretch_done(Stretch *st)
{
	segment_unref(st->segment);
	buf_done(&st->data);
}

static bool stretch_takes(const Stretch *st, const ScanEvent *e)
{
	if (st->n == 0)
		return true;
	return st->n < STRETCH_LINES && st->segment == e->segment &&
	       st->lines[st->n - 1].end == e->start && e->record.end - st->start <= STRETCH_BYTES;
}

static void stretch_add(Stretch *st, const ScanEvent *e)
{
	if (st->n == 0) {
		segment_unref(st->segment);
		st->segment = segment_ref(e->segment);
		st->start = e->start;
	}
	st->lines[st->n].seq = e->seq;
	st->lines[st->n].crc = e->record.crc;
	st->lines[st->n++].end = e->record.end;
}

/* Reads the lines, and cuts the stretch before the first that is not what it was. -EBADMSG: that is the very first. */
static int stretch_read(Stretch *st)
{
	size_t len = st->lines[st->n - 1].end - st->start;
	uint32_t start = st->start;
	ssize_t got;
	int r;

	st->data.len = 0;
	r = buf_reserve(&st->data, len);
	if (r < 0)
		return r;
	got = fd_pread_all(st->segment->fd, st->data.data, len, start);
	if (got < 0)
		return (int)got;
	for (size_t i = 0; i < st->n; i++) {
		uint32_t end = st->lines[i].end;

		if (end <= start || end - st->start > (size_t)got ||
			crc32c(st->data.data + (start - st->start), end - start) !=
				st->lines[i].crc) {
			st->n = i;
			return i == 0 ? -EBADMSG : 0;
		}
		start = end;
		st->data.len = end - st->start;
	}
	return 0;
}

/* Sends it, and leaves the cursor behind what went out. -EAGAIN: not all of it did. */
static int stretch_send(Stretch *st, ColdJob *j)
{
	off_t from = st->start;
	size_t sent;
	ssize_t n;

	if (st->data.len >= SENDFILE_BYTES)
		n = sendfile(j->fd, st->segment->fd, &from, st->data.len);
	else
		n = send(j->fd, st->data.data, st->data.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	sent = (size_t)n;
	for (size_t i = 0; i < st->n; i++) {
		size_t end = st->lines[i].end - st->start;
		size_t start = i > 0 ? st->lines[i - 1].end - st->start : 0;
		int r;

		if (sent >= end) {
			j->cursor = st->lines[i].seq + 1;
			j->told_seq = st->lines[i].seq;
			continue;
		}
		if (sent == start)
			return -EAGAIN;
		r = buf_append(&j->rest, st->data.data + sent, end - sent);
		if (r < 0)
			return r;
		j->cursor = st->lines[i].seq + 1;
		j->told_seq = st->lines[i].seq;
		return -EAGAIN;
	}
	return 0;
}

/* Sends what was gathered. 1: the turn is over, since some of it is damaged. */
static int flush(Stretch *st, ColdJob *j)
{
	uint64_t first = st->lines[0].seq;
	size_t n = st->n;
	int r;

	if (n == 0)
		return 0;
	j->stretches++;
	r = stretch_read(st);
	if (r == -EBADMSG) {
		log_error("event %" PRIu64 " is damaged in the log: it is left out", first);
		j->gap_from = j->gap_to = first;
		return 1;
	}
	if (r == 0)
		r = stretch_send(st, j);
	if (r == 0 && st->n < n) {
		j->scan.seq = j->cursor;
		r = 1;
	}
	st->n = 0;
	return r;
}

/* Takes one event into the stretch, sending what there is where it does not fit. 1: the turn is over. */
static int take(Stretch *st, ColdJob *j, const ScanEvent *e)
{
	Subscription *s = j->subscription;
	int r = filter_wants_event(s->filter, &s->memory, j->job.reader, &j->view, &e->record);

	if (r <= 0)
		return r;
	if (!stretch_takes(st, e)) {
		r = flush(st, j);
		if (r != 0)
			return r;
		if (j->stretches >= TURN_STRETCHES) {
			j->scan.seq = e->seq;
			return 1;
		}
	}
	stretch_add(st, e);
	return 0;
}

/* 1: the turn is over. 0: the end of the view. -EAGAIN. */
static int walk(Stretch *st, ColdJob *j)
{
	int r;

	for (size_t passed = 0; passed < SCAN_EVENTS; passed++) {
		ScanEvent e;
		uint64_t gap_from;

		r = scan_next(&j->scan, &e, &gap_from);
		if (r == SCAN_EVENT) {
			r = take(st, j, &e);
			if (r != 0)
				return r;
			continue;
		}
		if (r == SCAN_GAP) {
			uint64_t gap_to = j->scan.seq - 1;

			r = flush(st, j);
			if (r != 0)
				return r;
			j->gap_from = gap_from;
			j->gap_to = gap_to;
			return 1;
		}
		return r < 0 ? r : flush(st, j);
	}
	r = flush(st, j);
	return r < 0 ? r : 1;
}

static void walk_turn(ColdJob *j)
{
	Stretch *st = calloc(1, sizeof(*st));
	int r;

	if (!st) {
		j->error = -ENOMEM;
		return;
	}
	r = walk(st, j);
	if (r < 0)
		j->error = r;
	else if (j->gap_from > 0)
		j->cursor = j->gap_to + 1;
	else
		j->cursor = j->scan.seq; /* nothing between matched */
	stretch_done(st);
	free(st);
}

static bool cold_run(ReaderJob *job, Reader *reader)
{
	ColdJob *j = container_of(job, ColdJob, job);

	j->error = scan_init(&j->scan, reader, &j->view, j->cursor);
	if (j->error == 0)
		walk_turn(j);
	scan_done(&j->scan);
	return false;
}

static int take_back(Subscription *s, ColdJob *j)
{
	int r = 0;

	s->cursor = j->cursor;
	s->told_seq = j->told_seq;
	if (j->rest.len > 0)
		r = conn_put_rest(s->conn, j->rest.data, j->rest.len);
	if (r == 0 && j->gap_from > 0)
		r = subscription_say_gap(s, j->gap_from, j->gap_to);
	if (r == 0 && j->error == -EAGAIN)
		s->cold_blocked = true;
	else if (r == 0)
		r = j->error;
	return r;
}

static void cold_done(ReaderJob *job)
{
	ColdJob *j = container_of(job, ColdJob, job);
	Subscription *s = j->subscription;

	log_view_release(&j->view);
	if (take_back(s, j) < 0)
		conn_close(s->conn);
	buf_done(&j->rest);
	free(j);
	subscription_came_back(s);
}

int subscription_go_cold(Subscription *s)
{
	ColdJob *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->job.run = cold_run;
	j->job.done = cold_done;
	j->subscription = s;
	j->view = eventlog_view(s->control->log);
	j->fd = conn_fd(s->conn);
	j->cursor = s->cursor;
	j->told_seq = s->told_seq;
	s->cold = true;
	conn_hold_output(s->conn, true);
	reader_post(s->control->reader, &j->job);
	return 0;
}

/* ---- The n-th last ---- */

typedef struct SeekJob {
	ReaderJob job;
	Subscription *subscription;
	LogView view;
	Scan scan;
	bool begun;
	uint32_t left;
	uint64_t found; /* the oldest match so far; where nothing matches, the end */
	int error;
} SeekJob;

static bool seek_run(ReaderJob *job, Reader *reader)
{
	SeekJob *j = container_of(job, SeekJob, job);
	Subscription *s = j->subscription;
	ScanEvent e;

	if (!j->begun) {
		j->begun = true;
		j->error = scan_init(&j->scan, reader, &j->view, j->view.end_seq);
	}
	for (size_t i = 0; j->error == 0 && j->left > 0; i++) {
		int r;

		if (i == SCAN_EVENTS)
			return true;
		r = scan_previous(&j->scan, &e);
		if (r == SCAN_END)
			break;
		if (r > 0)
			r = filter_wants_event(s->filter, &s->memory, reader, &j->view, &e.record);
		if (r < 0)
			j->error = r;
		if (r > 0) {
			j->found = e.seq;
			j->left--;
		}
	}
	scan_done(&j->scan);
	return false;
}

static void seek_done(ReaderJob *job)
{
	SeekJob *j = container_of(job, SeekJob, job);
	Subscription *s = j->subscription;

	log_view_release(&j->view);
	s->cursor = j->found;
	s->told_seq = j->found - 1;
	if (j->error < 0)
		conn_close(s->conn);
	free(j);
	subscription_came_back(s);
}

int subscription_seek_last(Subscription *s)
{
	SeekJob *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->job.run = seek_run;
	j->job.done = seek_done;
	j->subscription = s;
	j->view = eventlog_view(s->control->log);
	j->left = s->seek_last;
	j->found = j->view.end_seq;
	s->seek_last = 0;
	s->cold = true;
	conn_hold_output(s->conn, true);
	reader_post(s->control->reader, &j->job);
	return 0;
}
