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
	bool wants_replies;       /* FOLLOW_REPLY; else they are passed over */
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
	FOLLOW_REPLY,    /* to a follow_ask(): id, and result or error */
} FollowKind;

typedef struct FollowItem {
	FollowKind kind;
	json_object *event; /* lent until the next call */
	uint64_t from, to;
	uint64_t id;
	json_object *result, *error; /* lent, too; one of them is there */
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

/* The same without waiting, for who has more to look after: FOLLOW_IDLE where there is nothing now;
 * without a connection each call is one attempt, as soon as that is due. */
int follow_poll(Follow *f, FollowItem *ret) _must_check_;
/* What to wait for until the next follow_poll(): a descriptor, or -1; and how long at most, or
 * CALL_FOREVER. */
int follow_fd(const Follow *f);
int follow_due_ms(const Follow *f);

/* Sends a request over the same connection; *ret_id is what its reply will bear. 0: there is no
 * connection, or it is being lost, and with it the reply. */
int follow_ask(Follow *f, const char *method, const Buf *params, uint64_t *ret_id) _must_check_;
/* Sends a request over the same connection; its reply is of no interest. Without a connection, or
 * with one that is being lost, it is as if it had been sent: ask again after FOLLOW_BACK. */
int follow_send(Follow *f, const char *method, const Buf *params) _must_check_;

/* As a notice to the reader: for the items that are one. */
bool follow_notice(const FollowItem *item, Notice *ret);
