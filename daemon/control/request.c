#include "daemon/control/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/list.h"
#include "common/log.h"

#define REPLY_HEAD "{\"jsonrpc\":\"2.0\",\"id\":"

/* A batch whose members ask for much: above this, those with a result that is not small are
 * refused it. */
#define BATCH_MAX_BYTES   (16U * 1024 * 1024)
#define BATCH_SMALL_BYTES (64U * 1024)

/* How many that may have results of some MiB, or cost the reader long walks, may be under way for
 * one connection; and how much of a long id, or of a line, counts as a request more: what was asked
 * may have to be kept for as long as it is not answered. */
#define HEAVY_WEIGHT      (CONN_MAX_PENDING / 8)
#define ID_WEIGHT_BYTES   256
#define LINE_WEIGHT_BYTES 1024

/* A batch's line weighs no more: there must be room to begin what is in it. */
#define BATCH_MAX_WEIGHT (CONN_MAX_PENDING - HEAVY_WEIGHT)

struct Request {
	ListNode node; /* of its connection's; once answered, of those that its batch holds back */
	ReplyTo to;    /* `id` is the text at the end of this */
	void (*on_replied)(Conn *c, void *userdata);
	void *on_replied_data;
	void (*on_gone)(void *userdata); /* NULL: none */
	void *on_gone_data;
	ListNode place_node;                                 /* of those that wait for the place */
	void (*on_place_free)(Request *req, void *userdata); /* NULL: it does not wait */
	void *on_place_free_data;
	Peer peer;
	MethodId method;
	uint32_t weight;
	char id[];
};

typedef struct RpcBatchSlot {
	size_t offset, len; /* in the batch's text; len 0: no answer (yet) */
} RpcBatchSlot;

struct RpcBatch {
	ListNode node;
	ListNode held; /* requests whose on_replied waits */
	Conn *conn;
	Buf text;
	uint32_t weight;
	uint32_t refs; /* requests that point here, and whoever begins them */
	uint32_t owed; /* answers that have to come before it is put out, likewise */
	bool failed;   /* out of memory: there is a hole in it */
	bool put_out;
	json_object *members; /* one reference; NULL: all are begun */
	uint32_t next;        /* of them, to be begun */
	uint32_t n;
	RpcBatchSlot slots[];
};

/* What hangs on a connection. */
typedef struct ConnRequests {
	ListNode requests;
	ListNode batches;
	const Request *place; /* who has it; NULL: nobody */
	ListNode for_place;   /* who waits for it */
	bool giving_place;
	uint32_t spawns; /* requests of that method */
} ConnRequests;

/* NULL: out of memory. */
static ConnRequests *conn_requests(Conn *c)
{
	ConnRequests *all = conn_data(c);

	if (all)
		return all;
	all = calloc(1, sizeof(*all));
	if (!all)
		return NULL;
	list_init(&all->requests);
	list_init(&all->batches);
	list_init(&all->for_place);
	conn_set_data(c, all);
	return all;
}

static uint32_t weight_of(MethodId method, uint32_t id_len, size_t line_bytes)
{
	uint32_t weight = 1 + id_len / ID_WEIGHT_BYTES + (uint32_t)(line_bytes / LINE_WEIGHT_BYTES);

	if (method == METHOD_AGENT_GET || method == METHOD_AGENT_LIST ||
		method == METHOD_AGENT_OUTPUT || method == METHOD_EVENTS_READ ||
		method == METHOD_EVENTS_STATS)
		weight += HEAVY_WEIGHT;
	return weight;
}

int rpc_batch_new(Conn *c, json_object *members, size_t line_bytes, RpcBatch **ret)
{
	size_t weight = line_bytes / LINE_WEIGHT_BYTES;
	ConnRequests *all = conn_requests(c);
	size_t n = json_object_array_length(members);
	RpcBatch *b = calloc(1, sizeof(*b) + n * sizeof(b->slots[0]));

	if (!all || !b) {
		free(b);
		return -ENOMEM;
	}
	list_init(&b->held);
	list_append(&all->batches, &b->node);
	b->conn = c;
	b->members = json_object_get(members);
	b->n = (uint32_t)n;
	b->refs = b->owed = 1;
	b->weight = weight < BATCH_MAX_WEIGHT ? (uint32_t)weight : BATCH_MAX_WEIGHT;
	conn_pending_add(c, b->weight);
	*ret = b;
	return 0;
}

static void rpc_batch_unref(RpcBatch *b)
{
	if (--b->refs > 0)
		return;
	if (b->conn)
		conn_pending_drop(b->conn, b->weight);
	list_remove(&b->node);
	buf_done(&b->text);
	free(b);
}

/* `[…]\n`; nothing if nobody wanted an answer. */
static int rpc_batch_write(const RpcBatch *b, Buf *out)
{
	size_t old_len = out->len;
	int r = 0;

	for (uint32_t i = 0; i < b->n && r == 0; i++) {
		const RpcBatchSlot *slot = &b->slots[i];

		if (slot->len == 0)
			continue;
		r = buf_append_char(out, out->len == old_len ? '[' : ',');
		if (r == 0)
			r = buf_append(out, b->text.data + slot->offset, slot->len);
	}
	if (r == 0 && out->len > old_len)
		r = buf_append(out, "]\n", 2);
	if (r < 0)
		out->len = old_len;
	return r;
}

/* An answer that cannot be given: the client must not wait for it. */
static void give_up(Conn *c)
{
	log_error("a client is disconnected: no memory for a reply to it");
	conn_close(c);
}

static void rpc_batch_put_out(RpcBatch *b)
{
	b->put_out = true;
	if (b->conn && !conn_is_closing(b->conn)) {
		if (b->failed || rpc_batch_write(b, conn_out(b->conn)) < 0)
			give_up(b->conn);
		else
			conn_kick(b->conn);
	}
	buf_done(&b->text);
	while (!list_empty(&b->held)) {
		Request *req = container_of(b->held.next, Request, node);

		list_remove(&req->node);
		if (b->conn && !conn_is_closing(b->conn))
			req->on_replied(b->conn, req->on_replied_data);
		free(req);
	}
}

/* One answer less is owed. */
static void rpc_batch_count_down(RpcBatch *b)
{
	if (--b->owed == 0)
		rpc_batch_put_out(b);
}

/* All that will be begun is. */
static void rpc_batch_begun(RpcBatch *b)
{
	json_object_put(TAKE_PTR(b->members));
	rpc_batch_count_down(b);
	rpc_batch_unref(b);
}

bool rpc_batch_next(RpcBatch *b, json_object **ret, uint32_t *ret_index)
{
	if (b->next == b->n) {
		rpc_batch_begun(b);
		return false;
	}
	*ret = json_object_array_get_idx(b->members, b->next);
	*ret_index = b->next++;
	return true;
}

RpcBatch *rpc_batch_unfinished(Conn *c)
{
	const ConnRequests *all = conn_data(c);
	RpcBatch *found = NULL;

	/* The newest. */
	if (all && !list_empty(&all->batches))
		found = container_of(all->batches.prev, RpcBatch, node);
	return found && found->members ? found : NULL;
}

int request_new(const ReplyTo *to, MethodId method, size_t line_bytes, Request **ret)
{
	ConnRequests *all = conn_requests(to->conn);
	Request *req = malloc(sizeof(*req) + to->id_len);

	if (!all || !req) {
		free(req);
		return -ENOMEM;
	}
	req->to = *to;
	req->to.id = req->id;
	memcpy(req->id, to->id, to->id_len);
	req->on_replied = NULL;
	req->on_replied_data = NULL;
	req->on_gone = NULL;
	req->on_gone_data = NULL;
	list_init(&req->place_node);
	req->on_place_free = NULL;
	req->on_place_free_data = NULL;
	req->peer = *conn_peer(to->conn);
	req->method = method;
	req->weight = weight_of(method, to->id_len, line_bytes);
	list_append(&all->requests, &req->node);
	all->spawns += method == METHOD_AGENT_SPAWN;
	to->totals->begun[method]++;
	conn_pending_add(to->conn, req->weight);
	if (to->batch) {
		to->batch->refs++;
		to->batch->owed += to->id_len > 0;
	}
	*ret = req;
	return 0;
}

/* Exactly one of `result` and `error`. */
static int write_reply(
	Buf *b, const ReplyTo *to, const char *result, size_t len, const RpcError *error)
{
	size_t old_len = b->len;
	int r = buf_append(b, REPLY_HEAD, sizeof(REPLY_HEAD) - 1);

	if (r == 0)
		r = buf_append(b, to->id, to->id_len);
	if (r == 0 && error) {
		r = buf_append_str(b, ",\"error\":");
		if (r == 0)
			r = rpc_error_write(error, b);
	} else if (r == 0) {
		r = buf_append_str(b, ",\"result\":");
		if (r == 0)
			r = buf_append(b, result, len);
	}
	if (r == 0)
		r = to->batch ? buf_append_char(b, '}') : buf_append(b, "}\n", 2);
	if (r < 0)
		b->len = old_len;
	return r;
}

static void reply(const ReplyTo *to, const char *result, size_t len, const RpcError *error)
{
	RpcBatch *b = to->batch;

	if (!to->conn || conn_is_closing(to->conn) || to->id_len == 0)
		return;
	if (b) {
		size_t offset = b->text.len;

		if (write_reply(&b->text, to, result, len, error) < 0)
			b->failed = true;
		b->slots[to->index] = (RpcBatchSlot){ offset, b->text.len - offset };
	} else if (write_reply(conn_out(to->conn), to, result, len, error) < 0) {
		give_up(to->conn);
	} else {
		conn_kick(to->conn);
	}
}

static void count_error(const ReplyTo *to, const RpcError *error)
{
	if (to->conn)
		to->totals->rejected[error->reason]++;
}

void reply_error(const ReplyTo *to, const RpcError *error)
{
	count_error(to, error);
	reply(to, NULL, 0, error);
}

static void stop_waiting_for_place(Request *req)
{
	void (*on_free)(Request * req, void *userdata) = req->on_place_free;

	req->on_place_free = NULL;
	list_remove(&req->place_node);
	on_free(req, req->on_place_free_data);
}

/* To those that wait for it, until one of them keeps it. */
static void give_place(Conn *c)
{
	ConnRequests *all = conn_data(c);

	/* One that answers at once comes back here: this goes on then, without going deeper. */
	if (all->giving_place)
		return;
	all->giving_place = true;
	while (!all->place && !list_empty(&all->for_place) && !conn_is_closing(c))
		stop_waiting_for_place(container_of(all->for_place.next, Request, place_node));
	all->giving_place = false;
}

/* What is left to do of a request whose reply is on its way; it is freed. */
static void finish(Request *req)
{
	Conn *c = req->to.conn;
	RpcBatch *b = req->to.batch;
	bool owed = req->to.id_len > 0;
	bool wants = c && req->on_replied && !conn_is_closing(c);

	list_remove(&req->node);
	if (c) {
		ConnRequests *all = conn_data(c);

		if (all->place == req)
			all->place = NULL;
		all->spawns -= req->method == METHOD_AGENT_SPAWN;
		if (req->method == METHOD_AGENT_SPAWN && all->spawns == 0)
			conn_kick(c); /* a subscription may wait for that */
		conn_pending_drop(c, req->weight);
	}
	if (wants && b && !b->put_out) {
		list_append(&b->held, &req->node);
	} else {
		if (wants)
			req->on_replied(c, req->on_replied_data);
		free(req);
	}
	if (b) {
		if (owed)
			rpc_batch_count_down(b);
		rpc_batch_unref(b);
	}
	if (c)
		give_place(c);
}

void request_result(Request *req, const char *result, size_t len)
{
	const RpcBatch *b = req->to.batch;

	if (b && len > BATCH_SMALL_BYTES && b->text.len + len > BATCH_MAX_BYTES) {
		_cleanup_rpc_error_ RpcError e = { 0 };

		(void)rpc_error_set(&e, RPC_TOO_LARGE,
			"the replies of this batch are too large together: ask for this alone");
		rpc_error_add_uint(&e, "limit", BATCH_MAX_BYTES);
		request_error(req, &e);
		return;
	}
	reply(&req->to, result, len, NULL);
	finish(req);
}

void request_error(Request *req, const RpcError *error)
{
	count_error(&req->to, error);
	reply(&req->to, NULL, 0, error);
	finish(req);
}

void request_fail(Request *req, int error)
{
	RpcError e = { 0 };

	log_error("%s failed: %s", protocol_method(req->method)->name, strerror(-error));
	(void)rpc_error_set(&e, RPC_INTERNAL_ERROR, "%s", strerror(-error));
	request_error(req, &e);
}

void request_on_replied(Request *req, void (*on_replied)(Conn *c, void *userdata), void *userdata)
{
	req->on_replied = on_replied;
	req->on_replied_data = userdata;
}

bool request_on_gone(Request *req, void (*on_gone)(void *userdata), void *userdata)
{
	if (!request_conn(req))
		return false;
	req->on_gone = on_gone;
	req->on_gone_data = userdata;
	return true;
}

void request_forget_on_gone(Request *req)
{
	req->on_gone = NULL;
}

bool request_take_place(Request *req)
{
	ConnRequests *all = req->to.conn ? conn_data(req->to.conn) : NULL;

	if (!all)
		return true;
	if (all->place && all->place != req)
		return false;
	all->place = req;
	return true;
}

bool request_wait_for_place(
	Request *req, void (*on_free)(Request *req, void *userdata), void *userdata)
{
	ConnRequests *all = req->to.conn ? conn_data(req->to.conn) : NULL;

	if (!all || !all->place || all->place == req)
		return false;
	req->on_place_free = on_free;
	req->on_place_free_data = userdata;
	list_append(&all->for_place, &req->place_node);
	return true;
}

Conn *request_conn(const Request *req)
{
	Conn *c = req->to.conn;

	return c && !conn_is_closing(c) ? c : NULL;
}

const Peer *request_peer(const Request *req)
{
	return &req->peer;
}

MethodId request_method(const Request *req)
{
	return req->method;
}

void request_set_heavy(Request *req, bool heavy)
{
	Conn *c = req->to.conn;

	if (heavy) {
		req->weight += HEAVY_WEIGHT;
		if (c)
			conn_pending_add(c, HEAVY_WEIGHT);
	} else {
		req->weight -= HEAVY_WEIGHT;
		if (c)
			conn_pending_drop(c, HEAVY_WEIGHT);
	}
}

bool requests_spawning(const Conn *c)
{
	const ConnRequests *all = conn_data(c);

	return all && all->spawns > 0;
}

static void rpc_batch_conn_closed(RpcBatch *b)
{
	list_remove(&b->node);
	b->conn = NULL;
	while (!list_empty(&b->held)) {
		Request *req = container_of(b->held.next, Request, node);

		list_remove(&req->node);
		free(req);
	}
	if (b->members)
		rpc_batch_begun(b);
}

static void call_on_gone(Request *req)
{
	void (*on_gone)(void *userdata) = req->on_gone;

	if (req->on_place_free) {
		stop_waiting_for_place(req);
		return;
	}
	req->on_gone = NULL;
	if (on_gone)
		on_gone(req->on_gone_data);
}

void requests_conn_gone(Conn *c)
{
	ConnRequests *all = conn_data(c);

	if (!all)
		return;
	/* None of them frees another. */
	list_foreach_safe (node, &all->requests)
		call_on_gone(container_of(node, Request, node));
}

void requests_conn_closed(Conn *c)
{
	ConnRequests *all = conn_data(c);

	if (!all)
		return;
	while (!list_empty(&all->requests)) {
		Request *req = container_of(all->requests.next, Request, node);

		list_remove(&req->node);
		req->to.conn = NULL;
		call_on_gone(req);
	}
	while (!list_empty(&all->batches))
		rpc_batch_conn_closed(container_of(all->batches.next, RpcBatch, node));
	free(all);
	conn_set_data(c, NULL);
}
