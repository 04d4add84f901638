#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command.h"
#include "client/describe.h"
#include "client/foreground.h"
#include "client/key-value.h"
#include "client/llm-options.h"
#include "client/render-text.h"
#include "client/summary.h"
#include "common/jsonx.h"

#define DEFAULT_AGENTS 3
#define MAX_AGENTS     1000
#define MAX_NAME       24
#define MAX_ORDER      300 /* chunks whose order is shown */

enum {
	OPT_AGENTS,
	OPT_BACKEND,
	OPT_PROVIDER,
	OPT_MODEL,
	OPT_SYSTEM,
	OPT_OPTION,
};

static const Option options[] = {
	[OPT_AGENTS] = { .name = "agents",
		.letter = 'n',
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "how many (3, or as many as there are prompts)",
		.min = 1,
		.max = MAX_AGENTS },
	[OPT_BACKEND] = { .name = "backend",
		.letter = 'b',
		.kind = OPTION_STRING,
		.arg = "B",
		.help = "what kind of agents (mock)",
		.complete = COMPLETE_BACKEND },
	[OPT_PROVIDER] = LLM_OPTION_PROVIDER,
	[OPT_MODEL] = LLM_OPTION_MODEL,
	[OPT_SYSTEM] = LLM_OPTION_SYSTEM,
	[OPT_OPTION] = LLM_OPTION_OPTION,
	{ 0 },
};

typedef struct DemoAgent {
	char name[MAX_NAME];
	char prompt[64]; /* the default one */
	uint64_t chunks;
} DemoAgent;

typedef struct Demo {
	Context *ctx;
	size_t n;
	SpawnSpec *specs;
	SpawnedAgent *agents;
	DemoAgent *demo_agents;
	char correlation_id[UUID_TEXT_LEN + 1];
	uint16_t order[MAX_ORDER];
	size_t n_order;
	uint64_t total;
} Demo;

/* A to Z, A1 to Z1, and so on. */
static void name_agent(size_t i, DemoAgent *agent)
{
	char letter = (char)('A' + i % 26);

	if (i < 26)
		snprintf(agent->name, sizeof(agent->name), "%c", letter);
	else
		snprintf(agent->name, sizeof(agent->name), "%c%zu", letter, i / 26);
	snprintf(agent->prompt, sizeof(agent->prompt), "Agent %s", agent->name);
}

static int prepare(Demo *d, const Args *args, json_object *opts)
{
	for (size_t i = 0; i < d->n; i++) {
		const char *prompt = d->demo_agents[i].prompt;
		int r;

		name_agent(i, &d->demo_agents[i]);
		if (args->n_operands > 0)
			prompt = args->operands[i % args->n_operands];
		d->specs[i] = (SpawnSpec){
			.prompt = prompt,
			.prompt_len = strlen(prompt),
			.backend = args->values[OPT_BACKEND].string,
			.options = opts,
			.correlation_id = d->correlation_id,
		};
		r = spawn_choose_id(&d->agents[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static size_t find(const Demo *d, const char *agent_id)
{
	size_t i = 0;

	while (i < d->n && strcasecmp(d->agents[i].id, agent_id) != 0)
		i++;
	return i;
}

static int prefix(const char *agent_id, Buf *b, void *userdata)
{
	const Demo *d = userdata;
	size_t i = find(d, agent_id);

	return i < d->n ? buf_append_str(b, d->demo_agents[i].name) : 0;
}

static void on_event(json_object *event, void *userdata)
{
	Demo *d = userdata;
	size_t i = find(d, describe_agent_id(event));

	if (i == d->n || describe_type(event) != EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		return;
	d->demo_agents[i].chunks++;
	d->total++;
	if (d->n_order < MAX_ORDER)
		d->order[d->n_order++] = (uint16_t)i;
}

static void view(Output *o, json_object *summary)
{
	json_object *chunks = jsonx_get(summary, "chunks_by_agent", json_type_object);
	json_object *order = jsonx_get(summary, "order", json_type_array);
	size_t shown = 0;

	output_printf(o, "\n");
	output_color(o, COLOR_BOLD);
	output_printf(o, "Chunks of each agent\n");
	output_color(o, COLOR_NONE);
	render_text_fields(o, chunks);
	output_printf(o, "\n");
	output_color(o, COLOR_BOLD);
	output_printf(o, "Order in which they interleaved\n");
	output_color(o, COLOR_NONE);
	for (; order && shown < json_object_array_length(order); shown++)
		output_printf(o, "%s%s", shown > 0 ? " " : "",
			json_object_get_string(json_object_array_get_idx(order, shown)));
	output_printf(o, "%s\n\n",
		shown < jsonx_get_uint(summary, "chunks", 0) && shown == MAX_ORDER ? " ..." : "");
	summary_view(o, summary);
}

static int add_order(const Demo *d, json_object *summary)
{
	json_object *order = json_object_new_array();
	int r = key_value_add(summary, "order", order);

	for (size_t i = 0; r == 0 && i < d->n_order; i++) {
		json_object *name = json_object_new_string(d->demo_agents[d->order[i]].name);

		if (!name || json_object_array_add(order, name) < 0) {
			json_object_put(name);
			r = -ENOMEM;
		}
	}
	return r;
}

static int add_chunks(const Demo *d, json_object *summary)
{
	json_object *chunks = json_object_new_object();
	int r = key_value_add(summary, "chunks_by_agent", chunks);

	for (size_t i = 0; r == 0 && i < d->n; i++)
		r = key_value_add(chunks, d->demo_agents[i].name,
			json_object_new_uint64(d->demo_agents[i].chunks));
	return r;
}

static int print_summary(const Demo *d)
{
	_cleanup_json_ json_object *line = json_object_new_object();
	json_object *summary = NULL;
	int r;

	if (!line)
		return -ENOMEM;
	r = summary_fetch(d->ctx, d->correlation_id, d->n, &summary);
	if (r != 0)
		return r;
	r = key_value_add(line, "summary", summary);
	if (r == 0)
		r = add_chunks(d, summary);
	if (r == 0)
		r = add_order(d, summary);
	if (r == 0)
		output_result(&d->ctx->out, view, d->ctx->out.json ? line : summary);
	return r;
}

static int run_demo(Demo *d)
{
	Foreground fg = {
		.agents = d->agents,
		.n = d->n,
		.style = {
			.mode = STREAM_LINES,
			.each_chunk = true,
			.types = 1U << EVENT_TYPE_AGENT_PARTIAL_OUTPUT |
				1U << EVENT_TYPE_AGENT_WAITING | 1U << EVENT_TYPE_AGENT_RETRYING |
				1U << EVENT_TYPE_AGENT_COMPLETED | 1U << EVENT_TYPE_AGENT_ERROR,
			.prefix = prefix,
			.userdata = d,
		},
		.on_event = on_event,
		.userdata = d,
	};
	int r, code;

	r = spawn_agents(d->ctx, d->specs, d->agents, d->n);
	if (r != 0) {
		spawn_cancel_all(d->ctx, d->agents, d->n);
		return r;
	}
	code = foreground_run(d->ctx, &fg);
	if (code < 0)
		return code;
	r = print_summary(d);
	return r != 0 ? r : code;
}

static size_t how_many(const Args *args)
{
	if (args->values[OPT_AGENTS].set)
		return (size_t)args->values[OPT_AGENTS].number;
	return args->n_operands > 0 ? args->n_operands : DEFAULT_AGENTS;
}

static int make_options(Context *ctx, const OptionValue *v, json_object *opts)
{
	LlmOptions given = {
		.provider = v[OPT_PROVIDER].string,
		.model = v[OPT_MODEL].string,
		.system = v[OPT_SYSTEM].string,
	};
	int r;

	r = spawn_set_options(ctx, &v[OPT_OPTION], opts);
	return r == 0 ? llm_options_set(ctx, &given, v[OPT_BACKEND].string, opts) : r;
}

static int run(Context *ctx, const Args *args)
{
	size_t n = how_many(args);
	_cleanup_json_ json_object *opts = json_object_new_object();
	_cleanup_free_ SpawnSpec *specs = calloc(n, sizeof(*specs));
	_cleanup_free_ DemoAgent *demo_agents = calloc(n, sizeof(*demo_agents));
	Demo d = {
		.ctx = ctx,
		.n = n,
		.specs = specs,
		.agents = spawn_array_new(n),
		.demo_agents = demo_agents,
	};
	Uuid id;
	int r;

	r = opts && specs && demo_agents && d.agents ? uuid_generate(&id) : -ENOMEM;
	if (r == 0) {
		uuid_format(&id, d.correlation_id);
		r = make_options(ctx, args->values, opts);
	}
	if (r == 0)
		r = prepare(&d, args, opts);
	if (r == 0)
		r = run_demo(&d);
	spawn_array_free(d.agents, n);
	return r;
}

const Command command_multi_agent_demo = {
	.name = "multi-agent-demo",
	.operands = "[PROMPT...]",
	.summary = "Spawn several agents at once and show how their output interleaves",
	.details =
		"Each agent gets one of the prompts. At the end it says how many chunks came from\n"
		"each, in which order they came, and sums up the events.\n",
	.example = "  liongatectl multi-agent-demo --agents 5 --option chunks=10 --ephemeral\n"
		   "  liongatectl multi-agent-demo --backend openai 'A haiku' 'A limerick'\n",
	.options = options,
	.max_operands = COMMAND_ANY_OPERANDS,
	.run = run,
};
