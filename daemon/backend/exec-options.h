/* What the options of an exec agent say, beyond what their table can: looked at when it is
 * spawned, and kept for its start.
 *
 * Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/rpc-error.h"

typedef enum ExecStdin {
	EXEC_STDIN_PROMPT,
	EXEC_STDIN_NONE,
	EXEC_STDIN_OPEN,
} ExecStdin;

typedef struct ExecOptions {
	char **argv; /* NULL-terminated */
	char *cwd;   /* NULL: none given */
	ExecStdin input;
	bool by_line;
	uint64_t memory_bytes, cpu_seconds, processes, open_files, output_bytes; /* 0: none */
} ExecOptions;

/* Why there is no limit of processes, if the daemon has no cgroups. */
extern const char exec_options_no_cgroups[];

/* Whether the daemon has them, with that limit: before the first check. */
void exec_options_allow_processes(bool allow);

/* See Backend.check. */
int exec_options_check(json_object *options, RpcError *reterr) _must_check_;

/* See Backend.takes_input. */
bool exec_options_take_input(json_object *options);

/* From checked ones. -ENOMEM: to be done with all the same. */
int exec_options_init(ExecOptions *o, json_object *options) _must_check_;
void exec_options_done(ExecOptions *o);
