#include "client/complete.h"

#include <stdio.h>
#include <string.h>

#include "client/command.h"
#include "common/jsonx.h"
#include "common/protocol.h"
#include "common/socket-path.h"

#define LISTING_TIMEOUT_MS 1000

typedef struct Completer {
	Context *ctx;
	const char *word;   /* what is being typed, behind the '=' of an `--option=` */
	const char *before; /* `--option=`, not terminated: it goes before what is offered */
	size_t before_len;
	const Command *command; /* NULL: not typed yet */
	const char *backend;    /* NULL: not said */
	bool program;           /* a `--` stands before the word */
} Completer;

static void offer(const Completer *c, const char *candidate)
{
	if (strncmp(candidate, c->word, strlen(c->word)) == 0)
		output_printf(&c->ctx->out, "%.*s%s\n", (int)c->before_len, c->before, candidate);
}

static void offer_options(const Completer *c, const Option *table)
{
	for (size_t i = 0; table && i < option_count(table); i++) {
		char name[64];

		snprintf(name, sizeof(name), "--%s", table[i].name);
		offer(c, name);
	}
}

/* What a method lists, and what of it is offered. */
typedef struct Listing {
	const char *method;
	const char *params;
	const char *list, *key; /* the array in the result, the member of its objects */
	const char *plain;      /* it goes to a shell: nothing with other characters does */
} Listing;

static void offer_listed(const Completer *c, const Listing *l, json_object *message)
{
	json_object *payload = NULL, *list;
	const char *method = NULL;
	uint64_t id = 0;

	if (call_classify(message, &id, &method, &payload) != CALL_RESULT)
		return;
	list = jsonx_get(payload, l->list, json_type_array);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		json_object *item = json_object_array_get_idx(list, i);
		const char *word = jsonx_get_string(item, l->key, NULL);

		if (word && strspn(word, l->plain) == strlen(word))
			offer(c, word);
	}
}

/* Best effort and in silence: a person is in the middle of a word. */
static void offer_listing(const Completer *c, const Listing *l)
{
	_cleanup_(call_free_p) Call *call = NULL;
	_cleanup_json_ json_object *message = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_buf_ Buf text = { 0 };
	uint64_t id;

	if (socket_path_find(c->ctx->socket_option, &path) < 0 || call_connect(path, &call) < 0)
		return;
	if (buf_append_str(&text, l->params) == 0 && call_send(call, l->method, &text, &id) == 0 &&
		call_receive(call, LISTING_TIMEOUT_MS, &message) == 0)
		offer_listed(c, l, message);
}

static void offer_agents(const Completer *c, const char *params)
{
	offer_listing(
		c, &(Listing){ "agent.list", params, "agents", "agent_id", "0123456789abcdef-" });
}

static void offer_providers(const Completer *c)
{
	offer_listing(
		c, &(Listing){ "provider.list", "{}", "providers", "name",
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-" });
}

/* `K=` of each, or K=V where V is one of few. `within` is "", or what stands before K: "limits.". */
static void offer_fields(const Completer *c, const char *within, const SchemaField *fields)
{
	for (const SchemaField *f = fields; f->name; f++) {
		char text[128];
		int n = snprintf(text, sizeof(text), "%s%s", within, f->name);

		if (n < 0 || (size_t)n >= sizeof(text) - 2)
			continue;
		if (f->type == SCHEMA_OBJECT || f->type == SCHEMA_STRING_MAP) {
			memcpy(text + n, ".", 2);
			if (f->type == SCHEMA_OBJECT)
				offer_fields(c, text, f->fields);
			else
				offer(c, text);
			continue;
		}
		memcpy(text + n, "=", 2);
		if (!f->choices || strncmp(c->word, text, (size_t)n + 1) != 0)
			offer(c, text);
		for (size_t i = 0; f->choices && f->choices[i]; i++) {
			char choice[192];

			snprintf(choice, sizeof(choice), "%s%s", text, f->choices[i]);
			if (strchr(c->word, '='))
				offer(c, choice);
		}
	}
}

/* Of the backend that was said, or of all: a program may yet follow. */
static void offer_backend_options(const Completer *c)
{
	for (const char *const *name = protocol_backend_names(); *name; name++) {
		if (!c->backend || strcmp(c->backend, *name) == 0)
			offer_fields(c, "", protocol_backend_find(*name)->options);
	}
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
		offer_agents(c, "{}");
		break;
	case COMPLETE_LIVE_AGENT:
		offer_agents(c, "{\"state\":[\"queued\",\"running\"]}");
		break;
	case COMPLETE_BACKEND_OPTION:
		offer_backend_options(c);
		break;
	case COMPLETE_COMMAND:
		for (size_t i = 0; command_table[i]; i++)
			offer(c, command_table[i]->name);
		break;
	case COMPLETE_METHOD:
		for (int i = 0; i < _METHOD_MAX; i++)
			offer(c, protocol_method((MethodId)i)->name);
		break;
	case COMPLETE_PROVIDER:
		offer_providers(c);
		break;
	case COMPLETE_BACKEND:
	case COMPLETE_CHANNEL:
	case COMPLETE_EVENT_TYPE:
	case COMPLETE_STATE:
		for (size_t i = 0; option_word(kind, i); i++)
			offer(c, option_word(kind, i));
		break;
	}
}

/* The option of the table that takes an argument and that `word` is, with or without its `=ARGUMENT`. */
static const Option *option_with_argument(const Option *table, const char *word)
{
	size_t len = strcspn(word, "=");

	for (size_t i = 0; i < option_count(table); i++) {
		const Option *o = &table[i];
		bool is_long = strncmp(word, "--", 2) == 0 && strlen(o->name) == len - 2 &&
			       strncmp(word + 2, o->name, len - 2) == 0;
		bool is_short = o->letter && word[0] == '-' && word[1] == o->letter && !word[2];

		if ((is_long || is_short) && o->kind != OPTION_FLAG)
			return o;
	}
	return NULL;
}

static const Option *find_option(const Command *command, const char *word)
{
	const Option *o = option_with_argument(command_global_options, word);

	return o || !command ? o : option_with_argument(command->options, word);
}

/* What completion itself has to know. */
static void note_option(Completer *c, const Option *o, const char *argument)
{
	if (o == &command_global_options[GLOBAL_SOCKET])
		c->ctx->socket_option = argument;
	else if (o->complete == COMPLETE_BACKEND)
		c->backend = argument;
}

/* Reads the words before the last one. Returns the option whose argument the last one is, or NULL. */
static const Option *read_words(Completer *c, char **words, int n)
{
	for (int i = 0; i < n && !c->program; i++) {
		const Option *o = find_option(c->command, words[i]);
		const char *equals = strchr(words[i], '=');

		if (o && equals) {
			note_option(c, o, equals + 1);
		} else if (o && i + 1 == n) {
			return o;
		} else if (o) {
			note_option(c, o, words[++i]);
		} else if (strcmp(words[i], "--") == 0) {
			c->program = true;
		} else if (!c->command && words[i][0] != '-') {
			c->command = command_find(words[i]);
		}
	}
	return NULL;
}

static void offer_argument(const Completer *c, const Option *o)
{
	for (size_t i = 0; o->choices && o->choices[i]; i++)
		offer(c, o->choices[i]);
	offer_values(c, o->complete);
}

/* `--option=` and the beginning of its argument: 1. */
static bool complete_inline(Completer *c)
{
	const char *equals = strchr(c->word, '=');
	const Option *o = equals && !c->program ? find_option(c->command, c->word) : NULL;

	if (!o)
		return false;
	c->before = c->word;
	c->before_len = (size_t)(equals + 1 - c->word);
	c->word = equals + 1;
	offer_argument(c, o);
	return true;
}

int complete_run(Context *ctx, char **words, int n_words)
{
	Completer c = {
		.ctx = ctx,
		.word = n_words > 0 ? words[n_words - 1] : "",
		.before = "",
	};
	const Option *before = read_words(&c, words, n_words - 1);

	if (before) {
		offer_argument(&c, before);
	} else if (c.program && c.command && c.command->takes_rest) {
		offer_values(&c, COMPLETE_FILE);
	} else if (complete_inline(&c)) {
		/* that was it */
	} else if (c.word[0] == '-' && !c.program) {
		offer_options(&c, c.command ? c.command->options : NULL);
		offer_options(&c, command_global_options);
	} else if (!c.command) {
		offer_values(&c, COMPLETE_COMMAND);
	} else {
		offer_values(&c, c.command->complete);
	}
	return output_flush(&ctx->out);
}
