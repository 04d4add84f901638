/* Who runs next: at most max_running at once, at most a group's own max_running of that group; of those that may, the
 * highest priority first, and among equals the oldest.
 *
 * Every step costs O(log n), whatever is queued. Owns the groups; agents lend themselves. Thread: main. */
#pragma once

#include "daemon/agent/agent.h"
#include "daemon/config.h"

struct Group {
	ListNode node;        /* Scheduler.groups */
	Group *hash_next;     /* Scheduler.buckets */
	HeapNode ready_node;  /* Scheduler.ready, while its first may run */
	Heap queue;           /* agents */
	uint32_t max_running; /* UINT32_MAX: no limit of its own */
	uint32_t running;
	uint32_t spawning; /* on their way to the log */
	bool configured;   /* stays when it is empty */
	char name[];
};

typedef struct Scheduler {
	ListNode groups;
	Group **buckets;  /* the same, by name */
	size_t n_buckets; /* a power of two */
	uint64_t seed;    /* clients choose names, but not who shares a bucket */
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

/* A spawn: false if it would wait above max_queued. */
bool scheduler_has_room(const Scheduler *s, const char *group);
/* Puts the agent into its group, counted as spawning. -ENOMEM. */
int scheduler_join(Scheduler *s, Agent *a, const char *group) _must_check_;
/* It is accepted, or is to run again: into the queue. -ENOMEM. */
int scheduler_enqueue(Scheduler *s, Agent *a) _must_check_;
/* The one that runs next, out of the queue and counted as running; NULL: none may. */
Agent *scheduler_next(Scheduler *s);
/* It runs no more (or was in the queue, or never got there): out of its group. No-op if it is in none. */
void scheduler_leave(Scheduler *s, Agent *a);
