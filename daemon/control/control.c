#include "daemon/control/control.h"

#include <errno.h>

#include "common/clock.h"
#include "daemon/control/agent-call.h"
#include "daemon/control/hub.h"
#include "daemon/control/log-stats.h"

/* A larger one is freed at the end of the turn. */
#define LATEST_KEEP_BYTES (64U * 1024)

static const RpcMethod methods[_METHOD_MAX] = {
	[METHOD_DAEMON_STATUS] = method_daemon_status,
	[METHOD_DAEMON_METRICS] = method_daemon_metrics,
	[METHOD_AGENT_SPAWN] = method_agent_spawn,
	[METHOD_AGENT_GET] = method_agent_get,
	[METHOD_AGENT_LIST] = method_agent_list,
	[METHOD_AGENT_OUTPUT] = method_agent_output,
	[METHOD_AGENT_SEND] = method_agent_send,
	[METHOD_AGENT_CANCEL] = method_agent_cancel,
	[METHOD_AGENT_WAIT] = method_agent_wait,
	[METHOD_PROVIDER_LIST] = method_provider_list,
	[METHOD_SUBSCRIBER_LIST] = method_subscriber_list,
	[METHOD_EVENTS_SUBSCRIBE] = method_events_subscribe,
	[METHOD_EVENTS_UNSUBSCRIBE] = method_events_unsubscribe,
	[METHOD_EVENTS_READ] = method_events_read,
	[METHOD_EVENTS_STATS] = method_events_stats,
};

int control_new(const ControlStart *start, Control **ret)
{
	Control *c = calloc(1, sizeof(*c));
	ConnHooks hooks;
	int r;

	if (!c)
		return -ENOMEM;
	c->base = start->base;
	c->config = start->config;
	c->log = start->log;
	c->reader = start->reader;
	c->orchestrator = start->orchestrator;
	c->cgroups = start->cgroups;
	c->instance_id = start->instance_id;
	c->started_us = clock_monotonic_us();
	c->started_at_us = clock_realtime_us();
	list_init(&c->calls);
	r = rpc_new(methods, c, start->config->max_batch, &c->rpc);
	if (r == 0)
		r = hub_new(c, &c->hub);
	if (r == 0)
		r = stats_cache_new(&c->stats);
	if (r == 0) {
		hooks = rpc_conn_hooks(c->rpc);
		r = conn_server_new(c->base, &hooks, start->config->max_request_bytes, &c->conns);
	}
	if (r < 0) {
		control_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

static void cancel_calls(Control *c)
{
	while (!list_empty(&c->calls))
		agent_call_cancel(container_of(c->calls.next, AgentCall, node));
}

void control_free(Control *c)
{
	if (!c)
		return;
	conn_server_free(c->conns);
	/* Their clients have gone; ending them frees the requests and the sets. */
	cancel_calls(c);
	hub_free(c->hub);
	stats_cache_free(c->stats);
	rpc_free(c->rpc);
	buf_done(&c->latest.text);
	free(c);
}

void control_configure(Control *c, const Config *config)
{
	c->config = config;
	conn_server_set_max_request_bytes(c->conns, config->max_request_bytes);
	rpc_set_max_batch(c->rpc, config->max_batch);
}

void control_accepted(Control *c, Agent *a)
{
	hub_accepted(c->hub, a);
}

void control_batch(Control *c, const Batch *batch)
{
	hub_batch(c->hub, batch);
}

bool control_end_turn(Control *c)
{
	buf_clear(&c->latest.text, LATEST_KEEP_BYTES);
	return conn_server_flush(c->conns);
}

bool control_asked_lately(const Control *c)
{
	return conn_server_asked_lately(c->conns);
}

void control_finish(Control *c)
{
	c->finishing = true;
	rpc_finish(c->rpc);
	cancel_calls(c);
	conn_server_finish(c->conns);
}

static void fail_cancelled(Request *req)
{
	_cleanup_rpc_error_ RpcError error = { 0 };

	rpc_error_set(&error, RPC_SHUTTING_DOWN, "the daemon is being stopped");
	request_error(req, &error);
}

void control_reply(Request *req, Buf *result, int error)
{
	if (error == -ECANCELED)
		fail_cancelled(req);
	else if (error < 0)
		request_fail(req, error);
	else
		request_result(req, result->data, result->len);
}

static void drop_job(void *userdata)
{
	reader_job_drop(userdata);
}

void control_post(Control *c, Request *req, ReaderJob *job)
{
	job->for_client = true;
	if (!request_on_gone(req, drop_job, job))
		reader_job_drop(job);
	reader_post(c->reader, job);
}

void control_not_found_error(RpcError *e, const char *id)
{
	rpc_error_set(e, RPC_NOT_FOUND, "no agent %.64s", id);
	rpc_error_add_string(e, "agent_id", id);
}
