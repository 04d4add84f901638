/* Main's half of everything about agents: takes spawns in, has them run, follows what the log says
 * about them, and forgets them once the catalog knows.
 *
 * Owns the registry, the scheduler, the runners and the projection. Speaks upward through its
 * hooks.
 *
 * Thread: main. */
#pragma once

#include "daemon/agent/projection.h"
#include "daemon/agent/providers.h"
#include "daemon/agent/registry.h"
#include "daemon/agent/scheduler.h"
#include "daemon/agent/tally.h"

typedef struct OrchestratorHooks {
	/* Its AgentSpawned is committed; before its waiters are told. */
	void (*on_accepted)(Agent *a, void *userdata);
	/* Stopping, and none runs any more. */
	void (*on_all_ended)(void *userdata);
	/* A worker is broken: its agents do nothing any more, nor do they end. */
	void (*on_broken)(void *userdata);
	void *userdata;
} OrchestratorHooks;

typedef struct OrchestratorStart {
	const Config *config; /* lent for as long as it lives, or until orchestrator_configure() */
	EventLog *log;        /* lent; started */
	Reader *reader;       /* lent */
	Mailbox *main;        /* lent */
	Timers *timers;       /* lent: main's */
	Registry *registry;   /* moved: what recovery found */
	uint64_t applied;     /* by the catalog */
	CatalogStats totals;  /* of the catalog */
	int *reaper_fds;      /* one for each worker, who takes it and leaves -1 */
	unsigned n_workers;
	OrchestratorHooks hooks;
} OrchestratorStart;

/* Of all agents that are known: what retention takes goes. */
typedef struct AgentCounts {
	uint64_t queued, running, completed, failed, cancelled;
} AgentCounts;

/* Of what was committed since the daemon was started. */
typedef struct OrchestratorTotals {
	uint64_t events[_EVENT_TYPE_MAX]; /* AgentPartialOutput aside */
	uint64_t errors[_AGENT_ERROR_MAX];
	uint64_t retries[_AGENT_ERROR_MAX];
} OrchestratorTotals;

typedef struct Orchestrator Orchestrator;

int orchestrator_new(const OrchestratorStart *start, Orchestrator **ret) _must_check_;
/* Ends the workers, and hands over what they emitted. What still runs is left without a last event:
 * so do that after on_all_ended, or when something is broken. */
void orchestrator_stop_workers(Orchestrator *o);
/* Bears NULL. */
void orchestrator_free(Orchestrator *o);
int orchestrator_configure(Orchestrator *o, const Config *config) _must_check_;

/* What recovery found is dealt with: what was queued is queued, what ran is ended or runs anew; and
 * DaemonStarted is said. *ret_events: how many events that is, all on their way. */
int orchestrator_recovered(
	Orchestrator *o, const Uuid *instance_id, uint64_t *ret_events) _must_check_;

/* A spawn, in two steps; `spawn` is checked, with "backend" and "group" in it. First the id is
 * taken: from now on others who name it wait. -ENOBUFS: the queue is full. -ENOMEM. */
int orchestrator_reserve(Orchestrator *o, const Uuid *id, json_object *spawn, uint32_t uid,
	Agent **ret) _must_check_;
/* Then it is written to the log, defaults filled in. AGENT_ACCEPTED or AGENT_REJECTED follows.
 * -ENOMEM (still reserved). */
int orchestrator_submit(Orchestrator *o, Agent *a, json_object *spawn) _must_check_;
/* Or given up: AGENT_REJECTED follows at once. */
void orchestrator_withdraw(Orchestrator *o, Agent *a);

/* Ends it; AGENT_ENDED follows. -ENOMEM. */
int orchestrator_cancel(Orchestrator *o, Agent *a) _must_check_;
/* Bytes for it: to its run, or kept until it has one. on_sent is called now or later. -EPIPE: it
 * takes none, or no more. -ENOBUFS: it has too much that it has not read. -EDQUOT: all that have no
 * run have. -ECANCELED: it is not started any more. -ENOMEM. */
int orchestrator_send(Orchestrator *o, Agent *a, const char *bytes, size_t len, bool eof,
	RunnerOnSent on_sent, void *userdata) _must_check_;

/* From the log's hooks. */
void orchestrator_apply(Orchestrator *o, const Batch *batch);
void orchestrator_rejected(Orchestrator *o, void *owner);
void orchestrator_log_state(Orchestrator *o, int error);
void orchestrator_synced(Orchestrator *o);
void orchestrator_drained(Orchestrator *o);

/* At the end of each turn of the main loop: starts who may, hands over what was emitted, forgets
 * whom the catalog knows. True: something found no memory, and is tried again in the next turn. */
bool orchestrator_end_turn(Orchestrator *o);

/* DaemonStopping is said; no more agents are started. on_all_ended follows, now or later. */
int orchestrator_drain(Orchestrator *o, const char *reason) _must_check_;
/* Those that still run are ended. */
void orchestrator_end_all(Orchestrator *o, uint32_t kill_grace_ms);
bool orchestrator_is_stopping(const Orchestrator *o);

Registry *orchestrator_registry(Orchestrator *o);
Providers *orchestrator_providers(Orchestrator *o);
Projection *orchestrator_projection(Orchestrator *o);
AgentCounts orchestrator_counts(const Orchestrator *o);
const OrchestratorTotals *orchestrator_totals(const Orchestrator *o);
const Tallies *orchestrator_tallies(const Orchestrator *o);
/* How many agents are in the queue: neither those that run, nor those that wait for the log or
 * before another attempt. */
uint32_t orchestrator_queue_depth(const Orchestrator *o);
/* Events that workers had no memory for: their agents end in an error that says so. */
uint64_t orchestrator_lost_events(const Orchestrator *o);
unsigned orchestrator_workers(const Orchestrator *o);
