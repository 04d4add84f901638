/* liongatectl: options, the command, its exit code. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "client/command.h"
#include "client/complete.h"
#include "client/interrupt.h"
#include "common/protocol.h"

static int print_help(Context *ctx, const Command *command)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	r = command_append_help(command, &text);
	if (r < 0)
		return r;
	output_put(&ctx->out, text.data, text.len);
	return 0;
}

static int print_version(Context *ctx)
{
	output_printf(
		&ctx->out, "liongatectl %s (protocol %d)\n", LIONGATE_VERSION, PROTOCOL_VERSION);
	return 0;
}

static int no_command(Context *ctx)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	r = ctx->out.json ? 0 : command_append_help(NULL, &text);
	if (r < 0)
		return r;
	output_stderr(text.data, text.len);
	return context_fail(ctx, EXIT_CODE_USAGE, "which command?");
}

static int unknown_command(Context *ctx, const char *name)
{
	const Command *guess = command_guess(name);

	return context_fail(ctx, EXIT_CODE_USAGE,
		"there is no command `%s`%s%s%s; `liongatectl --help` lists them", name,
		guess ? "; did you mean `" : "", guess ? guess->name : "", guess ? "`?" : "");
}

/* The options are known now; whatever has gone out so far was about them. */
static void apply(Context *ctx, const Args *global)
{
	const OptionValue *color = &global->values[GLOBAL_COLOR];

	output_init(
		&ctx->out, global->values[GLOBAL_JSON].set, color->set ? color->string : "auto");
	ctx->socket_option = global->values[GLOBAL_SOCKET].string;
	ctx->want_ephemeral = global->values[GLOBAL_EPHEMERAL].set;
}

static int check(Context *ctx, const Command *command, const Args *args)
{
	if (ctx->want_ephemeral && ctx->socket_option)
		return context_fail(
			ctx, EXIT_CODE_USAGE, "--ephemeral and --socket exclude each other");
	if (args->n_operands < command->min_operands)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"%s: %s is missing; see `liongatectl %s --help`", command->name,
			command->operands, command->name);
	if (args->n_operands > command->max_operands)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"%s: too many arguments: %s; see `liongatectl %s --help`", command->name,
			args->operands[command->max_operands], command->name);
	return 0;
}

/* `spawn-agent ls -l`: what is wrong with -l is not the mistake. */
static bool misses_dashes(const Command *command, const Args *args)
{
	return command->takes_rest && args->n_operands > 0 && strcmp(args->operands[0], "-") != 0;
}

static int run_command(Context *ctx, const Command *command, Args *global, int argc, char **argv)
{
	_cleanup_args_ Args args = { 0 };
	_cleanup_buf_ Buf why = { 0 };
	ArgsRequest request = {
		.own = command->options,
		.global = command_global_options,
		.global_values = global,
		.takes_rest = command->takes_rest,
	};
	int r, next;

	r = args_parse(&args, &request, argc, argv, &next, &why);
	apply(ctx, global);
	if (global->values[GLOBAL_HELP].set)
		return print_help(ctx, command);
	if (r == -EINVAL && why.len > 0)
		return context_fail(ctx, EXIT_CODE_USAGE, "%s: %.*s; %ssee `liongatectl %s --help`",
			command->name, (int)why.len, why.data,
			misses_dashes(command, &args) ? "a program stands behind `--`; " : "",
			command->name);
	if (r < 0)
		return r;
	if (global->values[GLOBAL_VERSION].set)
		return print_version(ctx);
	r = check(ctx, command, &args);
	return r != 0 ? r : command->run(ctx, &args);
}

static int run(Context *ctx, int argc, char **argv)
{
	_cleanup_args_ Args none = { 0 }, global = { 0 };
	_cleanup_buf_ Buf why = { 0 };
	ArgsRequest request = {
		.global = command_global_options,
		.global_values = &global,
		.stop_early = true,
	};
	const Command *command;
	int r, next = argc;

	if (argc > 1 && strcmp(argv[1], "--complete") == 0)
		return complete_run(ctx, argv + 2, argc - 2);
	r = args_parse(&none, &request, argc, argv, &next, &why);
	apply(ctx, &global);
	if (r == -EINVAL && why.len > 0)
		return context_fail(ctx, EXIT_CODE_USAGE, "%.*s; see `liongatectl --help`",
			(int)why.len, why.data);
	if (r < 0)
		return r;
	if (global.values[GLOBAL_VERSION].set)
		return print_version(ctx);
	if (global.values[GLOBAL_HELP].set && next >= argc)
		return print_help(ctx, NULL);
	if (next >= argc)
		return no_command(ctx);
	command = command_find(argv[next]);
	if (!command)
		return unknown_command(ctx, argv[next]);
	return run_command(ctx, command, &global, argc - next, argv + next);
}

/* -errno, which only this program itself can be the cause of, as an exit code. */
static int conclude(int r)
{
	switch (r) {
	case -EPIPE: /* `| head` has seen enough */
		return EXIT_CODE_OK;
	case -EINTR:
		return 128 + interrupt_last();
	default:
		output_say("%s", strerror(-r));
		return EXIT_CODE_FAILED;
	}
}

int main(int argc, char **argv)
{
	Context ctx = { 0 };
	int r, flushed;

	output_init(&ctx.out, false, "auto");
	r = interrupt_init();
	if (r == 0)
		r = run(&ctx, argc, argv);
	flushed = output_flush(&ctx.out);
	if (r == 0)
		r = flushed;
	context_done(&ctx);
	return r < 0 ? conclude(r) : r;
}
