/* Starts one program: reads what a request brought along, makes the process, puts it into its
 * session, limits and directory, and executes it.
 *
 * Thread: the reaper's. */
#pragma once

#include <sys/types.h>

#include "common/cleanup.h"
#include "daemon/reaper/reaper-proto.h"

/* `fds` (lent) are the _REAPER_FD_MAX descriptors that came with `request`; `home` is where a
 * program without a directory of its own goes, if that is possible. *ret is the program's pid,
 * which is that of its session and process group too, and it has been executed. -errno, with
 * *ret_stage saying at what: then no process is left. */
int reaper_spawn(const ReaperRequest *request, const int *fds, const char *home, pid_t *ret,
	ReaperStage *ret_stage) _must_check_;
