/* The connections of one process. They share a turn of main as one, so that who opens a thousand
 * gets no more of it than who opens one.
 *
 * A process is known by the pid of SO_PEERCRED (unix(7)): who called connect(2). Where that says
 * nothing (0: it is in a pid namespace that cannot be seen from here) each connection is a group.
 *
 * Thread: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/list.h"

#define CONN_GROUP_BUCKETS 64

/* What all clients are served for in one turn of main, and written to for once more: were it less,
 * replies would gather. Time, not the number of requests: they differ a thousandfold in what they
 * cost. It is shared by the groups that asked something in the last turn, or have something to
 * write in this one; but each has one request, or one write, whatever it takes. It is short because
 * an agent's way from its spawn to its reader goes through main several times; going round costs
 * some five microseconds, where few descriptors are ready. */
#define CONN_GROUPS_TURN_US 60U

/* Lives as long as one of its connections. */
typedef struct ConnGroup {
	ListNode node; /* of its bucket */
	pid_t pid;
	uint32_t n_conns;
	ListNode dirty;          /* its connections that conn_server_flush() has to look at */
	ListNode served;         /* and after them: those that were heard in this turn */
	ListNode dirty_node;     /* of the groups that have such */
	uint64_t turn;           /* to which what follows belongs */
	uint64_t used_us;        /* by its requests */
	uint32_t n_asked;        /* connections that wanted to be heard */
	uint32_t n_asked_before; /* likewise, in the turn before */
} ConnGroup;

typedef struct ConnGroups {
	ListNode buckets[CONN_GROUP_BUCKETS];
	uint64_t turn;
	uint64_t asked_turn; /* the last in which one of them asked something */
	uint32_t n_served;   /* groups, in this turn */
	uint64_t share_us;   /* of each of them, if they are as many as in the last turn */
} ConnGroups;

/* What one of `among` (0: the first one) may have of `us`. */
uint64_t conn_group_share(uint64_t us, uint32_t among);

void conn_groups_init(ConnGroups *gs);
void conn_groups_begin_turn(ConnGroups *gs);

/* The group of process `pid`, made where there is none, with one connection more. -ENOMEM. */
int conn_group_join(ConnGroups *gs, pid_t pid, ConnGroup **ret) _must_check_;
/* The last one frees it. */
void conn_group_leave(ConnGroup *g);

/* How long one of its connections may be served now: a share of its group's share, which may be
 * somewhat more than is left of that. 0: nothing is left in this turn. */
uint64_t conn_group_begin(ConnGroups *gs, ConnGroup *g);
/* So long it was. */
void conn_group_end(ConnGroup *g, uint64_t us);

/* Has one of them asked something in the last turns, so that it may still wait for an answer? */
bool conn_groups_asked_lately(const ConnGroups *gs);
