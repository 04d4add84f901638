#include "client/command.h"
#include "client/render-text.h"
#include "client/spawn.h"
#include "common/jsonx.h"

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *agent = NULL;
	_cleanup_buf_ Buf params = { 0 };
	int r;

	r = spawn_write_id(args->operands[0], &params);
	if (r == 0)
		r = context_call(ctx, "agent.get", &params, &agent);
	if (r == 0)
		output_result(&ctx->out, render_text_fields, agent);
	return r;
}

const Command command_show = {
	.name = "show",
	.operands = "AGENT",
	.summary = "Show everything that is known of an agent",
	.example = "  liongatectl show 3f2a\n"
		   "  liongatectl show 3f2a --json | jq .ending\n",
	.min_operands = 1,
	.max_operands = 1,
	.complete = COMPLETE_AGENT,
	.run = run,
};
