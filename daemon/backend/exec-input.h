/* A program's standard input: bytes wait here until it reads them.
 *
 * Owns the descriptor and the bytes. Embedded in a run.
 *
 * Thread: worker; exec_input_init() and _append() of the prompt: main. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

typedef struct ExecInput {
	int fd; /* -1: not open yet, or closed */
	struct event *event;
	Buf queue;
	size_t done; /* of the queue, written */
	bool ending; /* to be closed once all is written */
	bool closed;
} ExecInput;

void exec_input_init(ExecInput *in);
void exec_input_done(ExecInput *in);

/* Takes `fd`. -ENOMEM. */
int exec_input_open(ExecInput *in, struct event_base *base, int fd) _must_check_;
/* Queues bytes. -EPIPE: it is closed, or to be; -ENOMEM. */
int exec_input_append(ExecInput *in, const char *bytes, size_t len) _must_check_;
/* No more is to come. */
void exec_input_end(ExecInput *in);
/* Drops what was not written. */
void exec_input_close(ExecInput *in);

/* Writes what the pipe takes now, within a turn's bounds, and the rest when it takes more.
 * -EPIPE: nobody reads it any more; it is closed. */
int exec_input_flush(ExecInput *in);
/* What the program has not read: what waits here, and what is in the pipe. */
size_t exec_input_unread(const ExecInput *in);
