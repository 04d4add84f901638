/* The table of commands: each is one constant entry in a file of its own, from which the parser,
 * the help and the completion are driven.
 *
 * Thread: main. */
#pragma once

#include "client/context.h"
#include "client/option.h"

#define COMMAND_ANY_OPERANDS SIZE_MAX

typedef struct Command {
	const char *name;
	const char *operands;  /* as the usage line shows them, or NULL */
	const char *summary;   /* one line, no full stop */
	const char *details;   /* whole lines, or NULL */
	const char *example;   /* whole lines */
	const Option *options; /* or NULL */
	size_t min_operands, max_operands;
	bool takes_rest;     /* what stands behind `--` is a program, not operands */
	Completion complete; /* of the operands */
	/* An exit code, or -errno. */
	int (*run)(Context *ctx, const Args *args);
} Command;

extern const Command command_ask;
extern const Command command_call;
extern const Command command_cancel;
extern const Command command_demo;
extern const Command command_events;
extern const Command command_help;
extern const Command command_list;
extern const Command command_metrics;
extern const Command command_multi_agent_demo;
extern const Command command_output;
extern const Command command_providers;
extern const Command command_replay;
extern const Command command_send;
extern const Command command_show;
extern const Command command_spawn_agent;
extern const Command command_stats;
extern const Command command_status;
extern const Command command_top;
extern const Command command_wait;
extern const Command command_watch;

/* Options that every command knows, in front of its name and behind it. */
typedef enum GlobalOption {
	GLOBAL_SOCKET,
	GLOBAL_JSON,
	GLOBAL_COLOR,
	GLOBAL_EPHEMERAL,
	GLOBAL_HELP,
	GLOBAL_VERSION,
} GlobalOption;

extern const Option command_global_options[];

/* Sorted by name; NULL-terminated. */
extern const Command *const command_table[];

/* NULL if there is none. */
const Command *command_find(const char *name);
/* The one whose name is nearest to what was typed, or NULL if none is near. */
const Command *command_guess(const char *name);

/* Appends what --help prints: of a command, or (NULL) of all. */
int command_append_help(const Command *command, Buf *b) _must_check_;
