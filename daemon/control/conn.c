#include "daemon/control/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/control/conn-internal.h"

/* What one client may send in one turn, so that it does not starve the others. */
#define READ_BYTES_PER_TURN (64U * 1024)

/* What all line buffers may hold together: half lines, mostly, of up to max_request_bytes each.
 * Above that, those go that have been at it for the longest; but not for little. */
#define IN_MAX_BYTES    (256U * 1024 * 1024)
#define IN_LITTLE_BYTES (64U * 1024)

static void on_hangup(void *item)
{
	Conn *c = item;

	conn_become_deaf(c);
	conn_kick(c);
}

int conn_server_new(struct event_base *base, const ConnHooks *hooks, uint64_t max_request_bytes,
	ConnServer **ret)
{
	ConnServer *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->base = base;
	s->hooks = *hooks;
	s->max_line_bytes = (size_t)max_request_bytes;
	list_init(&s->conns);
	list_init(&s->dirty);
	conn_groups_init(&s->groups);
	r = hangup_new(base, on_hangup, &s->hangup);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void conn_server_free(ConnServer *s)
{
	if (!s)
		return;
	while (!list_empty(&s->conns))
		conn_destroy(container_of(s->conns.next, Conn, node));
	hangup_free(s->hangup);
	free(s);
}

uint32_t conn_server_count(const ConnServer *s)
{
	return s->n_conns;
}

ConnTotals *conn_server_totals(ConnServer *s)
{
	return &s->totals;
}

void conn_server_set_max_request_bytes(ConnServer *s, uint64_t max_request_bytes)
{
	s->max_line_bytes = (size_t)max_request_bytes;
	list_foreach (node, &s->conns)
		container_of(node, Conn, node)->in.max_line_bytes = s->max_line_bytes;
}

void conn_hand_out_lines(Conn *c)
{
	const ConnHooks *hooks = &c->server->hooks;

	c->lines_wait = false;
	while (c->state == CONN_OPEN) {
		const char *line;
		size_t len;
		int r;

		if (conn_must_wait(c)) {
			c->lines_wait = true;
			return;
		}
		if (c->unfinished) {
			c->began = true;
			c->unfinished = !hooks->on_more(c, hooks->userdata);
			continue;
		}
		r = line_buffer_next(&c->in, &line, &len);
		if (r == 0)
			return;
		if (r < 0) {
			hooks->on_line_too_long(c, hooks->userdata);
			return;
		}
		c->in_since_us = 0;
		c->began = true;
		hooks->on_line(c, line, len, hooks->userdata);
	}
}

void conn_drop_input(Conn *c)
{
	c->server->in_bytes -= c->in_bytes;
	c->in_bytes = 0;
	line_buffer_done(&c->in);
}

static Conn *longest_at_it(ConnServer *s)
{
	Conn *found = NULL;

	list_foreach (node, &s->conns) {
		Conn *c = container_of(node, Conn, node);

		if (c->in_bytes > IN_LITTLE_BYTES &&
			(!found || c->in_since_us < found->in_since_us))
			found = c;
	}
	return found;
}

static void bound_input(ConnServer *s)
{
	Conn *c;

	while (s->in_bytes > IN_MAX_BYTES && (c = longest_at_it(s)) != NULL) {
		log_warning(
			"a client of uid %u is disconnected: its line has no end, and all clients' "
			"take %zu bytes",
			(unsigned)c->peer.uid, s->in_bytes);
		conn_drop_input(c);
		conn_close(c);
	}
}

static void count_input(Conn *c)
{
	size_t pending = line_buffer_pending(&c->in);

	c->server->in_bytes += pending - c->in_bytes;
	c->in_bytes = pending;
	if (pending == 0)
		c->in_since_us = 0;
	else if (c->in_since_us == 0)
		c->in_since_us = clock_monotonic_us();
	bound_input(c->server);
}

/* A last line that nobody ended is a line all the same. */
static void end_last_line(Conn *c)
{
	size_t n;
	char *space;

	c->eof = true;
	if (line_buffer_pending(&c->in) == 0)
		return;
	space = line_buffer_space(&c->in, &n);
	if (!space) {
		conn_close(c);
		return;
	}
	*space = '\n';
	line_buffer_commit(&c->in, 1);
}

/* 1: there may be more. 0: that was all for now, or for ever. */
static int read_once(Conn *c, size_t *total)
{
	size_t room, left = READ_BYTES_PER_TURN - *total;
	char *space = line_buffer_space(&c->in, &room);
	ssize_t n;

	if (!space) {
		log_error("a client is disconnected: out of memory");
		conn_close(c);
		return 0;
	}
	/* However much room there is: a client that writes meanwhile on another core can keep a
	 * recv() going for as long as there is. */
	if (room > left)
		room = left;
	n = recv(c->fd, space, room, MSG_DONTWAIT);
	if (n > 0) {
		line_buffer_commit(&c->in, (size_t)n);
		*total += (size_t)n;
		return (size_t)n == room;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* An error here is that of a client which is gone for good: ECONNRESET, if it left
	 * replies unread. */
	if (n < 0)
		conn_become_deaf(c);
	end_last_line(c);
	return 0;
}

static void forget_input(Conn *c)
{
	char bytes[16384];
	ssize_t n = 0;

	for (size_t total = 0; total < READ_BYTES_PER_TURN; total += (size_t)n) {
		n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n <= 0)
			break;
		c->lingered_bytes += (size_t)n;
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_close(c);
	else if (c->lingered_bytes > CONN_LINGER_BYTES || clock_monotonic_us() > c->linger_until_us)
		conn_close(c);
}

void conn_serve(Conn *c)
{
	size_t total = 0;

	/* Those that had to wait first. */
	conn_hand_out_lines(c);
	if (c->state == CONN_OPEN && c->reading && !c->lines_wait && !conn_is_full(c)) {
		while (total < READ_BYTES_PER_TURN && read_once(c, &total) > 0)
			;
		conn_hand_out_lines(c);
	}
	count_input(c);
	conn_update_reading(c);
}

static void serve_for(Conn *c, uint64_t share_us)
{
	uint64_t now_us = clock_monotonic_us();

	c->share_ends_us = now_us + share_us;
	c->began = false;
	conn_serve(c);
	conn_group_end(c->group, clock_monotonic_us() - now_us);
}

/* What it still sends is read at its group's expense; but the time is up when it is. */
static void linger_on(Conn *c, uint64_t share_us, bool timeout)
{
	uint64_t now_us = clock_monotonic_us(), before = c->lingered_bytes;

	if (share_us == 0 && !timeout)
		return;
	/* If we are late, the time is over before what has come meanwhile was seen. */
	forget_input(c);
	if (timeout && c->lingered_bytes == before)
		conn_close(c);
	conn_group_end(c->group, clock_monotonic_us() - now_us);
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	Conn *c = userdata;
	ConnGroups *groups = &c->server->groups;
	/* One that waits for being written to keeps its place. */
	bool waits = !list_empty(&c->dirty_node) && c->flushed_turn != groups->turn;
	uint64_t share_us = conn_group_begin(groups, c->group);

	(void)fd;
	if (c->state == CONN_LINGERING) {
		linger_on(c, share_us, what & EV_TIMEOUT);
		return;
	}
	conn_kick(c);
	if (share_us == 0) {
		c->lines_wait = true;
		return;
	}
	serve_for(c, share_us);
	if (waits)
		return;
	/* Those that could not be heard are heard first in the next turn. */
	list_remove(&c->dirty_node);
	list_append(&c->group->served, &c->dirty_node);
}

void conn_update_reading(Conn *c)
{
	bool wanted = c->state == CONN_OPEN && !c->eof && !conn_is_full(c);

	if (wanted && !c->reading) {
		c->reading = event_add(&c->read_event, NULL) == 0;
		if (!c->reading)
			conn_close(c);
	} else if (!wanted && c->reading) {
		event_del(&c->read_event);
		c->reading = false;
	}
}

int conn_new(ConnServer *s, int fd, const Peer *peer, Conn **ret)
{
	Conn *c = calloc(1, sizeof(*c));

	if (!c || conn_group_join(&s->groups, peer->pid, &c->group) < 0) {
		free(c);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	c->peer = *peer;
	list_init(&c->dirty_node);
	line_buffer_init(&c->in, s->max_line_bytes);
	if (event_assign(&c->read_event, s->base, fd, EV_READ | EV_PERSIST, on_readable, c) < 0 ||
		event_assign(&c->write_event, s->base, fd, EV_WRITE, conn_on_writable, c) < 0 ||
		event_add(&c->read_event, NULL) < 0) {
		conn_group_leave(c->group);
		free(c);
		return -ENOMEM;
	}
	c->reading = true;
	list_append(&s->conns, &c->node);
	s->n_conns++;
	*ret = c;
	return 0;
}

int conn_fd(const Conn *c)
{
	return c->fd;
}

const Peer *conn_peer(const Conn *c)
{
	return &c->peer;
}

void conn_set_data(Conn *c, void *data)
{
	c->data = data;
}

void *conn_data(const Conn *c)
{
	return c->data;
}

bool conn_is_full(const Conn *c)
{
	return !c->server->finishing &&
	       (c->pending >= CONN_MAX_PENDING || conn_out_waiting(c) >= CONN_MAX_OUT_BYTES);
}

bool conn_must_wait(const Conn *c)
{
	if (conn_is_full(c))
		return true;
	/* Something is begun in each share, however short it is and slow the clock: else nothing
	 * might ever be. */
	return c->began && !c->server->finishing && clock_monotonic_us() >= c->share_ends_us;
}

void conn_set_unfinished(Conn *c)
{
	c->unfinished = true;
}

void conn_pending_add(Conn *c, uint32_t weight)
{
	c->pending += weight;
}

void conn_pending_drop(Conn *c, uint32_t weight)
{
	c->pending -= weight;
	conn_kick(c);
}

bool conn_is_closing(const Conn *c)
{
	return c->state != CONN_OPEN || c->deaf;
}

void conn_close_after_flush(Conn *c)
{
	if (c->state != CONN_OPEN)
		return;
	c->state = CONN_FINISHING;
	conn_update_reading(c);
	conn_kick(c);
}

void conn_close(Conn *c)
{
	c->state = CONN_CLOSED;
	event_del(&c->read_event);
	c->reading = false;
	conn_kick(c);
}
