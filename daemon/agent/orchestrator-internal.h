/* What the files of the orchestrator share: orchestrator.c (start and end, spawning, what the log
 * says, turns), orchestrator-run.c (main's events, starting and ending agents) and
 * orchestrator-wait.c (those that wait for a provider).
 *
 * Thread: main. */
#pragma once

#include "daemon/agent/orchestrator.h"
#include "daemon/eventlog/emitter.h"

struct Orchestrator {
	OrchestratorHooks hooks;
	const Config *config;
	EventLog *log;
	Reader *reader;
	Registry registry;
	Scheduler scheduler;
	Projection projection;
	Providers providers;
	Emitter emitter;
	uint64_t logged_params; /* those of agent.spawn that AgentSpawned has, too: a bit each */
	Runner **runners;
	unsigned n_runners;
	AgentCounts counts; /* by state, as the log says it */
	Tallies tallies;    /* the same, by group and backend */
	OrchestratorTotals totals;
	size_t input_bytes;   /* Agent.input of all */
	ListNode ended;       /* agents that wait for being forgotten, by their last event */
	ListNode unsaid;      /* agents whose last event found no memory; by Agent.ended too */
	uint64_t settled_seq; /* what recovery had to say ends before it */
	uint32_t waiting_for_spec;
	bool stopping, all_ended_said;
};

/* orchestrator-run.c */

/* An event of main's: its members from `type` on, agent_id included where it is about one. */
JsonWriter *orchestrator_begin(Orchestrator *o, EventType type, const Agent *a);
/* -ENOMEM: there is no such event. */
int orchestrator_end(Orchestrator *o, Agent *a, EventMeta meta) _must_check_;
int orchestrator_say_error(
	Orchestrator *o, Agent *a, AgentErrorCode code, const char *message) _must_check_;
/* Ends an agent that no worker has, be there memory to say so now or not. */
void orchestrator_end_here(Orchestrator *o, Agent *a, AgentErrorCode code, const char *message);
/* Those for whose end there was none. */
void orchestrator_say_unsaid(Orchestrator *o);
/* It has left the queue: has it run. */
void orchestrator_start(Orchestrator *o, Agent *a);

/* orchestrator-wait.c */

extern const ProvidersHooks orchestrator_providers_hooks;

/* Into the queue of its group, behind the gate of its provider. -ENOMEM. */
int orchestrator_enqueue(Orchestrator *o, Agent *a) _must_check_;
/* How long its attempts may take in all from now on, in ms; 0: no bound. */
uint64_t orchestrator_total_ms(const Agent *a);
/* AgentWaiting and AgentRetrying are committed. */
void orchestrator_apply_waiting(Agent *a, const Batch *b, const BatchEntry *e);
void orchestrator_apply_retrying(Orchestrator *o, Agent *a, const Batch *b, const BatchEntry *e);
/* An agent's call has ended with its last event. */
void orchestrator_call_over(Agent *a, const Batch *b, const BatchEntry *e);
