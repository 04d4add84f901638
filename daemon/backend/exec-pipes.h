/* The three pipes between a program and its run: our ends are non-blocking, its own are not.
 *
 * Owns all six descriptors until they are taken.
 *
 * Thread: worker. */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"

typedef struct ExecPipes {
	int ours[3]; /* by the number of the stream; [0] is -1 where standard input is /dev/null */
	int theirs[3];
} ExecPipes;

#define EXEC_PIPES_NONE                                          \
	{                                                        \
		.ours = { -1, -1, -1 }, .theirs = { -1, -1, -1 } \
	}

/* -errno: to be done with all the same. */
int exec_pipes_make(ExecPipes *p, bool null_input) _must_check_;
void exec_pipes_done(ExecPipes *p);
