/* The reaper: a process of its own that starts, waits for and ends programs, because only a
 * single-threaded child subreaper can do so without races and without orphans.
 *
 * Forked by main before any thread is started. Holds STATE/exec.lock for as long as any program
 * of its may live; a starting daemon waits for that lock. When the last line to the daemon
 * breaks it kills all that descends from it, pass after pass, and ends.
 *
 * Thread: main, single-threaded. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "daemon/reaper/reaper-delegation.h"

typedef struct Reaper {
	pid_t pid;
	int alive_fd;  /* readable (end of file) when the reaper has died */
	int *line_fds; /* one for each worker, for reaper_client_new(), which takes them */
	size_t n_lines;
	Delegation cgroups; /* of its programs */
} Reaper;

/* Takes STATE/exec.lock (waiting up to `lock_timeout_ms` for the reaper of a dead daemon to
 * finish) and what cgroup there is to be had by `mode`, then forks. In the parent returns 0 with
 * *ret filled in, once no signal of the terminal can hit the reaper any more; the child never
 * returns. Programs have the umask of now. -EBUSY: the lock is held; -ENOTSUP: /proc does not say
 * enough, which is logged. -errno. */
int reaper_fork(const char *state_dir, size_t n_lines, unsigned lock_timeout_ms,
	DelegationMode mode, Reaper *ret) _must_check_;
/* Closes what is left of the lines, waits until the reaper has ended all programs and itself.
 * Safe on a zeroed one. */
void reaper_stop(Reaper *r);
