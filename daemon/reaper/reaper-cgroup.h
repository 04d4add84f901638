/* The cgroups of agents: DELEGATED/agents/ID for each program, with its limits. One that ends is
 * ended by one write, which nothing slips through that is in it; one that has ended tells what it
 * used.
 *
 * What the kernel does not have (cgroup.kill before 5.14, memory.peak before 5.19, controllers that
 * are not there) is done without. Knows nothing of jobs.
 *
 * Thread: the reaper's; main while there is none. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "daemon/reaper/reaper-delegation.h"
#include "daemon/reaper/reaper-proto.h"

/* Makes that of a request, with its limits; returns a descriptor of it. -EBUSY: one of an earlier
 * life is there, which cannot be removed. -EOPNOTSUPP: a limit that takes a controller that is not
 * there. -errno: there is none. */
int reaper_cgroup_make(const Delegation *d, const ReaperRequest *request) _must_check_;

/* Kills all that is in it, and in those that it has made below. As far as the kernel can. */
void reaper_cgroup_kill(const Delegation *d, const char *agent_id);
/* The same for all agents. */
void reaper_cgroup_kill_all(const Delegation *d);

/* What it has used so far. Whether it may go on (`cpu_over`) is not said there, and stays. */
void reaper_cgroup_tally(const Delegation *d, const char *agent_id, ReaperTally *ret);
/* Processor time alone. 0 where it cannot be told. */
uint64_t reaper_cgroup_cpu_us(const Delegation *d, const char *agent_id);

/* With those below. -EBUSY: somebody is in it. */
int reaper_cgroup_remove(const Delegation *d, const char *agent_id) _must_check_;
/* Kills and removes all of them. Waits for that, but not for ever, which is logged. */
void reaper_cgroup_clear(const Delegation *d);

/* The path, with a `/` in front, of the one that a file like /proc/self/cgroup names, in `b`
 * (cgroups(7)). -ENOENT: none of version 2; -errno. */
int reaper_cgroup_path(const char *file, Buf *b, const char **ret) _must_check_;
/* In whose a process is. -ENOENT: in nobody's. */
int reaper_cgroup_of(const Delegation *d, pid_t pid, char out[REAPER_AGENT_ID_SIZE]) _must_check_;

/* Writes to a file of the kernel's, which has to be there. */
int reaper_cgroup_write(int dir_fd, const char *name, const char *text) _must_check_;
