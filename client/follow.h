/* A subscription that outlives the daemon: events in order, each once, across reconnections.
 *
 * It keeps its cursor (the log's id and the last seq it has handed out). When the connection is
 * lost it waits, with growing pauses, until the daemon is there again, and goes on from the cursor.
 * An event that is not beyond the cursor is never handed out.
 *
 * Owns its connection. Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/context.h"
#include "client/filter.h"

typedef struct FollowRequest {
	const Filter *filter; /* lent for the life of the Follow, as is all of this */
	bool until_idle;
	bool has_after;
	uint64_t after;           /* with has_after */
	const char *after_option; /* what a person said it with; NULL: nobody did */
	uint64_t last;            /* 0: not asked for */
} FollowRequest;

typedef enum FollowKind {
	FOLLOW_EVENT,    /* event */
	FOLLOW_LIVE,     /* caught up */
	FOLLOW_GAP,      /* from, to */
	FOLLOW_END,      /* nothing more will come */
	FOLLOW_IDLE,     /* nothing has come for so long */
	FOLLOW_LOST,     /* the connection; the next call waits for the daemon */
	FOLLOW_BACK,     /* subscribed again */
	FOLLOW_REPLACED, /* the log is another one, from whose beginning it goes on */
} FollowKind;

typedef struct FollowItem {
	FollowKind kind;
	json_object *event; /* lent until the next call */
	uint64_t from, to;
} FollowItem;

typedef struct Follow Follow;

/* Connects and subscribes. An exit code, or -errno. */
int follow_new(Context *ctx, const FollowRequest *request, Follow **ret) _must_check_;
/* Bears NULL. */
void follow_free(Follow *f);
DEFINE_CLEANUP(Follow *, follow_free)

/* Waits for the next item, or for FOLLOW_IDLE (`idle_ms` may be CALL_FOREVER; without a connection
 * it is). -EINTR for each signal (it may be called again), -EPIPE; an exit code where the daemon
 * refuses to go on. */
int follow_next(Follow *f, int idle_ms, FollowItem *ret) _must_check_;

/* Sends a request over the same connection; its reply is of no interest. Without a connection, or
 * with one that is being lost, it is as if it had been sent: ask again after FOLLOW_BACK. */
int follow_send(Follow *f, const char *method, const Buf *params) _must_check_;

/* As a notice to the reader: for the items that are one. */
bool follow_notice(const FollowItem *item, Notice *ret);
