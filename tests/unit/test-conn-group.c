/* Connections of several processes, each with its share of a turn. */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/control/conn-group.h"
#include "daemon/control/conn.h"
#include "tests/lib/check-main.h"

#define MANY 8

/* Longer than any share. */
#define LONG_US (2 * USEC_PER_MSEC)

/* A small part of one. */
#define SHORT_US 5

static struct event_base *base;
static ConnServer *server;
static unsigned n_closed;
static bool kick_when_closed, kick_when_pumped;
static uint64_t pump_us;

typedef struct Client {
	Conn *conn; /* NULL: closed */
	int fd;
	unsigned n_lines, n_pumped;
} Client;

static Client clients[MANY + 1];

static void work(uint64_t us)
{
	uint64_t until_us = clock_monotonic_us() + us;

	while (clock_monotonic_us() < until_us)
		continue;
}

static int pump(Conn *c, void *userdata)
{
	Client *client = userdata;

	work(pump_us);
	client->n_pumped++;
	if (kick_when_pumped)
		conn_kick(c);
	return 0;
}

static void stream_closed(Conn *c, void *userdata)
{
	(void)c;
	(void)userdata;
}

static const ConnStream stream = { .pump = pump, .closed = stream_closed };

/* "long": takes all of a turn. "sub": a stream whose pump takes all of a turn. "bye": closed.
 * Others are not answered, and take no time. */
static void on_line(Conn *c, const char *line, size_t len, void *userdata)
{
	Client *client = conn_data(c);

	(void)userdata;
	client->n_lines++;
	if (len == 4 && memcmp(line, "long", 4) == 0)
		work(LONG_US);
	else if (len == 5 && memcmp(line, "short", 5) == 0)
		work(SHORT_US);
	else if (len == 3 && memcmp(line, "sub", 3) == 0)
		conn_set_stream(c, &stream, client);
	else if (len == 3 && memcmp(line, "bye", 3) == 0)
		conn_close(c);
}

static void on_line_too_long(Conn *c, void *userdata)
{
	(void)c;
	(void)userdata;
	ck_abort_msg("no line is too long");
}

static void on_closed(Conn *c, void *userdata)
{
	Client *client = conn_data(c);

	(void)userdata;
	client->conn = NULL;
	n_closed++;
	if (kick_when_closed)
		conn_kick(c);
}

static const ConnHooks hooks = {
	.on_line = on_line,
	.on_line_too_long = on_line_too_long,
	.on_closed = on_closed,
};

static void setup(void)
{
	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(conn_server_new(base, &hooks, 1024, &server), 0);
	for (unsigned i = 0; i <= MANY; i++)
		clients[i] = (Client){ .fd = -1 };
	n_closed = 0;
	kick_when_closed = kick_when_pumped = false;
	pump_us = LONG_US;
}

static void teardown(void)
{
	conn_server_free(server);
	event_base_free(base);
	for (unsigned i = 0; i <= MANY; i++)
		if (clients[i].fd >= 0)
			close(clients[i].fd);
}

static Client *join(unsigned i, pid_t pid)
{
	Peer peer = { .uid = 1, .pid = pid, .role = ROLE_ADMIN };
	Client *client = &clients[i];
	int fds[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	client->fd = fds[0];
	ck_assert_int_eq(conn_new(server, fds[1], &peer, &client->conn), 0);
	conn_set_data(client->conn, client);
	return client;
}

/* MANY of one process, and after them one of another, which is returned. */
static Client *join_all(void)
{
	for (unsigned i = 0; i < MANY; i++)
		join(i, 7);
	return join(MANY, 8);
}

static void tell(const Client *client, const char *text)
{
	ck_assert_int_eq(send(client->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static bool turn(void)
{
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	return conn_server_flush(server);
}

static unsigned lines_of_the_many(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += clients[i].n_lines;
	return n;
}

static unsigned pumps_of_the_many(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += clients[i].n_pumped;
	return n;
}

/* In each turn one of the many is heard, whichever has waited for the longest, be its share over
 * before it began. */
START_TEST(asks_are_shared)
{
	Client *other = join_all();
	unsigned done = 0, heard = 0;

	for (unsigned i = 0; i < MANY; i++)
		for (unsigned n = 0; n < 50; n++)
			tell(&clients[i], "long\n");
	tell(other, "quick\n");
	while (heard < MANY) {
		ck_assert(turn());
		ck_assert_uint_eq(lines_of_the_many() - done, 1);
		done = lines_of_the_many();
		heard = 0;
		for (unsigned i = 0; i < MANY; i++)
			heard += clients[i].n_lines > 0;
	}
	ck_assert_uint_eq(other->n_lines, 1);
	for (unsigned i = 0; i < MANY; i++)
		ck_assert_uint_lt(clients[i].n_lines, 25);
}
END_TEST

/* Where requests are small, more than one of the many is heard in a turn: as soon as it is known
 * how many they are, half of them at the least. (The machine may take a turn away, but not all.) */
START_TEST(one_takes_not_all)
{
	static char lines[20 * 1024];
	unsigned heard = 0;

	for (size_t i = 0; i + 5 < sizeof(lines); i += 6)
		memcpy(lines + i, "short\n", 6);
	join_all();
	for (unsigned i = 0; i < MANY; i++)
		tell(&clients[i], lines);
	for (unsigned n = 0; n < 200 && heard < MANY / 2; n++) {
		unsigned before[MANY];

		for (unsigned i = 0; i < MANY; i++)
			before[i] = clients[i].n_lines;
		(void)turn();
		heard = 0;
		for (unsigned i = 0; i < MANY; i++)
			heard += clients[i].n_lines > before[i];
	}
	ck_assert_uint_ge(heard, MANY / 2);
}
END_TEST

/* One that always has something to write is not always first to be heard. */
START_TEST(a_stream_is_not_preferred)
{
	Client *streams = join(0, 7), *asks = join(1, 7);

	pump_us = 0;
	kick_when_pumped = true;
	tell(streams, "sub\n");
	while (streams->n_lines == 0)
		(void)turn();
	for (unsigned n = 0; n < 100; n++)
		tell(streams, "long\n");
	(void)turn();
	tell(asks, "quick\n");
	while (asks->n_lines == 0)
		ck_assert(turn());
	ck_assert_uint_lt(streams->n_lines, 50);
	kick_when_pumped = false;
}
END_TEST

static void subscribe_all(void)
{
	for (unsigned i = 0; i <= MANY; i++)
		tell(&clients[i], "sub\n");
	do
		(void)turn();
	while (lines_of_the_many() < MANY || clients[MANY].n_lines == 0 || turn());
}

/* As with what is written. */
START_TEST(writing_is_shared)
{
	Client *other = join_all();
	unsigned before, others_before;

	subscribe_all();
	before = pumps_of_the_many();
	others_before = other->n_pumped;
	for (unsigned i = 0; i < MANY; i++)
		conn_kick(clients[i].conn);
	for (unsigned done = 1; done <= MANY; done++) {
		unsigned lasts = clients[MANY - 1].n_pumped;

		conn_kick(other->conn);
		ck_assert(conn_server_flush(server));
		ck_assert_uint_eq(pumps_of_the_many(), before + done);
		ck_assert_uint_eq(other->n_pumped, others_before + done);
		ck_assert_uint_eq(clients[MANY - 1].n_pumped - lasts, done == MANY);
		/* This one was written to first, and is not again before the others were. */
		conn_kick(clients[0].conn);
	}
}
END_TEST

/* Where it is not known who they are, none waits for another. */
START_TEST(nobody_knows_them)
{
	for (unsigned i = 0; i < MANY; i++)
		tell(join(i, 0), "long\n");
	turn();
	ck_assert_uint_gt(lines_of_the_many(), 1);
}
END_TEST

/* One that goes, and is kicked while it does, leaves its group in order. */
START_TEST(kicked_at_the_end)
{
	Client *stays = join(0, 7), *goes = join(1, 7);

	kick_when_closed = true;
	tell(goes, "bye\n");
	while (n_closed == 0)
		(void)turn();
	(void)turn();
	tell(stays, "bye\n");
	while (n_closed == 1)
		(void)turn();
	ck_assert(!turn());
	kick_when_closed = false;
}
END_TEST

/* What a group has left over is for its next connection; a turn later nothing of it counts. */
START_TEST(shares)
{
	ConnGroups groups;
	ConnGroup *g, *same, *other;
	uint64_t whole_us;

	conn_groups_init(&groups);
	ck_assert_int_eq(conn_group_join(&groups, 7, &g), 0);
	ck_assert_int_eq(conn_group_join(&groups, 7, &same), 0);
	ck_assert_int_eq(conn_group_join(&groups, 7 + CONN_GROUP_BUCKETS, &other), 0);
	ck_assert_ptr_eq(g, same);
	ck_assert_ptr_ne(g, other);
	whole_us = conn_group_begin(&groups, g);
	ck_assert_uint_gt(whole_us, 0);
	conn_group_end(g, whole_us - 1);
	/* There is little left, but no sliver. */
	ck_assert_uint_gt(conn_group_begin(&groups, g), 1);
	conn_group_end(g, 1);
	ck_assert_uint_eq(conn_group_begin(&groups, g), 0);
	ck_assert_uint_eq(conn_group_begin(&groups, other), whole_us);
	/* Two groups had something in the last turn, and one of them three connections, of which
	 * one was not heard. */
	conn_groups_begin_turn(&groups);
	ck_assert_uint_eq(conn_group_begin(&groups, g), conn_group_share(whole_us, 6));
	ck_assert_uint_eq(conn_group_begin(&groups, other), whole_us / 2);
	conn_groups_begin_turn(&groups);
	conn_groups_begin_turn(&groups);
	ck_assert_uint_eq(conn_group_begin(&groups, g), whole_us);
	conn_group_leave(g);
	conn_group_leave(same);
	conn_group_leave(other);
}
END_TEST

START_TEST(knows_when_it_was_asked)
{
	ConnGroups groups;
	ConnGroup *g;
	unsigned turns = 0;

	conn_groups_init(&groups);
	ck_assert_int_eq(conn_group_join(&groups, 7, &g), 0);
	while (conn_groups_asked_lately(&groups) && turns++ < 1000)
		conn_groups_begin_turn(&groups);
	ck_assert(!conn_groups_asked_lately(&groups));
	ck_assert_uint_gt(conn_group_begin(&groups, g), 0);
	ck_assert(conn_groups_asked_lately(&groups));
	conn_groups_begin_turn(&groups);
	ck_assert(conn_groups_asked_lately(&groups));
	conn_group_leave(g);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("conn-group");
	TCase *tc = tcase_create("conn-group");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, asks_are_shared);
	tcase_add_test(tc, one_takes_not_all);
	tcase_add_test(tc, a_stream_is_not_preferred);
	tcase_add_test(tc, writing_is_shared);
	tcase_add_test(tc, nobody_knows_them);
	tcase_add_test(tc, kicked_at_the_end);
	tcase_add_test(tc, shares);
	tcase_add_test(tc, knows_when_it_was_asked);
	suite_add_tcase(s, tc);
	return s;
}
