/* Options and operands of a command line, parsed by getopt_long() as a table says, so that help and
 * completion can be printed from the same table.
 *
 * Thread: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/* What stands for an operand or for an option's argument: where completion takes its words from. */
typedef enum Completion {
	COMPLETE_NONE,
	COMPLETE_FILE,
	COMPLETE_AGENT,
	COMPLETE_LIVE_AGENT,     /* one that has not ended */
	COMPLETE_BACKEND_OPTION, /* K=V of --option */
	COMPLETE_BACKEND,
	COMPLETE_CHANNEL,
	COMPLETE_COMMAND,
	COMPLETE_CORRELATION_ID,
	COMPLETE_EVENT_TYPE,
	COMPLETE_GROUP,
	COMPLETE_LABEL, /* K=V */
	COMPLETE_LABEL_KEY,
	COMPLETE_METHOD,
	COMPLETE_MODEL,
	COMPLETE_PROVIDER,
	COMPLETE_SPEED,
	COMPLETE_STATE,
	_COMPLETE_MAX,
} Completion;

typedef enum OptionKind {
	OPTION_FLAG,
	OPTION_STRING,
	OPTION_LIST, /* may be repeated */
	OPTION_UINT,
	OPTION_INT,
	OPTION_DURATION, /* 30s: `number` is in milliseconds */
} OptionKind;

typedef struct Option {
	const char *name; /* NULL ends a table */
	char letter;      /* 0: none */
	OptionKind kind;
	const char *arg; /* as help shows it: "N" */
	const char *help;
	Completion complete;        /* anything but its words is refused, if it has words */
	const char *const *choices; /* NULL-terminated: the same, of this option alone */
	int64_t min, max; /* UINT; both 0: any. 1 of STRING, DURATION: not empty, longer than 0 */
} Option;

typedef struct OptionValue {
	bool set;
	const char *string; /* the last one given */
	uint64_t number;
	int64_t integer;
	const char **list;
	size_t n_list;
} OptionValue;

#define OPTIONS_MAX 32

/* The strings are lent from argv; the arrays are owned. Embedded, all zero when empty. */
typedef struct Args {
	OptionValue values[OPTIONS_MAX]; /* in the order of the table */
	const char **operands;           /* those before a `--` */
	size_t n_operands;
	char **rest; /* those behind it, NULL-terminated; NULL if there are none */
	size_t n_rest;
} Args;

#define _cleanup_args_ _cleanup_(args_done)

void args_done(Args *args);

/* Parses argv[1] and so on. `own` may be NULL; options of `global` are known as well and go to
 * *global_values. With `stop_early` it ends at the first operand, whose index in argv is *ret_next
 * (argc if there is none). -EINVAL with what is wrong in `why`, -ENOMEM. */
typedef struct ArgsRequest {
	const Option *own;
	const Option *global;
	Args *global_values;
	bool stop_early;
	bool takes_rest; /* what stands behind `--` is kept apart; else it is operands, too */
} ArgsRequest;

int args_parse(Args *args, const ArgsRequest *request, int argc, char **argv, int *ret_next,
	Buf *why) _must_check_;

/* The words that may stand in such a place, one by one; NULL behind the last, and where there are
 * too many to tell. */
const char *option_word(Completion kind, size_t i);

size_t option_count(const Option *table);
/* Appends one aligned line an option. */
int option_append_help(const Option *table, Buf *b) _must_check_;
