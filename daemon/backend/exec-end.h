/* How an agent's last event tells what became of its program.
 *
 * Thread: worker. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/backend/backend.h"
#include "daemon/backend/exec-options.h"

typedef struct ExecEnd {
	int status;           /* of wait(2) */
	uint64_t cpu_seconds; /* used by the program and what it waited for */
	bool cancelled;       /* before it had ended by itself */
	bool over_limit;      /* of its output */
} ExecEnd;

/* An event, and the text that it points at. */
typedef struct ExecVerdict {
	BackendEvent event;
	char message[384], details[64];
} ExecVerdict;

void exec_end_describe(const ExecEnd *end, const ExecOptions *options, ExecVerdict *ret);
/* It could not be started; `directory`: because of that. */
void exec_end_describe_failure(
	int error, bool directory, const ExecOptions *options, ExecVerdict *ret);
