#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "client/command.h"
#include "client/filter.h"
#include "client/foreground.h"
#include "client/key-value.h"
#include "client/llm-options.h"
#include "client/prompt.h"
#include "client/spawn.h"
#include "common/jsonx.h"

enum {
	OPT_PROMPT,
	OPT_PROMPT_FILE,
	OPT_BACKEND,
	OPT_PROVIDER,
	OPT_MODEL,
	OPT_SYSTEM,
	OPT_MESSAGES_FILE,
	OPT_OPTION,
	OPT_CORRELATION_ID,
	OPT_LABEL,
	OPT_GROUP,
	OPT_PRIORITY,
	OPT_TIMEOUT,
	OPT_IDLE_TIMEOUT,
	OPT_CONNECT_TIMEOUT,
	OPT_FIRST_CHUNK_TIMEOUT,
	OPT_COUNT,
	OPT_AGENT_ID,
	OPT_ON_RESTART,
	OPT_DETACH,
	OPT_EXIT_CODE,
};

static const char *const on_restart_choices[] = { "fail", "rerun", NULL };

static const Option options[] = {
	[OPT_PROMPT] = { .name = "prompt",
		.letter = 'p',
		.kind = OPTION_STRING,
		.arg = "TEXT",
		.help = "what the agent is to work on" },
	[OPT_PROMPT_FILE] = { .name = "prompt-file",
		.kind = OPTION_STRING,
		.arg = "FILE",
		.help = "read the prompt from a file",
		.complete = COMPLETE_FILE },
	[OPT_BACKEND] = { .name = "backend",
		.letter = 'b',
		.kind = OPTION_STRING,
		.arg = "B",
		.help = "what kind of agent (mock; exec with `-- PROGRAM`)",
		.complete = COMPLETE_BACKEND },
	[OPT_PROVIDER] = LLM_OPTION_PROVIDER,
	[OPT_MODEL] = LLM_OPTION_MODEL,
	[OPT_SYSTEM] = LLM_OPTION_SYSTEM,
	[OPT_MESSAGES_FILE] = { .name = "messages-file",
		.kind = OPTION_STRING,
		.arg = "FILE",
		.help = "the conversation so far: a JSON array of messages",
		.complete = COMPLETE_FILE },
	[OPT_OPTION] = LLM_OPTION_OPTION,
	[OPT_CORRELATION_ID] = { .name = "correlation-id",
		.kind = OPTION_STRING,
		.arg = "C",
		.help = "tells which agents belong together",
		.complete = COMPLETE_CORRELATION_ID,
		.min = 1 },
	[OPT_LABEL] = { .name = "label",
		.letter = 'l',
		.kind = OPTION_LIST,
		.arg = "K=V",
		.help = "a label; may be repeated",
		.complete = COMPLETE_LABEL },
	[OPT_GROUP] = { .name = "group",
		.kind = OPTION_STRING,
		.arg = "G",
		.help = "the group whose limits hold for it",
		.complete = COMPLETE_GROUP },
	[OPT_PRIORITY] = { .name = "priority",
		.kind = OPTION_INT,
		.arg = "N",
		.help = "higher ones leave the queue first (0)" },
	[OPT_TIMEOUT] = { .name = "timeout",
		.letter = 't',
		.kind = OPTION_DURATION,
		.arg = "TIME",
		.help = "end it after so long (30s, 500ms, 2m)",
		.min = 1 },
	[OPT_IDLE_TIMEOUT] = { .name = "idle-timeout",
		.kind = OPTION_DURATION,
		.arg = "TIME",
		.help = "end it after so long without output",
		.min = 1 },
	[OPT_CONNECT_TIMEOUT] = { .name = "connect-timeout",
		.kind = OPTION_DURATION,
		.arg = "TIME",
		.help = "how long reaching a provider may take",
		.min = 1 },
	[OPT_FIRST_CHUNK_TIMEOUT] = { .name = "first-chunk-timeout",
		.kind = OPTION_DURATION,
		.arg = "TIME",
		.help = "how long a provider may take until it begins to answer",
		.min = 1 },
	[OPT_COUNT] = { .name = "count",
		.letter = 'n',
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "spawn so many of the same",
		.min = 1,
		.max = 10000 },
	[OPT_AGENT_ID] = { .name = "agent-id",
		.kind = OPTION_STRING,
		.arg = "ID",
		.help = "a UUID of your own: the same spawn again is the same agent" },
	[OPT_ON_RESTART] = { .name = "on-restart",
		.kind = OPTION_STRING,
		.arg = "WHAT",
		.help = "when the daemon dies under it: fail (the default) or rerun",
		.choices = on_restart_choices },
	[OPT_DETACH] = { .name = "detach",
		.letter = 'd',
		.help = "print the id and leave the agent to itself" },
	[OPT_EXIT_CODE] = { .name = "exit-code",
		.help = "end with the exit code of the agent's program" },
	{ 0 },
};

/* NULL: the daemon's default. */
static const char *backend_of(const Args *args)
{
	return args->rest ? "exec" : args->values[OPT_BACKEND].string;
}

static bool is_exec(const char *backend)
{
	return backend && strcmp(backend, "exec") == 0;
}

static bool is_stdin(const OptionValue *file)
{
	return file->set && strcmp(file->string, "-") == 0;
}

static int add_argv(json_object *opts, const Args *args)
{
	json_object *argv = json_object_new_array();
	int r;

	r = key_value_add(opts, "argv", argv);
	for (size_t i = 0; r == 0 && i < args->n_rest; i++) {
		json_object *word = json_object_new_string(args->rest[i]);

		if (!word || json_object_array_add(argv, word) < 0) {
			json_object_put(word);
			r = -ENOMEM;
		}
	}
	return r;
}

/* A program is run where its caller stands, as a shell would. */
static int add_cwd(Context *ctx, json_object *opts)
{
	char cwd[PATH_MAX];

	if (json_object_object_get_ex(opts, "cwd", NULL))
		return 0;
	if (!getcwd(cwd, sizeof(cwd)))
		return context_fail(ctx, EXIT_CODE_USAGE,
			"the current directory has no name to run the program in: %s; say where "
			"with --option cwd=DIR",
			strerror(errno));
	return key_value_add_string(opts, "cwd", cwd, strlen(cwd));
}

static int make_options(Context *ctx, const Args *args, json_object *opts)
{
	const OptionValue *v = args->values;
	LlmOptions given = {
		.provider = v[OPT_PROVIDER].string,
		.model = v[OPT_MODEL].string,
		.system = v[OPT_SYSTEM].string,
		.messages_file = v[OPT_MESSAGES_FILE].string,
	};
	int r;

	r = spawn_set_options(ctx, &v[OPT_OPTION], opts);
	if (r == 0)
		r = llm_options_set(ctx, &given, backend_of(args), opts);
	if (r == 0 && args->rest)
		r = add_argv(opts, args);
	if (r == 0 && is_exec(backend_of(args)) && !json_object_object_get_ex(opts, "argv", NULL))
		r = context_fail(
			ctx, EXIT_CODE_USAGE, "a program is missing: it stands behind `--`");
	return r == 0 && args->rest ? add_cwd(ctx, opts) : r;
}

static int check(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	Uuid id;

	if (ctx->want_ephemeral && v[OPT_DETACH].set)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"--ephemeral and --detach exclude each other: a private daemon ends with "
			"its "
			"command, and with it what it runs");
	if (args->rest && v[OPT_BACKEND].set && strcmp(v[OPT_BACKEND].string, "exec") != 0)
		return context_fail(ctx, EXIT_CODE_USAGE, "`-- PROGRAM` is for the backend exec");
	if (args->n_operands > 0 && strcmp(args->operands[0], "-") != 0)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"what is `%s`? A prompt stands behind --prompt, a program behind `--`",
			args->operands[0]);
	if (is_stdin(&v[OPT_MESSAGES_FILE]) &&
		(args->n_operands > 0 || is_stdin(&v[OPT_PROMPT_FILE])))
		return context_fail(ctx, EXIT_CODE_USAGE,
			"standard input is either the prompt or the messages");
	if (v[OPT_AGENT_ID].set &&
		uuid_parse(v[OPT_AGENT_ID].string, strlen(v[OPT_AGENT_ID].string), &id) < 0)
		return context_fail(ctx, EXIT_CODE_USAGE, "--agent-id wants a whole UUID");
	if (v[OPT_AGENT_ID].set && v[OPT_COUNT].number > 1)
		return context_fail(
			ctx, EXIT_CODE_USAGE, "--agent-id and --count exclude each other");
	if (v[OPT_PRIORITY].integer < INT32_MIN || v[OPT_PRIORITY].integer > INT32_MAX)
		return context_fail(ctx, EXIT_CODE_USAGE, "--priority is out of range");
	return 0;
}

/* A program need not have a prompt, and a conversation may end with it; anything else has nothing
 * to do without. */
static int get_prompt(Context *ctx, const Args *args, Buf *prompt)
{
	const OptionValue *v = args->values;
	PromptSource source = {
		.text = v[OPT_PROMPT].string,
		.file = v[OPT_PROMPT_FILE].string,
		.from_stdin = args->n_operands > 0,
	};
	bool needed = !is_exec(backend_of(args)) && !v[OPT_MESSAGES_FILE].set;

	if (!source.text && !source.file && !source.from_stdin && needed)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"a prompt is missing: --prompt TEXT, --prompt-file FILE or `-` for "
			"standard input");
	return prompt_get(ctx, &source, prompt);
}

static int choose_ids(Context *ctx, const OptionValue *agent_id, SpawnedAgent *agents, size_t n)
{
	Uuid id;

	if (agent_id->set) {
		if (uuid_parse(agent_id->string, strlen(agent_id->string), &id) < 0)
			return context_fail(ctx, EXIT_CODE_USAGE, "--agent-id wants a whole UUID");
		uuid_format(&id, agents[0].id);
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		int r = spawn_choose_id(&agents[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static void view_id(Output *o, json_object *reply)
{
	const char *id = jsonx_get_string(reply, "agent_id", NULL);

	output_safe(o, id ? id : "?", id ? strlen(id) : 1);
	output_printf(o, "\n");
}

static void view_ids(Output *o, json_object *replies)
{
	for (size_t i = 0; i < json_object_array_length(replies); i++)
		view_id(o, json_object_array_get_idx(replies, i));
}

/* Those that were accepted, also when others were not. */
static int print_ids(Context *ctx, const SpawnedAgent *agents, size_t n)
{
	_cleanup_json_ json_object *replies = json_object_new_array();

	if (!replies)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!agents[i].reply)
			continue;
		if (json_object_array_add(replies, json_object_get(agents[i].reply)) < 0) {
			json_object_put(agents[i].reply);
			return -ENOMEM;
		}
	}
	if (n > 1)
		output_result(&ctx->out, view_ids, replies);
	else if (agents[0].reply)
		output_result(&ctx->out, view_id, agents[0].reply);
	return 0;
}

static int run_agents(
	Context *ctx, const OptionValue *v, const SpawnSpec *specs, SpawnedAgent *agents, size_t n)
{
	Foreground fg = {
		.agents = agents,
		.n = n,
		/* What a program writes may be meant for the terminal. */
		.style = { .mode = n > 1 ? STREAM_LINES : STREAM_RAW,
			.harmless = !is_exec(specs[0].backend) },
		.own_exit_code = v[OPT_EXIT_CODE].set,
	};
	int r, printed;

	r = spawn_agents(ctx, specs, agents, n);
	if (v[OPT_DETACH].set) {
		printed = r >= 0 ? print_ids(ctx, agents, n) : 0;
		return printed < 0 ? printed : r;
	}
	if (r != 0) {
		spawn_cancel_all(ctx, agents, n);
		return r;
	}
	return foreground_run(ctx, &fg);
}

static int spawn(Context *ctx, const OptionValue *v, const SpawnSpec *spec)
{
	size_t n = v[OPT_COUNT].set ? (size_t)v[OPT_COUNT].number : 1;
	_cleanup_free_ SpawnSpec *specs = calloc(n, sizeof(*specs));
	SpawnedAgent *agents = spawn_array_new(n);
	int r = specs && agents ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n; i++)
		specs[i] = *spec;
	if (r == 0)
		r = choose_ids(ctx, &v[OPT_AGENT_ID], agents, n);
	if (r == 0)
		r = run_agents(ctx, v, specs, agents, n);
	spawn_array_free(agents, n);
	return r;
}

static int run(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	_cleanup_json_ json_object *opts = json_object_new_object();
	_cleanup_filter_ Filter labels = { 0 };
	_cleanup_buf_ Buf prompt = { 0 };
	SpawnSpec spec = {
		.backend = backend_of(args),
		.options = opts,
		.correlation_id = v[OPT_CORRELATION_ID].string,
		.group = v[OPT_GROUP].string,
		.on_restart = v[OPT_ON_RESTART].string,
		.priority = v[OPT_PRIORITY].integer,
		.total_ms = v[OPT_TIMEOUT].number,
		.idle_ms = v[OPT_IDLE_TIMEOUT].number,
		.connect_ms = v[OPT_CONNECT_TIMEOUT].number,
		.first_chunk_ms = v[OPT_FIRST_CHUNK_TIMEOUT].number,
	};
	int r;

	if (!opts)
		return -ENOMEM;
	r = check(ctx, args);
	if (r == 0)
		r = make_options(ctx, args, opts);
	if (r == 0)
		r = filter_set_labels(ctx, &labels, &v[OPT_LABEL]);
	if (r == 0)
		r = get_prompt(ctx, args, &prompt);
	if (r != 0)
		return r;
	spec.labels = labels.labels;
	spec.prompt = prompt.data;
	spec.prompt_len = prompt.len;
	return spawn(ctx, v, &spec);
}

const Command command_spawn_agent = {
	.name = "spawn-agent",
	.operands = "[-] [-- PROGRAM ARGUMENT...]",
	.summary = "Spawn an agent and stream what it writes",
	.details =
		"Its output goes to standard output as it comes, its error channel to standard "
		"error.\n"
		"Ctrl-C cancels it and waits for its end (once more leaves at once), and so do\n"
		"SIGTERM, SIGHUP (as of a terminal that is closed) and output that cannot be\n"
		"written; with --detach it runs on by itself. `-` reads the prompt from standard\n"
		"input. A program behind `--` is an agent of the backend exec, run in the current\n"
		"directory.\n"
		"The V of --option K=V is JSON if it is valid JSON, else a string; dots in K "
		"nest.\n"
		"--messages-file is [{\"role\": \"user\", \"content\": \"...\"}, ...], `-` for "
		"standard\n"
		"input; the prompt comes behind it, and need not be there.\n",
	.example = "  liongatectl spawn-agent --prompt 'Explain this' --backend mock\n"
		   "  liongatectl spawn-agent --timeout 2m --option limits.memory_bytes=1000000000 "
		   "\\\n"
		   "      -- make test\n"
		   "  git diff | liongatectl spawn-agent - --detach -- review-tool\n",
	.options = options,
	.max_operands = 1,
	.takes_rest = true,
	.run = run,
};
