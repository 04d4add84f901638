#include "daemon/control/rpc.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/rpc-fixture.h"

static const char *const ids[] = {
	"0",
	"1",
	"-1",
	"9007199254740993",
	"-9223372036854775808",
	"18446744073709551615",
	"null",
	"\"\"",
	"\"a\"",
	"\"\xc3\xa9 \xe2\x82\xac\"",
	"\"\\u0000\\n\\\"\\\\\"",
};

START_TEST(ids_are_echoed)
{
	char line[256];

	snprintf(line, sizeof(line), CALL("%s", "daemon.status") "\n", ids[_i]);
	tell(line);
	snprintf(line, sizeof(line), REPLY("%s", "{}") "\n", ids[_i]);
	expect(line);
	snprintf(line, sizeof(line), CALL("%s", "no.such") "\n", ids[_i]);
	tell(line);
	expect_error(ids[_i], -32601, "method_not_found", "");
}
END_TEST

static const struct {
	const char *line;
	const char *id;
} no_requests[] = {
	{ "1", "null" },
	{ "null", "null" },
	{ "\"daemon.status\"", "null" },
	{ "true", "null" },
	{ "[]", "null" },
	{ " [ ] ", "null" },
	{ "{}", "null" },
	{ "{\"id\":7,\"method\":\"daemon.status\"}", "7" },
	{ "{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"daemon.status\"}", "7" },
	{ "{\"jsonrpc\":\"2.0\\u0000\",\"id\":7,\"method\":\"daemon.status\"}", "7" },
	{ "{\"jsonrpc\":2.0,\"id\":7,\"method\":\"daemon.status\"}", "7" },
	{ "{\"jsonrpc\":\"2.0\",\"id\":\"x\"}", "\"x\"" },
	{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":1}", "7" },
	{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":null}", "7" },
	{ "{\"jsonrpc\":\"2.0\",\"method\":1}", "null" },
	{ CALL("1.5", "daemon.status"), "null" },
	{ CALL("1e2", "daemon.status"), "null" },
	{ CALL("true", "daemon.status"), "null" },
	{ CALL("[1]", "daemon.status"), "null" },
	{ CALL("{}", "daemon.status"), "null" },
};

START_TEST(no_request)
{
	tell(no_requests[_i].line);
	tell("\n");
	expect_error(no_requests[_i].id, -32600, "invalid_request", "");
	tell(CALL("1", "daemon.status") "\n");
	expect(REPLY("1", "{}") "\n");
}
END_TEST

static const struct {
	const char *bytes;
	size_t len;
} no_json[] = {
	{ "{", 1 },
	{ "{}x", 3 },
	{ "[1,]", 4 },
	{ "NaN", 3 },
	{ "\"\xff\"", 3 },
	{ "\"\\ud800\"", 8 },
	{ "\f", 1 },
	{ "\0", 1 },
	{ "18446744073709551616", 20 },
	{ "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.status\"},", 52 },
};

START_TEST(not_json)
{
	tell_bytes(no_json[_i].bytes, no_json[_i].len);
	tell("\n");
	expect_error("null", -32700, "parse_error", "");
}
END_TEST

START_TEST(where_it_is_not_json)
{
	tell("{\"a\":1,}\n");
	ck_assert_ptr_nonnull(strstr(hear(), "at byte 7\""));
}
END_TEST

START_TEST(white_space)
{
	tell("\n \n\t\r\n" CALL("1", "daemon.status") "\r\n");
	expect(REPLY("1", "{}") "\n");
}
END_TEST

static const char *const no_params[] = { "[]", "[1]", "null", "1", "1.5", "\"x\"", "false" };

START_TEST(params_that_are_no_object)
{
	char line[256];

	(void)snprintf(
		line, sizeof(line), CALL_WITH("1", "daemon.status", "%s") "\n", no_params[_i]);
	tell(line);
	expect_error("1", -32602, "invalid_params", ",\"param\":\"params\"");
	(void)snprintf(line, sizeof(line), CALL_WITH("1", "no.such", "%s") "\n", no_params[_i]);
	tell(line);
	expect_error("1", -32601, "method_not_found", "");
	/* Whoever wants no answer gets none. */
	(void)snprintf(line, sizeof(line), NOTE("daemon.status", "%s") "\n", no_params[_i]);
	tell(line);
	expect("");
}
END_TEST

START_TEST(params)
{
	tell("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.status\",\"extra\":[1]}\n");
	expect(REPLY("1", "{}") "\n");
	tell(CALL_WITH("1", "daemon.status", "{}") "\n");
	expect(REPLY("1", "{}") "\n");
	tell(CALL_WITH("1", "daemon.status", "{\"x\":1}") "\n");
	expect_error("1", -32602, "invalid_params", ",\"param\":\"x\"");
	tell(CALL_WITH("1", "agent.wait", "{}") "\n");
	expect_error("1", -32602, "invalid_params", ",\"param\":\"agent_id\"");
	tell(CALL_WITH("1", "agent.list", "{\"limit\":7}") "\n");
	expect(REPLY("1", "{\"limit\":7}") "\n");
	tell(CALL("1", "agent.list") "\n");
	expect(REPLY("1", "{\"limit\":100}") "\n");
}
END_TEST

START_TEST(unknown_method)
{
	tell(CALL("1", "agent.spawn\\u0000") "\n");
	expect_error("1", -32601, "method_not_found", "");
	/* A name that is cut is not cut inside of a character. */
	tell(CALL("1", "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		       "\xc3\xa9"
		       "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		       "\xc3\xa9"
		       "x\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		       "\xc3\xa9"
		       "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
		       "\xc3\xa9") "\n");
	const char *got = hear();
	ck_assert(jsonx_valid(got, strlen(got), NULL));
}
END_TEST

static void reconnect_as(Role role)
{
	close(rf.client);
	turn();
	connect_as(role);
}

START_TEST(roles)
{
	reconnect_as(ROLE_OBSERVE);
	tell(CALL_WITH("1", "agent.spawn", "{\"x\":1}") "\n");
	expect_error("1", 403, "permission_denied", ",\"need\":\"submit\"");
	tell(CALL_WITH("1", "agent.cancel", "[]") "\n");
	expect_error("1", 403, "permission_denied", ",\"need\":\"submit\"");
	tell(NOTE("agent.spawn", "{}") "\n" CALL("1", "agent.list") "\n");
	expect(REPLY("1", "{\"limit\":100}") "\n");
	reconnect_as(ROLE_SUBMIT);
	tell(CALL_WITH("1", "agent.cancel", "{\"agent_id\":\"x\"}") "\n");
	expect(REPLY("1", "{\"agent_id\":\"x\"}") "\n");
}
END_TEST

START_TEST(notifications)
{
	tell(NOTE("daemon.status", "{}") "\n" NOTE("no.such", "{}") "\n" NOTE(
		"agent.wait", "[]") "\n");
	tell(NOTE("agent.wait", "{}") "\n" NOTE("agent.wait", "{\"agent_id\":\"abcd\"}") "\n");
	tell(NOTE("events.stats", "{}") "\n");
	ck_assert_uint_eq(rf.n_waiting, 1);
	answer(0, "{}");
	expect("");
	tell(NOTE("events.subscribe", "{}") "\n");
	ck_assert_uint_eq(rf.n_replied, 1);
	expect(LIVE);
}
END_TEST

START_TEST(replies_overtake)
{
	tell(WAIT("1", "a") "\n" WAIT("\"two\"", "b") "\n" CALL("3", "daemon.status") "\n");
	ck_assert_str_eq(rf.started, "ab");
	expect(REPLY("3", "{}") "\n");
	answer(1, "[2]");
	answer(0, "[1]");
	expect(REPLY("\"two\"", "[2]") "\n" REPLY("1", "[1]") "\n");
}
END_TEST

START_TEST(internal_error)
{
	tell(CALL("1", "events.stats") "\n");
	expect_error("1", -32603, "internal_error", "");
}
END_TEST

START_TEST(client_reads_no_more)
{
	tell("[" CALL("1", "events.subscribe") "," WAIT("2", "a") "]\n" WAIT("3", "b") "\n");
	shutdown(rf.client, SHUT_RD);
	answer(1, "3");
	ck_assert_uint_eq(conn_server_count(rf.server), 1);
	ck_assert_ptr_null(request_conn(rf.waiting[0]));
	answer(0, "2");
	ck_assert_uint_eq(rf.n_replied, 0);
	tell(WAIT("4", "c") "\n");
	ck_assert_uint_eq(rf.n_waiting, 3);
	answer(2, "4");
	shutdown(rf.client, SHUT_WR);
	turn();
	ck_assert_uint_eq(conn_server_count(rf.server), 0);
}
END_TEST

START_TEST(half_close)
{
	tell(WAIT("1", "a") "\n" WAIT("2", "b"));
	shutdown(rf.client, SHUT_WR);
	turn();
	answer(0, "1");
	ck_assert_uint_eq(conn_server_count(rf.server), 1);
	answer(1, "2");
	expect(REPLY("1", "1") "\n" REPLY("2", "2") "\n");
	ck_assert_uint_eq(conn_server_count(rf.server), 0);
}
END_TEST

START_TEST(line_too_long)
{
	static char bytes[65536];

	tell(WAIT("1", "a") "\n");
	memset(bytes, ' ', sizeof(bytes));
	for (int i = 0; i < 17; i++)
		tell_bytes(bytes, sizeof(bytes));
	expect_error("null", -32600, "line_too_long", "");
	answer(0, "1");
	expect("");
}
END_TEST

/* As many as may be under way, and more: all are answered, in the end. */
START_TEST(burst)
{
	enum { N = 40000 };
	unsigned sent = 0;
	size_t got = 0;

	while (got < N * sizeof(REPLY("123456", "1"))) {
		char line[128], bytes[65536];
		int len = snprintf(line, sizeof(line), WAIT("%06u", "") "\n", 100000 + sent);
		ssize_t n;

		if (sent < N && send(rf.client, line, (size_t)len, 0) > 0) {
			sent++;
			continue;
		}
		turn();
		ck_assert_uint_le(rf.n_waiting, CONN_MAX_PENDING);
		if (rf.n_waiting == CONN_MAX_PENDING || sent == N)
			while (rf.n_waiting > 0)
				request_result(rf.waiting[--rf.n_waiting], "1", 1);
		n = recv(rf.client, bytes, sizeof(bytes), 0);
		if (n > 0)
			got += (size_t)n;
	}
	ck_assert_uint_eq(got, N * sizeof(REPLY("123456", "1")));
	expect("");
}
END_TEST

/* What answers with much is not begun too often at once. */
START_TEST(heavy_ones_wait)
{
	for (int i = 0; i < 20; i++)
		tell(CALL("1", "events.read") "\n");
	ck_assert_uint_eq(rf.n_waiting, 8);
	answer(0, "1");
	ck_assert_uint_eq(rf.n_waiting, 9);
	for (unsigned i = 1; i < rf.n_waiting; i++)
		answer(i, "1");
	ck_assert_uint_eq(rf.n_waiting, 20);
}
END_TEST

/* Wherever memory runs out, a client gets whole lines, or is disconnected: it never waits in
 * vain. */
START_TEST(out_of_memory)
{
	static const char text[] = "[" CALL_WITH("\"a\"", "daemon.status", "{}") "," CALL(
		"2", "no.such") "]\n" CALL_WITH("3", "agent.list", "{}") "\n" CALL("4",
		"rpc.discover") "\n";
	const char *got, *line;

	ck_assert_int_eq(send(rf.client, text, sizeof(text) - 1, 0), sizeof(text) - 1);
	fault_realloc_after(_i);
	turn();
	fault_realloc_after(-1);
	got = hear();
	for (line = got; *line; line = strchr(line, '\n') + 1) {
		ck_assert_ptr_nonnull(strchr(line, '\n'));
		ck_assert(jsonx_valid(line, (size_t)(strchr(line, '\n') - line), NULL));
	}
	if (conn_server_count(rf.server) == 0)
		return;
	ck_assert_ptr_nonnull(strstr(got, "\"a\""));
	ck_assert_ptr_nonnull(strstr(got, "\"id\":3"));
	ck_assert_ptr_nonnull(strstr(got, "\"id\":4"));
}
END_TEST

START_TEST(discover)
{
	tell(CALL("1", "rpc.discover") "\n" CALL("2", "rpc.discover") "\n");
	ck_assert_ptr_nonnull(strstr(strstr(hear(), "\"id\":2"), "\"openrpc\":\"1.2.6\""));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("rpc");
	TCase *tc = tcase_create("rpc");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, rpc_fixture_setup, rpc_fixture_teardown);
	tcase_add_loop_test(tc, ids_are_echoed, 0, ARRAY_SIZE(ids));
	tcase_add_loop_test(tc, no_request, 0, ARRAY_SIZE(no_requests));
	tcase_add_loop_test(tc, not_json, 0, ARRAY_SIZE(no_json));
	tcase_add_test(tc, where_it_is_not_json);
	tcase_add_test(tc, white_space);
	tcase_add_loop_test(tc, params_that_are_no_object, 0, ARRAY_SIZE(no_params));
	tcase_add_test(tc, params);
	tcase_add_test(tc, unknown_method);
	tcase_add_test(tc, roles);
	tcase_add_test(tc, notifications);
	tcase_add_test(tc, replies_overtake);
	tcase_add_test(tc, internal_error);
	tcase_add_test(tc, client_reads_no_more);
	tcase_add_test(tc, half_close);
	tcase_add_test(tc, line_too_long);
	tcase_add_test(tc, burst);
	tcase_add_test(tc, heavy_ones_wait);
	tcase_add_loop_test(tc, out_of_memory, 0, 60);
	tcase_add_test(tc, discover);
	suite_add_tcase(s, tc);
	return s;
}
