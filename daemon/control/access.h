/* Who is at the other end of a connection, and what they may do.
 *
 * Thread: main. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "common/protocol.h"
#include "daemon/config.h"

typedef struct Peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	Role role;
} Peer;

/* Reads SO_PEERCRED (and SO_PEERGROUPS: the supplementary groups) and looks the role up: uid 0 and
 * the daemon's own uid are admin; others have the greatest that [access] gives their uid or any of
 * their groups, and where it names none of them, what it gives `other`. -errno. */
int access_peer(int fd, const Config *config, Peer *ret) _must_check_;

/* The role alone, of who is known already. */
Role access_role(const Config *config, uid_t uid, const gid_t *groups, size_t n_groups);
