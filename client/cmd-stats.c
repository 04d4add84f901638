#include "client/command.h"
#include "client/filter.h"
#include "client/summary.h"
#include "common/jsonx.h"

#define DEFAULT_AGENTS 100

enum {
	OPT_CORRELATION_ID,
	OPT_LIMIT,
};

static const Option options[] = {
	[OPT_CORRELATION_ID] = FILTER_OPTION_CORRELATION_ID,
	[OPT_LIMIT] = { .name = "limit",
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "name the newest N agents (100)",
		.min = 1,
		.max = 1000000 },
	{ 0 },
};

/* As in a list. The counts above are of all. */
static void tell_of_rest(Context *ctx, json_object *summary)
{
	json_object *by_agent = jsonx_get(summary, "by_agent", json_type_array);
	json_object *agents = jsonx_get(summary, "agents", json_type_object);

	if (ctx->out.json || !ctx->out.terminal || !by_agent ||
		jsonx_get_uint(agents, "spawned", 0) <= json_object_array_length(by_agent))
		return;
	if (output_flush(&ctx->out) == 0)
		output_say("older agents are not shown; --limit N shows more");
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *summary = NULL;
	const OptionValue *v = args->values;
	int r;

	r = summary_fetch(ctx, v[OPT_CORRELATION_ID].string,
		v[OPT_LIMIT].set ? v[OPT_LIMIT].number : DEFAULT_AGENTS, &summary);
	if (r == 0)
		output_result(&ctx->out, summary_view, summary);
	if (r == 0 && !v[OPT_LIMIT].set)
		tell_of_rest(ctx, summary);
	return r;
}

const Command command_stats = {
	.name = "stats",
	.summary = "Sum up the events: totals, and chunks and bytes of each agent",
	.example = "  liongatectl stats\n"
		   "  liongatectl stats --correlation-id nightly-build\n",
	.options = options,
	.run = run,
};
