/* agent.spawn. */
#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "daemon/agent/spec-job.h"
#include "daemon/control/agent-call.h"
#include "daemon/control/hub.h"
#include "daemon/control/subscription.h"

/* A spawn on its way. */
typedef struct Spawn {
	AgentWaiter waiter;
	ReaderJob job;
	Control *control;
	Request *request;
	json_object
		*params; /* one reference; the job's while it looks up; NULL once it is submitted */
	bool follow;
	bool names_provider, names_model; /* by itself */
	RpcError refusal;                 /* why it can be no new one; its message is "": it can */
	Agent *agent;                     /* what was reserved */
	Uuid id;
	LogView view;
	/* What the reader found about an id that was given. */
	uint64_t seq; /* 0: there is no such agent */
	bool found;   /* `spec` is what it was spawned with */
	bool same;    /* and it says the same */
	Buf spec;
} Spawn;

static void spawn_free(Spawn *s)
{
	json_object_put(s->params);
	rpc_error_done(&s->refusal);
	buf_done(&s->spec);
	free(s);
}

static void fail(Spawn *s, const RpcError *error)
{
	request_error(s->request, error);
	spawn_free(s);
}

static void fail_internal(Spawn *s, int error)
{
	control_reply(s->request, &(Buf){ 0 }, error);
	spawn_free(s);
}

/* ---- Parameters ---- */

static int check_prompt(const Control *c, json_object *params, RpcError *e)
{
	size_t len = 0;

	(void)jsonx_get_string(params, "prompt", &len);
	if (len <= c->config->max_prompt_bytes)
		return 0;
	rpc_error_set(e, RPC_TOO_LARGE, "prompt is over its limit of %llu bytes",
		(unsigned long long)c->config->max_prompt_bytes);
	rpc_error_add_string(e, "param", "prompt");
	rpc_error_add_uint(e, "limit", c->config->max_prompt_bytes);
	return -EINVAL;
}

static const SchemaField *fields(void)
{
	return protocol_method(METHOD_AGENT_SPAWN)->params;
}

/* What is looked at before the log says it; the other defaults are filled in there. -ENOMEM. */
static int fill_names(json_object *params)
{
	int r = schema_fill(fields(), params, "backend");

	return r < 0 ? r : schema_fill(fields(), params, "group");
}

/* What it says with all defaults. -ENOMEM. */
static int fill_all(json_object *params)
{
	RpcError error = { 0 };
	const char *name = jsonx_get_string(params, "backend", NULL);
	int r = schema_check(fields(), params, "", &error);

	if (r == 0)
		r = schema_check(protocol_backend_find(name)->options,
			jsonx_get(params, "options", json_type_object), "options", &error);
	rpc_error_done(&error);
	return r;
}

static int provider_error(RpcError *e, const char *name, const char *backend)
{
	if (name)
		rpc_error_set(e, RPC_INVALID_PARAMS,
			"options.provider: there is no provider %.128s of kind %s", name, backend);
	else
		rpc_error_set(e, RPC_INVALID_PARAMS,
			"there is no provider of kind %s: the configuration needs a [provider "
			"NAME] "
			"with kind = %s",
			backend, backend);
	rpc_error_add_string(e, "param", "options.provider");
	return -EINVAL;
}

static int add_string(json_object *o, const char *key, const char *text)
{
	json_object *value = json_object_new_string(text);

	if (!value || json_object_object_add(o, key, value) < 0) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

/* Which provider and which model it is, where it says none: the log is to tell. */
static int fill_provider(const Control *c, json_object *params, RpcError *e)
{
	const Providers *providers = orchestrator_providers(c->orchestrator);
	const char *backend = jsonx_get_string(params, "backend", NULL);
	json_object *options = jsonx_get(params, "options", json_type_object);
	const char *name = jsonx_get_string(options, "provider", NULL);
	const Provider *p =
		name ? providers_find(providers, name) : providers_first(providers, backend);
	int r = 0;

	if (!p || strcmp(p->settings->kind, backend) != 0)
		return provider_error(e, name, backend);
	if (!name)
		r = add_string(options, "provider", p->name);
	if (r < 0 || jsonx_get_string(options, "model", NULL))
		return r;
	if (p->settings->model)
		return add_string(options, "model", p->settings->model);
	rpc_error_set(e, RPC_INVALID_PARAMS,
		"options.model is missing, and provider %.128s has no model of its own", p->name);
	rpc_error_add_string(e, "param", "options.model");
	return -EINVAL;
}

/* What only they know that call a provider. */
static int check_timeouts(json_object *params, RpcError *e)
{
	static const char *const names[] = { "timeouts.connect_ms", "timeouts.first_chunk_ms" };
	json_object *timeouts = jsonx_get(params, "timeouts", json_type_object);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!jsonx_get(timeouts, strchr(names[i], '.') + 1, json_type_int))
			continue;
		return rpc_error_refuse(e, names[i], "is for backends that call a provider");
	}
	return 0;
}

static bool calls_provider(json_object *params)
{
	return backend_find(jsonx_get_string(params, "backend", NULL))->calls_provider;
}

/* What depends on how the daemon is configured by now. */
static int find_refusal(const Control *c, json_object *params, RpcError *e)
{
	int r = check_prompt(c, params, e);

	return r == 0 && calls_provider(params) ? fill_provider(c, params, e) : r;
}

static int check_params(json_object *params, RpcError *e)
{
	json_object *options = jsonx_get(params, "options", json_type_object);
	const Backend *backend;
	const char *name;
	int r = fill_names(params);

	if (r < 0)
		return r;
	name = jsonx_get_string(params, "backend", NULL);
	backend = backend_find(name);
	if (backend->calls_provider) {
		r = schema_fill(fields(), params, "options");
		options = jsonx_get(params, "options", json_type_object);
	}
	if (r == 0)
		r = schema_check_given(protocol_backend_find(name)->options, options, "options", e);
	if (r == 0 && backend->check)
		r = backend->check(options, e);
	if (r == 0 && !backend->calls_provider)
		r = check_timeouts(params, e);
	return r;
}

static int get_id(json_object *params, Uuid *ret, RpcError *e)
{
	size_t len;
	const char *text = jsonx_get_string(params, "agent_id", &len);

	if (!text)
		return uuid_generate(ret);
	if (uuid_parse(text, len, ret) == 0)
		return 0;
	rpc_error_set(e, RPC_INVALID_PARAMS, "agent_id must be a whole UUID");
	rpc_error_add_string(e, "param", "agent_id");
	return -EINVAL;
}

static int check_open(const Control *c, RpcError *e)
{
	const Projection *projection = orchestrator_projection(c->orchestrator);

	if (orchestrator_is_stopping(c->orchestrator))
		return rpc_error_set(e, RPC_SHUTTING_DOWN, "the daemon is being stopped");
	if (eventlog_error(c->log) < 0)
		return rpc_error_set(e, RPC_LOG_UNAVAILABLE, "the log cannot be written: %s",
			strerror(-eventlog_error(c->log)));
	if (projection_is_full(projection))
		return rpc_error_set(e, RPC_LOG_UNAVAILABLE,
			"the catalog behind the log cannot be written: %s",
			strerror(-projection_error(projection)));
	return 0;
}

static int check_follow(Request *req, bool follow, RpcError *e)
{
	Conn *conn = request_conn(req);

	if (follow && conn && (subscription_of(conn) || !request_take_place(req)))
		return rpc_error_set(e, RPC_ALREADY_SUBSCRIBED,
			"this connection has a subscription already, or asks for one, so it cannot "
			"follow the agent");
	return 0;
}

/* ---- Answers ---- */

/* Subscribes the connection to the agent, from its AgentSpawned on. -ENOMEM. */
static int follow(Spawn *s, uint64_t seq)
{
	Conn *conn = request_conn(s->request);
	Subscription *subscription;
	uint64_t *agents;
	Filter *filter;
	int r;

	if (!conn || subscription_of(conn))
		return 0;
	agents = malloc(sizeof(*agents));
	if (!agents)
		return -ENOMEM;
	agents[0] = seq;
	filter = calloc(1, sizeof(*filter));
	if (!filter) {
		free(agents);
		return -ENOMEM;
	}
	filter_set_agents(filter, agents, 1);
	r = subscription_new(s->control, conn, filter, &subscription);
	if (r < 0)
		return r;
	subscription->until_idle = true;
	subscription->cursor = seq;
	subscription->told_seq = seq - 1;
	r = hub_add(s->control->hub, subscription);
	if (r < 0)
		subscription_free(subscription);
	else
		request_on_replied(s->request, subscription_on_replied, subscription);
	return r;
}

static void succeed(Spawn *s, uint64_t seq, bool created)
{
	_cleanup_buf_ Buf result = { 0 };
	char id[UUID_TEXT_LEN + 1];
	JsonWriter w;
	int r = s->follow ? follow(s, seq) : 0;

	uuid_format(&s->id, id);
	jw_init(&w, &result);
	jw_object_begin(&w);
	jw_key_string(&w, "agent_id", id, UUID_TEXT_LEN);
	jw_key_uint(&w, "seq", seq);
	jw_key_bool(&w, "created", created);
	jw_object_end(&w);
	control_reply(s->request, &result, r < 0 ? r : jw_finish(&w));
	spawn_free(s);
}

static void fail_unavailable(Spawn *s)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	int reason = eventlog_error(s->control->log);

	rpc_error_set(&error, RPC_LOG_UNAVAILABLE, "the log cannot be written%s%s",
		reason < 0 ? ": " : "", reason < 0 ? strerror(-reason) : "");
	fail(s, &error);
}

static void on_logged(AgentWaiter *w, Agent *a, AgentChange change)
{
	Spawn *s = container_of(w, Spawn, waiter);

	if (change == AGENT_ACCEPTED)
		succeed(s, a->seq, true);
	else
		fail_unavailable(s);
}

static void refuse_full(Spawn *s)
{
	uint32_t limit = s->control->config->max_queued;

	rpc_error_set(&s->refusal, RPC_QUEUE_FULL, "%u agents are queued already", limit);
	rpc_error_add_uint(&s->refusal, "limit", limit);
}

static bool is_refused(const Spawn *s)
{
	return s->refusal.message[0] != '\0';
}

static void submit(Spawn *s)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	int r;

	/* It may have been looked up meanwhile. */
	if (check_open(s->control, &error) < 0) {
		orchestrator_withdraw(s->control->orchestrator, s->agent);
		fail(s, &error);
		return;
	}
	s->waiter.changes = 1U << AGENT_ACCEPTED | 1U << AGENT_REJECTED;
	s->waiter.on_change = on_logged;
	r = orchestrator_submit(s->control->orchestrator, s->agent, s->params);
	if (r < 0) {
		orchestrator_withdraw(s->control->orchestrator, s->agent);
		fail_internal(s, r);
		return;
	}
	json_object_put(TAKE_PTR(s->params));
	agent_add_waiter(s->agent, &s->waiter);
}

/* ---- An id that was given ---- */

/* What it left to the configuration, which may be another one by now. */
static void drop_chosen(const Spawn *s, json_object *spawn)
{
	json_object *options = jsonx_get(spawn, "options", json_type_object);

	if (options && !s->names_provider)
		json_object_object_del(options, "provider");
	if (options && !s->names_model)
		json_object_object_del(options, "model");
}

/* What a spawn says, without what the log adds to it. `params` gets its defaults, and loses what it
 * adds itself. */
static bool same_spawn(const Spawn *s, const char *spec, size_t len)
{
	static const char *const added[] = { "seq", "time", "type", "uid", "agent_id" };
	_cleanup_json_ json_object *logged = NULL;
	json_object *params = s->params;
	JsonxError why;

	if (jsonx_parse(spec, len, &logged, &why) < 0 || fill_all(params) < 0)
		return false;
	drop_chosen(s, params);
	drop_chosen(s, logged);
	for (size_t i = 0; i < ARRAY_SIZE(added); i++)
		json_object_object_del(logged, added[i]);
	json_object_object_del(params, "agent_id");
	json_object_object_del(params, "follow");
	return jsonx_equal(params, logged);
}

static void answer_again(Spawn *s, bool same)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	char id[UUID_TEXT_LEN + 1];

	if (same) {
		succeed(s, s->seq, false);
		return;
	}
	uuid_format(&s->id, id);
	rpc_error_set(&error, RPC_ALREADY_EXISTS, "agent %s was spawned with other parameters", id);
	rpc_error_add_string(&error, "agent_id", id);
	fail(s, &error);
}

static int on_row(const CatalogRow *row, void *userdata)
{
	Spawn *s = userdata;

	s->seq = row->seq;
	return buf_append(&s->spec, row->spec, row->spec_len);
}

/* Of params, main drops no more than a reference meanwhile, the line's; here none is taken and none
 * is dropped. */
static bool look_up_run(ReaderJob *job, Reader *reader)
{
	Spawn *s = container_of(job, Spawn, job);

	if (s->found) {
		s->same = same_spawn(s, s->spec.data, s->spec.len);
		buf_done(&s->spec);
		return false;
	}
	if (s->seq > 0)
		job->error = spec_read(reader, &s->view, s->seq, &s->spec);
	else
		job->error = catalog_get_by_id(reader_catalog(reader), &s->id, on_row, s);
	/* To compare some MiB takes its time: the others come in between. */
	s->found = job->error == 0;
	return s->found;
}

static void look_up_done(ReaderJob *job)
{
	Spawn *s = container_of(job, Spawn, job);
	Agent *reserved = s->agent;

	log_view_release(&s->view);
	request_set_heavy(s->request, false);
	if (job->error == -ENOENT && reserved) {
		submit(s);
		return;
	}
	if (reserved)
		orchestrator_withdraw(s->control->orchestrator, reserved);
	if (job->error == -ENOENT && is_refused(s))
		fail(s, &s->refusal);
	else if (job->error < 0)
		fail_internal(s, job->error);
	else
		answer_again(s, s->same);
}

/* On the reader: in the catalog (the id is reserved meanwhile, if it can be a new one), or the spec
 * of one that is in memory. */
static void look_up(Spawn *s)
{
	request_set_heavy(s->request, true);
	s->job.error = 0;
	s->view = eventlog_view(s->control->log);
	s->job.run = look_up_run;
	s->job.done = look_up_done;
	reader_post(s->control->reader, &s->job);
}

static void on_other_known(AgentWaiter *w, Agent *a, AgentChange change);

/* There is one of that id in memory. */
static void meet(Spawn *s, Agent *a)
{
	size_t prompt_bytes = 0;

	if (a->spawning) {
		s->waiter.changes = 1U << AGENT_ACCEPTED | 1U << AGENT_REJECTED;
		s->waiter.on_change = on_other_known;
		agent_add_waiter(a, &s->waiter);
		return;
	}
	s->seq = a->seq;
	(void)jsonx_get_string(s->params, "prompt", &prompt_bytes);
	if (prompt_bytes != a->prompt_bytes)
		answer_again(s, false);
	else if (a->spec)
		answer_again(s, same_spawn(s, a->spec, a->spec_len));
	else
		look_up(s);
}

static bool has_id(const Spawn *s)
{
	return jsonx_get(s->params, "agent_id", json_type_string) != NULL;
}

/* One that is refused may still have been spawned before. */
static void reserve(Spawn *s)
{
	int r = 0;

	if (!is_refused(s))
		r = orchestrator_reserve(s->control->orchestrator, &s->id, s->params,
			request_peer(s->request)->uid, &s->agent);
	if (r == -ENOBUFS) {
		refuse_full(s);
	} else if (r < 0) {
		fail_internal(s, r);
		return;
	}
	if (has_id(s))
		look_up(s);
	else if (is_refused(s))
		fail(s, &s->refusal);
	else
		submit(s);
}

static void begin(Spawn *s)
{
	Agent *a = registry_find(orchestrator_registry(s->control->orchestrator), &s->id);

	if (a)
		meet(s, a);
	else
		reserve(s);
}

static void on_other_known(AgentWaiter *w, Agent *a, AgentChange change)
{
	(void)a;
	(void)change;
	begin(container_of(w, Spawn, waiter));
}

void method_agent_spawn(Request *req, json_object *params, void *userdata)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	Control *c = userdata;
	bool wants_follow = jsonx_get_bool(params, "follow", false);
	Uuid id;
	Spawn *s;
	json_object *options = jsonx_get(params, "options", json_type_object);
	bool names_provider = jsonx_get_string(options, "provider", NULL) != NULL;
	bool names_model = jsonx_get_string(options, "model", NULL) != NULL;
	int r = check_params(params, &error);

	if (r == 0)
		r = get_id(params, &id, &error);
	if (r == 0)
		r = check_follow(req, wants_follow, &error);
	if (r == 0)
		r = check_open(c, &error);
	if (r == -EINVAL) {
		request_error(req, &error);
		return;
	}
	s = r == 0 ? calloc(1, sizeof(*s)) : NULL;
	if (!s) {
		request_fail(req, r < 0 ? r : -ENOMEM);
		return;
	}
	s->control = c;
	s->request = req;
	s->params = json_object_get(params);
	s->follow = wants_follow;
	s->names_provider = names_provider;
	s->names_model = names_model;
	s->id = id;
	list_init(&s->waiter.node);
	if (find_refusal(c, params, &s->refusal) == -ENOMEM)
		fail_internal(s, -ENOMEM);
	else
		begin(s);
}
