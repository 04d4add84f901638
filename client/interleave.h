/* Makes whole lines out of the chunks of many agents, so that what they write can stand under one
 * another without being cut into each other.
 *
 * An unfinished line is held back for each agent and channel until its newline comes, the agent
 * ends, or a bound is reached (of that line, or of all together): then it is given out as it is. So
 * is one that has waited too long for more; what comes to it later is a line of its own. Memory:
 * only unfinished lines; an agent without one costs nothing.
 *
 * Thread: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/protocol.h"

typedef struct Interleave Interleave;

/* Lent for the call. */
typedef struct InterleaveLine {
	const char *agent_id;
	Channel channel;
	const char *text; /* without its newline */
	size_t len;
	bool unfinished; /* there was no newline */
} InterleaveLine;

/* < 0 is handed on by what was called. */
typedef int (*InterleaveOnLine)(const InterleaveLine *line, void *userdata);

int interleave_new(size_t max_line_bytes, size_t max_total_bytes, InterleaveOnLine on_line,
	void *userdata, Interleave **ret) _must_check_;
/* Forgets what is held. Bears NULL. */
void interleave_free(Interleave *il);
DEFINE_CLEANUP(Interleave *, interleave_free)

int interleave_feed(Interleave *il, const char *agent_id, Channel channel, const char *bytes,
	size_t len) _must_check_;
/* Gives out what is held of this agent; NULL: of all. */
int interleave_flush(Interleave *il, const char *agent_id) _must_check_;

/* When (clock_monotonic_us()) what has been held longest without more of it came; UINT64_MAX:
 * nothing is held. */
uint64_t interleave_waiting_since(const Interleave *il);
/* Gives out what came then or before. Its line is not over: a newline that comes alone adds
 * nothing. */
int interleave_flush_waiting(Interleave *il, uint64_t since_us) _must_check_;
