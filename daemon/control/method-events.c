/* events.subscribe, events.unsubscribe. */
#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "daemon/control/agent-set.h"
#include "daemon/control/hub.h"
#include "daemon/control/subscription.h"

static void fail_replaced(Control *c, Request *req, const char *why)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	char id[UUID_TEXT_LEN + 1];

	uuid_format(eventlog_id(c->log), id);
	rpc_error_set(&error, RPC_LOG_REPLACED, "%s", why);
	rpc_error_add_string(&error, "log_id", id);
	rpc_error_add_uint(&error, "newest_seq", eventlog_end_seq(c->log) - 1);
	request_error(req, &error);
}

/* A request that the place of the subscription has to be free for. */
typedef struct Parked {
	Control *control;
	json_object *params; /* one reference */
	RpcMethod method;
} Parked;

static void unpark(Request *req, void *userdata)
{
	Parked *p = userdata;

	if (!request_conn(req) || p->control->finishing)
		control_reply(req, &(Buf){ 0 }, -ECANCELED);
	else
		p->method(req, p->params, p->control);
	json_object_put(p->params);
	free(p);
}

/* True: another request of that connection is about a subscription and not answered yet; this one
 * is begun once it is, or answered. */
static bool park(Control *c, Request *req, json_object *params, RpcMethod method)
{
	Parked *p = malloc(sizeof(*p));

	if (!p) {
		request_fail(req, -ENOMEM);
		return true;
	}
	*p = (Parked){ .control = c, .params = params, .method = method };
	if (request_wait_for_place(req, unpark, p)) {
		json_object_get(params);
		return true;
	}
	free(p);
	return false;
}

/* False: answered. */
static bool check_place(Control *c, Request *req, json_object *params)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	const char *log_id = jsonx_get_string(params, "log_id", NULL);
	bool has_after = jsonx_get(params, "after", json_type_int) != NULL;
	char id[UUID_TEXT_LEN + 1];

	uuid_format(eventlog_id(c->log), id);
	if (has_after && jsonx_get(params, "last", json_type_int)) {
		rpc_error_set(&error, RPC_INVALID_PARAMS, "after and last exclude each other");
		rpc_error_add_string(&error, "param", "last");
		request_error(req, &error);
		return false;
	}
	if (log_id && strcasecmp(log_id, id) != 0) {
		fail_replaced(c, req, "this is another log than the one with that log_id");
		return false;
	}
	if (has_after && jsonx_get_uint(params, "after", 0) >= eventlog_end_seq(c->log)) {
		fail_replaced(c, req, "the log does not reach as far as `after`");
		return false;
	}
	return true;
}

/* False: answered. */
static bool check_free(Request *req)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	Conn *conn = request_conn(req);

	if (!conn || (!subscription_of(conn) && request_take_place(req)))
		return true;
	rpc_error_set(&error, RPC_ALREADY_SUBSCRIBED,
		"this connection has a subscription already, or asks for one: one a connection");
	request_error(req, &error);
	return false;
}

static int write_opened(const Control *c, Buf *result)
{
	char id[UUID_TEXT_LEN + 1];
	JsonWriter w;

	uuid_format(eventlog_id(c->log), id);
	jw_init(&w, result);
	jw_object_begin(&w);
	jw_key_string(&w, "log_id", id, UUID_TEXT_LEN);
	jw_key_uint(&w, "oldest_seq", eventlog_oldest_seq(c->log));
	jw_key_uint(&w, "newest_seq", eventlog_end_seq(c->log) - 1);
	jw_object_end(&w);
	return jw_finish(&w);
}

static void set_place(Subscription *s, json_object *params)
{
	uint64_t oldest_seq = eventlog_oldest_seq(s->control->log);
	uint64_t after = jsonx_get_uint(params, "after", 0);

	s->until_idle = jsonx_get_string(params, "until", NULL) != NULL;
	s->seek_last = (uint32_t)jsonx_get_uint(params, "last", 0);
	if (!jsonx_get(params, "after", json_type_int))
		return;
	s->cursor = after == 0 ? oldest_seq : after + 1;
	s->told_seq = s->cursor - 1;
}

static void open_subscription(
	Control *c, Request *req, json_object *params, bool by_agents, uint64_t *seqs, size_t n)
{
	_cleanup_free_ uint64_t *agents = seqs;
	_cleanup_buf_ Buf result = { 0 };
	Conn *conn = request_conn(req);
	Subscription *s = NULL;
	Filter *filter;
	int r;

	if (!check_free(req) || !check_place(c, req, params))
		return;
	r = conn ? filter_new(params, &filter) : -ECANCELED;
	if (r == 0) {
		if (by_agents)
			filter_set_agents(filter, TAKE_PTR(agents), n);
		r = subscription_new(c, conn, filter, &s);
	}
	if (r == 0) {
		set_place(s, params);
		r = hub_add(c->hub, s);
	}
	if (r == 0)
		r = write_opened(c, &result);
	if (r < 0 && s)
		subscription_free(s);
	else if (r == 0)
		request_on_replied(req, subscription_on_replied, s);
	control_reply(req, &result, r);
}

void method_events_subscribe(Request *req, json_object *params, void *userdata)
{
	if (park(userdata, req, params, method_events_subscribe))
		return;
	if (check_free(req) && check_place(userdata, req, params))
		agent_set_find(userdata, req, params, open_subscription);
}

void method_events_unsubscribe(Request *req, json_object *params, void *userdata)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	_cleanup_buf_ Buf result = { 0 };
	Conn *conn = request_conn(req);
	Subscription *s = conn ? subscription_of(conn) : NULL;
	int r;

	if (park(userdata, req, params, method_events_unsubscribe))
		return;
	if (!s || !request_take_place(req)) {
		rpc_error_set(&error, RPC_NOT_FOUND, "this connection has no subscription");
		request_error(req, &error);
		return;
	}
	if (s->cold) {
		s->unsubscribe = req;
		return;
	}
	r = buf_printf(&result, "{\"seq\":%llu}", (unsigned long long)subscription_seq(s));
	subscription_free(s);
	control_reply(req, &result, r);
}
