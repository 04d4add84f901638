/* Connections without JSON-RPC: a line is an order to the test's own hooks. */
#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "daemon/control/conn-internal.h"
#include "tests/lib/check-main.h"

#define MAX_LINE (256U * 1024)

static struct event_base *base;
static ConnServer *server;
static Conn *conn;
static int client;
static unsigned n_lines, n_closed, n_stream_closed, n_pumped;
static unsigned n_gone;
static uint32_t drop_when_gone;
static size_t line_bytes;
static int pump_result;

static void pump_bytes(Conn *c)
{
	ck_assert_int_eq(send(conn_fd(c), "event\n", 6, MSG_NOSIGNAL), 6);
}

static int pump(Conn *c, void *userdata)
{
	(void)userdata;
	ck_assert_uint_eq(conn_out(c)->len, 0);
	n_pumped++;
	if (pump_result == 0)
		return 0;
	if (pump_result > 0)
		pump_bytes(c);
	return pump_result > 0 ? --pump_result > 0 : pump_result;
}

static void stream_closed(Conn *c, void *userdata)
{
	(void)c;
	(void)userdata;
	n_stream_closed++;
}

static const ConnStream stream = { .pump = pump, .closed = stream_closed };

/* "long": takes more than a turn; "echo…": answered; "owe": a request without an answer; "sub": a
 * stream; "bye": closed. */
static void on_line(Conn *c, const char *line, size_t len, void *userdata)
{
	(void)userdata;
	n_lines++;
	line_bytes += len;
	if (len >= 4 && memcmp(line, "echo", 4) == 0) {
		ck_assert_int_eq(buf_append(conn_out(c), line, len), 0);
		ck_assert_int_eq(buf_append_char(conn_out(c), '\n'), 0);
		conn_kick(c);
	} else if (len == 4 && memcmp(line, "long", 4) == 0) {
		uint64_t until = clock_monotonic_us() + 2 * USEC_PER_MSEC;

		while (clock_monotonic_us() < until)
			continue;
	} else if (len == 3 && memcmp(line, "owe", 3) == 0) {
		conn_pending_add(c, 1);
	} else if (len == 3 && memcmp(line, "sub", 3) == 0) {
		conn_set_stream(c, &stream, NULL);
	} else if (len == 3 && memcmp(line, "bye", 3) == 0) {
		conn_close(c);
	}
}

static void on_line_too_long(Conn *c, void *userdata)
{
	(void)userdata;
	ck_assert_int_eq(buf_append_str(conn_out(c), "too long\n"), 0);
	conn_close_after_flush(c);
}

/* What only waited for its answer is owed no more. */
static void on_gone(Conn *c, void *userdata)
{
	(void)userdata;
	ck_assert_ptr_eq(c, conn);
	ck_assert(conn_is_closing(c));
	n_gone++;
	if (drop_when_gone > 0)
		conn_pending_drop(c, drop_when_gone);
	drop_when_gone = 0;
}

static void on_closed(Conn *c, void *userdata)
{
	(void)userdata;
	ck_assert_ptr_eq(c, conn);
	conn = NULL;
	n_closed++;
}

static const ConnHooks hooks = {
	.on_line = on_line,
	.on_line_too_long = on_line_too_long,
	.on_gone = on_gone,
	.on_closed = on_closed,
};

static void setup(void)
{
	Peer peer = { .uid = 1, .role = ROLE_ADMIN };
	int fds[2];

	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(conn_server_new(base, &hooks, MAX_LINE, &server), 0);
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	client = fds[0];
	ck_assert_int_eq(conn_new(server, fds[1], &peer, &conn), 0);
	drop_when_gone = n_gone = 0;
	n_lines = n_closed = n_stream_closed = n_pumped = 0;
	line_bytes = 0;
	pump_result = 0;
}

static void teardown(void)
{
	conn_server_free(server);
	event_base_free(base);
	if (client >= 0)
		close(client);
}

/* Until there is nothing to do, also in the turns after it. */
static void turn(void)
{
	for (unsigned n = 0, idle = 0; idle < 5; idle++) {
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (conn_server_flush(server))
			idle = 0;
		ck_assert_uint_lt(++n, 10000);
	}
}

/* Turns for `ms`, sleeping where there is nothing to do; returns how often it woke up. */
static unsigned turns_within(int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	unsigned n = 0;

	event_base_loopexit(base, &tv);
	while (!event_base_got_exit(base)) {
		event_base_loop(base, EVLOOP_ONCE);
		conn_server_flush(server);
		n++;
	}
	return n;
}

static void tell(const char *text)
{
	ck_assert_int_eq(send(client, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	turn();
}

static void expect(const char *text)
{
	char got[4096];
	size_t len = strlen(text);

	ck_assert_int_eq(recv(client, got, len, 0), (ssize_t)len);
	ck_assert_mem_eq(got, text, len);
}

static void expect_silence(void)
{
	char c;

	ck_assert_int_eq(recv(client, &c, 1, 0), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

static void expect_end(void)
{
	char c;

	ck_assert_int_eq(recv(client, &c, 1, 0), 0);
}

START_TEST(lines_and_replies)
{
	tell("echo 1\necho 2\nec");
	expect("echo 1\necho 2\n");
	tell("ho 3\n");
	expect("echo 3\n");
	ck_assert_uint_eq(n_lines, 3);
	ck_assert_uint_eq(conn_server_count(server), 1);
}
END_TEST

START_TEST(half_close)
{
	tell("echo 1\necho 2");
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	turn();
	expect("echo 1\necho 2\n");
	expect_end();
	ck_assert_uint_eq(n_closed, 1);
	ck_assert_uint_eq(conn_server_count(server), 0);
}
END_TEST

START_TEST(half_close_waits_for_what_is_owed)
{
	tell("owe\nowe\n");
	shutdown(client, SHUT_WR);
	turn();
	conn_pending_drop(conn, 1);
	turn();
	ck_assert_uint_eq(n_closed, 0);
	ck_assert_int_eq(buf_append_str(conn_out(conn), "done\n"), 0);
	conn_pending_drop(conn, 1);
	turn();
	expect("done\n");
	expect_end();
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

START_TEST(half_closed_stream_goes_on)
{
	tell("sub\n");
	shutdown(client, SHUT_WR);
	turn();
	ck_assert_uint_eq(n_closed, 0);
	pump_result = 3;
	conn_kick(conn);
	turn();
	expect("event\nevent\nevent\n");
	/* Nothing wakes it while nothing happens. */
	ck_assert_uint_le(turns_within(50), 3);
	close(client);
	client = -1;
	turn();
	ck_assert_uint_eq(n_stream_closed, 1);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

START_TEST(half_closed_stream_ends)
{
	tell("sub\n");
	shutdown(client, SHUT_WR);
	turn();
	conn_set_stream(conn, NULL, NULL);
	turn();
	expect_end();
	ck_assert_uint_eq(n_stream_closed, 0);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

/* Memory, or the disk: the client is there and waits, so it must not wait for ever. */
START_TEST(failed_stream)
{
	tell("sub\n");
	turn();
	log_set_level(0);
	pump_result = _i == 0 ? -ENOMEM : -EIO;
	conn_kick(conn);
	turn();
	expect_end();
	ck_assert_uint_eq(n_stream_closed, 1);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

START_TEST(half_closed_and_gone_while_something_is_owed)
{
	tell("owe\n");
	shutdown(client, SHUT_WR);
	turn();
	ck_assert_uint_le(turns_within(50), 3);
	ck_assert_uint_eq(n_closed, 0);
	close(client);
	client = -1;
	turn();
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

/* What it had sent is done, although nobody waits for the answers. */
START_TEST(gone_at_once)
{
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(send(client, "echo\nowe\n", 9, 0), 9);
	close(client);
	client = -1;
	turn();
	ck_assert_uint_eq(n_lines, 200);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

/* One that is not read from, with lines of it still to come. */
START_TEST(gone_while_full)
{
	tell("echo\n");
	conn_pending_add(conn, CONN_MAX_PENDING);
	tell("echo\n");
	tell("echo\necho\n");
	ck_assert_uint_eq(n_lines, 1);
	ck_assert_uint_le(turns_within(50), 3);
	drop_when_gone = CONN_MAX_PENDING;
	close(client);
	client = -1;
	turn();
	ck_assert_uint_ge(n_gone, 1);
	ck_assert_uint_eq(n_lines, 4);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

START_TEST(full_and_back)
{
	conn_pending_add(conn, CONN_MAX_PENDING);
	tell("echo 1\n");
	conn_pending_drop(conn, CONN_MAX_PENDING);
	turn();
	expect("echo 1\n");
	ck_assert_uint_eq(n_gone, 0);
	tell("owe\n");
	close(client);
	client = -1;
	turn();
	ck_assert_uint_ge(n_gone, 1);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

START_TEST(gone_with_replies_unread)
{
	tell("sub\necho 1\n");
	ck_assert_int_eq(send(client, "echo 2\nsub\necho 3", 17, 0), 17);
	close(client);
	client = -1;
	turn();
	ck_assert_uint_eq(n_lines, 5);
	ck_assert_uint_eq(n_closed, 1);
	ck_assert_uint_ge(n_stream_closed, 1);
}
END_TEST

START_TEST(closed_by_us)
{
	tell("bye\necho\n");
	ck_assert_uint_eq(n_lines, 1);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

static void send_bytes(size_t n)
{
	_cleanup_free_ char *bytes = malloc(n);

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, 'x', n);
	for (size_t sent = 0; sent < n;) {
		ssize_t r = send(client, bytes + sent, n - sent, MSG_NOSIGNAL);

		ck_assert(r > 0 || errno == EAGAIN);
		if (r > 0)
			sent += (size_t)r;
		turn();
	}
}

/* A client that writes all before it reads gets its answer. */
START_TEST(line_too_long)
{
	tell("echo 1\n");
	send_bytes(MAX_LINE * 4);
	expect("echo 1\ntoo long\n");
	expect_end();
	ck_assert_uint_eq(n_closed, 0);
	shutdown(client, SHUT_WR);
	turn();
	ck_assert_uint_eq(n_closed, 1);
	ck_assert_uint_eq(n_lines, 1);
}
END_TEST

START_TEST(line_too_long_and_silent)
{
	send_bytes(MAX_LINE + 1);
	expect("too long\n");
	(void)turns_within(1500);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

/* What has come counts, though the loop looks for it only when the time is over. */
START_TEST(line_too_long_and_we_are_late)
{
	send_bytes(MAX_LINE + 1);
	expect("too long\n");
	ck_assert_int_eq(send(client, "x", 1, 0), 1);
	event_active(&conn->read_event, EV_TIMEOUT, 1);
	turn();
	ck_assert_uint_eq(n_closed, 0);
	event_active(&conn->read_event, EV_TIMEOUT, 1);
	turn();
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

START_TEST(longest_line)
{
	send_bytes(MAX_LINE);
	tell("\necho\n");
	expect("echo\n");
	ck_assert_uint_eq(line_bytes, MAX_LINE + 4);
	conn_server_set_max_request_bytes(server, 10);
	tell("12345678901\n");
	expect("too long\n");
	expect_end();
}
END_TEST

/* One that sends without reading is not read from, and nothing of it is lost. */
START_TEST(replies_unread)
{
	static char line[1001];
	unsigned sent = 0, got = 0, stalled = 0;

	memset(line, 'x', 1000);
	memcpy(line, "echo", 4);
	line[1000] = '\n';
	while (stalled < 100) {
		ssize_t r = send(client, line, 1001, 0);

		if (r == 1001)
			sent++;
		else
			stalled++;
		turn();
	}
	ck_assert_uint_lt(conn_out(conn)->len, 2 * CONN_MAX_OUT_BYTES);
	ck_assert_uint_lt(n_lines, sent);
	ck_assert_uint_le(turns_within(50), 3);
	shutdown(client, SHUT_WR);
	while (got < sent * 1001) {
		char bytes[65536];
		ssize_t r = recv(client, bytes, sizeof(bytes), 0);

		turn();
		if (r > 0)
			got += (unsigned)r;
		else
			ck_assert_int_eq(errno, EAGAIN);
	}
	turn();
	expect_end();
	ck_assert_uint_eq(n_lines, sent);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

/* Whoever asks for much lets others come in between, and needs no new input to go on. */
START_TEST(a_share_of_each_turn)
{
	const char lines[] = "long\nlong\nlong\nlong\necho 1\necho 2\n";

	ck_assert_int_eq(send(client, lines, strlen(lines), MSG_NOSIGNAL), (ssize_t)strlen(lines));
	for (unsigned done = 0; done < 4; done = n_lines) {
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		ck_assert_uint_le(n_lines - done, 1);
		ck_assert(conn_server_flush(server));
		expect_silence();
	}
	turn();
	expect("echo 1\necho 2\n");
	ck_assert(!conn_server_flush(server));
}
END_TEST

/* Of much that has come only so much is read in a turn, however much room there is for it. */
START_TEST(a_turn_reads_so_much)
{
	static char bytes[MAX_LINE];
	int before, left;

	memset(bytes, 'x', sizeof(bytes));
	for (unsigned i = 0; i < 3; i++) {
		while (send(client, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
			continue;
		ck_assert_int_eq(ioctl(conn_fd(conn), FIONREAD, &before), 0);
		ck_assert_int_gt(before, 100 * 1024);
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		conn_server_flush(server);
		ck_assert_int_eq(ioctl(conn_fd(conn), FIONREAD, &left), 0);
		ck_assert_int_le(before - left, 64 * 1024);
	}
}
END_TEST

/* Lines that are read already wait, and go on without new input. */
START_TEST(too_much_owed)
{
	conn_pending_add(conn, CONN_MAX_PENDING - 1);
	tell("owe\necho 1\necho 2\n");
	ck_assert_uint_eq(n_lines, 1);
	expect_silence();
	tell("echo 3\n");
	ck_assert_uint_eq(n_lines, 1);
	ck_assert_uint_le(turns_within(50), 3);
	conn_pending_drop(conn, 1);
	turn();
	expect("echo 1\necho 2\necho 3\n");
	conn_pending_add(conn, 1);
	tell("echo 4");
	shutdown(client, SHUT_WR);
	turn();
	conn_pending_drop(conn, CONN_MAX_PENDING);
	turn();
	expect("echo 4\n");
	expect_end();
}
END_TEST

START_TEST(too_much_owed_to_one_that_is_gone)
{
	tell("owe\n");
	conn_pending_add(conn, CONN_MAX_PENDING - 1);
	tell("echo 1\n");
	close(client);
	client = -1;
	turn();
	ck_assert_uint_eq(n_closed, 0);
	conn_pending_drop(conn, CONN_MAX_PENDING - 1);
	turn();
	ck_assert_uint_eq(n_lines, 2);
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

static int pump_full(Conn *c, void *userdata)
{
	static const char event[] = "event event event\n";

	(void)userdata;
	n_pumped++;
	for (;;) {
		ssize_t n = send(conn_fd(c), event, sizeof(event) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n == sizeof(event) - 1)
			continue;
		if (n > 0)
			ck_assert_int_eq(
				conn_put_rest(c, event + n, sizeof(event) - 1 - (size_t)n), 0);
		return -EAGAIN;
	}
}

static const ConnStream full_stream = { .pump = pump_full, .closed = stream_closed };

START_TEST(full_socket)
{
	char bytes[65536];
	unsigned before;

	conn_set_stream(conn, &full_stream, NULL);
	turn();
	ck_assert_uint_eq(n_pumped, 1);
	ck_assert_uint_le(turns_within(50), 3);
	conn_kick(conn);
	turn();
	ck_assert_uint_eq(n_pumped, 1);
	for (before = n_pumped; n_pumped == before;) {
		ck_assert_int_gt(recv(client, bytes, sizeof(bytes), 0), 0);
		turn();
	}
	conn_close(conn);
	turn();
	ck_assert_uint_eq(n_stream_closed, 1);
}
END_TEST

static int pump_and_hold(Conn *c, void *userdata)
{
	(void)userdata;
	n_pumped++;
	if (n_pumped == 1)
		conn_hold_output(c, true);
	return 0;
}

static const ConnStream held_stream = { .pump = pump_and_hold, .closed = stream_closed };

START_TEST(held_output)
{
	conn_set_stream(conn, &held_stream, NULL);
	turn();
	tell("echo 1\n");
	expect_silence();
	pump_bytes(conn);
	ck_assert_int_eq(conn_put_rest(conn, "rest\n", 5), 0);
	conn_hold_output(conn, false);
	turn();
	expect("event\nrest\necho 1\n");
	ck_assert_uint_eq(n_pumped, 2);
}
END_TEST

static void check_held_close(void)
{
	ck_assert_uint_eq(n_closed, 0);
	ck_assert_uint_eq(n_stream_closed, 0);
	ck_assert_int_eq(send(conn_fd(conn), "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_uint_le(turns_within(50), 3);
	conn_hold_output(conn, false);
	turn();
	ck_assert_uint_eq(n_stream_closed, 1);
	ck_assert_uint_eq(n_closed, 1);
}

START_TEST(closed_while_held)
{
	conn_set_stream(conn, &held_stream, NULL);
	turn();
	conn_close(conn);
	turn();
	check_held_close();
}
END_TEST

START_TEST(half_closed_and_gone_while_held)
{
	conn_set_stream(conn, &held_stream, NULL);
	turn();
	shutdown(client, SHUT_WR);
	turn();
	ck_assert_uint_le(turns_within(50), 3);
	close(client);
	client = -1;
	turn();
	check_held_close();
}
END_TEST

static void shut_down_reading(void)
{
	shutdown(client, SHUT_RD);
	pump_result = -EPIPE;
	conn_set_stream(conn, &stream, NULL);
	turn();
	ck_assert_uint_eq(n_stream_closed, 1);
}

START_TEST(client_that_reads_no_more)
{
	shut_down_reading();
	ck_assert_uint_eq(n_closed, 0);
	tell("echo 1\necho 2\n");
	ck_assert_uint_eq(n_lines, 2);
	ck_assert_uint_eq(conn_out(conn)->len, 0);
	ck_assert(conn_is_closing(conn));
	shutdown(client, SHUT_WR);
	turn();
	ck_assert_uint_eq(n_closed, 1);
}
END_TEST

#define LAST_BYTES (2U * 1024 * 1024)

static void owe_more_than_the_socket_takes(void)
{
	static char bytes[LAST_BYTES];

	ck_assert_int_eq(buf_append(conn_out(conn), bytes, sizeof(bytes)), 0);
	conn_kick(conn);
	turn();
	ck_assert_uint_gt(conn_out(conn)->len, 0);
}

typedef struct LastReader {
	sem_t ready;
	size_t got;
} LastReader;

static void *read_on(void *userdata)
{
	LastReader *l = userdata;
	char bytes[65536];
	struct pollfd fd = { .fd = client, .events = POLLIN };

	sem_post(&l->ready);
	while (l->got < LAST_BYTES && poll(&fd, 1, 10000) > 0) {
		ssize_t r = recv(client, bytes, sizeof(bytes), 0);

		if (r > 0)
			l->got += (size_t)r;
	}
	return NULL;
}

START_TEST(finish_waits_for_who_reads)
{
	LastReader last = { 0 };
	pthread_t reader;

	owe_more_than_the_socket_takes();
	ck_assert_int_eq(sem_init(&last.ready, 0, 0), 0);
	ck_assert_int_eq(pthread_create(&reader, NULL, read_on, &last), 0);
	while (sem_wait(&last.ready) < 0)
		ck_assert_int_eq(errno, EINTR);
	conn_server_finish(server);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
	sem_destroy(&last.ready);
	ck_assert_uint_eq(last.got, LAST_BYTES);
}
END_TEST

START_TEST(finish_leaves_who_does_not)
{
	owe_more_than_the_socket_takes();
	conn_server_finish(server);
	ck_assert_uint_gt(conn_out(conn)->len, 0);
	ck_assert_uint_eq(n_closed, 0);
}
END_TEST

START_TEST(finish_asks_no_stream)
{
	pump_result = 1;
	conn_set_stream(conn, &stream, NULL);
	conn_server_finish(server);
	ck_assert_uint_eq(n_pumped, 0);
	expect_silence();
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("conn");
	TCase *tc = tcase_create("conn");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lines_and_replies);
	tcase_add_test(tc, half_close);
	tcase_add_test(tc, half_close_waits_for_what_is_owed);
	tcase_add_test(tc, half_closed_stream_goes_on);
	tcase_add_test(tc, half_closed_stream_ends);
	tcase_add_loop_test(tc, failed_stream, 0, 2);
	tcase_add_test(tc, half_closed_and_gone_while_something_is_owed);
	tcase_add_test(tc, gone_at_once);
	tcase_add_test(tc, gone_while_full);
	tcase_add_test(tc, full_and_back);
	tcase_add_test(tc, gone_with_replies_unread);
	tcase_add_test(tc, closed_by_us);
	tcase_add_test(tc, line_too_long);
	tcase_add_test(tc, line_too_long_and_silent);
	tcase_add_test(tc, line_too_long_and_we_are_late);
	tcase_add_test(tc, longest_line);
	tcase_add_test(tc, replies_unread);
	tcase_add_test(tc, a_share_of_each_turn);
	tcase_add_test(tc, a_turn_reads_so_much);
	tcase_add_test(tc, too_much_owed);
	tcase_add_test(tc, too_much_owed_to_one_that_is_gone);
	tcase_add_test(tc, full_socket);
	tcase_add_test(tc, held_output);
	tcase_add_test(tc, closed_while_held);
	tcase_add_test(tc, half_closed_and_gone_while_held);
	tcase_add_test(tc, client_that_reads_no_more);
	tcase_add_test(tc, finish_waits_for_who_reads);
	tcase_add_test(tc, finish_leaves_who_does_not);
	tcase_add_test(tc, finish_asks_no_stream);
	suite_add_tcase(s, tc);
	return s;
}
