/* One agent, as main knows it: what it was asked to do, how far it is, who waits for it.
 *
 * Its state follows the log: it changes when an event about it has been committed, never before.
 * Which moves are legal stands in a table (agent.c).
 *
 * Immutable once it is accepted, and so readable from any thread while the agent lives: what stands
 * under "What was asked". Thread: main. */
#pragma once

#include <json-c/json.h>

#include "common/buf.h"
#include "common/heap.h"
#include "common/list.h"
#include "daemon/agent/runner.h"
#include "daemon/eventlog/catalog.h"

typedef struct Agent Agent;
typedef struct Group Group;
typedef struct Lane Lane;
typedef struct Tally Tally;
typedef struct Ticket Ticket;

/* Specs up to this length stay in memory; longer ones are read from the log when they are needed.
 */
#define AGENT_SPEC_KEPT_BYTES 4096U

typedef enum AgentChange {
	AGENT_ACCEPTED, /* its AgentSpawned is committed */
	AGENT_REJECTED, /* it could not be: there is no such agent */
	AGENT_ENDED,    /* its last event is committed */
	_AGENT_CHANGE_MAX,
} AgentChange;

/* Somebody who waits for a change of an agent; embedded in a struct of theirs. Called once, taken
 * off the list before. */
typedef struct AgentWaiter {
	ListNode node;
	uint32_t changes; /* bits (1 << AgentChange) */
	void (*on_change)(struct AgentWaiter *w, Agent *agent, AgentChange change);
} AgentWaiter;

struct Agent {
	/* What was asked. */
	Uuid id;
	uint64_t seq; /* of AgentSpawned; 0: not committed yet */
	const Backend *backend;
	const char *correlation_id; /* NULL: none; in `strings` */
	const char *group_name;     /* in `strings` */
	const char *provider;       /* NULL: it calls none; in `strings` */
	const char *labels;         /* name NUL value NUL … NUL; in `strings` */
	char *strings;
	char *spec; /* the AgentSpawned event's object, JSON text; NULL: longer than is kept */
	size_t spec_len;
	char *list_spec; /* what agent.list needs of a spec that is not kept, JSON text; NULL: spec
			    serves */
	size_t list_spec_len;
	uint64_t total_ms, idle_ms;
	size_t prompt_bytes;
	size_t text_bytes; /* of one that calls a provider: the prompt's, and all text in its
			      options */
	uint32_t uid;
	int32_t priority;
	bool rerun;       /* on_restart */
	bool takes_input; /* once it runs, and until then into `input` */
	bool input_ended; /* of `input` */

	/* How far it is. */
	AgentState state;
	bool spawning;       /* its AgentSpawned is on its way to the log */
	bool traced;         /* its events are: by the configuration */
	bool waits;          /* meanwhile: it will have to wait for its turn */
	bool starting;       /* out of the queue, its AgentStarted not committed yet */
	AgentErrorCode stop; /* it is to end for this reason; NONE */
	uint32_t attempt;
	int32_t pid;
	uint64_t queued_us;                        /* monotonic */
	uint64_t spawned_us, started_us, ended_us; /* realtime */
	uint64_t chunks, bytes;
	uint64_t last_seq;
	uint64_t output_seq; /* of its last AgentStarted */
	char *ending;        /* its last event's object, JSON text; NULL */
	size_t ending_len;
	Runner *runner; /* where `run` is */
	AgentRun *run;  /* NULL: none */
	Ticket *ticket; /* of one that calls a provider, once it is accepted; else NULL */
	Buf input;      /* what was sent to it while there is no run; of this daemon's life alone */

	/* Who has it on a list. */
	Tally *tally;        /* where it is counted, once it is accepted */
	Lane *lane;          /* NULL: neither queued nor running */
	HeapNode queue_node; /* Lane.queue */
	Agent *hash_next;    /* Registry */
	ListNode by_seq;     /* Registry */
	ListNode ended;      /* Orchestrator: waits for being forgotten */
	ListNode waiters;    /* AgentWaiter */
	ListNode watchers;   /* control's: who wants its events */
	/* Projection. */
	ListNode dirty, urgent;
	uint64_t dirty_since; /* the first event that the catalog does not know; 0: it knows all */
	bool in_catalog;      /* it has a row */
	bool in_flight;       /* its row is being written: it may not be freed */
	unsigned holds;       /* jobs that point at it: it may not be freed either */
};

/* Everything but the queue, the group and the lists. `spec` is a checked spawn (or an AgentSpawned
 * event): its members are copied. -ENOMEM; -EINVAL if it does not make sense (a damaged log). */
int agent_new(const Uuid *id, json_object *spec, uint32_t uid, Agent **ret) _must_check_;
/* For one that makes no sense to this version, out of what does (`spec` may be NULL). It has its
 * place among the others until it is ended, and cannot be started. -ENOMEM. */
int agent_new_unknown(const Uuid *id, json_object *spec, uint32_t uid, Agent **ret) _must_check_;
/* It must be on no list. Bears NULL. */
void agent_free(Agent *a);

/* Takes the AgentSpawned's object over into spec, or what is to be kept of it. -ENOMEM. */
int agent_set_spec(Agent *a, const char *spec, size_t len) _must_check_;
/* Keeps its last event's object. -ENOMEM. */
int agent_set_ending(Agent *a, const char *ending, size_t len) _must_check_;

/* Moves to a state; false (and an error in the diagnostics) if the table does not know that move.
 */
bool agent_move(Agent *a, AgentState to) _must_check_;
bool agent_is_live(const Agent *a);
/* NULL: it has no such label. */
const char *agent_label(const Agent *a, const char *name);

void agent_add_waiter(Agent *a, AgentWaiter *w);
void agent_notify(Agent *a, AgentChange change);

/* The row that the catalog is to have of it; strings lent. */
CatalogRow agent_row(const Agent *a);
