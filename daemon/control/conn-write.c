/* The output of connections, and their end. */
#include "daemon/control/conn-internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/probe.h"

/* What an idle connection keeps of its reply buffer. */
#define OUT_KEEP_BYTES 4096

/* What was written is moved out of the way only when it is this much. */
#define OUT_SENT_BYTES (64U * 1024)

/* A client that lingers and says nothing for so long is let go. */
static const struct timeval linger_idle = { .tv_sec = 1 };

Buf *conn_out(Conn *c)
{
	return &c->out;
}

void conn_kick(Conn *c)
{
	if (!list_empty(&c->dirty_node))
		return;
	list_append(&c->group->dirty, &c->dirty_node);
	if (list_empty(&c->group->dirty_node))
		list_append(&c->server->dirty, &c->group->dirty_node);
}

int conn_put_rest(Conn *c, const char *rest, size_t len)
{
	int r = buf_reserve(&c->out, len);

	if (r < 0)
		return r;
	if (len == 0)
		return 0;
	memmove(c->out.data + c->out_sent + len, c->out.data + c->out_sent, conn_out_waiting(c));
	memcpy(c->out.data + c->out_sent, rest, len);
	c->out.len += len;
	conn_kick(c);
	return 0;
}

void conn_set_stream(Conn *c, const ConnStream *s, void *userdata)
{
	c->stream = s;
	c->stream_userdata = userdata;
	conn_kick(c);
}

void *conn_stream_userdata(const Conn *c, const ConnStream *s)
{
	return c->stream == s ? c->stream_userdata : NULL;
}

void conn_hold_output(Conn *c, bool hold)
{
	c->held = hold;
	conn_kick(c);
}

static void close_stream(Conn *c)
{
	const ConnStream *stream = c->stream;

	c->stream = NULL;
	if (stream)
		stream->closed(c, c->stream_userdata);
}

/* Whoever holds the output is made to fail, so that it comes back. */
static void interrupt_holder(Conn *c)
{
	(void)shutdown(c->fd, SHUT_RDWR);
	if (c->stream && c->stream->interrupt)
		c->stream->interrupt(c, c->stream_userdata);
}

static void set_blocked(Conn *c, bool blocked)
{
	if (c->blocked == blocked)
		return;
	c->blocked = blocked;
	if (!blocked)
		event_del(&c->write_event);
	else if (event_add(&c->write_event, NULL) < 0)
		conn_close(c);
}

static void drop_out(Conn *c)
{
	c->out_sent = 0;
	buf_clear(&c->out, OUT_KEEP_BYTES);
}

void conn_become_deaf(Conn *c)
{
	const ConnHooks *hooks = &c->server->hooks;

	c->deaf = true;
	drop_out(c);
	set_blocked(c, false);
	if (c->held)
		interrupt_holder(c);
	else
		close_stream(c);
	if (hooks->on_gone)
		hooks->on_gone(c, hooks->userdata);
	conn_kick(c);
}

void conn_on_writable(evutil_socket_t fd, short what, void *userdata)
{
	Conn *c = userdata;

	(void)fd;
	(void)what;
	c->blocked = false;
	conn_kick(c);
}

void conn_destroy(Conn *c)
{
	ConnServer *s = c->server;

	c->state = CONN_CLOSED;
	event_del(&c->read_event);
	event_del(&c->write_event);
	close_stream(c);
	s->hooks.on_closed(c, s->hooks.userdata);
	if (c->hangup_is_set)
		hangup_forget(s->hangup, c->fd);
	close(c->fd);
	list_remove(&c->node);
	list_remove(&c->dirty_node);
	s->n_conns--;
	conn_drop_input(c);
	buf_done(&c->out);
	conn_group_leave(c->group);
	free(c);
}

/* 0: all is written; -EAGAIN: the socket is full; other -errno. */
static int send_out(Conn *c)
{
	size_t waiting = conn_out_waiting(c);
	ssize_t n;

	if (waiting == 0)
		return 0;
	do
		n = send(c->fd, c->out.data + c->out_sent, waiting, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	PROBE2(written, c->fd, n);
	c->out_sent += (size_t)n;
	if ((size_t)n == waiting) {
		drop_out(c);
		return 0;
	}
	/* Each byte is moved once at the most: what stays is not more than what goes. */
	if (c->out_sent >= OUT_SENT_BYTES && c->out_sent >= conn_out_waiting(c)) {
		buf_consume(&c->out, c->out_sent);
		c->out_sent = 0;
	}
	return -EAGAIN;
}

static int pump(Conn *c)
{
	int r;

	if (!c->stream || c->state != CONN_OPEN || c->server->finishing)
		return 0;
	r = c->stream->pump(c, c->stream_userdata);
	if (r > 0)
		conn_kick(c);
	return r;
}

/* Of a client that has gone, what it asked for is done all the same. One that is there and could
 * not be told something must not wait for it for ever. */
static void output_failed(Conn *c, int error)
{
	if (error == -EPIPE || error == -ECONNRESET) {
		conn_become_deaf(c);
		return;
	}
	log_error("a client is disconnected: %s", strerror(-error));
	conn_close(c);
}

static void write_some(Conn *c)
{
	int r;

	if (c->deaf)
		drop_out(c);
	if (c->held || c->blocked)
		return;
	if (c->deaf) {
		close_stream(c);
		return;
	}
	r = send_out(c);
	if (r == 0)
		r = pump(c);
	/* What the pump has put there, a notification or the rest of a line, needs no turn of
	 * its own. */
	if (r >= 0 && !c->held)
		r = send_out(c);
	if (r == -EAGAIN)
		set_blocked(c, true);
	else if (r < 0)
		output_failed(c, r);
}

/* The client has said all that it wanted to say, and has got (or will not get) all that it
 * wanted to hear. */
static bool is_done(const Conn *c)
{
	if (!c->eof || c->lines_wait)
		return false;
	return c->deaf || (c->pending == 0 && conn_out_waiting(c) == 0 && !c->stream);
}

/* All was written of one that is to be closed. */
static void linger(Conn *c)
{
	conn_drop_input(c);
	if (c->eof || c->deaf || shutdown(c->fd, SHUT_WR) < 0 ||
		event_add(&c->read_event, &linger_idle) < 0) {
		c->state = CONN_CLOSED;
		return;
	}
	c->state = CONN_LINGERING;
	c->linger_until_us = clock_monotonic_us() + CONN_LINGER_US;
}

/* Whoever is not read from, since its read side has ended or it is full, may go all the same. */
static void watch_for_hangup(Conn *c)
{
	if (c->reading || c->hangup_is_set)
		return;
	c->hangup_is_set = hangup_watch(c->server->hangup, c->fd, c) == 0;
	/* Out of memory: better too soon than never. */
	if (!c->hangup_is_set)
		conn_close(c);
}

/* What is to be freed is another thread's to write to. */
static void wait_for_holder(Conn *c)
{
	conn_update_reading(c);
	set_blocked(c, false);
	interrupt_holder(c);
}

static void flush_conn(Conn *c)
{
	if (c->state == CONN_OPEN || c->state == CONN_FINISHING)
		write_some(c);
	if (c->state == CONN_FINISHING && conn_out_waiting(c) == 0 && !c->held)
		linger(c);
	else if (c->state == CONN_OPEN && is_done(c))
		c->state = CONN_CLOSED;
	if (conn_out_waiting(c) > CONN_HARD_OUT_BYTES && c->state != CONN_CLOSED) {
		log_warning(
			"a client of uid %u is disconnected: it has not read %zu bytes of replies",
			(unsigned)c->peer.uid, conn_out_waiting(c));
		c->state = CONN_CLOSED;
	}
	if (c->state == CONN_OPEN) {
		conn_update_reading(c);
		if (c->lines_wait && !conn_is_full(c)) {
			event_active(&c->read_event, EV_READ, 1);
			c->server->lines_wait = true;
		}
		watch_for_hangup(c);
	}
	if (c->state == CONN_CLOSED && !c->held)
		conn_destroy(c);
	else if (c->state == CONN_CLOSED)
		wait_for_holder(c);
}

/* Until they have had their share; those that are left go first in the next turn. Whoever is kicked
 * meanwhile waits for that, too. */
static void flush_group(ConnGroup *g, uint64_t until_us)
{
	ListNode now;

	list_init(&now);
	list_prepend_all(&now, &g->served);
	list_prepend_all(&now, &g->dirty);
	while (!list_empty(&now)) {
		Conn *c = container_of(now.next, Conn, dirty_node);

		list_remove(&c->dirty_node);
		c->flushed_turn = c->server->groups.turn;
		flush_conn(c);
		if (clock_monotonic_us() >= until_us)
			break;
	}
	list_prepend_all(&g->dirty, &now);
}

static uint64_t write_share_us(const ConnServer *s, const ListNode *groups)
{
	uint32_t n = 0;

	if (s->finishing)
		return CONN_FINISH_MS * USEC_PER_MSEC;
	list_foreach (node, groups)
		n++;
	return conn_group_share(CONN_GROUPS_TURN_US, n);
}

bool conn_server_flush(ConnServer *s)
{
	ListNode now;
	uint64_t share_us;

	s->lines_wait = false;
	conn_groups_begin_turn(&s->groups);
	if (list_empty(&s->dirty))
		return false;
	/* Moved to a list of its own: whoever is kicked meanwhile waits for the next turn. */
	list_init(&now);
	list_prepend_all(&now, &s->dirty);
	share_us = write_share_us(s, &now);
	while (!list_empty(&now)) {
		ConnGroup *g = container_of(now.next, ConnGroup, dirty_node);

		list_remove(&g->dirty_node);
		g->n_conns++; /* it outlives its last connection */
		flush_group(g, clock_monotonic_us() + share_us);
		if (!list_empty(&g->dirty) && list_empty(&g->dirty_node))
			list_append(&s->dirty, &g->dirty_node);
		conn_group_leave(g);
	}
	return s->lines_wait || !list_empty(&s->dirty);
}

bool conn_server_asked_lately(const ConnServer *s)
{
	return conn_groups_asked_lately(&s->groups);
}

/* Until somebody reads on whose socket was full. False: nobody does, or nobody's is. */
static bool wait_for_readers(ConnServer *s)
{
	_cleanup_free_ struct pollfd *fds = calloc(s->n_conns + 1, sizeof(*fds));
	nfds_t n = 0;

	if (!fds)
		return false;
	list_foreach (node, &s->conns) {
		const Conn *c = container_of(node, Conn, node);

		if (c->blocked && conn_out_waiting(c) > 0)
			fds[n++] = (struct pollfd){ .fd = c->fd, .events = POLLOUT };
	}
	if (n == 0 || poll(fds, n, CONN_FINISH_IDLE_MS) <= 0)
		return false;
	n = 0;
	list_foreach (node, &s->conns) {
		Conn *c = container_of(node, Conn, node);

		if (!c->blocked || conn_out_waiting(c) == 0 || fds[n++].revents == 0)
			continue;
		set_blocked(c, false);
		conn_kick(c);
	}
	return true;
}

void conn_server_finish(ConnServer *s)
{
	uint64_t until_us = clock_monotonic_us() + CONN_FINISH_MS * USEC_PER_MSEC;

	s->finishing = true;
	list_foreach (node, &s->conns) {
		Conn *c = container_of(node, Conn, node);

		/* Nobody has looked yet at what waits in the socket of one that had to wait. */
		if (c->lines_wait && c->reading && c->state == CONN_OPEN)
			conn_serve(c);
		else
			conn_hand_out_lines(c);
	}
	do
		(void)conn_server_flush(s);
	while (wait_for_readers(s) && clock_monotonic_us() < until_us);
}
