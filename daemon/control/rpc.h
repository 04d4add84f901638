/* JSON-RPC 2.0 over connections: parses lines, checks requests, roles and parameters against the
 * protocol's table, calls the methods, and brings the answers back, whenever they come.
 *
 * A Request is an answer that is owed. It outlives its connection: then answering it does nothing.
 * Each must be answered exactly once, with request_result(), request_error() or request_fail(); it
 * is freed by that. Batches and notifications are dealt with here: a method does not know of them.
 *
 * Thread: main. */
#pragma once

#include <json-c/json.h>

#include "common/json-writer.h"
#include "common/protocol.h"
#include "common/rpc-error.h"
#include "daemon/control/conn.h"

typedef struct Rpc Rpc;
typedef struct Request Request;

/* `params` is an object, checked, with its defaults filled in (but for ProtocolMethod.as_given);
 * lent for the call, and may be changed. */
typedef void (*RpcMethod)(Request *req, json_object *params, void *userdata);

/* Since the daemon was started. */
typedef struct RpcTotals {
	uint64_t begun[_METHOD_MAX];        /* requests whose parameters were right */
	uint64_t rejected[_RPC_REASON_MAX]; /* answers that were errors, or would have been one to
					       a notification */
} RpcTotals;

/* methods: _METHOD_MAX of them, by MethodId. `rpc.discover` is done here: its entry may be NULL. */
int rpc_new(const RpcMethod *methods, void *userdata, uint32_t max_batch, Rpc **ret) _must_check_;
/* After the ConnServer that has its hooks. Requests may outlive it. Bears NULL. */
void rpc_free(Rpc *r);
/* What a ConnServer is to be made with. */
ConnHooks rpc_conn_hooks(Rpc *r);
const RpcTotals *rpc_totals(const Rpc *r);
/* Whatever is begun from now on is answered with shutting_down. */
void rpc_finish(Rpc *r);
void rpc_set_max_batch(Rpc *r, uint32_t max_batch);

/* NULL once the client has gone, or its connection is being closed: what it asked for is done
 * all the same, as far as it does more than answer. */
Conn *request_conn(const Request *req);
/* The client's, also after it has gone. */
const Peer *request_peer(const Request *req);
MethodId request_method(const Request *req);

/* What it needs next costs the reader much: few such requests are under way for one connection. To
 * be said once, and taken back (false) if it is not so until the answer. */
void request_set_heavy(Request *req, bool heavy);

/* Answers with `result`, JSON text of `len` bytes, lent. */
void request_result(Request *req, const char *result, size_t len);
/* Answers with the error, which is lent. */
void request_error(Request *req, const RpcError *error);
/* Answers -ENOMEM and the like: `internal_error`, logged; takes what a helper returned. */
void request_fail(Request *req, int error);

/* For what a request starts that must not be seen before its reply (a subscription):
 * `on_replied` is called when the reply, or the batch's that it is part of, has been put into
 * the reply buffer; for a notification, which has no reply, when it is answered (in a batch: not
 * before the batch is). Not called if the connection goes before. At most one for each request. */
void request_on_replied(Request *req, void (*on_replied)(Conn *c, void *userdata), void *userdata);

/* For a request that does nothing but answer: on_gone is called once, when its client goes, unless
 * it was answered by then; it may answer it, which frees it, but no other request. One at a time.
 * False: the client has gone already, and nothing will be called. */
bool request_on_gone(Request *req, void (*on_gone)(void *userdata), void *userdata) _must_check_;
void request_forget_on_gone(Request *req);

/* A connection has one subscription at the most: the request takes the place of it, until it is
 * answered. False: another request of that connection has it. */
bool request_take_place(Request *req) _must_check_;
/* True: another request of that connection has the place, and on_free is called once it is free, in
 * the order in which they came, or once the client has gone (request_conn() is NULL then). */
bool request_wait_for_place(
	Request *req, void (*on_free)(Request *req, void *userdata), void *userdata) _must_check_;

/* Appends `{"jsonrpc":"2.0","method":METHOD,"params":PARAMS}\n` to the connection's reply buffer
 * and kicks it. -ENOMEM. */
int rpc_notify(Conn *c, const char *method, const char *params, size_t len) _must_check_;
