/* Starts one program: reads what a request brought along, makes the process, puts it into its
 * cgroup, session, limits and directory, and executes it.
 *
 * Thread: the reaper's. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "daemon/reaper/reaper-proto.h"

/* Lent. */
typedef struct SpawnPlace {
	const char *home;  /* for a program without a directory of its own, if that is possible */
	int cgroup_fd;     /* -1: it stays in the reaper's */
	bool holds_memory; /* that cgroup does, for all of the tree */
} SpawnPlace;

/* `fds` (lent) are the _REAPER_FD_MAX descriptors that came with `request`. *ret is the program's
 * pid, which is that of its session and process group too, and it has been executed. -errno, with
 * *ret_stage saying at what: then no process is left. */
int reaper_spawn(const ReaperRequest *request, const int *fds, const SpawnPlace *place, pid_t *ret,
	ReaperStage *ret_stage) _must_check_;
