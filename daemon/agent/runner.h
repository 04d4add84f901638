/* The half of an agent that lives on a worker: drives its backend, turns what that says into
 * events, keeps its time-outs.
 *
 * A Runner belongs to one worker and owns the emitter of its events. An AgentRun is one attempt of
 * one agent: main makes it, hands it over with runner_start(), and has it freed with
 * runner_free_run() once its last event was committed; whatever main has posted about it before
 * that finds it alive. It says its last event exactly once.
 *
 * What main has for runs goes over at the end of its turn, with runner_flush(): in the order of the
 * calls, in one message.
 *
 * Thread: the functions here are main's; the rest happens on the worker. */
#pragma once

#include "daemon/backend/backend.h"
#include "daemon/eventlog/committer.h"
#include "daemon/loop/worker.h"

typedef struct Runner Runner;
typedef struct AgentRun AgentRun;

typedef struct AgentRunSpec {
	void *owner;    /* EventMeta.owner of all its events */
	uint64_t agent; /* seq of its AgentSpawned */
	const Uuid *id;
	const char *correlation_id; /* NULL: none */
	uint32_t attempt;           /* from 1 */
	uint64_t accepted_us;       /* monotonic: when it was queued */
	uint64_t chunks, bytes;     /* of the attempts before */
	uint64_t total_ms, idle_ms; /* 0: none */
	uint32_t kill_grace_ms;
	bool traced;             /* its events are, until agent_run_trace() */
	bool on_trial;           /* main is to hear when its provider answers */
	BackendRun *backend_run; /* taken, also on failure */
} AgentRunSpec;

/* Why an agent is ended from outside. */
typedef struct AgentStop {
	AgentErrorCode code; /* AGENT_ERROR_CANCELLED, AGENT_ERROR_SHUTDOWN */
	uint32_t kill_grace_ms;
} AgentStop;

/* What became of a runner_send(): on main. `queued` as Backend.send() returns it. */
typedef void (*RunnerOnSent)(ssize_t queued, void *userdata);

typedef struct RunnerHooks {
	/* On main. The worker is broken: its agents do nothing any more, nor do they end. */
	void (*on_broken)(void *userdata);
	/* On main. The provider answers a run on trial, of that owner, whose last event has not
	 * come yet. Without memory it is not told. */
	void (*on_answered)(void *owner, void *userdata);
	void *userdata;
} RunnerHooks;

typedef struct RunnerStart {
	unsigned index;
	Committer *committer; /* lent */
	Mailbox *main;        /* lent */
	int reaper_fd;        /* taken */
	RunnerHooks hooks;
} RunnerStart;

/* Starts the worker's thread. -errno. */
int runner_new(const RunnerStart *start, Runner **ret) _must_check_;
/* Joins the thread; what its agents were doing is not finished. Then frees. Bears NULL. */
void runner_free(Runner *r);
/* The emitter's last block is handed over, every AgentRun freed and the thread ended, before the
 * committer stops. */
void runner_stop(Runner *r);
/* How many runs were started and not yet freed. */
size_t runner_load(const Runner *r);

/* Events of agents that there was no memory for. */
uint64_t runner_lost_events(const Runner *r);

/* -ENOMEM: the backend's run is freed. */
int agent_run_new(const AgentRunSpec *spec, AgentRun **ret) _must_check_;
/* For one that was never started. Bears NULL. */
void agent_run_free(AgentRun *run);
/* Whether the events are traced that it says from now on. */
void agent_run_trace(AgentRun *run, bool traced);

void runner_flush(Runner *r);
void runner_start(Runner *r, AgentRun *run);
void runner_free_run(Runner *r, AgentRun *run);
/* Best effort without memory: -ENOMEM. */
int runner_stop_run(Runner *r, AgentRun *run, AgentStop stop) _must_check_;
/* Copies the bytes. -ENOMEM: on_sent is not called. */
int runner_send(Runner *r, AgentRun *run, const char *bytes, size_t len, bool eof,
	RunnerOnSent on_sent, void *userdata) _must_check_;
/* Backpressure is over: all go on. */
void runner_resume(Runner *r);
/* Holds all intake until runner_resume(). */
void runner_pause(Runner *r);
