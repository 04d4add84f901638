#include <errno.h>
#include <string.h>

#include "client/command.h"
#include "common/jsonx.h"

static void view(Output *o, json_object *result)
{
	/* The result of a raw call is JSON either way. */
	output_json_ops.result(o, NULL, result);
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *result = NULL, *parsed = NULL;
	_cleanup_buf_ Buf params = { 0 };
	JsonxError error;
	int r;

	if (args->n_operands > 1) {
		const char *text = args->operands[1];

		r = jsonx_parse(text, strlen(text), &parsed, &error);
		if (r == -EBADMSG)
			return context_fail(ctx, EXIT_CODE_USAGE,
				"PARAMS is not JSON: %s at byte %zu", error.why, error.offset);
		/* Compact: a newline would end the request. */
		if (r == 0)
			r = jsonx_append(&params, parsed);
		if (r < 0)
			return r;
	}
	ctx->raw = true;
	r = context_call(ctx, args->operands[0], &params, &result);
	if (r == 0)
		output_result(&ctx->out, view, result);
	return r;
}

const Command command_call = {
	.name = "call",
	.operands = "METHOD [PARAMS]",
	.summary = "Call a method of the protocol and print its result as JSON",
	.details =
		"PARAMS is a JSON object. `liongatectl call rpc.discover` describes the methods.\n"
		"For subscriptions see watch: a call ends with its reply.\n",
	.example = "  liongatectl call events.read '{\"after\":100,\"limit\":10}'\n",
	.min_operands = 1,
	.max_operands = 2,
	.complete = COMPLETE_METHOD,
	.run = run,
};
