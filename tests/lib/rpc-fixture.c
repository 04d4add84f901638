#include "tests/lib/rpc-fixture.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"

RpcFixture rf;

/* Answers at once, with its parameters. */
static void method_echo(Request *req, json_object *params, void *userdata)
{
	_cleanup_buf_ Buf text = { 0 };

	ck_assert_ptr_eq(userdata, rf.started);
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
		strncat(rf.started, agent, sizeof(rf.started) - strlen(rf.started) - 1);
	ck_assert_uint_lt(rf.n_waiting, MAX_WAITING);
	rf.waiting[rf.n_waiting++] = req;
	if (rf.heavy_waits)
		request_set_heavy(req, true);
}

void on_replied(Conn *c, void *userdata)
{
	ck_assert_ptr_eq(userdata, &rf.n_replied);
	rf.n_replied++;
	ck_assert_int_eq(rpc_notify(c, "live", "{\"seq\":1}", 9), 0);
}

static void method_subscribe(Request *req, json_object *params, void *userdata)
{
	(void)params;
	(void)userdata;
	request_on_replied(req, on_replied, &rf.n_replied);
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

void connect_as(Role role)
{
	Peer peer = { .uid = 7, .role = role };
	int fds[2];
	Conn *c;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	rf.client = fds[0];
	ck_assert_int_eq(conn_new(rf.server, fds[1], &peer, &c), 0);
}

void rpc_fixture_setup(void)
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
		[METHOD_PROVIDER_LIST] = method_echo,
		[METHOD_SUBSCRIBER_LIST] = method_echo,
	};
	ConnHooks hooks;

	rf.base = event_base_new();
	ck_assert_ptr_nonnull(rf.base);
	ck_assert_int_eq(rpc_new(methods, rf.started, MAX_BATCH, &rf.rpc), 0);
	hooks = rpc_conn_hooks(rf.rpc);
	ck_assert_int_eq(conn_server_new(rf.base, &hooks, 1024U * 1024, &rf.server), 0);
	rf.n_waiting = rf.n_replied = 0;
	rf.started[0] = '\0';
	connect_as(ROLE_ADMIN);
}

void rpc_fixture_teardown(void)
{
	conn_server_free(rf.server);
	rpc_free(rf.rpc);
	event_base_free(rf.base);
	if (rf.client >= 0)
		close(rf.client);
}

void turn(void)
{
	for (unsigned idle = 0; idle < 5; idle++) {
		event_base_loop(rf.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (conn_server_flush(rf.server))
			idle = 0;
	}
}

void answer(unsigned i, const char *result)
{
	request_result(rf.waiting[i], result, strlen(result));
	turn();
}

void tell_bytes(const char *bytes, size_t len)
{
	ck_assert_int_eq(send(rf.client, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
	turn();
}

void tell(const char *text)
{
	tell_bytes(text, strlen(text));
}

const char *hear(void)
{
	static Buf got;

	got.len = 0;
	for (;;) {
		ssize_t n;

		ck_assert_int_eq(buf_reserve(&got, 65536), 0);
		n = recv(rf.client, got.data + got.len, 65535, 0);
		if (n <= 0)
			break;
		got.len += (size_t)n;
		turn();
	}
	got.data[got.len] = '\0';
	return got.data;
}

void expect(const char *text)
{
	ck_assert_str_eq(hear(), text);
}

void expect_error(const char *id, int code, const char *reason, const char *more)
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
