#include "client/command.h"

static int run(Context *ctx, const Args *args)
{
	_cleanup_buf_ Buf text = { 0 };
	const Command *command = NULL;
	int r;

	if (args->n_operands > 0) {
		command = command_find(args->operands[0]);
		if (!command)
			return context_fail(ctx, EXIT_CODE_USAGE, "there is no command `%s`",
				args->operands[0]);
	}
	r = command_append_help(command, &text);
	if (r == 0)
		output_put(&ctx->out, text.data, text.len);
	return r;
}

const Command command_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.summary = "Show help on a command, or on all",
	.example = "  liongatectl help spawn-agent\n",
	.max_operands = 1,
	.complete = COMPLETE_COMMAND,
	.run = run,
};
