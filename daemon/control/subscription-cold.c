/* Subscriptions whose cursor is further back than what is hot: a turn of them on the reader's
 * thread.
 *
 * The lines are read and compared with their CRC before anything is sent; then long stretches go by
 * sendfile(2), whose pages are in memory by then. Who wants all there is, and is no further behind
 * than the last sync, is not worth that: ten subscribers would have it read ten times. What is sent
 * to those is not even looked at. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/fd.h"
#include "common/log.h"
#include "common/probe.h"
#include "daemon/control/subscription.h"
#include "daemon/eventlog/crc32c.h"

/* What is read and sent in one go, and how many goes a turn has. */
#define STRETCH_BYTES  (256U * 1024)
#define STRETCH_LINES  4096U
#define STRETCH_PIECES 512U /* of lines that do not follow each other */
/* A hole between two lines up to which reading it is cheaper than another system call. */
#define HOLE_BYTES     4096U
#define TURN_STRETCHES 4
#define SENDFILE_BYTES (8U * 1024)

typedef struct ColdJob {
	ReaderJob job;              /* its error -EAGAIN: the socket is full */
	Subscription *subscription; /* its filter and memory are the reader's meanwhile */
	LogView view;
	int fd;
	uint64_t cursor;
	uint64_t told_seq;
	uint64_t gap_from, gap_to; /* 0: none */
	Buf rest;                  /* of a line that was cut */
	Scan scan;
	unsigned stretches;
} ColdJob;

typedef struct ColdLine {
	uint64_t seq;
	uint32_t start, end, crc; /* in the segment */
	size_t at;                /* in Stretch.data */
} ColdLine;

/* Lines of one segment that are read and sent together. */
typedef struct Stretch {
	Spares *spares;   /* lent: where its memory comes from */
	size_t cap;       /* of the memory that it stands in itself */
	Segment *segment; /* one reference */
	size_t n;
	size_t bytes; /* that reading them takes, the small holes between them included */
	bool whole;   /* there are no holes */
	Buf data;
	ColdLine lines[STRETCH_LINES];
} Stretch;

/* -ENOMEM */
static int stretch_new(Spares *spares, Stretch **ret)
{
	Buf memory = { 0 };
	int r = spares_reserve(spares, &memory, sizeof(**ret));
	Stretch *st = (Stretch *)(void *)memory.data;

	if (r < 0)
		return r;
	st->spares = spares;
	st->cap = memory.cap;
	st->segment = NULL;
	st->n = 0;
	st->data = (Buf){ 0 };
	*ret = st;
	return 0;
}

static void stretch_free(Stretch *st)
{
	segment_unref(st->segment);
	spares_give(st->spares, st->data.data, st->data.cap);
	spares_give(st->spares, st, st->cap);
}

/* How far behind the line before it begins, where both are read in one go; 0 too if they are not.
 */
static size_t hole_before(const Stretch *st, uint32_t start, bool *ret_joined)
{
	uint32_t before = st->n > 0 ? st->lines[st->n - 1].end : 0;

	*ret_joined = st->n > 0 && start - before <= HOLE_BYTES;
	return *ret_joined ? start - before : 0;
}

static bool stretch_takes(const Stretch *st, const ScanEvent *e)
{
	bool joined;
	size_t hole;

	if (st->n == 0)
		return true;
	if (st->segment != e->segment || e->start < st->lines[st->n - 1].end)
		return false;
	hole = hole_before(st, e->start, &joined);
	return st->n < (st->whole && joined && hole == 0 ? STRETCH_LINES : STRETCH_PIECES) &&
	       st->bytes + hole + (e->record.end - e->start) <= STRETCH_BYTES;
}

static void stretch_add(Stretch *st, const ScanEvent *e)
{
	bool joined;
	size_t hole = hole_before(st, e->start, &joined);

	if (st->n == 0) {
		segment_unref(st->segment);
		st->segment = segment_ref(e->segment);
		st->bytes = 0;
		st->whole = true;
	} else if (!joined || hole > 0) {
		st->whole = false;
	}
	st->lines[st->n++] = (ColdLine){
		.seq = e->seq,
		.start = e->start,
		.end = e->record.end,
		.crc = e->record.crc,
		.at = st->bytes + hole,
	};
	st->bytes += hole + (e->record.end - e->start);
}

/* Reads lines [i, *ret_next), which lie close to each other. */
static int read_run(Stretch *st, size_t i, size_t *ret_next)
{
	const ColdLine *first = &st->lines[i];
	size_t next = i + 1, len;
	ssize_t got;

	/* Those that were joined keep their distance in the buffer. */
	while (next < st->n &&
		st->lines[next].at - first->at == st->lines[next].start - first->start)
		next++;
	len = st->lines[next - 1].end - first->start;
	got = fd_pread_all(st->segment->fd, st->data.data + first->at, len, first->start);
	if (got < 0)
		return (int)got;
	/* What is missing at the end of the file fails its CRC. */
	if ((size_t)got < len)
		memset(st->data.data + first->at + got, 0, len - (size_t)got);
	*ret_next = next;
	return 0;
}

/* How many of the `n` lines from `i` on are what they were, up to the first that is not. */
static size_t count_good(const Stretch *st, size_t i, size_t n)
{
	Crc32cLanes lanes;
	size_t good = 0;

	for (size_t k = 0; k < CRC32C_LANES; k++) {
		const ColdLine *line = &st->lines[k < n ? i + k : i];

		lanes.bytes[k] = st->data.data + line->at;
		lanes.n[k] = k < n ? line->end - line->start : 0;
	}
	crc32c_lanes(&lanes);
	while (good < n && lanes.crc[good] == st->lines[i + good].crc)
		good++;
	return good;
}

/* Reads the lines, and cuts the stretch before the first that is not what it was. -EBADMSG: that is
 * the very first. */
static int stretch_read(Stretch *st)
{
	int r = 0;

	if (st->data.cap < st->bytes) {
		spares_give(st->spares, st->data.data, st->data.cap);
		st->data = (Buf){ 0 };
		r = spares_reserve(st->spares, &st->data,
			st->bytes > STRETCH_BYTES ? st->bytes : STRETCH_BYTES);
	}
	for (size_t i = 0; r == 0 && i < st->n;)
		r = read_run(st, i, &i);
	if (r < 0)
		return r;
	for (size_t i = 0; i < st->n;) {
		size_t n = st->n - i < CRC32C_LANES ? st->n - i : CRC32C_LANES;
		size_t good = count_good(st, i, n);

		i += good;
		if (good == n)
			continue;
		st->n = i;
		return i == 0 ? -EBADMSG : 0;
	}
	return 0;
}

static ssize_t send_whole(const Stretch *st, int fd)
{
	off_t from = st->lines[0].start;
	size_t len = st->lines[st->n - 1].end - st->lines[0].start;

	if (len >= SENDFILE_BYTES)
		return sendfile(fd, st->segment->fd, &from, len);
	return send(fd, st->data.data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t send_pieces(const Stretch *st, int fd)
{
	struct iovec pieces[STRETCH_PIECES];
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = st->n };

	for (size_t i = 0; i < st->n; i++)
		pieces[i] = (struct iovec){
			st->data.data + st->lines[i].at,
			st->lines[i].end - st->lines[i].start,
		};
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Sends it, and leaves the cursor behind what went out. -EAGAIN: not all of it did. */
static int stretch_send(Stretch *st, ColdJob *j)
{
	ssize_t n = st->whole ? send_whole(st, j->fd) : send_pieces(st, j->fd);
	size_t sent = n > 0 ? (size_t)n : 0;

	if (n < 0)
		return -errno;
	if (n == 0) /* somebody has cut the file */
		return -EIO;
	PROBE2(written, j->fd, n);
	for (size_t i = 0; i < st->n; i++) {
		const ColdLine *line = &st->lines[i];
		size_t len = line->end - line->start;
		int r;

		if (sent == 0)
			return -EAGAIN;
		j->cursor = line->seq + 1;
		j->told_seq = line->seq;
		if (sent < len) {
			r = buf_append(&j->rest, st->data.data + line->at + sent, len - sent);
			return r < 0 ? r : -EAGAIN;
		}
		sent -= len;
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

/* Takes one event into the stretch, sending what there is where it does not fit. 1: the turn is
 * over. */
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

/* ---- All of what is fresh ---- */

/* Of a line that was cut: what lies from `from` to `to`. */
static int keep_rest(ColdJob *j, const Segment *segment, uint32_t from, uint32_t to)
{
	size_t len = to - from;
	ssize_t n;
	int r = buf_reserve(&j->rest, len);

	if (r < 0)
		return r;
	n = fd_pread_all(segment->fd, j->rest.data, len, from);
	if (n < 0)
		return (int)n;
	j->rest.len = len;
	return (size_t)n == len ? 0 : -EIO;
}

/* How many of its lines end within the first `sent` bytes. */
static size_t run_lines_within(const ScanRun *run, size_t sent)
{
	size_t low = 0, high = run->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (run->records[middle].end - run->start <= sent)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Sends it, and leaves the cursor behind what went out. -EAGAIN: not all of it did. */
static int run_send(const ScanRun *run, ColdJob *j)
{
	off_t from = run->start;
	size_t len = run->records[run->n - 1].end - run->start, lines;
	ssize_t n = sendfile(j->fd, run->segment->fd, &from, len);
	uint32_t cut;

	if (n < 0)
		return -errno;
	if (n == 0) /* somebody has cut the file */
		return -EIO;
	PROBE2(written, j->fd, n);
	lines = run_lines_within(run, (size_t)n);
	j->cursor = run->seq + lines;
	j->told_seq = j->cursor - 1;
	if (lines == run->n)
		return 0;
	cut = run->start + (uint32_t)n;
	if (cut > (lines > 0 ? run->records[lines - 1].end : run->start)) {
		int r = keep_rest(j, run->segment, cut, run->records[lines].end);

		if (r < 0)
			return r;
		j->told_seq = j->cursor++;
	}
	return -EAGAIN;
}

/* As walk(), where each event is wanted and none has to be looked at. */
static int walk_fresh(ColdJob *j)
{
	do {
		uint64_t gap_from;
		ScanRun run;
		int r = scan_next_run(&j->scan, STRETCH_BYTES, &run, &gap_from);

		if (r == SCAN_GAP) {
			j->gap_from = gap_from;
			j->gap_to = j->scan.seq - 1;
			return 1;
		}
		if (r == SCAN_EVENT)
			r = run_send(&run, j);
		else if (r == SCAN_END)
			return 0;
		if (r < 0)
			return r;
		j->stretches++;
		reader_long_step(j->job.reader);
	} while (j->stretches < TURN_STRETCHES && !reader_slice_over(j->job.reader));
	return 1;
}

/* ---- Turns ---- */

/* 1: the turn is over. 0: the end of the view. -EAGAIN. */
static int walk(Stretch *st, ColdJob *j)
{
	Subscription *s = j->subscription;
	int r;

	do {
		ScanEvent e;
		uint64_t gap_from;

		r = filter_skip(s->filter, &s->memory, &j->scan);
		if (r >= 0)
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
	} while (!reader_slice_over(j->job.reader));
	r = flush(st, j);
	return r < 0 ? r : 1;
}

/* As walk(). */
static int walk_stretches(ColdJob *j)
{
	Stretch *st;
	int r = stretch_new(
		committer_spares(eventlog_committer(j->subscription->control->log)), &st);

	if (r < 0)
		return r;
	r = walk(st, j);
	stretch_free(st);
	return r;
}

static void walk_turn(ColdJob *j)
{
	bool all = filter_is_open(j->subscription->filter) && j->cursor >= j->view.fresh_seq;
	int r = all ? walk_fresh(j) : walk_stretches(j);

	if (r < 0)
		j->job.error = r;
	else if (j->gap_from > 0)
		j->cursor = j->gap_to + 1;
	else
		j->cursor = j->scan.seq; /* nothing between matched */
}

static bool cold_run(ReaderJob *job, Reader *reader)
{
	ColdJob *j = container_of(job, ColdJob, job);

	job->error = scan_init(&j->scan, reader, &j->view, j->cursor);
	if (job->error == 0)
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
	if (r == 0 && j->job.error == -EAGAIN)
		s->cold_blocked = true;
	else if (r == 0)
		r = j->job.error;
	return r;
}

/* One that was dropped: the client has gone, or the daemon ends, and its connection is still owed
 * answers. */
static void cold_done(ReaderJob *job)
{
	ColdJob *j = container_of(job, ColdJob, job);
	Subscription *s = j->subscription;
	int r;

	log_view_release(&j->view);
	r = take_back(s, j);
	if (r < 0 && r != -ECANCELED)
		conn_close(s->conn);
	buf_done(&j->rest);
	free(j);
	subscription_came_back(s);
}

static void post(Subscription *s, ReaderJob *job)
{
	job->for_client = true;
	s->cold = job;
	conn_hold_output(s->conn, true);
	reader_post(s->control->reader, job);
}

int subscription_go_cold(Subscription *s)
{
	ColdJob *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->job.kind = READER_JOB_TURN;
	j->job.run = cold_run;
	j->job.done = cold_done;
	j->subscription = s;
	j->view = eventlog_view(s->control->log);
	j->fd = conn_fd(s->conn);
	j->cursor = s->cursor;
	j->told_seq = s->told_seq;
	post(s, &j->job);
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
	uint64_t found; /* the oldest match so far; at first, and where nothing matches, the end of
			   when it was asked */
} SeekJob;

static bool seek_run(ReaderJob *job, Reader *reader)
{
	SeekJob *j = container_of(job, SeekJob, job);
	Subscription *s = j->subscription;
	ScanEvent e;

	if (!j->begun) {
		j->begun = true;
		job->error = scan_init(&j->scan, reader, &j->view, j->found);
	}
	while (job->error == 0 && j->left > 0) {
		int r;

		if (reader_slice_over(reader))
			return true;
		r = filter_skip_back(s->filter, &s->memory, &j->scan);
		if (r >= 0)
			r = scan_previous(&j->scan, &e);
		if (r == SCAN_END)
			break;
		if (r > 0)
			r = filter_wants_event(s->filter, &s->memory, reader, &j->view, &e.record);
		if (r < 0)
			job->error = r;
		if (r > 0) {
			j->found = e.seq;
			j->left--;
		}
	}
	return false;
}

static void seek_done(ReaderJob *job)
{
	SeekJob *j = container_of(job, SeekJob, job);
	Subscription *s = j->subscription;

	scan_done(&j->scan);
	log_view_release(&j->view);
	s->cursor = j->found;
	s->told_seq = j->found - 1;
	if (job->error < 0 && job->error != -ECANCELED)
		conn_close(s->conn);
	free(j);
	subscription_came_back(s);
}

int subscription_seek_last(Subscription *s)
{
	SeekJob *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->job.kind = READER_JOB_LONG;
	j->job.run = seek_run;
	j->job.done = seek_done;
	j->subscription = s;
	j->view = eventlog_view(s->control->log);
	j->left = s->seek_last;
	j->found = s->cursor;
	s->seek_last = 0;
	post(s, &j->job);
	return 0;
}
