/* How an agent's last event tells what became of its program.
 *
 * Thread: worker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/backend/backend.h"
#include "daemon/backend/exec-options.h"
#include "daemon/reaper/reaper-proto.h"

typedef struct ExecEnd {
	int status;           /* of wait(2) */
	uint64_t cpu_seconds; /* used by the program and what it waited for */
	ReaperTally tally;    /* of all its tree */
	bool cancelled;       /* before it had ended by itself */
	bool over_limit;      /* of its output */
} ExecEnd;

/* An event, and the text that it points at. */
typedef struct ExecVerdict {
	BackendEvent event;
	char message[384], details[256];
} ExecVerdict;

void exec_end_describe(const ExecEnd *end, const ExecOptions *options, ExecVerdict *ret);
/* It could not be started, because of `what`: see ReaperHooks.on_failed. */
void exec_end_describe_failure(
	int error, const char *what, const ExecOptions *options, ExecVerdict *ret);
