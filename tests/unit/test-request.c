/* daemon/control/request.c: batches, and what becomes of requests whose client goes. */
#include "daemon/control/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/check-main.h"
#include "tests/lib/rpc-fixture.h"

START_TEST(batch_in_order)
{
	tell("[" WAIT("1", "a") "," CALL("2", "daemon.status") "," WAIT("3", "b") ",7," CALL(
		"5", "no.such") "]\n");
	tell(CALL("\"next\"", "daemon.status") "\n");
	expect(REPLY("\"next\"", "{}") "\n");
	answer(1, "3");
	expect("");
	answer(0, "1");

	const char *got = hear();
	const char *begin = "[" REPLY("1", "1") "," REPLY("2", "{}") "," REPLY(
		"3", "3") ",{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,";

	ck_assert_msg(strncmp(got, begin, strlen(begin)) == 0, "%s", got);
	ck_assert_ptr_nonnull(
		strstr(got, "},{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":-32601,"));
	ck_assert_str_eq(got + strlen(got) - 2, "]\n");
}
END_TEST

START_TEST(batch_of_notifications)
{
	tell("[" NOTE("daemon.status", "{}") "," NOTE("no.such", "{}") "," NOTE(
		"agent.wait", "{\"agent_id\":\"a\"}") "]\n");
	expect("");
	tell("[" NOTE("agent.wait", "{\"agent_id\":\"b\"}") "," CALL("1", "daemon.status") "]\n");
	expect("[" REPLY("1", "{}") "]\n");
	answer(1, "1");
	answer(0, "1");
	expect("");
}
END_TEST

START_TEST(batch_limits)
{
	tell("[1,2,3,4,5,6]\n");
	expect_error("null", 413, "too_large", ",\"limit\":5");
	rpc_set_max_batch(rf.rpc, 6);
	tell("[1,[],null,{},\"\",[" CALL("1", "daemon.status") "]]\n");

	const char *got = hear();
	unsigned n = 0;

	for (const char *p = got;
		(p = strstr(p, "\"id\":null,\"error\":{\"code\":-32600,")) != NULL; p++)
		n++;
	ck_assert_uint_eq(n, 6);
}
END_TEST

START_TEST(batch_holds_subscription_back)
{
	tell("[" CALL("1", "events.subscribe") "," NOTE("events.subscribe", "{}") "," WAIT(
		"2", "a") "]\n");
	ck_assert_uint_eq(rf.n_replied, 0);
	expect("");
	answer(0, "2");
	ck_assert_uint_eq(rf.n_replied, 2);
	expect("[" REPLY("1", "{}") "," REPLY("2", "2") "]\n" LIVE LIVE);
	tell(CALL("3", "events.subscribe") "\n");
	expect(REPLY("3", "{}") "\n" LIVE);
}
END_TEST

START_TEST(batch_of_large_replies)
{
	tell("[" CALL_WITH("1", "agent.output", "{\"agent_id\":\"a\"}") "," CALL_WITH(
		"2", "agent.output", "{\"agent_id\":\"a\"}") "," CALL_WITH("3", "agent.output",
		"{\"agent_id\":\"a\"}") "," CALL("4", "daemon.status") "]\n");

	const char *got = hear();

	ck_assert_uint_gt(strlen(got), 12U * 1024 * 1024);
	ck_assert_ptr_nonnull(
		strstr(got, "{\"jsonrpc\":\"2.0\",\"id\":3,\"error\":{\"code\":413,"));
	ck_assert_ptr_nonnull(strstr(got, REPLY("4", "{}") "]\n"));
}
END_TEST

/* Eight whose results may be large are begun at once: the rest of the batch, and what follows it,
 * wait. */
#define HEAVY_AT_ONCE 8U
#define N_HEAVY       12U

static void tell_heavy_batch(void)
{
	char text[1024] = "[";

	rpc_set_max_batch(rf.rpc, N_HEAVY);
	for (unsigned i = 0; i < N_HEAVY; i++) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len,
			"{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"events.read\"}%s", i,
			i + 1 < N_HEAVY ? "," : "]\n");
	}
	tell(text);
}

START_TEST(batch_in_portions)
{
	tell_heavy_batch();
	tell(CALL("\"next\"", "daemon.status") "\n");
	ck_assert_int_eq(shutdown(rf.client, SHUT_WR), 0);
	turn();
	for (unsigned i = 0; i < N_HEAVY; i++) {
		unsigned begun = HEAVY_AT_ONCE + i;

		ck_assert_uint_eq(rf.n_waiting, begun < N_HEAVY ? begun : N_HEAVY);
		if (rf.n_waiting < N_HEAVY)
			expect("");
		answer(i, "{}");
	}

	const char *got = hear(), *batch = strstr(got, "[" REPLY("0", "{}") "," REPLY("1", "{}"));

	ck_assert_ptr_nonnull(batch);
	ck_assert_ptr_nonnull(strstr(batch, REPLY("11", "{}") "]\n"));
	ck_assert_ptr_nonnull(strstr(got, REPLY("\"next\"", "{}") "\n"));
	ck_assert_uint_eq(conn_server_count(rf.server), 0);
}
END_TEST

/* When the daemon ends, what was not begun is answered as well, and what follows it. */
START_TEST(batch_at_the_end)
{
	const char *got;
	unsigned n = 0;

	tell_heavy_batch();
	tell(CALL("\"next\"", "daemon.status") "\n");
	rpc_finish(rf.rpc);
	for (unsigned i = 0; i < HEAVY_AT_ONCE; i++)
		request_result(rf.waiting[i], "{}", 2);
	conn_server_finish(rf.server);
	got = hear();
	ck_assert_ptr_nonnull(strstr(got, "[" REPLY("0", "{}") "," REPLY("1", "{}")));
	for (const char *p = got; (p = strstr(p, "\"reason\":\"shutting_down\"")) != NULL; p++)
		n++;
	ck_assert_uint_eq(n, N_HEAVY - HEAVY_AT_ONCE + 1);
	ck_assert_uint_eq(rf.n_waiting, HEAVY_AT_ONCE);
}
END_TEST

START_TEST(client_gone_in_the_middle_of_a_batch)
{
	tell_heavy_batch();
	answer(0, "{}");
	ck_assert_uint_eq(rf.n_waiting, HEAVY_AT_ONCE + 1);
	conn_server_free(rf.server);
	rf.server = NULL;
	for (unsigned i = 1; i < rf.n_waiting; i++) {
		ck_assert_ptr_null(request_conn(rf.waiting[i]));
		request_result(rf.waiting[i], "{}", 2);
	}
	ck_assert_uint_eq(rf.n_waiting, HEAVY_AT_ONCE + 1);
}
END_TEST

START_TEST(client_gone)
{
	tell(WAIT("1", "a") "\n[" WAIT("2", "b") "," CALL("3", "events.subscribe") "," NOTE(
		"agent.wait", "{\"agent_id\":\"c\"}") "]\n");
	ck_assert_uint_eq(rf.n_waiting, 3);
	close(rf.client);
	rf.client = -1;
	turn();
	ck_assert_uint_eq(conn_server_count(rf.server), 0);
	for (unsigned i = 0; i < rf.n_waiting; i++) {
		ck_assert_ptr_null(request_conn(rf.waiting[i]));
		ck_assert_uint_eq(request_peer(rf.waiting[i])->uid, 7);
		request_on_replied(rf.waiting[i], on_replied, &rf.n_replied);
		answer(i, "{}");
	}
	ck_assert_uint_eq(rf.n_replied, 0);
}
END_TEST

/* Its stream has gone by then, with whatever on_replied would use. */
static void on_gone(void *userdata)
{
	Request **req = userdata;

	ck_assert_ptr_null(request_conn(*req));
	request_fail(*req, -ECANCELED);
	*req = NULL;
}

/* They can be told, in a batch too; each once, and only while they are not answered. */
START_TEST(told_that_the_client_has_gone)
{
	tell(WAIT("1", "a") "\n" WAIT("2", "b") "\n[" WAIT("3", "c") "," WAIT("4", "d") "]\n" WAIT(
		"5", "e") "\n");
	for (unsigned i = 0; i < 5; i++)
		ck_assert(request_on_gone(rf.waiting[i], on_gone, &rf.waiting[i]));
	answer(1, "{}");
	request_forget_on_gone(rf.waiting[3]);
	close(rf.client);
	rf.client = -1;
	turn();
	ck_assert_uint_eq(conn_server_count(rf.server), 0);
	ck_assert_ptr_null(rf.waiting[0]);
	ck_assert_ptr_null(rf.waiting[2]);
	ck_assert_ptr_null(rf.waiting[4]);
	ck_assert_ptr_nonnull(rf.waiting[1]);
	ck_assert(!request_on_gone(rf.waiting[3], on_gone, NULL));
	answer(3, "{}");
}
END_TEST

/* The same where all connections are closed by us. */
START_TEST(told_at_the_end)
{
	tell(WAIT("1", "a") "\n[" WAIT("2", "b") "]\n");
	for (unsigned i = 0; i < 2; i++)
		ck_assert(request_on_gone(rf.waiting[i], on_gone, &rf.waiting[i]));
	conn_server_free(rf.server);
	rf.server = NULL;
	ck_assert_ptr_null(rf.waiting[0]);
	ck_assert_ptr_null(rf.waiting[1]);
}
END_TEST

START_TEST(one_place_a_connection)
{
	tell(WAIT("1", "a") "\n[" WAIT("2", "b") "]\n" WAIT("3", "c") "\n");
	ck_assert(request_take_place(rf.waiting[0]));
	ck_assert(request_take_place(rf.waiting[0]));
	ck_assert(!request_take_place(rf.waiting[1]));
	answer(2, "{}");
	ck_assert(!request_take_place(rf.waiting[1]));
	answer(0, "{}");
	ck_assert(request_take_place(rf.waiting[1]));
	close(rf.client);
	rf.client = -1;
	turn();
	ck_assert(request_take_place(rf.waiting[1]));
	answer(1, "{}");
}
END_TEST

static unsigned n_free;

/* Answers with its number among those that waited; the last of them keeps the place. */
static void on_place_free(Request *req, void *userdata)
{
	char text[16];

	n_free++;
	if (userdata) {
		ck_assert(request_take_place(req));
		return;
	}
	(void)snprintf(text, sizeof(text), "%u", n_free);
	request_result(req, text, strlen(text));
}

START_TEST(waits_for_the_place)
{
	n_free = 0;
	tell(WAIT("1", "a") "\n" WAIT("2", "b") "\n[" WAIT("3", "c") "," WAIT("4", "d") "]\n");
	ck_assert(!request_wait_for_place(rf.waiting[0], on_place_free, NULL));
	ck_assert(request_take_place(rf.waiting[0]));
	ck_assert(request_wait_for_place(rf.waiting[1], on_place_free, NULL));
	ck_assert(request_wait_for_place(rf.waiting[2], on_place_free, NULL));
	ck_assert(request_wait_for_place(rf.waiting[3], on_place_free, &n_free));
	expect("");
	answer(0, "0");
	ck_assert_uint_eq(n_free, 3);
	expect(REPLY("1", "0") "\n" REPLY("2", "1") "\n");
	answer(3, "{}");
	expect("[" REPLY("3", "2") "," REPLY("4", "{}") "]\n");
}
END_TEST

/* As many as one connection may have: they are not nested in each other. Or the rf.client goes. */
START_TEST(many_wait_for_the_place)
{
	n_free = 0;
	for (unsigned i = 0; i < 10000; i++)
		tell(WAIT("1", "") "\n");
	ck_assert(request_take_place(rf.waiting[0]));
	for (unsigned i = 1; i < 10000; i++)
		ck_assert(request_wait_for_place(rf.waiting[i], on_place_free, NULL));
	if (_i == 1) {
		close(rf.client);
		rf.client = -1;
		turn();
		ck_assert_uint_eq(n_free, 9999);
	}
	answer(0, "0");
	ck_assert_uint_eq(n_free, 9999);
}
END_TEST

/* What is heavy for a while is so for that while. */
START_TEST(heavy_for_a_while)
{
	char calls[20 * sizeof(WAIT("1", "a") "\n")] = "";

	rf.heavy_waits = true;
	for (int i = 0; i < 20; i++)
		strcat(calls, WAIT("1", "a") "\n");
	tell(calls);
	ck_assert_uint_eq(rf.n_waiting, 8);
	request_set_heavy(rf.waiting[0], false);
	turn();
	ck_assert_uint_eq(rf.n_waiting, 9);
	rf.heavy_waits = false;
	answer(1, "1");
	ck_assert_uint_eq(rf.n_waiting, 20);
	ck_assert_int_eq(close(rf.client), 0);
	rf.client = -1;
	turn();
	request_set_heavy(rf.waiting[2], false);
	request_set_heavy(rf.waiting[0], true);
	for (unsigned i = 0; i < rf.n_waiting; i++)
		if (i != 1)
			request_result(rf.waiting[i], "1", 1);
	turn();
	ck_assert_uint_eq(conn_server_count(rf.server), 0);
}
END_TEST

/* 64 KiB each, in white space. */
static unsigned tell_large(const char *begin, const char *end)
{
	static char space[64U * 1024];
	unsigned sent = 0;

	memset(space, ' ', sizeof(space));
	for (unsigned before = UINT32_MAX; before != rf.n_waiting; sent++) {
		before = rf.n_waiting;
		tell(begin);
		tell_bytes(space, sizeof(space));
		tell(end);
	}
	return sent;
}

/* What they say has to be kept, too. */
START_TEST(large_ones_wait)
{
	unsigned sent;

	sent = tell_large("", WAIT("1", "a") "\n");
	ck_assert_uint_eq(rf.n_waiting, 16384 / 65 + 1);
	ck_assert_uint_gt(sent, rf.n_waiting);
	answer(0, "1");
	ck_assert_uint_eq(rf.n_waiting, sent);
	for (unsigned i = 1; i < rf.n_waiting; i++)
		answer(i, "1");
}
END_TEST

START_TEST(large_batches_wait)
{
	unsigned sent = tell_large("[", WAIT("1", "a") "," WAIT("2", "b") "]\n");

	ck_assert_uint_eq(rf.n_waiting / 2, 16384 / 66);
	ck_assert_uint_gt(sent * 2, rf.n_waiting);
	answer(0, "1");
	ck_assert_uint_lt(rf.n_waiting, 2 * sent);
	answer(1, "1");
	ck_assert_uint_eq(rf.n_waiting, 2 * sent);
	for (unsigned i = 2; i < rf.n_waiting; i++)
		answer(i, "1");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("request");
	TCase *tc = tcase_create("request");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, rpc_fixture_setup, rpc_fixture_teardown);
	tcase_add_test(tc, batch_in_order);
	tcase_add_test(tc, batch_of_notifications);
	tcase_add_test(tc, batch_limits);
	tcase_add_test(tc, batch_holds_subscription_back);
	tcase_add_test(tc, batch_of_large_replies);
	tcase_add_test(tc, batch_in_portions);
	tcase_add_test(tc, batch_at_the_end);
	tcase_add_test(tc, client_gone_in_the_middle_of_a_batch);
	tcase_add_test(tc, client_gone);
	tcase_add_test(tc, told_that_the_client_has_gone);
	tcase_add_test(tc, told_at_the_end);
	tcase_add_test(tc, one_place_a_connection);
	tcase_add_test(tc, waits_for_the_place);
	tcase_add_loop_test(tc, many_wait_for_the_place, 0, 2);
	tcase_add_test(tc, heavy_for_a_while);
	tcase_add_test(tc, large_ones_wait);
	tcase_add_test(tc, large_batches_wait);
	suite_add_tcase(s, tc);
	return s;
}
