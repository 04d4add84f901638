/* Any bytes from a client, in any pieces: every request gets the answers that JSON-RPC 2.0 owes it,
 * one whole line each, whenever the methods answer; and nothing is left over when the client goes.
 *
 * Input: a byte of flags, two bytes the seed of what is left to chance, the rest the stream. */
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "common/fd.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "daemon/control/rpc.h"
#include "tests/fuzz/fuzz.h"

#define MAX_BATCH         8U
#define MAX_REQUEST_BYTES 2048U
#define MAX_WAITING       64U
#define FLAG_ROLE         3U /* a Role */
#define FLAG_NO_NEWLINE   4U /* the last line ends with the stream */
#define FLAG_VANISH       8U /* the client closes before it is answered */

static struct event_base *base;
static ConnServer *server;
static Rpc *rpc;
static Request *waiting[MAX_WAITING];
static size_t n_waiting;
static uint32_t randomness;

static uint32_t draw(void)
{
	randomness = randomness * 1664525 + 1013904223;
	return randomness >> 8;
}

static void answer(Request *req)
{
	_cleanup_rpc_error_ RpcError e = { 0 };

	(void)request_conn(req);
	FUZZ_CHECK(request_peer(req)->role >= protocol_method(request_method(req))->role);
	if (draw() % 2 == 0) {
		request_result(req, "{\"ok\":true}", 11);
		return;
	}
	(void)rpc_error_set(&e, RPC_NOT_FOUND, "there is none");
	request_error(req, &e);
}

static void answer_one(void)
{
	size_t i = draw() % n_waiting;
	Request *req = waiting[i];

	waiting[i] = waiting[--n_waiting];
	answer(req);
}

static void on_replied(Conn *c, void *userdata)
{
	FUZZ_CHECK(c && userdata == &rpc);
	if (draw() % 4 == 0)
		FUZZ_CHECK(rpc_notify(c, "live", "{\"seq\":1}", 9) == 0);
}

static void method(Request *req, json_object *params, void *userdata)
{
	_cleanup_rpc_error_ RpcError e = { 0 };

	FUZZ_CHECK(userdata == &rpc);
	FUZZ_CHECK(schema_check(protocol_method(request_method(req))->params, params, "", &e) == 0);
	if (draw() % 4 == 0)
		request_on_replied(req, on_replied, &rpc);
	if (draw() % 2 == 0) {
		answer(req);
		return;
	}
	if (n_waiting == MAX_WAITING)
		answer_one();
	waiting[n_waiting++] = req;
}

static void start(void)
{
	RpcMethod methods[_METHOD_MAX];
	ConnHooks hooks;

	if (base)
		return;
	log_set_level(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		methods[i] = method;
	base = event_base_new();
	FUZZ_CHECK(base && rpc_new(methods, &rpc, MAX_BATCH, &rpc) == 0);
	hooks = rpc_conn_hooks(rpc);
	FUZZ_CHECK(conn_server_new(base, &hooks, MAX_REQUEST_BYTES, &server) == 0);
}

static bool is_version_2(json_object *o)
{
	size_t len;
	const char *version = jsonx_get_string(o, "jsonrpc", &len);

	return version && len == 3 && memcmp(version, "2.0", 3) == 0;
}

/* How many answers JSON-RPC owes a member of a batch, or a request alone: 0 or 1. */
static unsigned owed_to_request(json_object *o)
{
	json_object *params = NULL;
	bool has_params;

	if (!json_object_is_type(o, json_type_object) || json_object_object_get_ex(o, "id", NULL))
		return 1;
	has_params = json_object_object_get_ex(o, "params", &params);
	if (has_params && !json_object_is_type(params, json_type_object) &&
		!json_object_is_type(params, json_type_array))
		return 1;
	return !is_version_2(o) || !jsonx_get_string(o, "method", NULL);
}

/* How many lines are owed to a line. */
static unsigned owed_to_line(const char *line, size_t len)
{
	_cleanup_json_ json_object *o = NULL;
	size_t n;

	for (n = 0; n < len && strchr(" \t\r", line[n]) && line[n] != '\0'; n++)
		;
	if (n == len)
		return 0;
	if (jsonx_parse(line, len, &o, NULL) < 0 || !json_object_is_type(o, json_type_array))
		return owed_to_request(o);
	n = json_object_array_length(o);
	if (n == 0 || n > MAX_BATCH)
		return 1;
	for (size_t i = 0; i < n; i++)
		if (owed_to_request(json_object_array_get_idx(o, i)) > 0)
			return 1;
	return 0;
}

/* How many lines are owed to the stream. *ret_cut: a line is too long, and ends it. */
static unsigned owed_to_stream(const char *text, size_t len, bool *ret_cut)
{
	const char *end = text + len;
	unsigned owed = 0;

	*ret_cut = false;
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t line_len = (size_t)((newline ? newline : end) - text);

		if (line_len > MAX_REQUEST_BYTES) {
			*ret_cut = true;
			return owed + 1;
		}
		owed += owed_to_line(text, line_len);
		text = newline ? newline + 1 : end;
	}
	return owed;
}

static void check_answer(json_object *o)
{
	json_object *error = NULL;

	FUZZ_CHECK(json_object_is_type(o, json_type_object));
	FUZZ_CHECK(is_version_2(o));
	FUZZ_CHECK(json_object_object_get_ex(o, "id", NULL));
	FUZZ_CHECK(json_object_object_get_ex(o, "error", &error) !=
		   json_object_object_get_ex(o, "result", NULL));
	FUZZ_CHECK(!error || (jsonx_get(error, "code", json_type_int) &&
				     jsonx_get_string(error, "message", NULL) &&
				     jsonx_get(error, "data", json_type_object)));
}

/* 1: it is an answer. 0: a notification. */
static unsigned check_line(const char *line, size_t len)
{
	_cleanup_json_ json_object *o = NULL;

	FUZZ_CHECK(jsonx_parse(line, len, &o, NULL) == 0);
	if (jsonx_get_string(o, "method", NULL))
		return 0;
	if (!json_object_is_type(o, json_type_array)) {
		check_answer(o);
		return 1;
	}
	FUZZ_CHECK(json_object_array_length(o) > 0 && json_object_array_length(o) <= MAX_BATCH);
	for (size_t i = 0; i < json_object_array_length(o); i++)
		check_answer(json_object_array_get_idx(o, i));
	return 1;
}

static unsigned check_lines(const Buf *out)
{
	const char *line = out->data, *end = line + out->len, *newline;
	unsigned n = 0;

	for (; out->len > 0 && line < end; line = newline + 1) {
		newline = memchr(line, '\n', (size_t)(end - line));
		FUZZ_CHECK(newline);
		n += check_line(line, (size_t)(newline - line));
	}
	return n;
}

/* One turn of the main loop, and what the client reads of it. */
static void turn(int client, Buf *out)
{
	FUZZ_CHECK(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
	if (n_waiting > 0 && draw() % 2 == 0)
		answer_one();
	(void)conn_server_flush(server);
	while (client >= 0 && buf_reserve(out, 65536) == 0) {
		ssize_t n = recv(client, out->data + out->len, out->cap - out->len, MSG_DONTWAIT);

		if (n <= 0)
			return;
		out->len += (size_t)n;
	}
}

static void send_pieces(int client, const char *text, size_t len, Buf *out)
{
	while (len > 0) {
		size_t n = 1 + draw() % (draw() % 8 == 0 ? 16 : 2048);
		ssize_t sent = send(client, text, n < len ? n : len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EPIPE)
			return;
		FUZZ_CHECK(sent > 0 || errno == EAGAIN);
		text += sent > 0 ? sent : 0;
		len -= sent > 0 ? (size_t)sent : 0;
		turn(client, out);
	}
}

/* Until the connection has gone, and all that was begun has been answered. */
static void finish(int client, Buf *out)
{
	for (int i = 0; i < 10000 && (conn_server_count(server) > 0 || n_waiting > 0); i++)
		turn(client, out);
	FUZZ_CHECK(conn_server_count(server) == 0 && n_waiting == 0);
}

static void play(unsigned flags, const char *text, size_t len)
{
	const Peer peer = { .role = flags & FLAG_ROLE };
	_cleanup_buf_ Buf out = { 0 };
	int pair[2];
	unsigned owed, answered;
	bool cut;
	Conn *c;

	owed = owed_to_stream(text, len, &cut);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	FUZZ_CHECK(conn_new(server, pair[0], &peer, &c) == 0);
	send_pieces(pair[1], text, len, &out);
	if (flags & FLAG_VANISH) {
		close(pair[1]);
		finish(-1, &out);
		return;
	}
	(void)shutdown(pair[1], SHUT_WR);
	finish(pair[1], &out);
	close(pair[1]);
	answered = check_lines(&out);
	FUZZ_CHECK(cut ? answered <= owed : answered == owed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ Buf text = { 0 };

	if (size < 4)
		return 0;
	start();
	randomness = (uint32_t)data[1] | (uint32_t)data[2] << 8;
	FUZZ_CHECK(buf_append(&text, data + 3, size - 3) == 0);
	if (!(data[0] & FLAG_NO_NEWLINE))
		FUZZ_CHECK(buf_append_char(&text, '\n') == 0);
	play(data[0], text.data, text.len);
	return 0;
}
