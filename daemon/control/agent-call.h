/* A request about one agent, on its way to it: finds whom an id or a prefix means, in memory or in
 * the catalog, and waits for one whose spawn is still being logged.
 *
 * Thread: main. */
#pragma once

#include "daemon/control/control.h"

typedef struct AgentCall AgentCall;

/* Found. `agent` is NULL if it has ended and is not in memory any more; `seq` is that of its spawn.
 * Owns the call. */
typedef void (*AgentCallRun)(AgentCall *call, Agent *agent, uint64_t seq);

struct AgentCall {
	ListNode node; /* Control.calls */
	Control *control;
	Request *request;    /* taken out by whoever answers it */
	json_object *params; /* one reference */
	const char *id;      /* in params */
	char param[32];      /* the path of the parameter that it is, for errors */
	AgentCallRun run;
	AgentWaiter waiter;  /* first for the spawn; then for run() to use */
	struct event *timer; /* for run() to use */
	/* For one of several agents (agent-set): who goes on. */
	void *userdata;
	void (*on_failed)(
		AgentCall *call, const RpcError *error); /* NULL: the request is answered with it */
};

/* Finds the agent that params.agent_id names and calls run, now or later. The request is answered
 * here if there is none. */
void agent_call(Control *control, Request *req, json_object *params, AgentCallRun run);
/* The same for one id of several, agents[index]: request (which it must outlive), on_failed and
 * userdata are set by the caller, then it is started. -ENOMEM. */
int agent_call_new(Control *control, const char *id, size_t index, AgentCallRun run,
	AgentCall **ret) _must_check_;
void agent_call_start(AgentCall *call);
/* After the request was taken out or answered. Bears NULL. */
void agent_call_free(AgentCall *call);
/* Nobody waits for it any more: ends it, unanswered if need be. Not while a job has it. */
void agent_call_cancel(AgentCall *call);
/* For run(): waits for what call->waiter says. One whose client goes is freed. */
void agent_call_wait(AgentCall *call, Agent *agent);
/* Answer the call's request, and free the call. */
void agent_call_reply(AgentCall *call, Buf *result, int error);
void agent_call_error(AgentCall *call, const RpcError *error);
/* There is none, or not any more: retention may take an agent between being found and being looked
 * at. */
void agent_call_not_found(AgentCall *call);
