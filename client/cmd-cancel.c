#include <errno.h>

#include "client/command.h"
#include "client/each.h"
#include "common/jsonx.h"

static void view_one(Output *o, json_object *result)
{
	size_t id_len, state_len;
	const char *id = jsonx_get_string(result, "agent_id", &id_len);
	const char *state = jsonx_get_string(result, "state", &state_len);

	if (!id || !state)
		return;
	output_safe(o, id, id_len);
	output_printf(o, " ");
	output_safe(o, state, state_len);
	output_printf(o, "\n");
}

static void view(Output *o, json_object *results)
{
	if (!json_object_is_type(results, json_type_array)) {
		view_one(o, results);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(results); i++)
		view_one(o, json_object_array_get_idx(results, i));
}

static int on_result(json_object *result, void *userdata)
{
	json_object *results = userdata;

	if (json_object_array_add(results, json_object_get(result)) < 0) {
		json_object_put(result);
		return -ENOMEM;
	}
	return 0;
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *results = json_object_new_array();
	EachRequest request = {
		.method = "agent.cancel",
		.ids = args->operands,
		.n = args->n_operands,
		.on_result = on_result,
		.userdata = results,
	};
	int r;

	if (!results)
		return -ENOMEM;
	r = each_agent(ctx, &request);
	if (r < 0)
		return r;
	if (args->n_operands > 1)
		output_result(&ctx->out, view, results);
	else if (json_object_array_length(results) > 0)
		output_result(&ctx->out, view, json_object_array_get_idx(results, 0));
	return r;
}

const Command command_cancel = {
	.name = "cancel",
	.operands = "AGENT...",
	.summary = "Cancel agents and wait until they have ended",
	.details = "A program gets SIGTERM, and SIGKILL when its grace is over, with all that it\n"
		   "started. With --json, several agents give an array.\n",
	.example = "  liongatectl cancel 3f2a 77c0\n",
	.min_operands = 1,
	.max_operands = COMMAND_ANY_OPERANDS,
	.complete = COMPLETE_LIVE_AGENT,
	.run = run,
};
