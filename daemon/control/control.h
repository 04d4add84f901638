/* Main's half of everything about clients: the methods, and what they need of the rest of the
 * daemon.
 *
 * Thread: main. */
#pragma once

#include "daemon/agent/orchestrator.h"
#include "daemon/config.h"
#include "daemon/control/conn.h"
#include "daemon/control/rpc.h"
#include "daemon/reaper/reaper-delegation.h"

typedef struct Hub Hub;
typedef struct StatsCache StatsCache;

/* What was written of an agent in this turn: all who wait for it get the same. */
typedef struct AgentText {
	uint64_t seq, last_seq; /* whose, and of when */
	Buf text;               /* empty: none was */
} AgentText;

typedef struct Control {
	struct event_base *base;
	const Config *config; /* lent */
	EventLog *log;
	Reader *reader;
	Orchestrator *orchestrator;
	const Delegation *cgroups; /* lent */
	Rpc *rpc;
	ConnServer *conns;
	Hub *hub;
	StatsCache *stats; /* the reader's */
	ListNode calls;    /* AgentCalls that wait for something */
	AgentText latest;
	bool finishing; /* nothing is begun any more */
	Uuid instance_id;
	uint64_t started_us;    /* monotonic, */
	uint64_t started_at_us; /* and realtime */
} Control;

typedef struct ControlStart {
	struct event_base *base; /* lent, as all of these */
	const Config *config;
	EventLog *log;
	Reader *reader;
	Orchestrator *orchestrator;
	const Delegation *cgroups;
	Uuid instance_id;
} ControlStart;

int control_new(const ControlStart *start, Control **ret) _must_check_;
/* Bears NULL. */
void control_free(Control *c);
void control_configure(Control *c, const Config *config);

/* From the orchestrator's hooks and the log's. */
void control_accepted(Control *c, Agent *a);
void control_batch(Control *c, const Batch *batch);
/* At the end of each turn of the main loop. True: there is more to write at once. */
bool control_end_turn(Control *c);
/* Has a client asked something in the last turns, so that it may still wait for an answer? */
bool control_asked_lately(const Control *c);
/* The end of the last turn, once the reader has stopped and what it did was delivered: what nobody
 * will answer any more is shutting_down, and the last replies go out. */
void control_finish(Control *c);

/* Answers with what was written (lent), or with internal_error if that failed; -ECANCELED, a job
 * that was dropped, is shutting_down: else there is nobody to read it. */
void control_reply(Request *req, Buf *result, int error);
/* Posts the job of a request that does nothing but answer: it is dropped when its client goes. The
 * job's done() has to answer the request, or to call request_forget_on_gone(). */
void control_post(Control *c, Request *req, ReaderJob *job);
/* not_found for an id that names no agent. */
void control_not_found_error(RpcError *e, const char *id);

/* The methods, in method-*.c. */
void method_daemon_status(Request *req, json_object *params, void *userdata);
void method_daemon_metrics(Request *req, json_object *params, void *userdata);
void method_agent_spawn(Request *req, json_object *params, void *userdata);
void method_agent_get(Request *req, json_object *params, void *userdata);
void method_agent_list(Request *req, json_object *params, void *userdata);
void method_agent_output(Request *req, json_object *params, void *userdata);
void method_agent_send(Request *req, json_object *params, void *userdata);
void method_agent_cancel(Request *req, json_object *params, void *userdata);
void method_agent_wait(Request *req, json_object *params, void *userdata);
void method_provider_list(Request *req, json_object *params, void *userdata);
void method_subscriber_list(Request *req, json_object *params, void *userdata);
void method_events_subscribe(Request *req, json_object *params, void *userdata);
void method_events_unsubscribe(Request *req, json_object *params, void *userdata);
void method_events_read(Request *req, json_object *params, void *userdata);
void method_events_stats(Request *req, json_object *params, void *userdata);
