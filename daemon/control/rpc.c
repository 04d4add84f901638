#include "daemon/control/rpc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/log.h"
#include "common/utf8.h"
#include "daemon/control/discover.h"
#include "daemon/control/request.h"

/* Of what a client wrote, an error message repeats no more. */
#define NAME_MAX_BYTES 64

/* What stays allocated for the next request's id. */
#define ID_KEEP_BYTES 4096

struct Rpc {
	RpcMethod methods[_METHOD_MAX];
	void *userdata;
	uint32_t max_batch;
	bool finishing;
	RpcTotals totals;
	Buf id;       /* the JSON text of the id of the request that is looked at */
	Buf discover; /* the document, once somebody has asked for it */
};

/* A request that is looked at. */
typedef struct Call {
	ReplyTo to;
	size_t line_bytes; /* 0: it is one of a batch */
	const char *method;
	size_t method_len;
	json_object *params; /* NULL: none, or null */
	bool has_params;
} Call;

static int invalid(RpcError *e, const char *why)
{
	return rpc_error_set(e, RPC_INVALID_REQUEST, "%s", why);
}

static void internal_error(RpcError *e, int error)
{
	log_error("a request failed: %s", strerror(-error));
	(void)rpc_error_set(e, RPC_INTERNAL_ERROR, "%s", strerror(-error));
}

/* Points `to` at the id's text; leaves it alone if there is none. 1: there was one. */
static int read_id(Rpc *r, json_object *o, ReplyTo *to, RpcError *e)
{
	json_object *id;
	int error;

	if (!jsonx_member(o, "id", &id))
		return 0;
	if (id && !json_object_is_type(id, json_type_string) &&
		!json_object_is_type(id, json_type_int))
		return invalid(e, "id must be a string, an integer or null");
	buf_clear(&r->id, ID_KEEP_BYTES);
	error = jsonx_append(&r->id, id);
	if (error < 0) {
		internal_error(e, error);
		return error;
	}
	to->id = r->id.data;
	to->id_len = (uint32_t)r->id.len;
	return 1;
}

/* 0; < 0 with the error set, to be answered to call->to. */
static int read_call(Rpc *r, json_object *o, Call *call, RpcError *e)
{
	const char *version;
	size_t version_len;
	int has_id;

	if (!json_object_is_type(o, json_type_object))
		return invalid(e, "a request must be an object");
	has_id = read_id(r, o, &call->to, e);
	if (has_id < 0)
		return has_id;
	version = jsonx_get_string(o, "jsonrpc", &version_len);
	if (!version || version_len != 3 || memcmp(version, "2.0", 3) != 0)
		return invalid(e, "jsonrpc must be \"2.0\"");
	call->method = jsonx_get_string(o, "method", &call->method_len);
	if (!call->method)
		return invalid(e, "method must be a string");
	call->has_params = jsonx_member(o, "params", &call->params);
	if (!has_id)
		call->to.id_len = 0;
	return 0;
}

/* May this client call it? 0, or < 0 with the error set. */
static int find_method(const Call *call, MethodId *ret, RpcError *e)
{
	int id = protocol_method_find(call->method, call->method_len);
	Role role;

	if (id < 0)
		return rpc_error_set(e, RPC_METHOD_NOT_FOUND, "there is no method '%.*s'",
			(int)utf8_cut(call->method, call->method_len, NAME_MAX_BYTES),
			call->method);
	role = protocol_method((MethodId)id)->role;
	if (conn_peer(call->to.conn)->role < role) {
		(void)rpc_error_set(e, RPC_PERMISSION_DENIED, "%s needs the role %s",
			protocol_method((MethodId)id)->name, role_to_string(role));
		rpc_error_add_string(e, "need", role_to_string(role));
		return -EPERM;
	}
	*ret = (MethodId)id;
	return 0;
}

static int check_params(MethodId id, json_object *params, RpcError *e)
{
	const ProtocolMethod *method = protocol_method(id);
	int r;

	if (!json_object_is_type(params, json_type_object)) {
		r = rpc_error_set(e, RPC_INVALID_PARAMS, "params must be an object, or absent");
		rpc_error_add_string(e, "param", "params");
		return r;
	}
	r = method->as_given ? schema_check_given(method->params, params, "", e)
			     : schema_check(method->params, params, "", e);
	if (r < 0 && r != -EINVAL)
		internal_error(e, r);
	return r;
}

static void discover(Rpc *r, Request *req)
{
	int error = r->discover.len > 0 ? 0 : discover_write(&r->discover);

	if (error < 0)
		request_fail(req, error);
	else
		request_result(req, r->discover.data, r->discover.len);
}

/* 0: it was begun, and answers for itself. < 0 with the error set. */
static int begin_call(Rpc *r, const Call *call, json_object *params, RpcError *e)
{
	MethodId id = _METHOD_MAX;
	Request *req;
	int error = find_method(call, &id, e);

	if (error < 0)
		return error;
	error = check_params(id, params, e);
	if (error < 0)
		return error;
	if (r->finishing) {
		(void)rpc_error_set(e, RPC_SHUTTING_DOWN, "the daemon is being stopped");
		return -ECANCELED;
	}
	error = request_new(&call->to, id, call->line_bytes, &req);
	if (error < 0) {
		internal_error(e, error);
		return error;
	}
	if (id == METHOD_RPC_DISCOVER)
		discover(r, req);
	else
		r->methods[id](req, params, r->userdata);
	return 0;
}

static void handle_request(
	Rpc *r, Conn *c, RpcBatch *batch, uint32_t index, size_t line_bytes, json_object *o)
{
	_cleanup_rpc_error_ RpcError e = { 0 };
	_cleanup_json_ json_object *empty = NULL;
	Call call = { .to = { .totals = &r->totals,
			      .conn = c,
			      .batch = batch,
			      .index = index,
			      .id = REPLY_NULL_ID,
			      .id_len = REPLY_NULL_ID_LEN },
		.line_bytes = line_bytes };
	int error = read_call(r, o, &call, &e);

	if (error == 0 && !call.has_params) {
		empty = json_object_new_object();
		if (!empty) {
			error = -ENOMEM;
			internal_error(&e, error);
		}
	}
	if (error == 0)
		error = begin_call(r, &call, empty ? empty : call.params, &e);
	if (error < 0)
		reply_error(&call.to, &e);
}

static void reply_to_line(Rpc *r, Conn *c, const RpcError *e)
{
	const ReplyTo to = {
		.totals = &r->totals, .conn = c, .id = REPLY_NULL_ID, .id_len = REPLY_NULL_ID_LEN
	};

	reply_error(&to, e);
}

/* As many of its members as the connection bears; one of them whatever time it is. False: there are
 * more. */
static bool begin_members(Rpc *r, Conn *c, RpcBatch *batch)
{
	json_object *member;
	uint32_t index;

	for (bool wait = conn_is_full(c); !wait; wait = conn_must_wait(c)) {
		if (!rpc_batch_next(batch, &member, &index))
			return true;
		handle_request(r, c, batch, index, 0, member);
	}
	return false;
}

static bool on_more(Conn *c, void *userdata)
{
	return begin_members(userdata, c, rpc_batch_unfinished(c));
}

static void handle_batch(Rpc *r, Conn *c, json_object *members, size_t line_bytes)
{
	_cleanup_rpc_error_ RpcError e = { 0 };
	size_t n = json_object_array_length(members);
	RpcBatch *batch;
	int error;

	if (n == 0) {
		(void)invalid(&e, "a batch must not be empty");
		reply_to_line(r, c, &e);
		return;
	}
	if (n > r->max_batch) {
		(void)rpc_error_set(
			&e, RPC_TOO_LARGE, "a batch has %u requests at most", r->max_batch);
		rpc_error_add_uint(&e, "limit", r->max_batch);
		reply_to_line(r, c, &e);
		return;
	}
	error = rpc_batch_new(c, members, line_bytes, &batch);
	if (error < 0) {
		internal_error(&e, error);
		reply_to_line(r, c, &e);
		return;
	}
	if (!begin_members(r, c, batch))
		conn_set_unfinished(c);
}

static bool is_white_space(const char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	return true;
}

static void on_line(Conn *c, const char *line, size_t len, void *userdata)
{
	Rpc *r = userdata;
	_cleanup_rpc_error_ RpcError e = { 0 };
	_cleanup_json_ json_object *o = NULL;
	JsonxError why;
	int error;

	if (is_white_space(line, len))
		return;
	error = jsonx_parse(line, len, &o, &why);
	if (error == 0 && json_object_is_type(o, json_type_array)) {
		handle_batch(r, c, o, len);
	} else if (error == 0) {
		handle_request(r, c, NULL, 0, len, o);
	} else {
		if (error == -EBADMSG)
			(void)rpc_error_set(&e, RPC_PARSE_ERROR,
				"the line is not JSON: %s at byte %zu", why.why, why.offset);
		else
			internal_error(&e, error);
		reply_to_line(r, c, &e);
	}
}

static void on_line_too_long(Conn *c, void *userdata)
{
	_cleanup_rpc_error_ RpcError e = { 0 };

	(void)rpc_error_set(&e, RPC_LINE_TOO_LONG, "the line is longer than max_request_bytes");
	reply_to_line(userdata, c, &e);
	conn_close_after_flush(c);
}

static void on_gone(Conn *c, void *userdata)
{
	(void)userdata;
	requests_conn_gone(c);
}

static void on_closed(Conn *c, void *userdata)
{
	(void)userdata;
	requests_conn_closed(c);
}

int rpc_new(const RpcMethod *methods, void *userdata, uint32_t max_batch, Rpc **ret)
{
	Rpc *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	memcpy(r->methods, methods, sizeof(r->methods));
	r->userdata = userdata;
	r->max_batch = max_batch;
	*ret = r;
	return 0;
}

void rpc_free(Rpc *r)
{
	if (!r)
		return;
	buf_done(&r->id);
	buf_done(&r->discover);
	free(r);
}

const RpcTotals *rpc_totals(const Rpc *r)
{
	return &r->totals;
}

ConnHooks rpc_conn_hooks(Rpc *r)
{
	return (ConnHooks){
		.on_line = on_line,
		.on_more = on_more,
		.on_line_too_long = on_line_too_long,
		.on_gone = on_gone,
		.on_closed = on_closed,
		.userdata = r,
	};
}

void rpc_finish(Rpc *r)
{
	r->finishing = true;
}

void rpc_set_max_batch(Rpc *r, uint32_t max_batch)
{
	r->max_batch = max_batch;
}

int rpc_notify(Conn *c, const char *method, const char *params, size_t len)
{
	Buf *out = conn_out(c);
	JsonWriter w;
	size_t old_len = out->len;
	int r;

	jw_init(&w, out);
	jw_object_begin(&w);
	jw_key_cstring(&w, "jsonrpc", "2.0");
	jw_key_cstring(&w, "method", method);
	jw_key_raw(&w, "params", params, len);
	jw_object_end(&w);
	r = jw_finish(&w);
	if (r == 0)
		r = buf_append_char(out, '\n');
	if (r < 0)
		out->len = old_len;
	else
		conn_kick(c);
	return r;
}
