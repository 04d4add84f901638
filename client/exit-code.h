/* What liongatectl ends with. Stable: scripts switch on it, `liongatectl --help` lists it.
 *
 * EXIT_CODE_OK is 0, so that a function that returns one of these, or -errno, says with anything
 * but 0 that it is over.
 *
 * Thread: any. */
#pragma once

typedef enum ExitCode {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILED =
		1, /* an agent failed, or liongatectl itself did (no memory, cannot write) */
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_UNREACHABLE = 3,
	EXIT_CODE_NOT_FOUND = 4,
	EXIT_CODE_REFUSED = 5,
	EXIT_CODE_TIMED_OUT = 124,
	EXIT_CODE_INTERRUPTED = 130,
} ExitCode;
