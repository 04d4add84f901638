/* Agents in the foreground: shows what they write until the last of them has ended. Ctrl-C cancels them,
 * and so does a reader of standard output that goes away: their output would have nowhere to go.
 *
 * Thread: main. */
#pragma once

#include "client/output.h"
#include "client/spawn.h"

typedef struct Foreground {
	SpawnedAgent *agents; /* accepted ones */
	size_t n;
	StreamStyle style;
	bool own_exit_code;
	/* Each event, before it is shown; or NULL. */
	void (*on_event)(json_object *event, void *userdata);
	void *userdata;
} Foreground;

/* The exit code of the first agent (in the order of the array) whose is not 0. */
int foreground_run(Context *ctx, const Foreground *fg) _must_check_;
