/* The agents that are in memory: those that live, and those that have just ended. Found by id;
 * listed by age.
 *
 * Owns them. Thread: main. */
#pragma once

#include "daemon/agent/agent.h"

typedef struct Registry {
	Agent **buckets;
	size_t n_buckets; /* a power of two */
	size_t n;
	ListNode by_seq; /* those that are accepted, oldest first */
} Registry;

int registry_init(Registry *r) _must_check_;
/* Frees all agents. Safe on a zeroed one. */
void registry_done(Registry *r);

/* Leaves an empty, uninitialised one behind. */
void registry_move(Registry *from, Registry *to);

/* Takes `a`, whose id must not be there. */
void registry_add(Registry *r, Agent *a);
/* It is accepted and has its seq, which is the greatest so far. */
void registry_accept(Registry *r, Agent *a);
/* Gives it back. */
void registry_remove(Registry *r, Agent *a);

/* Calls for each, accepted or not. */
void registry_foreach(Registry *r, void (*on_agent)(Agent *a, void *userdata), void *userdata);
/* NULL: not there. */
Agent *registry_find(const Registry *r, const Uuid *id);
/* Calls for each whose id begins with `prefix` (as for catalog_find_prefix()), until it returns
 * false. */
void registry_find_prefix(const Registry *r, const char *prefix, size_t len,
	bool (*on_agent)(Agent *a, void *userdata), void *userdata);
