#include "daemon/control/agent-call.h"

#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "common/jsonx.h"

/* How many ids an `ambiguous` names. */
#define MAX_MATCHES 10

/* Whom an id that is not in memory, or a prefix, means: asked on the reader's thread. */
typedef struct FindJob {
	ReaderJob job;
	AgentCall *call;
	bool whole; /* a whole id */
	Uuid id;
	char prefix[UUID_TEXT_LEN + 1];
	struct {
		uint64_t seq; /* 0: its spawn is being logged */
		Uuid id;
	} matches[MAX_MATCHES];
	size_t n;
} FindJob;

int agent_call_new(
	Control *control, const char *id, size_t index, AgentCallRun run, AgentCall **ret)
{
	AgentCall *call = calloc(1, sizeof(*call));

	if (!call)
		return -ENOMEM;
	call->control = control;
	call->run = run;
	call->params = json_object_new_string(id);
	if (!call->params) {
		free(call);
		return -ENOMEM;
	}
	call->id = json_object_get_string(call->params);
	(void)snprintf(call->param, sizeof(call->param), "agents[%zu]", index);
	list_init(&call->waiter.node);
	list_append(&control->calls, &call->node);
	*ret = call;
	return 0;
}

void agent_call_free(AgentCall *call)
{
	if (!call)
		return;
	list_remove(&call->node);
	list_remove(&call->waiter.node);
	if (call->timer)
		event_free(call->timer);
	json_object_put(call->params);
	free(call);
}

void agent_call_reply(AgentCall *call, Buf *result, int error)
{
	control_reply(TAKE_PTR(call->request), result, error);
	agent_call_free(call);
}

void agent_call_error(AgentCall *call, const RpcError *error)
{
	if (call->on_failed) {
		call->on_failed(call, error);
		return;
	}
	request_error(TAKE_PTR(call->request), error);
	agent_call_free(call);
}

void agent_call_cancel(AgentCall *call)
{
	_cleanup_rpc_error_ RpcError error = { 0 };

	rpc_error_set(&error, RPC_SHUTTING_DOWN, "the daemon is being stopped");
	agent_call_error(call, &error);
}

static void on_gone(void *userdata)
{
	agent_call_cancel(userdata);
}

void agent_call_wait(AgentCall *call, Agent *agent)
{
	if (call->request && !request_on_gone(call->request, on_gone, call))
		agent_call_cancel(call);
	else
		agent_add_waiter(agent, &call->waiter);
}

void agent_call_not_found(AgentCall *call)
{
	_cleanup_rpc_error_ RpcError error = { 0 };

	control_not_found_error(&error, call->id);
	agent_call_error(call, &error);
}

static void fail_ambiguous(AgentCall *call, const FindJob *j)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	JsonWriter w;

	rpc_error_set(
		&error, RPC_AMBIGUOUS, "%.64s is the beginning of more than one id", call->id);
	jw_init(&w, &error.data);
	jw_key(&w, "matches");
	jw_array_begin(&w);
	for (size_t i = 0; i < j->n; i++) {
		char id[UUID_TEXT_LEN + 1];

		uuid_format(&j->matches[i].id, id);
		jw_string(&w, id, UUID_TEXT_LEN);
	}
	jw_array_end(&w);
	if (jw_finish(&w) < 0)
		error.data.len = 0;
	agent_call_error(call, &error);
}

static void fail_internal(AgentCall *call, int reason)
{
	_cleanup_rpc_error_ RpcError error = { 0 };

	rpc_error_set(&error, RPC_INTERNAL_ERROR, "%s", strerror(-reason));
	agent_call_error(call, &error);
}

/* Whoever changes nothing need not be found for a client that has gone; what else a client asked
 * for is done. */
static bool only_answers(const AgentCall *call)
{
	return call->request &&
	       protocol_method(request_method(call->request))->role == ROLE_OBSERVE;
}

static void on_spawn_known(AgentWaiter *w, Agent *a, AgentChange change)
{
	AgentCall *call = container_of(w, AgentCall, waiter);

	(void)a;
	(void)change;
	if (call->request)
		request_forget_on_gone(call->request);
	agent_call_start(call);
}

/* In memory: at once, or as soon as its spawn is logged. */
static void go(AgentCall *call, Agent *a)
{
	if (a->spawning) {
		call->waiter.changes = 1U << AGENT_ACCEPTED | 1U << AGENT_REJECTED;
		call->waiter.on_change = on_spawn_known;
		if (only_answers(call))
			agent_call_wait(call, a);
		else
			agent_add_waiter(a, &call->waiter);
		return;
	}
	call->run(call, a, a->seq);
}

/* ---- Prefixes, and ids that are not in memory ---- */

static void add_match(FindJob *j, uint64_t seq, const Uuid *id)
{
	for (size_t i = 0; i < j->n; i++)
		if (uuid_equal(&j->matches[i].id, id))
			return;
	if (j->n == MAX_MATCHES)
		return;
	j->matches[j->n].seq = seq;
	j->matches[j->n++].id = *id;
}

static bool on_memory_match(Agent *a, void *userdata)
{
	FindJob *j = userdata;

	add_match(j, a->seq, &a->id);
	return j->n < MAX_MATCHES;
}

static int on_row_match(const CatalogRow *row, void *userdata)
{
	add_match(userdata, row->seq, &row->agent_id);
	return 0;
}

static bool find_run(ReaderJob *job, Reader *reader)
{
	FindJob *j = container_of(job, FindJob, job);
	Catalog *catalog = reader_catalog(reader);

	if (j->whole)
		job->error = catalog_get_by_id(catalog, &j->id, on_row_match, j);
	else
		job->error = catalog_find_prefix(catalog, j->prefix, MAX_MATCHES, on_row_match, j);
	return false;
}

static void find_done(ReaderJob *job)
{
	FindJob *j = container_of(job, FindJob, job);
	AgentCall *call = j->call;
	Agent *a;

	if (call->request)
		request_forget_on_gone(call->request);
	if (job->error == -ECANCELED) {
		agent_call_cancel(call);
	} else if (job->error < 0 && job->error != -ENOENT) {
		fail_internal(call, job->error);
	} else if (j->n == 0) {
		agent_call_not_found(call);
	} else if (j->n > 1) {
		fail_ambiguous(call, j);
	} else {
		a = registry_find(
			orchestrator_registry(call->control->orchestrator), &j->matches[0].id);
		if (a)
			go(call, a);
		else
			call->run(call, NULL, j->matches[0].seq);
	}
	free(j);
}

static void find(AgentCall *call, const Uuid *id, size_t len)
{
	FindJob *j = calloc(1, sizeof(*j));

	if (!j) {
		fail_internal(call, -ENOMEM);
		return;
	}
	j->job.run = find_run;
	j->job.done = find_done;
	j->call = call;
	if (id) {
		j->whole = true;
		j->id = *id;
	} else {
		for (size_t i = 0; i < len; i++)
			j->prefix[i] = (char)tolower((unsigned char)call->id[i]);
		registry_find_prefix(orchestrator_registry(call->control->orchestrator), j->prefix,
			len, on_memory_match, j);
	}
	if (only_answers(call))
		control_post(call->control, call->request, &j->job);
	else
		reader_post(call->control->reader, &j->job);
}

void agent_call_start(AgentCall *call)
{
	size_t len = strlen(call->id);
	Uuid id;

	if (uuid_parse(call->id, len, &id) == 0) {
		Agent *a = registry_find(orchestrator_registry(call->control->orchestrator), &id);

		if (a)
			go(call, a);
		else
			find(call, &id, len);
		return;
	}
	if (len < PROTOCOL_MIN_PREFIX_CHARS) {
		_cleanup_rpc_error_ RpcError error = { 0 };

		rpc_error_set(&error, RPC_INVALID_PARAMS,
			"%s must be a UUID or at least the first %u characters of one", call->param,
			PROTOCOL_MIN_PREFIX_CHARS);
		rpc_error_add_string(&error, "param", call->param);
		agent_call_error(call, &error);
		return;
	}
	if (len > UUID_TEXT_LEN) {
		agent_call_not_found(call);
		return;
	}
	find(call, NULL, len);
}

void agent_call(Control *control, Request *req, json_object *params, AgentCallRun run)
{
	AgentCall *call = calloc(1, sizeof(*call));

	if (!call) {
		request_fail(req, -ENOMEM);
		return;
	}
	call->control = control;
	call->request = req;
	call->params = json_object_get(params);
	call->id = jsonx_get_string(params, "agent_id", NULL);
	(void)snprintf(call->param, sizeof(call->param), "agent_id");
	call->run = run;
	list_init(&call->waiter.node);
	list_append(&control->calls, &call->node);
	agent_call_start(call);
}
