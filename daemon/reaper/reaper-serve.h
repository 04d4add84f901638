/* The reaper's loop.
 *
 * Thread: the reaper's. */
#pragma once

#include <stddef.h>

#include "common/cleanup.h"
#include "daemon/reaper/reaper-delegation.h"

/* Serves the lines (takes the descriptors, which are the other ends of those of a Reaper) until
 * the last of them has broken, kills whatever is left, and returns when no process is. `home` is
 * for programs without a directory of their own, `cgroups` (lent) where each gets its own. SIGCHLD
 * must be blocked. -errno: it could not begin. */
int reaper_serve(const int *line_fds, size_t n_lines, const char *home,
	const Delegation *cgroups) _must_check_;
