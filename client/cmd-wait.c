#include <errno.h>
#include <string.h>

#include "client/command.h"
#include "client/describe.h"
#include "client/each.h"
#include "client/outcome.h"
#include "client/text.h"
#include "common/jsonx.h"

enum {
	OPT_TIMEOUT,
	OPT_EXIT_CODE,
};

static const Option options[] = {
	[OPT_TIMEOUT] = { .name = "timeout",
		.letter = 't',
		.kind = OPTION_DURATION,
		.arg = "TIME",
		.help = "give up after so long (30s, 500ms, 2m)" },
	[OPT_EXIT_CODE] = { .name = "exit-code",
		.help = "end with the exit code of the agent's program" },
	{ 0 },
};

typedef struct Waiter {
	Context *ctx;
	bool own_exit_code;
	bool many;
	json_object *results; /* for JSON */
} Waiter;

static void view(Output *o, json_object *agent)
{
	json_object *ending = jsonx_get(agent, "ending", json_type_object);
	const char *id = describe_agent_id(agent);
	const char *state = jsonx_get_string(agent, "state", NULL);
	const char *code = jsonx_get_string(ending, "code", NULL);
	const char *message = jsonx_get_string(ending, "message", NULL);

	output_safe(o, id, strlen(id));
	output_printf(o, " ");
	output_safe(o, state ? state : "?", state ? strlen(state) : 1);
	/* "cancelled cancelled" would say it twice. */
	if (code && (!state || strcmp(code, state) != 0)) {
		output_printf(o, " ");
		output_safe(o, code, strlen(code));
	}
	if (message) {
		output_printf(o, ": ");
		output_safe(o, message, strlen(message));
	}
	output_printf(o, "\n");
}

static int on_result(json_object *agent, void *userdata)
{
	Waiter *waiter = userdata;
	int r;

	if (waiter->ctx->out.json && waiter->many) {
		if (json_object_array_add(waiter->results, json_object_get(agent)) < 0) {
			json_object_put(agent);
			return -ENOMEM;
		}
	} else {
		output_result(&waiter->ctx->out, view, agent);
		r = output_flush(&waiter->ctx->out);
		if (r < 0)
			return r;
	}
	return outcome_of_agent(agent, waiter->own_exit_code);
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *results = json_object_new_array();
	const OptionValue *v = args->values;
	Waiter waiter = {
		.ctx = ctx,
		.own_exit_code = v[OPT_EXIT_CODE].set,
		.many = args->n_operands > 1,
		.results = results,
	};
	EachRequest request = {
		.method = "agent.wait",
		.ids = args->operands,
		.n = args->n_operands,
		.has_timeout = v[OPT_TIMEOUT].set,
		.timeout_ms = v[OPT_TIMEOUT].number,
		.patient = true,
		.on_result = on_result,
		.userdata = &waiter,
	};
	int r;

	if (!results)
		return -ENOMEM;
	r = each_agent(ctx, &request);
	if (r >= 0 && ctx->out.json && waiter.many)
		output_result(&ctx->out, view, results);
	return r;
}

const Command command_wait = {
	.name = "wait",
	.operands = "AGENT...",
	.summary = "Wait until agents have ended",
	.details = "Says of each how it ended, as they end; outlives a restart of the daemon. The "
		   "exit\n"
		   "code is that of the first to end otherwise than well. With --json, several "
		   "agents\n"
		   "give an array.\n",
	.example = "  liongatectl wait 3f2a 77c0 --timeout 5m\n",
	.options = options,
	.min_operands = 1,
	.max_operands = COMMAND_ANY_OPERANDS,
	.complete = COMPLETE_AGENT,
	.run = run,
};
