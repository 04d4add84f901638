#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/command.h"
#include "client/foreground.h"
#include "client/key-value.h"
#include "client/summary.h"
#include "common/jsonx.h"

#define DEFAULT_PROMPT "Hello, Liongate"

/* The summary is the last thing of the stream: in JSON one more line, that says what it is. */
static int print_summary(Context *ctx, const char *correlation_id)
{
	_cleanup_json_ json_object *line = json_object_new_object();
	json_object *summary = NULL;
	int r;

	if (!line)
		return -ENOMEM;
	r = summary_fetch(ctx, correlation_id, 1, &summary);
	if (r != 0)
		return r;
	r = key_value_add(line, "summary", summary);
	if (r < 0)
		return r;
	if (!ctx->out.json)
		output_printf(&ctx->out, "\n");
	output_result(&ctx->out, summary_view, ctx->out.json ? line : summary);
	return 0;
}

static int run_agent(Context *ctx, SpawnedAgent *agent, const char *prompt)
{
	SpawnSpec spec = {
		.prompt = prompt,
		.prompt_len = strlen(prompt),
		.backend = "mock",
		.correlation_id = agent->id,
	};
	Foreground fg = {
		.agents = agent,
		.n = 1,
		.style = { .mode = STREAM_LINES, .each_chunk = true },
	};
	int r, code;

	r = spawn_agents(ctx, &spec, agent, 1);
	if (r != 0)
		return r;
	code = foreground_run(ctx, &fg);
	if (code < 0)
		return code;
	r = print_summary(ctx, agent->id);
	return r != 0 ? r : code;
}

static int run(Context *ctx, const Args *args)
{
	SpawnedAgent *agent = spawn_array_new(1);
	int r;

	if (!agent)
		return -ENOMEM;
	r = spawn_choose_id(agent);
	if (r == 0)
		r = run_agent(
			ctx, agent, args->n_operands > 0 ? args->operands[0] : DEFAULT_PROMPT);
	spawn_array_free(agent, 1);
	return r;
}

const Command command_demo = {
	.name = "demo",
	.operands = "[PROMPT]",
	.summary = "Spawn one mock agent, stream it and sum up its events",
	.example = "  liongatectl demo --ephemeral\n",
	.max_operands = 1,
	.run = run,
};
