/* The agents that `top` shows: a snapshot (agent.list), and on from there what one subscription
 * brings.
 *
 * All that live are held (how many there can be the daemon's limits say), and the TOP_MAX_ENDED
 * that ended last. It draws nothing, asks nothing and looks at no clock.
 *
 * Owns its agents. Embedded; to be initialised. Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/top-line.h"
#include "client/top-spark.h"
#include "common/list.h"
#include "common/protocol.h"

#define TOP_MAX_ENDED    1000U
#define TOP_ID_BYTES     64
#define TOP_PROMPT_BYTES 120U
#define TOP_ABOUT_BYTES  600U

typedef struct TopAgent {
	struct TopAgent *hash_next;
	ListNode node; /* TopModel.live, or TopModel.ended */
	char id[TOP_ID_BYTES];
	const char *backend; /* static */
	char *group;
	char *about;  /* what a filter looks in, beside its state */
	char *prompt; /* the beginning of it */
	AgentState state;
	bool waiting;   /* for a provider */
	unsigned round; /* TopModel.round, when it was listed last, or spawned */
	uint64_t first_seq, last_seq;
	uint64_t spawned_us; /* realtime */
	uint64_t chunks, bytes;
	uint64_t ticked_chunks; /* as many were there at the last tick */
	double rate;            /* chunks a second */
	TopLine line;
} TopAgent;

typedef enum TopOrder {
	TOP_ORDER_STATE,
	TOP_ORDER_AGE,
	TOP_ORDER_RATE,
	TOP_ORDER_BYTES,
	TOP_ORDER_BACKEND,
	TOP_ORDER_GROUP,
	TOP_ORDER_ID,
	_TOP_ORDER_MAX,
} TopOrder;

/* NULL-terminated, in the order of TopOrder. */
extern const char *const top_order_names[];
/* -EINVAL */
int top_order_from_string(const char *name) _must_check_;

typedef struct TopModel {
	const char *only_group; /* others are left out; NULL: none is. Lent. */
	TopAgent **buckets;
	size_t n_buckets; /* a power of two */
	size_t n;
	ListNode live;  /* newest last */
	ListNode ended; /* whose end came last, last */
	/* Those that live, and of those that have ended all that ever were held. */
	size_t n_by_state[_AGENT_STATE_MAX];
	unsigned round;                 /* of snapshots */
	uint64_t newest_seq;            /* that was seen */
	uint64_t ticked_us;             /* monotonic; 0: not yet */
	uint64_t new_events, new_bytes; /* since then */
	double events_rate, bytes_rate; /* a second, as of then */
	TopSpark spark;                 /* of events_rate */
	TopAgent **view;
	size_t view_cap;
	Buf scratch;
} TopModel;

/* -ENOMEM */
int top_model_init(TopModel *m, const char *only_group) _must_check_;
/* Safe on a zeroed one. */
void top_model_done(TopModel *m);
/* Forgets all agents. */
void top_model_clear(TopModel *m);

/* A snapshot begins, and is complete: who lived before the end of a gap (`to`) and was not in it
 * lives no more. */
void top_model_begin_round(TopModel *m);
void top_model_end_round(TopModel *m, uint64_t to);

/* An entry of agent.list. One that is known already is left alone, unless the entry is newer.
 * -ENOMEM. */
int top_model_add(TopModel *m, json_object *entry) _must_check_;
/* -ENOMEM */
int top_model_event(TopModel *m, json_object *event) _must_check_;
/* Rates are taken anew, once a second. True: they were. */
bool top_model_tick(TopModel *m, uint64_t now_us);

/* NULL: there is none. */
TopAgent *top_model_find(const TopModel *m, const char *id);

/* Those that a filter lets pass (any letter case; "": all), in that order; lent until the model is
 * used again. Returns how many. -ENOMEM. */
ssize_t top_model_view(TopModel *m, TopOrder order, bool reversed, const char *filter,
	TopAgent *const **ret) _must_check_;
