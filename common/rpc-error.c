#include "common/rpc-error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/json-writer.h"
#include "common/utf8.h"

/* Codes below -32000 are JSON-RPC 2.0's own; the others borrow HTTP's meaning. */
static const struct {
	const char *name;
	int code;
	bool retryable;
} reasons[_RPC_REASON_MAX] = {
	[RPC_PARSE_ERROR] = { "parse_error", -32700, false },
	[RPC_INVALID_REQUEST] = { "invalid_request", -32600, false },
	[RPC_LINE_TOO_LONG] = { "line_too_long", -32600, false },
	[RPC_METHOD_NOT_FOUND] = { "method_not_found", -32601, false },
	[RPC_INVALID_PARAMS] = { "invalid_params", -32602, false },
	[RPC_INTERNAL_ERROR] = { "internal_error", -32603, false },
	[RPC_PERMISSION_DENIED] = { "permission_denied", 403, false },
	[RPC_NOT_FOUND] = { "not_found", 404, false },
	[RPC_TIMEOUT] = { "timeout", 408, false },
	[RPC_ALREADY_EXISTS] = { "already_exists", 409, false },
	[RPC_ALREADY_SUBSCRIBED] = { "already_subscribed", 409, false },
	[RPC_NOT_RUNNING] = { "not_running", 409, false },
	[RPC_AMBIGUOUS] = { "ambiguous", 409, false },
	[RPC_LOG_REPLACED] = { "log_replaced", 409, false },
	[RPC_PRUNED] = { "pruned", 410, false },
	[RPC_TOO_LARGE] = { "too_large", 413, false },
	[RPC_QUEUE_FULL] = { "queue_full", 429, true },
	[RPC_LOG_UNAVAILABLE] = { "log_unavailable", 503, true },
	[RPC_SHUTTING_DOWN] = { "shutting_down", 503, true },
};

void rpc_error_done(RpcError *e)
{
	buf_done(&e->data);
}

const char *rpc_reason_to_string(RpcReason reason)
{
	return reasons[reason].name;
}

int rpc_reason_code(RpcReason reason)
{
	return reasons[reason].code;
}

bool rpc_reason_retryable(RpcReason reason)
{
	return reasons[reason].retryable;
}

/* What was cut, here or by a precision in the format, may end in half a character. */
static void make_valid(char *message)
{
	size_t len = strlen(message);

	len -= utf8_incomplete_tail(message, len);
	message[len] = '\0';
	if (utf8_valid(message, len))
		return;
	for (char *p = message; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
}

int rpc_error_set(RpcError *e, RpcReason reason, const char *format, ...)
{
	va_list ap;
	int n;

	if (!e)
		return -EINVAL;
	e->reason = reason;
	va_start(ap, format);
	n = vsnprintf(e->message, sizeof(e->message), format, ap);
	va_end(ap);
	if (n < 0)
		e->message[0] = '\0';
	make_valid(e->message);
	buf_clear(&e->data, 4096);
	return -EINVAL;
}

int rpc_error_refuse(RpcError *e, const char *param, const char *what)
{
	/* So that what is wrong is said, however long its name is. */
	int r = rpc_error_set(e, RPC_INVALID_PARAMS, "%.*s %s",
		(int)utf8_cut(param, strlen(param), 120), param, what);

	rpc_error_add_string(e, "param", param);
	return r;
}

static void add_key(JsonWriter *w, RpcError *e, const char *key)
{
	jw_init(w, &e->data);
	w->comma = e->data.len > 0;
	jw_key(w, key);
}

void rpc_error_add_string(RpcError *e, const char *key, const char *value)
{
	JsonWriter w;
	size_t before;

	if (!e)
		return;
	before = e->data.len;
	add_key(&w, e, key);
	jw_cstring(&w, value);
	if (jw_finish(&w) < 0)
		e->data.len = before;
}

void rpc_error_add_uint(RpcError *e, const char *key, unsigned long long value)
{
	JsonWriter w;
	size_t before;

	if (!e)
		return;
	before = e->data.len;
	add_key(&w, e, key);
	jw_uint(&w, value);
	if (jw_finish(&w) < 0)
		e->data.len = before;
}

int rpc_error_write(const RpcError *e, Buf *b)
{
	JsonWriter w;

	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key_int(&w, "code", rpc_reason_code(e->reason));
	jw_key_cstring(&w, "message", e->message);
	jw_key(&w, "data");
	jw_object_begin(&w);
	jw_key_cstring(&w, "reason", rpc_reason_to_string(e->reason));
	jw_key_bool(&w, "retryable", rpc_reason_retryable(e->reason));
	if (e->data.len > 0 && w.error == 0) {
		w.error = buf_append_char(b, ',');
		if (w.error == 0)
			w.error = buf_append(b, e->data.data, e->data.len);
	}
	jw_object_end(&w);
	jw_object_end(&w);
	return jw_finish(&w);
}
