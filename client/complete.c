#include "client/complete.h"

#include <stdio.h>
#include <string.h>

#include "client/command.h"
#include "common/jsonx.h"
#include "common/protocol.h"
#include "common/socket-path.h"

#define AGENT_TIMEOUT_MS 1000

typedef struct Completer {
	Context *ctx;
	const char *word; /* what is being typed */
} Completer;

static void offer(const Completer *c, const char *candidate)
{
	if (strncmp(candidate, c->word, strlen(c->word)) == 0)
		output_printf(&c->ctx->out, "%s\n", candidate);
}

static void offer_options(const Completer *c, const Option *table)
{
	for (size_t i = 0; table && i < option_count(table); i++) {
		char name[64];

		snprintf(name, sizeof(name), "--%s", table[i].name);
		offer(c, name);
	}
}

static void offer_agents_of(const Completer *c, json_object *message)
{
	json_object *payload = NULL, *agents;
	const char *method = NULL;
	uint64_t id = 0;

	if (call_classify(message, &id, &method, &payload) != CALL_RESULT)
		return;
	agents = jsonx_get(payload, "agents", json_type_array);
	for (size_t i = 0; agents && i < json_object_array_length(agents); i++) {
		json_object *agent = json_object_array_get_idx(agents, i);
		const char *agent_id = jsonx_get_string(agent, "agent_id", NULL);

		/* It goes to a shell: only what looks like an id is one. */
		if (agent_id && strspn(agent_id, "0123456789abcdef-") == strlen(agent_id))
			offer(c, agent_id);
	}
}

/* Best effort and in silence: a person is in the middle of a word. */
static void offer_agents(const Completer *c)
{
	_cleanup_(call_free_p) Call *call = NULL;
	_cleanup_json_ json_object *message = NULL;
	_cleanup_free_ char *path = NULL;
	uint64_t id;

	if (socket_path_find(c->ctx->socket_option, &path) < 0 || call_connect(path, &call) < 0)
		return;
	if (call_send(call, "agent.list", NULL, &id) == 0 &&
		call_receive(call, AGENT_TIMEOUT_MS, &message) == 0)
		offer_agents_of(c, message);
}

static void offer_event_types(const Completer *c)
{
	for (int i = EVENT_TYPE_NONE + 1; i < _EVENT_TYPE_MAX; i++)
		offer(c, protocol_event_name((EventType)i));
}

static void offer_backends(const Completer *c)
{
	for (const char *const *name = protocol_backend_names(); *name; name++)
		offer(c, *name);
}

static void offer_commands(const Completer *c)
{
	for (size_t i = 0; command_table[i]; i++)
		offer(c, command_table[i]->name);
}

static void offer_values(const Completer *c, Completion kind)
{
	switch (kind) {
	case COMPLETE_NONE:
		break;
	case COMPLETE_FILE:
		output_printf(&c->ctx->out, ":files\n");
		break;
	case COMPLETE_AGENT:
		offer_agents(c);
		break;
	case COMPLETE_BACKEND:
		offer_backends(c);
		break;
	case COMPLETE_CHANNEL:
		for (int i = 0; i < _CHANNEL_MAX; i++)
			offer(c, channel_to_string((Channel)i));
		break;
	case COMPLETE_COMMAND:
		offer_commands(c);
		break;
	case COMPLETE_EVENT_TYPE:
		offer_event_types(c);
		break;
	case COMPLETE_METHOD:
		for (int i = 0; i < _METHOD_MAX; i++)
			offer(c, protocol_method((MethodId)i)->name);
		break;
	case COMPLETE_STATE:
		for (int i = 0; i < _AGENT_STATE_MAX; i++)
			offer(c, agent_state_to_string((AgentState)i));
		break;
	}
}

/* The option that `word` is, if it is one that takes an argument. */
static const Option *option_with_argument(const Option *table, const char *word)
{
	for (size_t i = 0; i < option_count(table); i++) {
		const Option *o = &table[i];
		bool is_long = strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0;
		bool is_short = o->letter && word[0] == '-' && word[1] == o->letter && !word[2];

		if ((is_long || is_short) && o->kind != OPTION_FLAG)
			return o;
	}
	return NULL;
}

static void offer_argument(const Completer *c, const Option *o)
{
	for (size_t i = 0; o->choices && o->choices[i]; i++)
		offer(c, o->choices[i]);
	offer_values(c, o->complete);
}

static const Option *find_option(const Command *command, const char *word)
{
	const Option *o = option_with_argument(command_global_options, word);

	return o || !command ? o : option_with_argument(command->options, word);
}

/* The command among the words before the last one; *ret_program: a `--` stands behind it. */
static const Command *find_command(Context *ctx, char **words, int n, bool *ret_program)
{
	const Command *command = NULL;

	*ret_program = false;
	for (int i = 0; i < n; i++) {
		const Option *o = find_option(command, words[i]);

		if (o && i + 1 < n) {
			if (strcmp(words[i], "--socket") == 0)
				ctx->socket_option = words[i + 1];
			i++;
		} else if (strcmp(words[i], "--") == 0) {
			*ret_program = true;
		} else if (!command && words[i][0] != '-') {
			command = command_find(words[i]);
		}
	}
	return command;
}

int complete_run(Context *ctx, char **words, int n_words)
{
	Completer c = { .ctx = ctx, .word = n_words > 0 ? words[n_words - 1] : "" };
	const Command *command;
	const Option *before = NULL;
	bool program;

	command = find_command(ctx, words, n_words - 1, &program);
	if (n_words > 1 && !program)
		before = find_option(command, words[n_words - 2]);
	if (before) {
		offer_argument(&c, before);
	} else if (program && command && command->takes_rest) {
		offer_values(&c, COMPLETE_FILE);
	} else if (c.word[0] == '-' && !program) {
		offer_options(&c, command ? command->options : NULL);
		offer_options(&c, command_global_options);
	} else if (!command) {
		offer_commands(&c);
	} else {
		offer_values(&c, command->complete);
	}
	return output_flush(&ctx->out);
}
