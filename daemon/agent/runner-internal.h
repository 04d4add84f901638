/* What runner.c (the life of runs) and runner-say.c (their events) share.
 *
 * Thread: the worker's. */
#pragma once

#include <stdatomic.h>

#include "daemon/agent/runner.h"
#include "daemon/eventlog/emitter.h"
#include "daemon/reaper/reaper-client.h"

struct Runner {
	Worker *worker;
	Mailbox *main;
	int reaper_fd; /* until the worker has it */
	ReaperClient *reaper;
	/* Main's. */
	size_t load;
	MailboxList out; /* until the end of its turn */

	/* The worker's. */
	Emitter emitter;
	ListNode runs;   /* that have not ended */
	ListNode done;   /* that have: until main has them freed */
	ListNode unsaid; /* that have, and there was no memory for their last event */
	Deferred say_unsaid;
	bool paused;
	bool output_lost; /* some run is out_of_memory */
	atomic_uint_fast64_t lost_events;

	/* For runner_pause() and runner_resume(): the newest wish counts. */
	atomic_bool pause_wish;
	atomic_bool wish_posted;
	MailboxItem wish_item;

	RunnerHooks hooks;
	MailboxItem broken_item;
};

typedef enum RunTimeout {
	RUN_TIMEOUT_NONE,
	RUN_TIMEOUT_TOTAL,
	RUN_TIMEOUT_IDLE,
	_RUN_TIMEOUT_MAX,
} RunTimeout;

struct AgentRun {
	MailboxItem item; /* start, and later free */
	ListNode node;    /* in Runner.runs, and once it has ended in Runner.done or .unsaid */
	Runner *runner;
	BackendRun *backend_run;
	void *owner;
	uint64_t agent;
	uint64_t chunks, bytes;
	uint64_t accepted_us, started_us;
	uint64_t idle_since_us;
	uint64_t total_ms, idle_ms;
	struct event *total_timer, *idle_timer; /* NULL: none */
	uint32_t attempt;
	uint32_t kill_grace_ms;
	AgentErrorCode stopped; /* why it was asked to end; NONE: it was not */
	RunTimeout timeout;     /* which of them ended it */
	bool on_trial;
	bool out_of_memory; /* a chunk was lost to that: it cannot go on */
	bool ended;
	atomic_bool traced;
	uint16_t members_len;
	char members[]; /* "agent_id":"…","correlation_id":"…" */
};

/* The time of a turn may be a little older than one that was looked at within it. */
static inline uint64_t run_elapsed_us(uint64_t from_us, uint64_t to_us)
{
	return to_us > from_us ? to_us - from_us : 0;
}

/* Its events, put into the worker's block. -ENOMEM: there is none of it then. */
int run_say_started(AgentRun *run, int64_t pid) _must_check_;
int run_say_chunk(AgentRun *run, const BackendEvent *e) _must_check_;
int run_say_completed(AgentRun *run, const BackendEvent *e) _must_check_;
int run_say_error(AgentRun *run, const BackendEvent *e) _must_check_;
int run_say_retrying(AgentRun *run, const BackendEvent *e) _must_check_;
