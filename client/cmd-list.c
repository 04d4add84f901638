#include <string.h>

#include "client/agent-list.h"
#include "client/command.h"
#include "client/describe.h"
#include "client/filter.h"
#include "client/render-text.h"
#include "client/text.h"
#include "common/clock.h"
#include "common/jsonx.h"

#define DEFAULT_LIMIT  100
#define SHORT_ID_CHARS 8

enum {
	OPT_STATE,
	OPT_CORRELATION_ID,
	OPT_LABEL,
	OPT_BACKEND,
	OPT_GROUP,
	OPT_LIMIT,
	OPT_ALL,
	OPT_LONG,
};

static const Option options[] = {
	[OPT_STATE] = { .name = "state",
		.kind = OPTION_LIST,
		.arg = "STATE",
		.help = "queued, running, completed, failed or cancelled; may be repeated",
		.complete = COMPLETE_STATE },
	[OPT_CORRELATION_ID] = FILTER_OPTION_CORRELATION_ID,
	[OPT_LABEL] = FILTER_OPTION_LABEL,
	[OPT_BACKEND] = { .name = "backend",
		.kind = OPTION_STRING,
		.arg = "B",
		.help = "only agents of this backend",
		.complete = COMPLETE_BACKEND },
	[OPT_GROUP] = FILTER_OPTION_GROUP,
	[OPT_LIMIT] = { .name = "limit",
		.letter = 'n',
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "the newest N (100)",
		.min = 1,
		.max = INT64_MAX },
	[OPT_ALL] = { .name = "all", .letter = 'a', .help = "all there are" },
	[OPT_LONG] = { .name = "long", .letter = 'l', .help = "whole ids and prompts" },
	{ 0 },
};

static int cell_short_id(json_object *row, Buf *b)
{
	size_t len;
	const char *id = jsonx_get_string(row, "agent_id", &len);

	return id ? text_append_safe(b, id, text_fit(id, len, SHORT_ID_CHARS), false) : 0;
}

static int cell_age(json_object *row, Buf *b)
{
	return describe_age(row, "spawned_at", b);
}

/* And what holds it back. */
static int cell_state(json_object *row, Buf *b)
{
	json_object *waiting = jsonx_get(row, "waiting", json_type_object);
	int r = render_text_cell(row, "state", b);

	if (r < 0 || !waiting)
		return r;
	r = buf_append_str(b, " (");
	if (r == 0)
		r = describe_waiting(waiting, clock_realtime_us(), b);
	return r < 0 ? r : buf_append_char(b, ')');
}

/* An exec agent need not have one. */
static int cell_prompt(json_object *row, Buf *b)
{
	size_t len;
	const char *prompt = jsonx_get_string(row, "prompt", &len);

	return prompt && len > 0 ? text_append_safe(b, prompt, len, false) : 0;
}

#define COLUMNS_BEHIND_ID                                                                   \
	{ .title = "STATE", .cell = cell_state }, { .title = "BACKEND", .key = "backend" }, \
		{ .title = "AGE", .cell = cell_age, .right = true },                        \
		{ .title = "CHUNKS", .key = "chunks", .right = true },                      \
		{ .title = "BYTES", .key = "bytes", .right = true },                        \
		{ .title = "PROMPT", .cell = cell_prompt },

static const TextColumn short_columns[] = {
	{ .title = "ID", .cell = cell_short_id },
	COLUMNS_BEHIND_ID{ 0 },
};
static const TextColumn long_columns[] = {
	{ .title = "ID", .key = "agent_id" },
	COLUMNS_BEHIND_ID{ 0 },
};

static void view(Output *o, json_object *list)
{
	render_text_table(o, short_columns, jsonx_get(list, "agents", json_type_array), false);
}

static void view_long(Output *o, json_object *list)
{
	render_text_table(o, long_columns, jsonx_get(list, "agents", json_type_array), true);
}

/* A person who did not ask for a part takes it for the whole. */
static void tell_of_rest(Context *ctx, json_object *list)
{
	if (ctx->out.json || !ctx->out.terminal || !json_object_object_get_ex(list, "next", NULL))
		return;
	if (output_flush(&ctx->out) == 0)
		output_say("older agents are not shown; --all shows them");
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *list = NULL;
	const OptionValue *v = args->values;
	AgentListQuery query = {
		.filter = { .correlation_id = v[OPT_CORRELATION_ID].string },
		.states = v[OPT_STATE].list,
		.n_states = v[OPT_STATE].n_list,
		.backend = v[OPT_BACKEND].string,
		.group = v[OPT_GROUP].string,
		.limit = v[OPT_LIMIT].set ? v[OPT_LIMIT].number : DEFAULT_LIMIT,
	};
	int r;

	if (v[OPT_ALL].set && v[OPT_LIMIT].set)
		return context_fail(ctx, EXIT_CODE_USAGE, "--all and --limit exclude each other");
	if (v[OPT_ALL].set)
		query.limit = 0;
	r = filter_set_labels(ctx, &query.filter, &v[OPT_LABEL]);
	if (r == 0)
		r = agent_list_fetch(ctx, &query, &list);
	if (r == 0)
		output_result(&ctx->out, v[OPT_LONG].set ? view_long : view, list);
	if (r == 0 && !v[OPT_LIMIT].set)
		tell_of_rest(ctx, list);
	filter_done(&query.filter);
	return r;
}

const Command command_list = {
	.name = "list",
	.summary = "List agents, newest first",
	.details = "Shows those that run and those that have ended, as far as the log reaches.\n",
	.example = "  liongatectl list --state running --state queued\n"
		   "  liongatectl list --all --label team=search --json | jq -r "
		   "'.agents[].agent_id'\n",
	.options = options,
	.run = run,
};
