/* clone3() into a cgroup: a process that has been nowhere else, and no moving of it, for which the
 * kernel holds up every fork of the machine.
 *
 * Thread: the reaper's. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "common/cleanup.h"

/* Like clone(fn, …, CLONE_VM | CLONE_VFORK | SIGCHLD, arg): `fn` runs on `stack`, and what it
 * returns is the process's status. Returns its pid. -ENOSYS: it cannot be had here, and clone() has
 * to do. */
pid_t reaper_clone(
	int (*fn)(void *arg), void *arg, void *stack, size_t size, int cgroup_fd) _must_check_;
