/* Answers that are owed, and the way that they take: rpc's other half, its inside.
 *
 * Owns the requests of every connection, and its batches until their one line is put out.
 *
 * Thread: main. */
#pragma once

#include "daemon/control/rpc.h"

typedef struct RpcBatch RpcBatch;

/* Where an answer goes, and what it is called. */
typedef struct ReplyTo {
	RpcTotals *totals; /* where it is counted, while there is a client */
	Conn *conn;        /* NULL: the client has gone */
	RpcBatch *batch;   /* NULL: it stands alone */
	uint32_t index;    /* in the batch */
	uint32_t id_len;
	const char *id; /* JSON text; id_len 0: a notification, nobody wants an answer */
} ReplyTo;

/* What a ReplyTo has for an id that could not be read. */
#define REPLY_NULL_ID     "null"
#define REPLY_NULL_ID_LEN 4

/* Copies the id. `line_bytes`: of the line that it stands alone in; 0 in a batch. -ENOMEM. */
int request_new(const ReplyTo *to, MethodId method, size_t line_bytes, Request **ret) _must_check_;
/* An error where there is no Request. */
void reply_error(const ReplyTo *to, const RpcError *error);

/* The answers to these requests, which are referenced for as long as not all are begun. They are
 * put out when those that are owed have come, but not before all were begun. -ENOMEM. */
int rpc_batch_new(Conn *c, json_object *members, size_t line_bytes, RpcBatch **ret) _must_check_;
/* The next to be begun, lent (NULL is JSON's null). False: all are, and the batch is not the
 * caller's any more. */
bool rpc_batch_next(RpcBatch *b, json_object **ret, uint32_t *ret_index);
/* The one of this connection of which not all members are begun. There is one at the most: no line
 * is looked at before the one before it is done with. */
RpcBatch *rpc_batch_unfinished(Conn *c);

/* Some agent.spawn of this connection is not answered yet. */
bool requests_spawning(const Conn *c);
/* Nobody reads the answers any more: calls on_gone of those that have one. */
void requests_conn_gone(Conn *c);
/* The same, and forgets the connection: all of its requests outlive it. */
void requests_conn_closed(Conn *c);
