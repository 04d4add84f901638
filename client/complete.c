#include "client/complete.h"

#include <stdio.h>
#include <string.h>

#include "client/candidates.h"
#include "client/command.h"
#include "client/complete-listed.h"
#include "common/protocol.h"

typedef struct Completer {
	Candidates candidates;
	Context *ctx;
	char **words; /* those before the one being typed */
	int n_words;
	const Command *command; /* NULL: not typed yet */
	size_t n_operands;      /* of it, that are typed */
	const char *backend;    /* NULL: not said */
	uint32_t own, global;   /* bit (1 << i): that option of the command, or of all, is typed */
	bool program;           /* a `--` stands before the word */
} Completer;

static void offer(Completer *c, const char *word, const char *about)
{
	candidates_offer(&c->candidates, word, about);
}

/* One that is typed counts only once, unless it makes a list. */
static void offer_options(Completer *c, const Option *table, uint32_t typed)
{
	for (size_t i = 0; i < option_count(table); i++) {
		char name[64];

		if ((typed & (1U << i)) && table[i].kind != OPTION_LIST)
			continue;
		snprintf(name, sizeof(name), "--%s", table[i].name);
		offer(c, name, table[i].help);
	}
}

/* `K=` of each, or K=V where V is one of few. `within` is "", or what stands before K: "limits.".
 */
static void offer_fields(Completer *c, const char *within, const SchemaField *fields)
{
	for (const SchemaField *f = fields; f->name; f++) {
		const char *typed = c->candidates.word;
		char text[128];
		int n = snprintf(text, sizeof(text), "%s%s", within, f->name);

		if (n < 0 || (size_t)n >= sizeof(text) - 2)
			continue;
		if (f->type == SCHEMA_OBJECT || f->type == SCHEMA_STRING_MAP) {
			memcpy(text + n, ".", 2);
			if (f->type == SCHEMA_OBJECT)
				offer_fields(c, text, f->fields);
			else
				offer(c, text, f->doc);
			continue;
		}
		memcpy(text + n, "=", 2);
		if (!f->choices || strncmp(typed, text, (size_t)n + 1) != 0)
			offer(c, text, f->doc);
		for (size_t i = 0; f->choices && f->choices[i]; i++) {
			char choice[192];

			snprintf(choice, sizeof(choice), "%s%s", text, f->choices[i]);
			if (strchr(typed, '='))
				offer(c, choice, f->doc);
		}
	}
}

/* Of the backend that was said, or of all: a program may yet follow. */
static void offer_backend_options(Completer *c)
{
	for (const char *const *name = protocol_backend_names(); *name; name++) {
		if (!c->backend || strcmp(c->backend, *name) == 0)
			offer_fields(c, "", protocol_backend_find(*name)->options);
	}
}

static void offer_commands(Completer *c)
{
	for (size_t i = 0; command_table[i]; i++)
		offer(c, command_table[i]->name, command_table[i]->summary);
}

static void offer_methods(Completer *c)
{
	for (int i = 0; i < _METHOD_MAX; i++)
		offer(c, protocol_method((MethodId)i)->name, protocol_method((MethodId)i)->summary);
}

static void offer_speeds(Completer *c)
{
	offer(c, "1x", "as it was");
	offer(c, "10x", "ten times as fast");
	offer(c, "max", "without waiting");
}

static const char *about_word(Completion kind, const char *word)
{
	if (kind == COMPLETE_BACKEND)
		return protocol_backend_find(word)->summary;
	if (kind == COMPLETE_EVENT_TYPE)
		return protocol_event_doc((EventType)protocol_event_from_name(word));
	return NULL;
}

static void offer_listed(Completer *c, Completion kind)
{
	ListedRequest request = {
		.candidates = &c->candidates,
		.socket_option = c->ctx->socket_option,
		.backend = c->backend,
		.typed = c->words,
		.n_typed = (size_t)c->n_words,
	};

	/* That of agents which name none. */
	if (kind == COMPLETE_GROUP)
		offer(c, "default", NULL);
	listed_offer(&request, kind);
}

static void offer_values(Completer *c, Completion kind)
{
	switch (kind) {
	case COMPLETE_FILE:
		candidates_offer_files(&c->candidates);
		break;
	case COMPLETE_BACKEND_OPTION:
		offer_backend_options(c);
		break;
	case COMPLETE_COMMAND:
		offer_commands(c);
		break;
	case COMPLETE_METHOD:
		offer_methods(c);
		break;
	case COMPLETE_SPEED:
		offer_speeds(c);
		break;
	default:
		for (size_t i = 0; option_word(kind, i); i++)
			offer(c, option_word(kind, i), about_word(kind, option_word(kind, i)));
		offer_listed(c, kind);
		break;
	}
}

/* The option of the table that `word` is, with or without its `=ARGUMENT`. */
static const Option *option_of_word(const Option *table, const char *word)
{
	size_t len = strcspn(word, "=");

	for (size_t i = 0; i < option_count(table); i++) {
		const Option *o = &table[i];

		if (strncmp(word, "--", 2) == 0 && strlen(o->name) == len - 2 &&
			strncmp(word + 2, o->name, len - 2) == 0)
			return o;
		if (o->letter && word[0] == '-' && word[1] == o->letter && !word[2])
			return o;
	}
	return NULL;
}

static const Option *find_option(const Completer *c, const char *word)
{
	const Option *o = option_of_word(command_global_options, word);

	return o || !c->command ? o : option_of_word(c->command->options, word);
}

static void note_option(Completer *c, const Option *o)
{
	for (size_t i = 0; i < option_count(command_global_options); i++) {
		if (o == &command_global_options[i]) {
			c->global |= 1U << i;
			return;
		}
	}
	c->own |= 1U << (o - c->command->options);
}

/* What completion itself has to know. */
static void note_argument(Completer *c, const Option *o, const char *argument)
{
	if (o == &command_global_options[GLOBAL_SOCKET])
		c->ctx->socket_option = argument;
	else if (o->complete == COMPLETE_BACKEND)
		c->backend = argument;
}

static void read_operand(Completer *c, const char *word)
{
	if (strcmp(word, "--") == 0)
		c->program = true;
	else if (word[0] == '-' && word[1] != '\0')
		return; /* an option that is none */
	else if (c->command)
		c->n_operands++;
	else
		c->command = command_find(word);
}

/* Reads the words before the one being typed. Returns the option whose argument that one is, or
 * NULL. */
static const Option *read_words(Completer *c)
{
	for (int i = 0; i < c->n_words; i++) {
		const char *word = c->words[i], *equals = strchr(word, '=');
		const Option *o = c->program ? NULL : find_option(c, word);

		if (!o) {
			read_operand(c, word);
			continue;
		}
		note_option(c, o);
		if (o->kind == OPTION_FLAG)
			continue;
		if (!equals && i + 1 == c->n_words)
			return o;
		note_argument(c, o, equals ? equals + 1 : c->words[++i]);
	}
	return NULL;
}

static void offer_argument(Completer *c, const Option *o)
{
	for (size_t i = 0; o->choices && o->choices[i]; i++)
		offer(c, o->choices[i], NULL);
	offer_values(c, o->complete);
}

/* `--option=` and the beginning of its argument? */
static bool complete_inline(Completer *c)
{
	Candidates *to = &c->candidates;
	const char *equals = strchr(to->word, '=');
	const Option *o = equals && !c->program ? find_option(c, to->word) : NULL;

	if (!o)
		return false;
	to->before = to->word;
	to->before_len = (size_t)(equals + 1 - to->word);
	to->word = equals + 1;
	if (o->kind != OPTION_FLAG)
		offer_argument(c, o);
	return true;
}

/* Of several kinds of operands the table knows the first. */
static void complete_operand(Completer *c)
{
	if (!c->command)
		offer_commands(c);
	else if (c->n_operands == 0 || c->command->max_operands == COMMAND_ANY_OPERANDS)
		offer_values(c, c->command->complete);
}

static void complete(Completer *c)
{
	const Option *before = read_words(c);

	if (before) {
		offer_argument(c, before);
	} else if (c->program && c->command && c->command->takes_rest) {
		candidates_offer_command(&c->candidates);
	} else if (complete_inline(c)) {
		return;
	} else if (c->candidates.word[0] == '-' && !c->program) {
		if (c->command)
			offer_options(c, c->command->options, c->own);
		offer_options(c, command_global_options, c->global);
	} else {
		complete_operand(c);
	}
}

int complete_run(Context *ctx, char **words, int n_words)
{
	Completer c = {
		.candidates = { .out = &ctx->out,
			.word = n_words > 0 ? words[n_words - 1] : "",
			.before = "" },
		.ctx = ctx,
		.words = words,
		.n_words = n_words > 0 ? n_words - 1 : 0,
	};

	complete(&c);
	candidates_done(&c.candidates);
	return output_flush(&ctx->out);
}
