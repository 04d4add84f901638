#include "tests/bench/load-client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "common/protocol.h"
#include "tests/bench/bench.h"

#define MAX_CLIENTS    8
#define MAX_LINE_BYTES (1024U * 1024)
#define READ_BYTES     (256U * 1024)
/* Requests are written down ahead of the socket up to here. */
#define AHEAD_BYTES    (256U * 1024)
/* Who hears nothing for so long waits for nothing. */
#define PATIENCE_MS    (60 * 1000)

#define ID_PREFIX "{\"jsonrpc\":\"2.0\",\"id\":"

void load_client_init(LoadClient *c, const char *socket_path)
{
	*c = (LoadClient){ .fd = bench_connect(socket_path) };
	line_buffer_init(&c->in, MAX_LINE_BYTES);
}

void load_client_done(LoadClient *c)
{
	close(c->fd);
	line_buffer_done(&c->in);
	buf_done(&c->out);
}

static void ask(LoadClient *c, uint64_t id, const char *method, const char *params)
{
	if (buf_printf(&c->out, ID_PREFIX "%llu,\"method\":\"%s\",\"params\":%s}\n",
		    (unsigned long long)id, method, params) < 0)
		bench_die("no memory");
}

void load_client_spawn_ahead(LoadClient *c, const char *params, uint64_t wanted, uint64_t *asked)
{
	while (*asked < wanted && c->out.len < AHEAD_BYTES)
		ask(c, ++*asked, "agent.spawn", params);
}

void load_client_subscribe(LoadClient *c, const char *types)
{
	_cleanup_buf_ Buf params = { 0 };
	const char *line;
	size_t len;

	if (buf_printf(&params, "{\"types\":%s}", types) < 0 || buf_terminate(&params) < 0)
		bench_die("no memory");
	ask(c, 0, "events.subscribe", params.data);
	do
		load_client_turn(c, 1);
	while (!load_client_next(c, &line, &len));
	if (load_line_kind(line, len) != LOAD_RESULT)
		bench_die("an answer was due: %.*s", (int)len, line);
}

static void send_some(LoadClient *c)
{
	ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		buf_consume(&c->out, (size_t)n);
	else if (errno != EAGAIN)
		bench_die_errno("send");
}

static void receive_some(LoadClient *c)
{
	size_t room;
	char *space;
	ssize_t n;

	if (buf_reserve(&c->in.buf, READ_BYTES) < 0)
		bench_die("no memory");
	space = line_buffer_space(&c->in, &room);
	if (!space)
		bench_die("no memory");
	n = recv(c->fd, space, room, MSG_DONTWAIT);
	if (n == 0)
		bench_die("the daemon has closed the connection");
	if (n > 0)
		line_buffer_commit(&c->in, (size_t)n);
	else if (errno != EAGAIN)
		bench_die_errno("recv");
}

void load_client_turn(LoadClient *clients, size_t n)
{
	struct pollfd p[MAX_CLIENTS] = { 0 };
	int ready;

	assert(n <= MAX_CLIENTS);
	for (size_t i = 0; i < n; i++) {
		p[i].fd = clients[i].fd;
		p[i].events = clients[i].out.len > 0 ? POLLIN | POLLOUT : POLLIN;
	}
	ready = poll(p, n, PATIENCE_MS);
	if (ready < 0)
		bench_die_errno("poll");
	if (ready == 0)
		bench_die("nothing comes any more");
	for (size_t i = 0; i < n; i++) {
		if (p[i].revents & POLLOUT)
			send_some(&clients[i]);
		if (p[i].revents & ~POLLOUT)
			receive_some(&clients[i]);
	}
}

bool load_client_next(LoadClient *c, const char **ret_line, size_t *ret_len)
{
	int r = line_buffer_next(&c->in, ret_line, ret_len);

	if (r < 0)
		bench_die("a line is too long");
	return r > 0;
}

static bool begins(const char *line, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len >= n && memcmp(line, with, n) == 0;
}

/* What stands behind the first `key`; NULL: there is none. */
static const char *find_behind(const char *line, size_t len, const char *key)
{
	size_t n = strlen(key);
	const char *at = memmem(line, len, key, n);

	return at ? at + n : NULL;
}

LoadLine load_line_kind(const char *line, size_t len)
{
	if (begins(line, len, PROTOCOL_EVENT_PREFIX))
		return LOAD_EVENT;
	if (!begins(line, len, ID_PREFIX))
		return LOAD_OTHER;
	if (!find_behind(line, len, ",\"result\":"))
		bench_die("refused: %.*s", (int)len, line);
	return LOAD_RESULT;
}

bool load_line_is(const char *line, size_t len, const char *type)
{
	const char *at = find_behind(line, len, "\"type\":\"");
	size_t n = strlen(type);

	return at && (size_t)(line + len - at) > n && memcmp(at, type, n) == 0 && at[n] == '"';
}

uint64_t load_line_uint(const char *line, size_t len, const char *key)
{
	const char *at = find_behind(line, len, key);
	size_t n = 0;
	uint64_t value;

	while (at && at + n < line + len && at[n] >= '0' && at[n] <= '9')
		n++;
	value = n > 0 ? digits_read(at, n) : UINT64_MAX;
	if (value == UINT64_MAX)
		bench_die("no %s in %.*s", key, (int)len, line);
	return value;
}

Uuid load_line_agent(const char *line, size_t len)
{
	const char *id = find_behind(line, len, "\"agent_id\":\"");
	Uuid agent;

	if (!id || (size_t)(line + len - id) < UUID_TEXT_LEN ||
		uuid_parse(id, UUID_TEXT_LEN, &agent) < 0)
		bench_die("no agent in %.*s", (int)len, line);
	return agent;
}
