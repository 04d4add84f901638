/* What /proc says about processes: their children, their place among others, their environment.
 *
 * Holds nothing between calls. What it says may be stale the moment it is read; reaper-tree
 * knows how to live with that.
 *
 * Thread: the reaper's, or main where there is none. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"

typedef struct PidList {
	pid_t *pids;
	size_t n, cap;
} PidList;

void pid_list_done(PidList *l);
int pid_list_push(PidList *l, pid_t pid) _must_check_;

typedef struct ReaperProc {
	pid_t pid, ppid, pgrp, session;
	uint64_t start_time; /* with the pid, what makes it this process and no later one */
	bool dying;          /* its last thread is on its way out, and nothing will stop that */
} ReaperProc;

/* Whether /proc says all that is needed. Without lists of children (a kernel without
 * CONFIG_PROC_CHILDREN, or no /proc at all) every tree would seem to be gone: -ENOTSUP. */
int reaper_proc_check(void) _must_check_;

/* -ESRCH if there is none. */
int reaper_proc_stat(pid_t pid, ReaperProc *ret) _must_check_;

/* Appends the children of all threads of `pid`. The list of the calling process, being
 * single-threaded, is exact: nobody but its one reader takes anything away from it. -ENOMEM,
 * -ESRCH. */
int reaper_proc_children(pid_t pid, PidList *l) _must_check_;

/* The value of LIONGATE_AGENT_ID, cut to `size`. -ENOENT: not there; -EAGAIN: no
 * environment at all, or none that may be read, which a process also shows in the middle of an
 * execve(), and when it ends. */
int reaper_proc_agent_id(pid_t pid, char *out, size_t size) _must_check_;
