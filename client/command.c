#include "client/command.h"

#include <stdlib.h>
#include <string.h>

#define NAME_COLUMN 18
#define MAX_NAME    32

static const char *const color_choices[] = { "auto", "always", "never", NULL };

const Option command_global_options[] = {
	[GLOBAL_SOCKET] = { .name = "socket",
		.kind = OPTION_STRING,
		.arg = "PATH",
		.help = "the daemon's control socket",
		.complete = COMPLETE_FILE },
	[GLOBAL_JSON] = { .name = "json",
		.help = "results as one JSON text, streams as one event a line" },
	[GLOBAL_COLOR] = { .name = "color",
		.kind = OPTION_STRING,
		.arg = "WHEN",
		.help = "auto, always or never; NO_COLOR is honoured",
		.choices = color_choices },
	[GLOBAL_EPHEMERAL] = { .name = "ephemeral",
		.help = "start a private daemon for this one command" },
	[GLOBAL_HELP] = { .name = "help", .letter = 'h', .help = "show this help" },
	[GLOBAL_VERSION] = { .name = "version", .help = "show the version" },
	{ 0 },
};

const Command *const command_table[] = {
	&command_ask,
	&command_call,
	&command_cancel,
	&command_demo,
	&command_events,
	&command_help,
	&command_list,
	&command_metrics,
	&command_multi_agent_demo,
	&command_output,
	&command_providers,
	&command_replay,
	&command_send,
	&command_show,
	&command_spawn_agent,
	&command_stats,
	&command_status,
	&command_top,
	&command_wait,
	&command_watch,
	NULL,
};

static const char exit_codes_help[] =
	"Exit codes:\n"
	"  0    it went well\n"
	"  1    an agent failed (or liongatectl itself did: no memory, cannot write)\n"
	"  2    wrong usage\n"
	"  3    the daemon cannot be reached\n"
	"  4    not found\n"
	"  5    refused by the daemon\n"
	"  124  timed out\n"
	"  130  interrupted or cancelled (128 + the signal: 143 by SIGTERM, 129 by SIGHUP)\n"
	"--exit-code passes an exec agent's own exit code on instead (128 + the signal that ended "
	"it).\n";

static int compare_name(const void *key, const void *entry)
{
	const Command *const *command = entry;

	return strcmp(key, (*command)->name);
}

const Command *command_find(const char *name)
{
	const Command *const *found = bsearch(name, command_table, ARRAY_SIZE(command_table) - 1,
		sizeof(*command_table), compare_name);

	return found ? *found : NULL;
}

/* Levenshtein's, with one row. Both are at most MAX_NAME long. */
static size_t distance(const char *a, const char *b)
{
	size_t n = strlen(b), row[MAX_NAME + 1];

	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (diagonal + 1 < best)
				best = diagonal + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

const Command *command_guess(const char *name)
{
	const Command *nearest = NULL;
	/* More edits than every third character are another word. */
	size_t least = (strlen(name) + 2) / 3 + 1;

	if (strlen(name) > MAX_NAME)
		return NULL;
	for (size_t i = 0; command_table[i]; i++) {
		const char *candidate = command_table[i]->name;
		size_t d = distance(name, candidate);

		/* The start of a name is what people shorten it to. */
		if (strlen(name) >= 2 && strncmp(name, candidate, strlen(name)) == 0)
			d = 1;
		if (d < least && d < strlen(candidate)) {
			least = d;
			nearest = command_table[i];
		}
	}
	return nearest;
}

static int append_overview(Buf *b)
{
	int r;

	r = buf_append_str(b,
		"Usage: liongatectl [OPTION...] COMMAND [ARGUMENT...]\n"
		"\n"
		"Runs AI agents through liongated and shows what they write while they write it.\n"
		"\n"
		"Commands (`liongatectl COMMAND --help` says more, with examples):\n");
	for (size_t i = 0; r == 0 && command_table[i]; i++)
		r = buf_printf(b, "  %-*s %s\n", NAME_COLUMN, command_table[i]->name,
			command_table[i]->summary);
	if (r == 0)
		r = buf_append_str(b, "\nOptions of every command:\n");
	if (r == 0)
		r = option_append_help(command_global_options, b);
	if (r == 0)
		r = buf_append_str(b, "\n"
				      "The socket: --socket, else $LIONGATE_SOCKET, else\n"
				      "$XDG_RUNTIME_DIR/liongate/control.sock if it exists, else\n"
				      "/run/liongate/control.sock. An AGENT is an id, or the "
				      "beginning of one (4\n"
				      "characters or more) that no other agent shares.\n"
				      "\n");
	return r < 0 ? r : buf_append_str(b, exit_codes_help);
}

int command_append_help(const Command *command, Buf *b)
{
	int r;

	if (!command)
		return append_overview(b);
	r = buf_printf(b, "Usage: liongatectl %s%s%s%s\n\n%s.\n", command->name,
		command->options ? " [OPTION...]" : "", command->operands ? " " : "",
		command->operands ? command->operands : "", command->summary);
	if (r == 0 && command->details)
		r = buf_printf(b, "\n%s", command->details);
	if (r == 0 && command->options)
		r = buf_append_str(b, "\nOptions:\n");
	if (r == 0 && command->options)
		r = option_append_help(command->options, b);
	if (r == 0)
		r = buf_append_str(b, "\nOptions of every command:\n");
	if (r == 0)
		r = option_append_help(command_global_options, b);
	if (r == 0)
		r = buf_printf(b, "\nExample:\n%s\n", command->example);
	return r < 0 ? r : buf_append_str(b, exit_codes_help);
}
