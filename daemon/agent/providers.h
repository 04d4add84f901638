/* Main's half of the providers: which there are, and whom each of them keeps waiting.
 *
 * An agent that calls a provider has a Ticket for it, from its spawn to its end. All tickets of a
 * provider share its gate in the scheduler, which is open while its limiter lets more through; who
 * is kept waiting by it is told why and until when, through the hooks.
 *
 * Owns providers and tickets. A provider that is not configured any more stays until its last agent
 * has gone: it lets all through, who then are told that it is gone. Thread: main. */
#pragma once

#include "daemon/agent/limiter.h"
#include "daemon/agent/scheduler.h"
#include "daemon/backend/provider.h"
#include "daemon/loop/timers.h"

typedef struct Provider Provider;

typedef struct Ticket {
	ListNode node; /* Provider.untold, .told or .delayed */
	Agent *agent;
	Provider *provider;
	Timer timer;          /* for whichever of the next two comes first */
	uint64_t due_us;      /* another attempt, monotonic; 0: it is not delayed */
	uint64_t deadline_us; /* its total time is over, monotonic; 0: it may wait for ever */
	LimiterCall call;     /* that is under way */
	uint64_t total_us;    /* since when its total time runs, monotonic; 0: not yet */
	uint32_t retries;     /* of this daemon's life */
	uint64_t turn;        /* its place among equals, in the place of Agent.seq; 0: that */
	bool cancelled;       /* somebody has asked for its end */
	bool calling, proven,
		served;         /* a call is under way, was answered, with what was asked for */
	uint64_t told_until_us; /* the pause that it was told of, monotonic; 0: of something else */
	LimiterReason waiting;  /* as its AgentWaiting says, once that is committed */
	uint64_t waiting_until_us; /* realtime; 0: not known */
} Ticket;

/* What went wrong last. */
typedef struct ProviderFault {
	uint64_t time_us; /* realtime; 0: nothing yet */
	AgentErrorCode code;
	char *event; /* the AgentError's or AgentRetrying's object, JSON text; NULL */
	size_t event_len;
} ProviderFault;

/* Since the provider is configured, of all the servers that had its name. */
typedef struct ProviderTotals {
	uint64_t calls;
	uint64_t faults[_AGENT_ERROR_MAX];    /* calls that ended in one of the provider's */
	uint64_t input_tokens, output_tokens; /* of answers, as far as they say it */
	uint64_t held_us;                     /* pauses, to their end */
} ProviderTotals;

struct Provider {
	ListNode node;              /* Providers.all */
	ProviderSettings *settings; /* NULL: it is not configured */
	struct Providers *providers;
	Limiter limiter;
	Gate gate;
	Timer timer; /* when the limiter may let more through */
	ListNode untold, told,
		delayed; /* tickets that wait: in the queue, and before another attempt */
	uint32_t tickets, n_delayed;
	LimiterReason reason; /* why the gate is shut */
	uint64_t until_us;    /* monotonic; 0: not known */
	bool unwatched;       /* there was no memory for the timer */
	ProviderFault fault;
	ProviderTotals totals;
	char name[];
};

typedef struct ProvidersHooks {
	/* The agent waits for that reason, until then (realtime; 0: not known). -ENOMEM: it is told
	 * in the next turn. */
	int (*on_waiting)(Ticket *t, LimiterReason reason, uint64_t until_us, void *userdata);
	/* Its delay is over: it is to be queued. */
	void (*on_due)(Ticket *t, void *userdata);
	/* Its total time is over, while it waits. */
	void (*on_deadline)(Ticket *t, void *userdata);
	void *userdata;
} ProvidersHooks;

typedef struct Providers {
	ListNode all; /* in the order of the configuration, then those that are gone */
	Scheduler *scheduler;
	Timers *timers;
	ProvidersHooks hooks;
} Providers;

void providers_init(
	Providers *p, Scheduler *scheduler, Timers *timers, const ProvidersHooks *hooks);
void providers_done(Providers *p);
/* Takes one reference of each. -ENOMEM: some may be the old ones. */
int providers_configure(Providers *p, ProviderSettings *const *settings, size_t n) _must_check_;

/* NULL: no such provider is configured. */
Provider *providers_find(const Providers *p, const char *name);
/* The first of that kind; NULL: none. */
Provider *providers_first(const Providers *p, const char *kind);

/* That it keeps waiting: in the queue, or before another attempt. */
uint64_t provider_waiting(const Provider *p);
/* How long it has been in pauses that it had asked for. */
uint64_t provider_held_us(const Provider *p);
/* Is that something that goes wrong with a provider? */
bool provider_is_fault(AgentErrorCode code);

/* A ticket for the agent, which gets it; one of a provider that is not configured, too. -ENOMEM. */
int ticket_new(Providers *p, Agent *a, const char *name) _must_check_;
/* Bears NULL. */
void ticket_free(Ticket *t);

/* It has so much time left, in which it is to start again. Holds until ticket_left(). */
void ticket_expires(Ticket *t, uint64_t left_ms);
/* The agent is in the queue, behind the gate. */
void ticket_queued(Ticket *t);
/* It does not wait any more. */
void ticket_left(Ticket *t);
/* It is to start, with so many tokens to reckon with. -ENOMEM. */
int ticket_started(Ticket *t, uint64_t tokens) _must_check_;
/* The provider answers. */
void ticket_answered(Ticket *t);
/* And with what was asked for. */
void ticket_served(Ticket *t);
/* The call is over, and has cost so many tokens (UINT64_MAX: it is not known). No-op if none is
 * under way. */
void ticket_ended(Ticket *t, uint64_t tokens);
/* The provider has refused the call and asks for a pause (0: it does not say how long a one). */
void ticket_refused(Ticket *t, uint64_t pause_us);
/* Another attempt is due after the delay, and at once without memory for a timer. */
void ticket_delay(Ticket *t, uint64_t delay_ms);

/* At the end of a turn: tells those that have begun to wait. False: there was no memory for one, or
 * there are too many for one turn. */
bool providers_end_turn(Providers *p);
