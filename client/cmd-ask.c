#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/command.h"
#include "client/foreground.h"
#include "client/llm-options.h"
#include "client/prompt.h"
#include "client/provider-list.h"
#include "common/jsonx.h"

enum {
	OPT_PROVIDER,
	OPT_MODEL,
	OPT_SYSTEM,
	OPT_BACKEND,
	OPT_OPTION,
	OPT_TIMEOUT,
	OPT_REASONING,
};

static const Option options[] = {
	[OPT_PROVIDER] = LLM_OPTION_PROVIDER,
	[OPT_MODEL] = LLM_OPTION_MODEL,
	[OPT_SYSTEM] = LLM_OPTION_SYSTEM,
	[OPT_BACKEND] = { .name = "backend",
		.letter = 'b',
		.kind = OPTION_STRING,
		.arg = "B",
		.help = "a provider of this kind",
		.complete = COMPLETE_BACKEND },
	[OPT_OPTION] = LLM_OPTION_OPTION,
	[OPT_TIMEOUT] = { .name = "timeout",
		.letter = 't',
		.kind = OPTION_DURATION,
		.arg = "TIME",
		.help = "give up after so long (30s, 500ms, 2m)",
		.min = 1 },
	[OPT_REASONING] = { .name = "reasoning",
		.help = "what the model says to itself, too, on standard error" },
	{ 0 },
};

static int get_question(Context *ctx, const Args *args, Buf *question)
{
	const char *text = args->n_operands > 0 ? args->operands[0] : NULL;
	PromptSource source = { .text = text };
	int r;

	if (!text && isatty(STDIN_FILENO) == 1)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"what is the question? It stands behind `ask`, or comes from standard "
			"input");
	if (!text || strcmp(text, "-") == 0)
		source = (PromptSource){ .from_stdin = true };
	r = prompt_get(ctx, &source, question);
	if (r == 0 && question->len == 0)
		r = context_fail(ctx, EXIT_CODE_USAGE, "the question is empty");
	return r;
}

static int make_options(
	Context *ctx, const OptionValue *v, json_object *provider, json_object *opts)
{
	LlmOptions given = {
		.provider = jsonx_get_string(provider, "name", NULL),
		.model = v[OPT_MODEL].string,
		.system = v[OPT_SYSTEM].string,
	};
	int r;

	r = spawn_set_options(ctx, &v[OPT_OPTION], opts);
	return r == 0 ? llm_options_set(ctx, &given, jsonx_get_string(provider, "kind", NULL), opts)
		      : r;
}

static int ask(Context *ctx, const SpawnSpec *spec, bool reasoning)
{
	SpawnedAgent *agent = spawn_array_new(1);
	Foreground fg = {
		.agents = agent,
		.n = 1,
		.style = { .mode = STREAM_RAW, .harmless = true, .reasoning = reasoning },
	};
	int r = agent ? spawn_choose_id(agent) : -ENOMEM;

	if (r == 0)
		r = spawn_agents(ctx, spec, agent, 1);
	if (r == 0)
		r = foreground_run(ctx, &fg);
	else if (agent)
		spawn_cancel_all(ctx, agent, 1);
	spawn_array_free(agent, 1);
	return r;
}

static int run(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	_cleanup_json_ json_object *opts = json_object_new_object(), *provider = NULL;
	_cleanup_buf_ Buf question = { 0 };
	SpawnSpec spec = { .options = opts, .total_ms = v[OPT_TIMEOUT].number };
	int r;

	if (!opts)
		return -ENOMEM;
	r = get_question(ctx, args, &question);
	if (r == 0)
		r = provider_list_choose(
			ctx, v[OPT_PROVIDER].string, v[OPT_BACKEND].string, &provider);
	if (r == 0)
		r = make_options(ctx, v, provider, opts);
	if (r != 0)
		return r;
	spec.backend = jsonx_get_string(provider, "kind", NULL);
	spec.prompt = question.data;
	spec.prompt_len = question.len;
	return ask(ctx, &spec, v[OPT_REASONING].set);
}

const Command command_ask = {
	.name = "ask",
	.operands = "[QUESTION|-]",
	.summary = "Ask a language model, and print its answer as it comes",
	.details =
		"The answer goes to standard output, and nothing else does. Without --provider it\n"
		"asks the first one that `liongatectl providers` shows. `-`, or no QUESTION where\n"
		"standard input is no terminal, reads the question from there. Ctrl-C cancels it.\n"
		"It is an agent like any other: list, show and output know it afterwards.\n",
	.example =
		"  liongatectl ask 'Why is the sky blue?'\n"
		"  git diff | liongatectl ask --system 'Review this change'\n"
		"  liongatectl ask --provider local --model llama3 --option temperature=0 'Hi'\n",
	.options = options,
	.max_operands = 1,
	.run = run,
};
