/* Looks at the whole log, line by line: every line what it must be, every number in order, every
 * record of an index what its line says, every agent's life as the protocol has it. Changes
 * nothing, and bears a daemon that is writing meanwhile.
 *
 * Thread: any (one at a time). */
#pragma once

#include <stdbool.h>

#include "daemon/eventlog/findings.h"
#include "daemon/eventlog/life-check.h"

typedef struct LogCheck {
	/* Given. */
	int dirfd;          /* STATE/log, lent */
	Findings *findings; /* lent */
	bool running;       /* a daemon is writing: the end of the log is not yet in order */
	uint64_t applied;   /* by the catalog */
	/* Found. */
	LifeCheck lives;
	uint64_t segments, bytes, events;
	uint64_t oldest_seq; /* where the first segment begins; 0: there is none */
	uint64_t end_seq;    /* one past the newest event */
	/* A hole in the numbers that no event was seen behind yet; 0: none. */
	uint64_t gap_from, gap_to;
	Buf unannounced; /* holes that an event was seen behind which does not tell of them */
} LogCheck;

/* -errno: it could not look. What is wrong with the log is in the findings. */
int log_check_run(LogCheck *c) _must_check_;
void log_check_done(LogCheck *c);
/* Where the log begins now; UINT64_MAX: nowhere. -errno. */
int log_check_oldest(int log_dirfd, uint64_t *ret) _must_check_;
