#include "daemon/control/subscription.h"

#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/probe.h"
#include "daemon/control/hub.h"
#include "daemon/control/request.h"
#include "daemon/control/trace.h"

/* For one connection in one turn. */
#define TURN_BYTES (256U * 1024)

/* From here on sendfile(2) is cheaper than copying from memory: the socket takes references to the
 * file's pages. */
#define SENDFILE_BYTES (8U * 1024)

#define MAX_PIECES 256

/* What the socket of a subscriber may hold: with the usual 208 KiB one that reads fast has to be
 * waited for twice as often. */
#define SOCKET_BYTES (256 * 1024)

static void on_conn_interrupted(Conn *c, void *userdata);
static void on_conn_closed(Conn *c, void *userdata);

static const ConnStream stream = {
	.pump = subscription_pump,
	.interrupt = on_conn_interrupted,
	.closed = on_conn_closed,
};

Subscription *subscription_of(Conn *c)
{
	return conn_stream_userdata(c, &stream);
}

/* As far as the system allows; without it all works as well, if not as fast. */
static void widen(int fd)
{
	int bytes = SOCKET_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) < 0)
		log_debug("the buffer of a socket stays as it is: %s", strerror(errno));
}

int subscription_new(Control *control, Conn *conn, Filter *filter, Subscription **ret)
{
	Subscription *s = calloc(1, sizeof(*s));

	if (!s) {
		filter_free(filter);
		return -ENOMEM;
	}
	s->control = control;
	s->conn = conn;
	s->filter = filter;
	s->cursor = eventlog_end_seq(control->log);
	s->told_seq = s->cursor - 1;
	s->since_us = clock_realtime_us();
	s->owes_live = true;
	list_init(&s->node);
	list_init(&s->links);
	list_init(&s->traced);
	widen(conn_fd(conn));
	conn_set_stream(conn, &stream, s);
	*ret = s;
	return 0;
}

static void dispose(Subscription *s)
{
	hub_remove(s->control->hub, s);
	trace_gone(&s->traced);
	filter_memory_done(&s->memory);
	filter_free(s->filter);
	free(s);
}

void subscription_free(Subscription *s)
{
	conn_set_stream(s->conn, NULL, NULL);
	dispose(s);
}

static void on_conn_interrupted(Conn *c, void *userdata)
{
	Subscription *s = userdata;

	(void)c;
	if (s->cold)
		reader_job_drop(s->cold);
}

static void on_conn_closed(Conn *c, void *userdata)
{
	Subscription *s = userdata;

	(void)c;
	if (s->unsubscribe)
		control_reply(s->unsubscribe, &(Buf){ 0 }, -ECANCELED);
	dispose(s);
}

void subscription_on_replied(Conn *c, void *subscription)
{
	Subscription *s = subscription_of(c);

	if (!s || s != subscription)
		return;
	s->active = true;
	conn_kick(c);
}

void subscription_wake(Subscription *s, uint64_t seq)
{
	if (s->in_sync) {
		s->in_sync = false;
		s->cursor = seq;
	}
	conn_kick(s->conn);
}

uint64_t subscription_seq(const Subscription *s)
{
	return (s->in_sync ? eventlog_end_seq(s->control->log) : s->cursor) - 1;
}

/* ---- Notifications ---- */

static int notify(Subscription *s, const char *method, const char *key, uint64_t value,
	const char *key2, uint64_t value2)
{
	_cleanup_buf_ Buf params = { 0 };
	JsonWriter w;
	int r;

	jw_init(&w, &params);
	jw_object_begin(&w);
	jw_key_uint(&w, key, value);
	if (key2)
		jw_key_uint(&w, key2, value2);
	jw_object_end(&w);
	r = jw_finish(&w);
	return r < 0 ? r : rpc_notify(s->conn, method, params.data, params.len);
}

int subscription_say_gap(Subscription *s, uint64_t from, uint64_t to)
{
	s->told_seq = to;
	return notify(s, "gap", "from", from, "to", to);
}

static int say_live(Subscription *s)
{
	uint64_t seq = eventlog_end_seq(s->control->log) - 1;

	s->owes_live = false;
	s->told_seq = seq;
	return notify(s, "live", "seq", seq, NULL, 0);
}

/* ---- Hot events ---- */

/* `sent` bytes from the cursor's event on went out: where that leaves it. The rest of a line that
 * was cut goes first. */
static int advance(Subscription *s, size_t at, size_t entry, size_t sent)
{
	const EventLog *log = s->control->log;
	const Batch *b = eventlog_hot_at(log, at);
	size_t offset = b->entries[entry].offset + sent;
	size_t low = entry, high;

	while (offset >= b->len) {
		offset -= b->len;
		b = eventlog_hot_at(log, ++at);
		low = 0;
		if (!b) {
			s->cursor = eventlog_end_seq(log);
			return 0;
		}
	}
	high = b->n;
	while (low + 1 < high) {
		size_t middle = low + (high - low) / 2;

		if (b->entries[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	s->cursor = b->first_seq + low;
	if (offset == b->entries[low].offset)
		return 0;
	s->cursor++;
	return conn_put_rest(
		s->conn, b->data + offset, b->entries[low].offset + b->entries[low].len - offset);
}

static ssize_t send_pieces(Subscription *s, struct iovec *pieces, size_t n)
{
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = n };
	ssize_t sent = sendmsg(conn_fd(s->conn), &message, MSG_NOSIGNAL | MSG_DONTWAIT);

	return sent < 0 ? -errno : sent;
}

/* How many bytes follow in the same segment, one batch behind the other, from `offset` in the batch
 * at `at`. */
static size_t stretch(const EventLog *log, size_t at, size_t offset)
{
	const Batch *b = eventlog_hot_at(log, at);
	const Segment *segment = b->segment;
	size_t len = b->len - offset;

	while (len < TURN_BYTES && (b = eventlog_hot_at(log, ++at)) && b->segment == segment)
		len += b->len;
	return len < TURN_BYTES ? len : TURN_BYTES;
}

static ssize_t send_stretch(Subscription *s, size_t at, size_t offset, size_t len)
{
	const EventLog *log = s->control->log;
	const Batch *b = eventlog_hot_at(log, at);
	struct iovec pieces[MAX_PIECES];
	size_t n = 0;

	if (len >= SENDFILE_BYTES) {
		off_t from = (off_t)(b->offset + offset);
		ssize_t sent = sendfile(conn_fd(s->conn), b->segment->fd, &from, len);

		return sent < 0 ? -errno : sent;
	}
	while (len > 0 && n < MAX_PIECES) {
		size_t piece = b->len - offset < len ? b->len - offset : len;

		pieces[n++] = (struct iovec){ b->data + offset, piece };
		len -= piece;
		offset = 0;
		b = eventlog_hot_at(log, ++at);
	}
	return send_pieces(s, pieces, n);
}

/* 0: all is out. 1: there is more. */
static int pump_open(Subscription *s)
{
	const EventLog *log = s->control->log;
	size_t at, entry, offset, len;
	const Batch *b = eventlog_hot_find(log, s->cursor, &at);
	ssize_t sent;
	int r;

	entry = (size_t)(s->cursor - b->first_seq);
	offset = b->entries[entry].offset;
	len = stretch(log, at, offset);
	sent = send_stretch(s, at, offset, len);
	if (sent < 0)
		return (int)sent;
	PROBE2(written, conn_fd(s->conn), sent);
	r = advance(s, at, entry, (size_t)sent);
	s->told_seq = s->cursor - 1;
	if (r < 0)
		return r;
	return (size_t)sent < len ? -EAGAIN : s->cursor < eventlog_end_seq(log);
}

/* What matches among the hot events from the cursor on, as far as one write takes it. */
typedef struct Gathered {
	struct iovec pieces[MAX_PIECES];
	uint64_t seqs[MAX_PIECES];
	size_t n, bytes;
	uint64_t next; /* where the gathering stopped */
} Gathered;

static void gather(const Subscription *s, Gathered *g)
{
	const EventLog *log = s->control->log;
	size_t at;
	const Batch *b = eventlog_hot_find(log, s->cursor, &at);
	size_t i = b ? (size_t)(s->cursor - b->first_seq) : 0;

	g->n = g->bytes = 0;
	g->next = s->cursor;
	for (; b; b = eventlog_hot_at(log, ++at), i = 0) {
		for (; i < b->n; i++) {
			const BatchEntry *e = &b->entries[i];

			if (g->n == MAX_PIECES || g->bytes >= TURN_BYTES)
				return;
			g->next = b->first_seq + i + 1;
			if (!subscription_wants(s, e))
				continue;
			g->pieces[g->n] = (struct iovec){ b->data + e->offset, e->len };
			g->seqs[g->n++] = b->first_seq + i;
			g->bytes += e->len;
		}
	}
}

static int pump_filtered(Subscription *s)
{
	Gathered g;
	ssize_t sent = 0;
	size_t left;

	gather(s, &g);
	if (g.n > 0)
		sent = send_pieces(s, g.pieces, g.n);
	if (sent < 0)
		return (int)sent;
	PROBE2(written, conn_fd(s->conn), sent);
	left = (size_t)sent;
	for (size_t i = 0; i < g.n; i++) {
		size_t len = g.pieces[i].iov_len;

		if (left < len) {
			s->cursor = g.seqs[i] + (left > 0);
			if (left > 0 && conn_put_rest(s->conn, (char *)g.pieces[i].iov_base + left,
						len - left) < 0)
				return -ENOMEM;
			return -EAGAIN;
		}
		left -= len;
		s->told_seq = g.seqs[i];
	}
	s->cursor = g.next;
	return s->cursor < eventlog_end_seq(s->control->log);
}

/* ---- The pump ---- */

/* Between the cursor and the first event that there is. 1: something was said. */
static int announce_gap(Subscription *s)
{
	LogView view;
	size_t at;
	uint64_t first;
	int r = 0;

	view = eventlog_view(s->control->log);
	at = segment_table_find(view.table, s->cursor);
	first = at < view.table->n ? view.table->infos[at].base : view.end_seq;
	if (first > view.end_seq)
		first = view.end_seq;
	if (first > s->cursor) {
		r = subscription_say_gap(s, s->cursor, first - 1);
		s->cursor = first;
		s->owes_live = true;
		if (r == 0)
			r = 1;
	}
	log_view_release(&view);
	return r;
}

/* The socket has taken all that stands before the cursor; `cut`: but perhaps for the rest of the
 * last line. That waits in the reply buffer, and is out when the pump is called again. */
static void note_written(Subscription *s, bool cut)
{
	if (!list_empty(&s->traced))
		trace_written(&s->traced, s->cursor - cut);
}

/* It has caught up. */
static int settle(Subscription *s)
{
	s->in_sync = true;
	filter_memory_done(&s->memory);
	if (s->owes_live && say_live(s) < 0)
		return -ENOMEM;
	/* What this client asked to spawn before is not known to the log yet, but it is to come. */
	if (s->until_idle && !requests_spawning(s->conn) && hub_is_idle(s->control->hub, s)) {
		uint64_t seq = subscription_seq(s);

		if (notify(s, "end", "seq", seq, NULL, 0) < 0)
			return -ENOMEM;
		subscription_free(s);
	}
	return 0;
}

int subscription_pump(Conn *c, void *userdata)
{
	Subscription *s = userdata;
	const EventLog *log = s->control->log;
	int r;

	if (!s->active || s->cold)
		return 0;
	note_written(s, false);
	if (s->seek_last > 0)
		return subscription_seek_last(s);
	if (s->cold_blocked) {
		s->cold_blocked = false;
		return -EAGAIN;
	}
	if (s->in_sync || s->cursor >= eventlog_end_seq(log))
		return settle(s);
	if (s->cursor < eventlog_hot_seq(log)) {
		r = announce_gap(s);
		if (r != 0)
			return r;
		if (s->cursor < eventlog_hot_seq(log)) {
			s->owes_live = true;
			return subscription_go_cold(s);
		}
	}
	r = filter_is_open(s->filter) ? pump_open(s) : pump_filtered(s);
	note_written(s, r < 0 && (r != -EAGAIN || conn_out(c)->len > 0));
	if (r == -EAGAIN && s->cursor < eventlog_end_seq(log))
		s->owes_live = true;
	return r != 0 ? r : settle(s);
}

void subscription_came_back(Subscription *s)
{
	s->cold = NULL;
	conn_hold_output(s->conn, false);
	if (s->unsubscribe) {
		_cleanup_buf_ Buf result = { 0 };
		int r = buf_printf(&result, "{\"seq\":%llu}", (unsigned long long)s->cursor - 1);

		Request *req = TAKE_PTR(s->unsubscribe);

		subscription_free(s);
		control_reply(req, &result, r);
		return;
	}
	conn_kick(s->conn);
}
