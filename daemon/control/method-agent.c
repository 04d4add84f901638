/* agent.get, agent.wait, agent.cancel, agent.send. */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "common/base64.h"
#include "common/jsonx.h"
#include "daemon/agent/spec-job.h"
#include "daemon/control/agent-call.h"
#include "daemon/control/agent-view.h"

/* ---- agent.get ---- */

typedef struct GetJob {
	ReaderJob job;
	AgentCall *call;
	Agent *agent; /* held; NULL: it is in the catalog alone */
	CatalogRow row;
	AgentNow now;
	uint64_t seq;
	LogView view;
	Buf result;
} GetJob;

static int write_view(Buf *result, const CatalogRow *row, const AgentNow *now)
{
	JsonWriter w;

	jw_init(&w, result);
	agent_view_write(&w, row, now);
	return jw_finish(&w);
}

static int on_row(const CatalogRow *row, void *userdata)
{
	return write_view(userdata, row, NULL);
}

static int write_with_spec(GetJob *j, Reader *reader)
{
	_cleanup_buf_ Buf spec = { 0 };
	CatalogRow row = j->row;
	int r = spec_read(reader, &j->view, j->seq, &spec);

	if (r < 0)
		return r;
	row.spec = spec.data;
	row.spec_len = spec.len;
	return write_view(&j->result, &row, &j->now);
}

static bool get_run(ReaderJob *job, Reader *reader)
{
	GetJob *j = container_of(job, GetJob, job);

	if (j->agent)
		job->error = write_with_spec(j, reader);
	else
		job->error = catalog_get(reader_catalog(reader), j->seq, on_row, &j->result);
	return false;
}

static void get_done(ReaderJob *job)
{
	GetJob *j = container_of(job, GetJob, job);

	log_view_release(&j->view);
	if (j->agent)
		j->agent->holds--;
	if (job->error == -ENOENT)
		agent_call_not_found(j->call);
	else
		agent_call_reply(j->call, &j->result, job->error);
	buf_done(&j->result);
	free(j);
}

static void get_later(AgentCall *call, Agent *a, uint64_t seq)
{
	GetJob *j = calloc(1, sizeof(*j));

	if (!j) {
		agent_call_reply(call, &(Buf){ 0 }, -ENOMEM);
		return;
	}
	j->job.run = get_run;
	j->job.done = get_done;
	j->call = call;
	j->seq = seq;
	if (a) {
		/* Its ending is set once and its counters are copied, so the reader may look at the
		 * row. */
		j->agent = a;
		a->holds++;
		j->row = agent_row(a);
		j->now = agent_view_now(a);
	}
	j->view = eventlog_view(call->control->log);
	control_post(call->control, call->request, &j->job);
}

/* No agent changes without an event. */
static int write_latest(AgentText *latest, const Agent *a)
{
	AgentNow now = agent_view_now(a);
	CatalogRow row;
	int r;

	if (latest->text.len > 0 && latest->seq == a->seq && latest->last_seq == a->last_seq)
		return 0;
	row = agent_row(a);
	latest->seq = a->seq;
	latest->last_seq = a->last_seq;
	latest->text.len = 0;
	r = write_view(&latest->text, &row, &now);
	if (r < 0)
		latest->text.len = 0;
	return r;
}

static void answer_get(AgentCall *call, Agent *a, uint64_t seq)
{
	AgentText *latest = &call->control->latest;

	if (!a || !a->spec)
		get_later(call, a, seq);
	else
		agent_call_reply(call, &latest->text, write_latest(latest, a));
}

void method_agent_get(Request *req, json_object *params, void *userdata)
{
	agent_call(userdata, req, params, answer_get);
}

/* ---- agent.wait ---- */

static void on_wait_timeout(evutil_socket_t fd, short what, void *userdata)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	AgentCall *call = userdata;

	(void)fd;
	(void)what;
	rpc_error_set(&error, RPC_TIMEOUT, "the agent has not ended within %lld ms",
		(long long)jsonx_get_int(call->params, "timeout_ms", 0));
	agent_call_error(call, &error);
}

static void on_wait_ended(AgentWaiter *w, Agent *a, AgentChange change)
{
	AgentCall *call = container_of(w, AgentCall, waiter);

	(void)change;
	if (call->timer)
		evtimer_del(call->timer);
	answer_get(call, a, a->seq);
}

static int start_wait_timer(AgentCall *call)
{
	int64_t ms = jsonx_get_int(call->params, "timeout_ms", -1);
	struct timeval tv = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};

	if (ms < 0)
		return 0;
	call->timer = evtimer_new(call->control->base, on_wait_timeout, call);
	return call->timer && evtimer_add(call->timer, &tv) == 0 ? 0 : -ENOMEM;
}

static void run_wait(AgentCall *call, Agent *a, uint64_t seq)
{
	if (!a || !agent_is_live(a)) {
		answer_get(call, a, seq);
		return;
	}
	if (start_wait_timer(call) < 0) {
		agent_call_reply(call, &(Buf){ 0 }, -ENOMEM);
		return;
	}
	call->waiter.changes = 1U << AGENT_ENDED;
	call->waiter.on_change = on_wait_ended;
	agent_call_wait(call, a);
}

void method_agent_wait(Request *req, json_object *params, void *userdata)
{
	agent_call(userdata, req, params, run_wait);
}

/* ---- agent.cancel ---- */

static void fail_not_running(AgentCall *call, const char *why)
{
	_cleanup_rpc_error_ RpcError error = { 0 };

	rpc_error_set(&error, RPC_NOT_RUNNING, "agent %.64s %s", call->id, why);
	agent_call_error(call, &error);
}

/* Who may submit may cancel and feed what the same uid spawned; an admin all. */
static bool may_touch(AgentCall *call, const Agent *a)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	const Peer *peer = request_peer(call->request);

	if (peer->role == ROLE_ADMIN || peer->uid == a->uid)
		return true;
	rpc_error_set(&error, RPC_PERMISSION_DENIED,
		"agent %.64s was spawned by uid %u; only that one or an admin may do this",
		call->id, a->uid);
	rpc_error_add_string(&error, "need", role_to_string(ROLE_ADMIN));
	agent_call_error(call, &error);
	return false;
}

static void on_cancelled(AgentWaiter *w, Agent *a, AgentChange change)
{
	AgentCall *call = container_of(w, AgentCall, waiter);
	_cleanup_buf_ Buf result = { 0 };
	char id[UUID_TEXT_LEN + 1];
	JsonWriter writer;

	(void)change;
	uuid_format(&a->id, id);
	jw_init(&writer, &result);
	jw_object_begin(&writer);
	jw_key_string(&writer, "agent_id", id, UUID_TEXT_LEN);
	jw_key_cstring(&writer, "state", agent_state_to_string(a->state));
	jw_object_end(&writer);
	agent_call_reply(call, &result, jw_finish(&writer));
}

static void run_cancel(AgentCall *call, Agent *a, uint64_t seq)
{
	int r;

	(void)seq;
	if (a && !may_touch(call, a))
		return;
	if (!a || !agent_is_live(a)) {
		fail_not_running(call, "has ended already");
		return;
	}
	r = orchestrator_cancel(call->control->orchestrator, a);
	if (r < 0) {
		agent_call_reply(call, &(Buf){ 0 }, r);
		return;
	}
	call->waiter.changes = 1U << AGENT_ENDED;
	call->waiter.on_change = on_cancelled;
	agent_call_wait(call, a);
}

void method_agent_cancel(Request *req, json_object *params, void *userdata)
{
	agent_call(userdata, req, params, run_cancel);
}

/* ---- agent.send ---- */

static void fail_input_full(AgentCall *call, const char *why, uint64_t limit)
{
	_cleanup_rpc_error_ RpcError error = { 0 };

	rpc_error_set(&error, RPC_QUEUE_FULL, "%s; nothing was queued", why);
	rpc_error_add_uint(&error, "limit", limit);
	agent_call_error(call, &error);
}

static void fail_send(AgentCall *call, int error)
{
	if (error == -EPIPE)
		fail_not_running(call, "takes no input, or no more");
	else if (error == -ENOBUFS)
		fail_input_full(call, "the program has not read what it was sent before",
			PROTOCOL_MAX_INPUT_BYTES);
	else if (error == -EDQUOT)
		fail_input_full(call, "agents that do not run yet were sent too much before",
			PROTOCOL_MAX_ALL_INPUT_BYTES);
	else
		agent_call_reply(call, &(Buf){ 0 }, error);
}

typedef struct Sent {
	AgentCall *call;
	Uuid id;
} Sent;

static void on_sent(ssize_t queued, void *userdata)
{
	Sent *sent = userdata;
	AgentCall *call = sent->call;
	_cleanup_buf_ Buf result = { 0 };
	char id[UUID_TEXT_LEN + 1];
	JsonWriter w;

	uuid_format(&sent->id, id);
	free(sent);
	if (queued < 0) {
		fail_send(call, (int)queued);
		return;
	}
	jw_init(&w, &result);
	jw_object_begin(&w);
	jw_key_string(&w, "agent_id", id, UUID_TEXT_LEN);
	jw_key_uint(&w, "queued_bytes", (uint64_t)queued);
	jw_object_end(&w);
	agent_call_reply(call, &result, jw_finish(&w));
}

static int read_data(AgentCall *call, Buf *b)
{
	size_t len;
	const char *data = jsonx_get_string(call->params, "data", &len);

	if (jsonx_get_string(call->params, "encoding", NULL))
		return base64_decode(data, len, b);
	return buf_append(b, data, len);
}

static int send_to(AgentCall *call, Agent *a, const Buf *data)
{
	bool eof = jsonx_get_bool(call->params, "eof", false);
	Sent *sent = malloc(sizeof(*sent));
	int r;

	if (!sent)
		return -ENOMEM;
	*sent = (Sent){ .call = call, .id = a->id };
	r = orchestrator_send(
		call->control->orchestrator, a, data->data, data->len, eof, on_sent, sent);
	if (r < 0)
		free(sent);
	return r;
}

static void run_send(AgentCall *call, Agent *a, uint64_t seq)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	_cleanup_buf_ Buf data = { 0 };
	int r;

	(void)seq;
	if (a && !may_touch(call, a))
		return;
	r = read_data(call, &data);
	if (r == -EBADMSG) {
		rpc_error_set(&error, RPC_INVALID_PARAMS, "data is not base64");
		rpc_error_add_string(&error, "param", "data");
		agent_call_error(call, &error);
		return;
	}
	if (!a || !agent_is_live(a)) {
		fail_not_running(call, "has ended");
		return;
	}
	if (r == 0)
		r = send_to(call, a, &data);
	if (r < 0)
		fail_send(call, r);
}

void method_agent_send(Request *req, json_object *params, void *userdata)
{
	agent_call(userdata, req, params, run_send);
}
