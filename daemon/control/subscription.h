/* A subscription: a cursor into the log, a filter, and little else.
 *
 * The cursor belongs to main while what it points at is hot, and to the reader (subscription-cold)
 * while it is further back; the connection's output is held meanwhile. There is no queue: what a
 * slow client has not got is in the log.
 *
 * Thread: main, but for the job in subscription-cold.c. */
#pragma once

#include "daemon/control/control.h"
#include "daemon/control/filter.h"

typedef struct Subscription {
	Control *control;
	uint64_t id;       /* ascending, from 1, in the daemon's life */
	uint64_t since_us; /* realtime */
	Conn *conn;
	Filter *filter;
	FilterMemory memory; /* of whoever has the cursor */
	ListNode node;       /* in the hub */
	ListNode links;      /* SubscriptionLink.of_subscription */
	ListNode traced;     /* events that it has yet to get, and that are traced: see trace.h */
	uint64_t cursor;     /* the next event to deliver */
	uint64_t told_seq;   /* the last seq that the client has heard of */
	uint32_t seek_last;  /* the n-th last match is to be found, to begin there; 0: no */
	uint64_t n_live;     /* links to agents that live */
	bool active;         /* the reply is out: events may follow */
	bool in_sync;        /* all that matched was delivered; cursor is not kept up */
	bool owes_live;      /* `live` is to be said once it has caught up */
	bool until_idle;
	ReaderJob *cold;      /* the reader has the cursor; NULL: it has not */
	bool cold_blocked;    /* the reader found the socket full */
	Request *unsubscribe; /* to be answered when the cursor is back */
} Subscription;

/* An agent that lives and whose events a subscription wants. */
typedef struct SubscriptionLink {
	ListNode of_agent;        /* Agent.watchers */
	ListNode of_subscription; /* Subscription.links */
	Subscription *subscription;
} SubscriptionLink;

/* Of the connection; NULL: none. */
Subscription *subscription_of(Conn *c);

/* Puts itself on the connection as its stream, not active yet. Takes the filter, also on failure.
 * -ENOMEM. */
int subscription_new(Control *control, Conn *conn, Filter *filter, Subscription **ret) _must_check_;
/* Off the connection and out of the hub. Not while it is cold. */
void subscription_free(Subscription *s);
/* For request_on_replied(): the reply is out, so events may follow; if it is still there, since a
 * batch may have unsubscribed. */
void subscription_on_replied(Conn *c, void *subscription);
/* It is to get that event. */
static inline bool subscription_wants(const Subscription *s, const BatchEntry *e)
{
	if (!filter_wants_type(s->filter, e->meta.type))
		return false;
	if (!filter_asks_agent(s->filter))
		return true;
	return e->meta.owner && filter_wants_agent(s->filter, e->meta.owner);
}
/* Something for it was committed as `seq`. */
void subscription_wake(Subscription *s, uint64_t seq);
/* The cursor for a client to come back with. */
uint64_t subscription_seq(const Subscription *s);

/* Writes what it has got, or hands the cursor to the reader: ConnStream.pump. */
int subscription_pump(Conn *c, void *userdata);

/* subscription-cold.c: hands the cursor to the reader for a turn. -ENOMEM. */
int subscription_go_cold(Subscription *s) _must_check_;
/* subscription-cold.c: has the reader look for the place that seek_last says. -ENOMEM. */
int subscription_seek_last(Subscription *s) _must_check_;
/* The reader gave the cursor back. */
void subscription_came_back(Subscription *s);
/* Notifications. -ENOMEM. */
int subscription_say_gap(Subscription *s, uint64_t from, uint64_t to) _must_check_;
