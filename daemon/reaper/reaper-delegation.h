/* The cgroup that the daemon was given for its own (cgroup v2; Delegate= of systemd): whether there
 * is one, and what is made of it:
 *
 *   DELEGATED/         no process: one that gives controllers to those below may have none
 *   DELEGATED/daemon/  the daemon and its reaper
 *   DELEGATED/agents/  one for each program, see reaper-cgroup.h
 *
 * A cgroup that nobody has marked as delegated is not touched, unless the configuration says so;
 * nor is one in which others live.
 *
 * Thread: main, before there are others; constant from then on. */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"

typedef enum DelegationMode {
	DELEGATION_AUTO, /* of what is marked as delegated (the xattr user.delegate) */
	DELEGATION_ON, /* of whatever the daemon is alone in and owns; it does not start without */
	DELEGATION_OFF,
	_DELEGATION_MAX,
} DelegationMode;

/* NULL if it is none. */
const char *delegation_mode_to_string(DelegationMode mode);
/* -EINVAL */
int delegation_mode_from_string(const char *name) _must_check_;

typedef enum CgroupController {
	CGROUP_MEMORY,
	CGROUP_PIDS,
	CGROUP_CPU,
	_CGROUP_CONTROLLER_MAX,
} CgroupController;

const char *cgroup_controller_to_string(CgroupController controller);

typedef struct Delegation {
	int agents_fd;        /* of agents/; -1: there is none */
	unsigned controllers; /* that agents have: a bit for each CgroupController */
	char *path;           /* of agents/, as /proc/PID/cgroup has it, with a / at its end */
	char reason[128];     /* why there is none */
} Delegation;

#define DELEGATION_NONE         \
	(Delegation)            \
	{                       \
		.agents_fd = -1 \
	}

/* Moves the daemon into DELEGATED/daemon, and ends and removes what a dead one has left in
 * DELEGATED/agents: to be called once nobody else uses the same state. 0, also where *ret has none
 * (`reason` says why); -errno: out of memory, or DELEGATION_ON could not be had, which is logged.
 */
int delegation_take(DelegationMode mode, Delegation *ret) _must_check_;
/* The same in a hierarchy that is mounted at `mount` and where the caller is in `own`. */
int delegation_take_in(
	DelegationMode mode, const char *mount, const char *own, Delegation *ret) _must_check_;
void delegation_done(Delegation *d);

/* A NULL is none. */
static inline bool delegation_has(const Delegation *d, CgroupController controller)
{
	return d && d->agents_fd >= 0 && (d->controllers & 1U << controller);
}
