#include <errno.h>
#include <string.h>

#include "client/command.h"
#include "client/prompt.h"
#include "common/jsonx.h"

static void view(Output *o, json_object *result)
{
	/* The result of a raw call is JSON either way. */
	output_json_ops.result(o, NULL, result);
}

/* Compact: a newline would end the request. */
static int get_params(Context *ctx, const char *text, Buf *params)
{
	_cleanup_json_ json_object *parsed = NULL;
	_cleanup_buf_ Buf input = { 0 };
	JsonxError error;
	int r;

	r = strcmp(text, "-") == 0 ? prompt_read_stdin(&input) : buf_append_str(&input, text);
	if (r < 0 && r != -EINTR && r != -ENOMEM)
		return context_fail(
			ctx, EXIT_CODE_USAGE, "PARAMS cannot be read: %s", strerror(-r));
	if (r == 0)
		r = jsonx_parse(input.data ? input.data : "", input.len, &parsed, &error);
	if (r == -EBADMSG)
		return context_fail(ctx, EXIT_CODE_USAGE, "PARAMS is not JSON: %s at byte %zu",
			error.why, error.offset);
	return r < 0 ? r : jsonx_append(params, parsed);
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *result = NULL;
	_cleanup_buf_ Buf params = { 0 };
	int r = 0;

	ctx->raw = true;
	if (args->n_operands > 1)
		r = get_params(ctx, args->operands[1], &params);
	if (r == 0)
		r = context_call(ctx, args->operands[0], &params, &result);
	if (r == 0)
		output_result(&ctx->out, view, result);
	return r;
}

const Command command_call = {
	.name = "call",
	.operands = "METHOD [PARAMS|-]",
	.summary = "Call a method of the protocol and print its result as JSON",
	.details =
		"PARAMS is a JSON object, `-` one that is read from standard input. `liongatectl\n"
		"call rpc.discover` describes the methods.\n"
		"For subscriptions see watch: a call ends with its reply.\n",
	.example = "  liongatectl call events.read '{\"after\":100,\"limit\":10}'\n",
	.min_operands = 1,
	.max_operands = 2,
	.complete = COMPLETE_METHOD,
	.run = run,
};
