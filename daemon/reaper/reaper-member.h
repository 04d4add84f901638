/* The processes below one, and signals to them that reach nobody else.
 *
 * Thread: the reaper's, or main where there is none. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "daemon/reaper/reaper-proc.h"

typedef struct MemberList {
	ReaperProc *members;
	size_t n, cap;
} MemberList;

void member_list_done(MemberList *l);

/* Fills `l` with `root` and all that is seen below it. As much as there is memory for. */
void member_list_collect(MemberList *l, pid_t root);

/* Signals that very process, never a later one that has got its pid. `direct`: it is a child of
 * the caller's that was not waited for. False: nobody got it. */
bool member_signal(const ReaperProc *m, bool direct, int signal);
/* SIGKILL, to its process group as well: that is one step for the kernel, which no fork slips
 * through. */
void member_kill(const ReaperProc *m, bool direct);
