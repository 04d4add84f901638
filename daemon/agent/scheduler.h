/* Who runs next: at most max_running at once, at most a group's own max_running of that group, none
 * whose gate is shut; of those that may, the highest priority first, and among equals the oldest.
 * Behind a gate that goes by turn it is the oldest, whatever its priority.
 *
 * Agents wait in lanes: one for each group and gate. A lane whose group has room stands ready at
 * its gate, and a gate that is open and has such a lane stands ready in the scheduler; so whatever
 * shuts or fills up takes one node out of one heap, and every step costs O(log n), whatever is
 * queued; but for a gate that begins to go by turn, or ends it, whose agents are ordered anew.
 *
 * Owns the groups and the lanes; agents and gates lend themselves. Thread: main. */
#pragma once

#include "daemon/agent/agent.h"
#include "daemon/config.h"

/* Lets agents through or not: those that call one provider share one. */
typedef struct Gate {
	HeapNode ready_node; /* Scheduler.ready, while it has room and somebody stands at it */
	Heap lanes;          /* that may run but for the gate */
	ListNode all;        /* lanes */
	size_t n_lanes;      /* in all */
	uint32_t queued;     /* agents */
	uint32_t starting;   /* agents that are spawning, and were to start at once */
	uint32_t stranded;   /* of those: who cannot any more */
	uint32_t room;       /* how many may pass at once; 0: it is shut */
	bool by_turn;
	int32_t priority; /* by turn: none of its agents has a higher one, and they all have it
			     among other gates */
} Gate;

struct Lane {
	ListNode node;       /* Group.lanes */
	ListNode gate_node;  /* Gate.all */
	HeapNode ready_node; /* Gate.lanes */
	Heap queue;          /* agents */
	Group *group;
	Gate *gate;
	uint32_t running;
	uint32_t spawning; /* on their way to the log */
};

struct Group {
	ListNode node;        /* Scheduler.groups */
	Group *hash_next;     /* Scheduler.buckets */
	Lane lane;            /* of those that no gate holds */
	ListNode lanes;       /* all of its lanes */
	uint32_t max_running; /* UINT32_MAX: no limit of its own */
	uint32_t running, queued, spawning;
	bool configured; /* stays when it is empty */
	char name[];
};

typedef struct Scheduler {
	ListNode groups;
	Group **buckets;  /* the same, by name */
	size_t n_buckets; /* a power of two */
	uint64_t seed;    /* clients choose names, but not who shares a bucket */
	Gate no_gate;     /* always open */
	size_t n_gates;
	Heap ready;
	uint32_t max_running, max_queued;
	size_t n_groups;
	uint32_t running, queued, spawning;
	uint32_t waiting; /* of those that are spawning: who will have to wait in the queue */
} Scheduler;

int scheduler_init(Scheduler *s, const Config *config) _must_check_;
void scheduler_done(Scheduler *s);
/* New limits. -ENOMEM: some may be the old ones. */
int scheduler_configure(Scheduler *s, const Config *config) _must_check_;

/* A new gate, wide open. It must outlive the agents behind it. -ENOMEM. */
int scheduler_add_gate(Scheduler *s, Gate *gate) _must_check_;
/* Nobody is behind it any more. */
void scheduler_remove_gate(Scheduler *s, Gate *gate);
/* From now on so many may pass, until it is set anew; 0: nobody. */
void scheduler_set_gate(Scheduler *s, Gate *gate, uint32_t room);
/* O(n) of those behind it, where it changes. */
void scheduler_order_gate(Scheduler *s, Gate *gate, bool by_turn);

/* A spawn: false if it would wait above max_queued. `gate` NULL: none. */
bool scheduler_has_room(const Scheduler *s, const char *group, const Gate *gate);
/* Puts the agent into its group, behind the gate, counted as spawning. -ENOMEM. */
int scheduler_join(Scheduler *s, Agent *a, const char *group, Gate *gate) _must_check_;
/* It is accepted, or is to run again: into the queue. -ENOMEM. */
int scheduler_enqueue(Scheduler *s, Agent *a) _must_check_;
/* The one that runs next, out of the queue and counted as running; NULL: none may. */
Agent *scheduler_next(Scheduler *s);
/* It runs no more (or was in the queue, or never got there): out of its group. No-op if it is in
 * none. */
void scheduler_leave(Scheduler *s, Agent *a);
