/* What a check of the log finds, a line each, on its way to a person: what is wrong, and what is
 * worth knowing.
 *
 * Of one file so many lines are said, and the rest is counted. Owns nothing. Thread: any (one at a
 * time). */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "common/cleanup.h"

typedef struct Findings {
	FILE *out;
	uint64_t problems;
	/* Where the check is. */
	const char *file;
	uint64_t seq; /* 0: at no event */
	uint64_t byte;
	uint64_t said, unsaid; /* about this file */
} Findings;

/* From now on it is about `file` (lent; NULL: none), and at no event. */
void findings_file(Findings *f, const char *file);
void findings_at(Findings *f, uint64_t seq, uint64_t byte);
void findings_problem(Findings *f, const char *format, ...) _printf_(2, 3);
/* Nothing that is wrong. */
void findings_note(Findings *f, const char *format, ...) _printf_(2, 3);
