/* daemon/control/rpc.c, request.c and discover.c, over a connection. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/jsonx.h"
#include "daemon/control/rpc.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

#define MAX_BATCH   5
#define MAX_WAITING 20000

static struct event_base *base;
static ConnServer *server;
static Rpc *rpc;
static int client;
static Request *waiting[MAX_WAITING];
static unsigned n_waiting, n_replied;
static char started[256];

/* Answers at once, with its parameters. */
static void method_echo(Request *req, json_object *params, void *userdata)
{
	_cleanup_buf_ Buf text = { 0 };

	ck_assert_ptr_eq(userdata, started);
	ck_assert_ptr_nonnull(request_conn(req));
	ck_assert_uint_eq(request_peer(req)->uid, 7);
	if (jsonx_append(&text, params) < 0)
		request_fail(req, -ENOMEM);
	else
		request_result(req, text.data, text.len);
}

/* Answers when the test does. */
static void method_wait(Request *req, json_object *params, void *userdata)
{
	const char *agent = jsonx_get_string(params, "agent_id", NULL);

	(void)userdata;
	if (agent)
		strncat(started, agent, sizeof(started) - strlen(started) - 1);
	ck_assert_uint_lt(n_waiting, MAX_WAITING);
	waiting[n_waiting++] = req;
}

static void on_replied(Conn *c, void *userdata)
{
	ck_assert_ptr_eq(userdata, &n_replied);
	n_replied++;
	ck_assert_int_eq(rpc_notify(c, "live", "{\"seq\":1}", 9), 0);
}

static void method_subscribe(Request *req, json_object *params, void *userdata)
{
	(void)params;
	(void)userdata;
	request_on_replied(req, on_replied, &n_replied);
	request_result(req, "{}", 2);
}

static void method_fail(Request *req, json_object *params, void *userdata)
{
	(void)params;
	(void)userdata;
	ck_assert_int_eq(request_method(req), METHOD_EVENTS_STATS);
	request_fail(req, -EIO);
}

static void method_large(Request *req, json_object *params, void *userdata)
{
	size_t len = 6U * 1024 * 1024;
	_cleanup_free_ char *text = malloc(len);

	(void)params;
	(void)userdata;
	ck_assert_ptr_nonnull(text);
	memset(text, '1', len);
	request_result(req, text, len);
}

static void connect_as(Role role)
{
	Peer peer = { .uid = 7, .role = role };
	int fds[2];
	Conn *c;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	client = fds[0];
	ck_assert_int_eq(conn_new(server, fds[1], &peer, &c), 0);
}

static void setup(void)
{
	const RpcMethod methods[_METHOD_MAX] = {
		[METHOD_DAEMON_STATUS] = method_echo,
		[METHOD_AGENT_SPAWN] = method_echo,
		[METHOD_AGENT_GET] = method_wait,
		[METHOD_AGENT_LIST] = method_echo,
		[METHOD_AGENT_OUTPUT] = method_large,
		[METHOD_AGENT_SEND] = method_echo,
		[METHOD_AGENT_CANCEL] = method_echo,
		[METHOD_AGENT_WAIT] = method_wait,
		[METHOD_EVENTS_SUBSCRIBE] = method_subscribe,
		[METHOD_EVENTS_UNSUBSCRIBE] = method_echo,
		[METHOD_EVENTS_READ] = method_wait,
		[METHOD_EVENTS_STATS] = method_fail,
	};
	ConnHooks hooks;

	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(rpc_new(methods, started, MAX_BATCH, &rpc), 0);
	hooks = rpc_conn_hooks(rpc);
	ck_assert_int_eq(conn_server_new(base, &hooks, 1024U * 1024, &server), 0);
	n_waiting = n_replied = 0;
	started[0] = '\0';
	connect_as(ROLE_ADMIN);
}

static void teardown(void)
{
	conn_server_free(server);
	rpc_free(rpc);
	event_base_free(base);
	if (client >= 0)
		close(client);
	jsonx_thread_done();
}

static void turn(void)
{
	for (unsigned idle = 0; idle < 5; idle++) {
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (conn_server_flush(server))
			idle = 0;
	}
}

static void answer(unsigned i, const char *result)
{
	request_result(waiting[i], result, strlen(result));
	turn();
}

static void tell_bytes(const char *bytes, size_t len)
{
	ck_assert_int_eq(send(client, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
	turn();
}

static void tell(const char *text)
{
	tell_bytes(text, strlen(text));
}

/* Everything that has come; lent until the next call. */
static const char *hear(void)
{
	static Buf got;

	got.len = 0;
	for (;;) {
		ssize_t n;

		ck_assert_int_eq(buf_reserve(&got, 65536), 0);
		n = recv(client, got.data + got.len, 65535, 0);
		if (n <= 0)
			break;
		got.len += (size_t)n;
		turn();
	}
	got.data[got.len] = '\0';
	return got.data;
}

static void expect(const char *text)
{
	ck_assert_str_eq(hear(), text);
}

/* One line, an error. */
static void expect_error(const char *id, int code, const char *reason, const char *more)
{
	char begin[128], middle[128];
	const char *got = hear();

	snprintf(begin, sizeof(begin),
		"{\"jsonrpc\":\"2.0\",\"id\":%s,\"error\":{\"code\":%d,\"message\":\"", id, code);
	snprintf(middle, sizeof(middle), "\"data\":{\"reason\":\"%s\",\"retryable\":false%s}}}\n",
		reason, more);
	ck_assert_msg(strncmp(got, begin, strlen(begin)) == 0, "%s", got);
	ck_assert_msg(strstr(got, middle) != NULL, "%s", got);
	ck_assert_ptr_eq(strchr(got, '\n') + 1, got + strlen(got));
}

#define CALL(id, method) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\"}"
#define CALL_WITH(id, method, p) \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":" p "}"
#define NOTE(method, p)   "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":" p "}"
#define REPLY(id, result) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"
#define WAIT(id, agent)   CALL_WITH(id, "agent.wait", "{\"agent_id\":\"" agent "\"}")
#define LIVE              "{\"jsonrpc\":\"2.0\",\"method\":\"live\",\"params\":{\"seq\":1}}\n"

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
	close(client);
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
	ck_assert_uint_eq(n_waiting, 1);
	answer(0, "{}");
	expect("");
	tell(NOTE("events.subscribe", "{}") "\n");
	ck_assert_uint_eq(n_replied, 1);
	expect(LIVE);
}
END_TEST

START_TEST(replies_overtake)
{
	tell(WAIT("1", "a") "\n" WAIT("\"two\"", "b") "\n" CALL("3", "daemon.status") "\n");
	ck_assert_str_eq(started, "ab");
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
	rpc_set_max_batch(rpc, 6);
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
	ck_assert_uint_eq(n_replied, 0);
	expect("");
	answer(0, "2");
	ck_assert_uint_eq(n_replied, 2);
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

/* Eight whose results may be large are begun at once: the rest of the batch, and what follows it, wait. */
#define HEAVY_AT_ONCE 8U
#define N_HEAVY       12U

static void tell_heavy_batch(void)
{
	char text[1024] = "[";

	rpc_set_max_batch(rpc, N_HEAVY);
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
	ck_assert_int_eq(shutdown(client, SHUT_WR), 0);
	turn();
	for (unsigned i = 0; i < N_HEAVY; i++) {
		unsigned begun = HEAVY_AT_ONCE + i;

		ck_assert_uint_eq(n_waiting, begun < N_HEAVY ? begun : N_HEAVY);
		if (n_waiting < N_HEAVY)
			expect("");
		answer(i, "{}");
	}

	const char *got = hear(), *batch = strstr(got, "[" REPLY("0", "{}") "," REPLY("1", "{}"));

	ck_assert_ptr_nonnull(batch);
	ck_assert_ptr_nonnull(strstr(batch, REPLY("11", "{}") "]\n"));
	ck_assert_ptr_nonnull(strstr(got, REPLY("\"next\"", "{}") "\n"));
	ck_assert_uint_eq(conn_server_count(server), 0);
}
END_TEST

START_TEST(client_gone_in_the_middle_of_a_batch)
{
	tell_heavy_batch();
	answer(0, "{}");
	ck_assert_uint_eq(n_waiting, HEAVY_AT_ONCE + 1);
	conn_server_free(server);
	server = NULL;
	for (unsigned i = 1; i < n_waiting; i++) {
		ck_assert_ptr_null(request_conn(waiting[i]));
		request_result(waiting[i], "{}", 2);
	}
	ck_assert_uint_eq(n_waiting, HEAVY_AT_ONCE + 1);
}
END_TEST

START_TEST(client_gone)
{
	tell(WAIT("1", "a") "\n[" WAIT("2", "b") "," CALL("3", "events.subscribe") "," NOTE(
		"agent.wait", "{\"agent_id\":\"c\"}") "]\n");
	ck_assert_uint_eq(n_waiting, 3);
	close(client);
	client = -1;
	turn();
	ck_assert_uint_eq(conn_server_count(server), 0);
	for (unsigned i = 0; i < n_waiting; i++) {
		ck_assert_ptr_null(request_conn(waiting[i]));
		ck_assert_uint_eq(request_peer(waiting[i])->uid, 7);
		request_on_replied(waiting[i], on_replied, &n_replied);
		answer(i, "{}");
	}
	ck_assert_uint_eq(n_replied, 0);
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
		ck_assert(request_on_gone(waiting[i], on_gone, &waiting[i]));
	answer(1, "{}");
	request_forget_on_gone(waiting[3]);
	close(client);
	client = -1;
	turn();
	ck_assert_uint_eq(conn_server_count(server), 0);
	ck_assert_ptr_null(waiting[0]);
	ck_assert_ptr_null(waiting[2]);
	ck_assert_ptr_null(waiting[4]);
	ck_assert_ptr_nonnull(waiting[1]);
	ck_assert(!request_on_gone(waiting[3], on_gone, NULL));
	answer(3, "{}");
}
END_TEST

/* The same where all connections are closed by us. */
START_TEST(told_at_the_end)
{
	tell(WAIT("1", "a") "\n[" WAIT("2", "b") "]\n");
	for (unsigned i = 0; i < 2; i++)
		ck_assert(request_on_gone(waiting[i], on_gone, &waiting[i]));
	conn_server_free(server);
	server = NULL;
	ck_assert_ptr_null(waiting[0]);
	ck_assert_ptr_null(waiting[1]);
}
END_TEST

START_TEST(one_place_a_connection)
{
	tell(WAIT("1", "a") "\n[" WAIT("2", "b") "]\n" WAIT("3", "c") "\n");
	ck_assert(request_take_place(waiting[0]));
	ck_assert(request_take_place(waiting[0]));
	ck_assert(!request_take_place(waiting[1]));
	answer(2, "{}");
	ck_assert(!request_take_place(waiting[1]));
	answer(0, "{}");
	ck_assert(request_take_place(waiting[1]));
	close(client);
	client = -1;
	turn();
	ck_assert(request_take_place(waiting[1]));
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
	ck_assert(!request_wait_for_place(waiting[0], on_place_free, NULL));
	ck_assert(request_take_place(waiting[0]));
	ck_assert(request_wait_for_place(waiting[1], on_place_free, NULL));
	ck_assert(request_wait_for_place(waiting[2], on_place_free, NULL));
	ck_assert(request_wait_for_place(waiting[3], on_place_free, &n_free));
	expect("");
	answer(0, "0");
	ck_assert_uint_eq(n_free, 3);
	expect(REPLY("1", "0") "\n" REPLY("2", "1") "\n");
	answer(3, "{}");
	expect("[" REPLY("3", "2") "," REPLY("4", "{}") "]\n");
}
END_TEST

/* As many as one connection may have: they are not nested in each other. Or the client goes. */
START_TEST(many_wait_for_the_place)
{
	n_free = 0;
	for (unsigned i = 0; i < 10000; i++)
		tell(WAIT("1", "") "\n");
	ck_assert(request_take_place(waiting[0]));
	for (unsigned i = 1; i < 10000; i++)
		ck_assert(request_wait_for_place(waiting[i], on_place_free, NULL));
	if (_i == 1) {
		close(client);
		client = -1;
		turn();
		ck_assert_uint_eq(n_free, 9999);
	}
	answer(0, "0");
	ck_assert_uint_eq(n_free, 9999);
}
END_TEST

START_TEST(client_reads_no_more)
{
	tell("[" CALL("1", "events.subscribe") "," WAIT("2", "a") "]\n" WAIT("3", "b") "\n");
	shutdown(client, SHUT_RD);
	answer(1, "3");
	ck_assert_uint_eq(conn_server_count(server), 1);
	ck_assert_ptr_null(request_conn(waiting[0]));
	answer(0, "2");
	ck_assert_uint_eq(n_replied, 0);
	tell(WAIT("4", "c") "\n");
	ck_assert_uint_eq(n_waiting, 3);
	answer(2, "4");
	shutdown(client, SHUT_WR);
	turn();
	ck_assert_uint_eq(conn_server_count(server), 0);
}
END_TEST

START_TEST(half_close)
{
	tell(WAIT("1", "a") "\n" WAIT("2", "b"));
	shutdown(client, SHUT_WR);
	turn();
	answer(0, "1");
	ck_assert_uint_eq(conn_server_count(server), 1);
	answer(1, "2");
	expect(REPLY("1", "1") "\n" REPLY("2", "2") "\n");
	ck_assert_uint_eq(conn_server_count(server), 0);
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

		if (sent < N && send(client, line, (size_t)len, 0) > 0) {
			sent++;
			continue;
		}
		turn();
		ck_assert_uint_le(n_waiting, CONN_MAX_PENDING);
		if (n_waiting == CONN_MAX_PENDING || sent == N)
			while (n_waiting > 0)
				request_result(waiting[--n_waiting], "1", 1);
		n = recv(client, bytes, sizeof(bytes), 0);
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
	ck_assert_uint_eq(n_waiting, 8);
	answer(0, "1");
	ck_assert_uint_eq(n_waiting, 9);
	for (unsigned i = 1; i < n_waiting; i++)
		answer(i, "1");
	ck_assert_uint_eq(n_waiting, 20);
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

	ck_assert_int_eq(send(client, text, sizeof(text) - 1, 0), sizeof(text) - 1);
	fault_realloc_after(_i);
	turn();
	fault_realloc_after(-1);
	got = hear();
	for (line = got; *line; line = strchr(line, '\n') + 1) {
		ck_assert_ptr_nonnull(strchr(line, '\n'));
		ck_assert(jsonx_valid(line, (size_t)(strchr(line, '\n') - line), NULL));
	}
	if (conn_server_count(server) == 0)
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
	tcase_add_checked_fixture(tc, setup, teardown);
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
	tcase_add_test(tc, batch_in_order);
	tcase_add_test(tc, batch_of_notifications);
	tcase_add_test(tc, batch_limits);
	tcase_add_test(tc, batch_holds_subscription_back);
	tcase_add_test(tc, batch_of_large_replies);
	tcase_add_test(tc, batch_in_portions);
	tcase_add_test(tc, client_gone_in_the_middle_of_a_batch);
	tcase_add_test(tc, client_gone);
	tcase_add_test(tc, told_that_the_client_has_gone);
	tcase_add_test(tc, told_at_the_end);
	tcase_add_test(tc, one_place_a_connection);
	tcase_add_test(tc, waits_for_the_place);
	tcase_add_loop_test(tc, many_wait_for_the_place, 0, 2);
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
