#include "client/context.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/protocol.h"
#include "common/rpc-error.h"
#include "common/socket-path.h"

void context_done(Context *ctx)
{
	call_free(ctx->call);
	ctx->call = NULL;
	ephemeral_free(ctx->ephemeral);
	ctx->ephemeral = NULL;
	free(ctx->socket_path);
	ctx->socket_path = NULL;
	output_done(&ctx->out);
}

int context_fail(Context *ctx, ExitCode code, const char *format, ...)
{
	_cleanup_buf_ Buf message = { 0 };
	va_list ap;
	int r;

	va_start(ap, format);
	r = buf_vprintf(&message, format, ap);
	va_end(ap);
	if (r == 0)
		r = buf_terminate(&message);
	if (r < 0)
		return r;
	output_error(&ctx->out, message.data, NULL);
	return (int)code;
}

static int start_ephemeral(Context *ctx)
{
	_cleanup_buf_ Buf why = { 0 };
	int r;

	r = ephemeral_start(&ctx->ephemeral, &why);
	if (r >= 0 || r == -EINTR || r == -ENOMEM)
		return r;
	return context_fail(ctx, EXIT_CODE_UNREACHABLE, "cannot start a private daemon: %.*s",
		(int)why.len, why.len > 0 ? why.data : "");
}

int context_socket(Context *ctx, const char **ret)
{
	int r;

	if (ctx->want_ephemeral) {
		if (!ctx->ephemeral) {
			r = start_ephemeral(ctx);
			if (r != 0)
				return r;
		}
		*ret = ephemeral_socket(ctx->ephemeral);
		return 0;
	}
	if (!ctx->socket_path) {
		r = socket_path_find(ctx->socket_option, &ctx->socket_path);
		if (r == -ENAMETOOLONG)
			return context_fail(ctx, EXIT_CODE_UNREACHABLE,
				"the socket's path is too long: %s", ctx->socket_path);
		if (r < 0)
			return r;
	}
	*ret = ctx->socket_path;
	return 0;
}

int context_connect(Context *ctx, Call **ret)
{
	const char *path = NULL;
	int r;

	r = context_socket(ctx, &path);
	if (r != 0)
		return r;
	r = call_connect(path, ret);
	if (r >= 0 || r == -ENOMEM)
		return r;
	return context_fail(ctx, EXIT_CODE_UNREACHABLE,
		"cannot reach the daemon at %s: %s (start it with `systemctl start liongated` or "
		"`liongated`, say where it is with --socket, or use a private one with "
		"--ephemeral)",
		path, strerror(-r));
}

int context_call(Context *ctx, const char *method, const Buf *params, json_object **ret_result)
{
	_cleanup_json_ json_object *error = NULL;
	int r = -ECONNRESET;

	if (ctx->call)
		r = call_request(ctx->call, method, params, ret_result, &error);
	/* A connection that has been lying about may be older than the daemon. */
	if (r == -ECONNRESET) {
		call_free(ctx->call);
		ctx->call = NULL;
		r = context_connect(ctx, &ctx->call);
		if (r != 0)
			return r;
		r = call_request(ctx->call, method, params, ret_result, &error);
	}
	if (r == 1)
		return context_refused(ctx, NULL, error);
	return r < 0 ? context_lost(ctx, r) : 0;
}

static ExitCode code_of(const Context *ctx, json_object *error)
{
	int64_t code = jsonx_get_int(error, "code", 0);

	if (code == rpc_reason_code(RPC_NOT_FOUND))
		return EXIT_CODE_NOT_FOUND;
	if (code == rpc_reason_code(RPC_TIMEOUT))
		return EXIT_CODE_TIMED_OUT;
	if (code == rpc_reason_code(RPC_INVALID_PARAMS) && !ctx->raw)
		return EXIT_CODE_USAGE;
	return EXIT_CODE_REFUSED;
}

/* How the protocol names it. */
static int append_wire(json_object *error, Buf *text)
{
	json_object *data = jsonx_get(error, "data", json_type_object);
	const char *reason = jsonx_get_string(data, "reason", NULL);
	const char *param = jsonx_get_string(data, "param", NULL);

	return buf_printf(text, " (%" PRId64 "%s%s%s%s)", jsonx_get_int(error, "code", 0),
		reason ? " " : "", reason ? reason : "", param ? ": " : "", param ? param : "");
}

static int append_matches(json_object *error, Buf *text)
{
	json_object *data = jsonx_get(error, "data", json_type_object);
	json_object *matches = jsonx_get(data, "matches", json_type_array);
	int r = 0;

	for (size_t i = 0; r == 0 && matches && i < json_object_array_length(matches); i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(matches, i));

		r = buf_printf(text, "%s%s", i == 0 ? ": " : ", ", id ? id : "?");
	}
	return r;
}

int context_check_ids(Context *ctx, const char *const *ids, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strlen(ids[i]) < PROTOCOL_MIN_PREFIX_CHARS)
			return context_fail(ctx, EXIT_CODE_USAGE,
				"%s is no agent: it takes an id, or at least the first %u "
				"characters of one",
				*ids[i] ? ids[i] : "''", PROTOCOL_MIN_PREFIX_CHARS);
	}
	return 0;
}

int context_refused(Context *ctx, const char *about, json_object *error)
{
	_cleanup_buf_ Buf text = { 0 };
	const char *message = jsonx_get_string(error, "message", NULL);
	int r;

	if (about && message && strstr(message, about))
		about = NULL;
	r = buf_printf(&text, "%s%s%s", about ? about : "", about ? ": " : "",
		message ? message : "the daemon refused it");
	if (r == 0 && ctx->raw)
		r = append_wire(error, &text);
	if (r == 0)
		r = append_matches(error, &text);
	if (r == 0)
		r = buf_terminate(&text);
	if (r < 0)
		return r;
	output_error(&ctx->out, text.data, error);
	return (int)code_of(ctx, error);
}

int context_lost(Context *ctx, int r)
{
	if (r == -EILSEQ)
		return context_fail(ctx, EXIT_CODE_USAGE, "an argument is not valid UTF-8");
	if (r == -ECONNRESET)
		return context_fail(ctx, EXIT_CODE_UNREACHABLE,
			"the daemon closed the connection before it had answered");
	if (r == -EBADMSG)
		return context_fail(ctx, EXIT_CODE_UNREACHABLE,
			"what answers at %s does not speak the protocol",
			ctx->ephemeral ? ephemeral_socket(ctx->ephemeral) : ctx->socket_path);
	return r;
}
