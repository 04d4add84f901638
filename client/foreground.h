/* Agents in the foreground: shows what they write until the last of them has ended. Ctrl-C cancels
 * them, and so do SIGTERM and SIGHUP, and standard output that can no longer be written: they are
 * this program's, as those that a shell runs are the terminal's. Their end is waited for; the
 * second signal does not.
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
