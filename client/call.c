#include "client/call.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/interrupt.h"
#include "common/clock.h"
#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/line-buffer.h"
#include "common/utf8.h"

/* A reply of 4 MiB of text, of which every byte may be an escape of six, and some more. */
#define MAX_LINE_BYTES (32U * 1024 * 1024)

struct Call {
	int fd;
	LineBuffer in;
	Buf out; /* kept for the next request */
	uint64_t last_id;
	bool watch_stdout;
};

/* It bounds connect(2), too. */
static int limit_sending(int fd, int timeout_ms)
{
	struct timeval limit = {
		.tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000,
	};

	if (timeout_ms < 0)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ? -errno : 0;
}

int call_connect_within(const char *socket_path, int timeout_ms, Call **ret)
{
	_cleanup_(call_free_p) Call *c = NULL;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = strlen(socket_path);
	int r;

	if (len >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, socket_path, len + 1);
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	line_buffer_init(&c->in, MAX_LINE_BYTES);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	r = limit_sending(c->fd, timeout_ms);
	if (r < 0)
		return r;
	if (connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	*ret = TAKE_PTR(c);
	return 0;
}

int call_connect(const char *socket_path, Call **ret)
{
	return call_connect_within(socket_path, CALL_FOREVER, ret);
}

void call_free(Call *c)
{
	if (!c)
		return;
	cleanup_close(&c->fd);
	line_buffer_done(&c->in);
	buf_done(&c->out);
	free(c);
}

int call_fd(const Call *c)
{
	return c->fd;
}

void call_watch_stdout(Call *c)
{
	c->watch_stdout = true;
}

static int send_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent >= 0) {
			bytes += sent;
			n -= (size_t)sent;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return -ECONNRESET;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int call_send(Call *c, const char *method, const Buf *params, uint64_t *ret_id)
{
	JsonWriter w;
	int r;

	if (params && !utf8_valid(params->data, params->len))
		return -EILSEQ;
	buf_clear(&c->out, 64 * 1024);
	jw_init(&w, &c->out);
	jw_object_begin(&w);
	jw_key_cstring(&w, "jsonrpc", "2.0");
	jw_key_uint(&w, "id", c->last_id + 1);
	jw_key_cstring(&w, "method", method);
	if (params && params->len > 0)
		jw_key_raw(&w, "params", params->data, params->len);
	jw_object_end(&w);
	r = jw_finish(&w);
	if (r == 0)
		r = buf_append_char(&c->out, '\n');
	if (r == 0)
		r = send_all(c->fd, c->out.data, c->out.len);
	if (r < 0)
		return r;
	*ret_id = ++c->last_id;
	return 0;
}

/* Waits until there is something to read. */
static int wait_readable(Call *c, int timeout_ms)
{
	struct pollfd p[] = {
		{ .fd = c->fd, .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN },
		{ .fd = c->watch_stdout ? STDOUT_FILENO : -1 },
	};
	int n;

	n = poll(p, ARRAY_SIZE(p), timeout_ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	if (interrupt_take() != 0)
		return -EINTR;
	if (n > 0 && (p[2].revents & (POLLERR | POLLHUP | POLLNVAL)))
		return -EPIPE;
	if (n > 0 && p[0].revents)
		return 0;
	return n == 0 ? -ETIME : -EAGAIN;
}

static int fill(Call *c)
{
	size_t room;
	char *space = line_buffer_space(&c->in, &room);
	ssize_t n;

	if (!space)
		return -ENOMEM;
	n = recv(c->fd, space, room, MSG_DONTWAIT);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	line_buffer_commit(&c->in, (size_t)n);
	return 0;
}

/* What of the time is left; CALL_FOREVER stays. */
static int time_left(uint64_t deadline_us, int timeout_ms)
{
	uint64_t now = clock_monotonic_us();

	if (timeout_ms < 0)
		return CALL_FOREVER;
	return now >= deadline_us ? 0 : (int)((deadline_us - now) / USEC_PER_MSEC + 1);
}

static int next_line(Call *c, int timeout_ms, const char **ret_line, size_t *ret_len)
{
	uint64_t deadline =
		clock_monotonic_us() + (timeout_ms > 0 ? (uint64_t)timeout_ms * USEC_PER_MSEC : 0);

	for (;;) {
		int r = line_buffer_next(&c->in, ret_line, ret_len);

		if (r != 0)
			return r < 0 ? -EBADMSG : 0;
		r = wait_readable(c, time_left(deadline, timeout_ms));
		if (r == 0)
			r = fill(c);
		if (r < 0 && r != -EAGAIN)
			return r;
	}
}

int call_receive(Call *c, int timeout_ms, json_object **ret)
{
	_cleanup_json_ json_object *message = NULL;
	const char *line, *version;
	JsonxError error;
	size_t len;
	int r;

	r = next_line(c, timeout_ms, &line, &len);
	if (r == 0)
		r = jsonx_parse(line, len, &message, &error);
	if (r < 0)
		return r;
	version = jsonx_get_string(message, "jsonrpc", NULL);
	if (!version || strcmp(version, "2.0") != 0)
		return -EBADMSG;
	*ret = TAKE_PTR(message);
	return 0;
}

int call_classify(
	json_object *message, uint64_t *ret_id, const char **ret_method, json_object **ret_payload)
{
	const char *method = jsonx_get_string(message, "method", NULL);
	json_object *result;

	if (method) {
		*ret_method = method;
		*ret_payload = jsonx_get(message, "params", json_type_object);
		return *ret_payload ? CALL_NOTIFICATION : -EBADMSG;
	}
	*ret_id = jsonx_get_uint(message, "id", 0);
	*ret_payload = jsonx_get(message, "error", json_type_object);
	if (*ret_payload)
		return CALL_ERROR;
	if (*ret_id == 0 || !json_object_object_get_ex(message, "result", &result))
		return -EBADMSG;
	*ret_payload = result;
	return CALL_RESULT;
}

int call_reply(Call *c, uint64_t id, json_object **ret_result, json_object **ret_error)
{
	for (;;) {
		_cleanup_json_ json_object *message = NULL;
		json_object *payload = NULL;
		const char *method;
		uint64_t got = 0;
		int r;

		r = call_receive(c, CALL_FOREVER, &message);
		if (r == 0)
			r = call_classify(message, &got, &method, &payload);
		if (r < 0)
			return r;
		if (r == CALL_RESULT && got == id) {
			*ret_result = json_object_get(payload);
			return 0;
		}
		if (r == CALL_ERROR && (got == id || got == 0)) {
			*ret_error = json_object_get(payload);
			return 1;
		}
	}
}

int call_request(Call *c, const char *method, const Buf *params, json_object **ret_result,
	json_object **ret_error)
{
	uint64_t id;
	int r;

	r = call_send(c, method, params, &id);
	/* A daemon that refuses the connection says why before it closes it: look for that first.
	 */
	if (r == -ECONNRESET)
		id = UINT64_MAX;
	else if (r < 0)
		return r;
	return call_reply(c, id, ret_result, ret_error);
}
