#include "daemon/agent/orchestrator-internal.h"
#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/log.h"
#include "daemon/config-agents.h"

/* ---- Start and end ---- */

static void on_broken(void *userdata)
{
	Orchestrator *o = userdata;

	o->hooks.on_broken(o->hooks.userdata);
}

static void on_answered(void *owner, void *userdata)
{
	const Agent *a = owner;

	(void)userdata;
	if (a->ticket)
		ticket_answered(a->ticket);
}

static int start_runners(Orchestrator *o, const OrchestratorStart *start)
{
	o->runners = calloc(start->n_workers, sizeof(*o->runners));
	if (!o->runners)
		return -ENOMEM;
	for (; o->n_runners < start->n_workers; o->n_runners++) {
		RunnerStart runner = {
			.index = o->n_runners,
			.committer = eventlog_committer(o->log),
			.main = start->main,
			.reaper_fd = TAKE_FD(start->reaper_fds[o->n_runners]),
			.hooks = { .on_broken = on_broken,
				.on_answered = on_answered,
				.userdata = o },
		};
		int r = runner_new(&runner, &o->runners[o->n_runners]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* All but those that are said of every agent's event, or not for the log. */
static uint64_t find_logged_params(void)
{
	static const char *const others[] = { "agent_id", "correlation_id", "follow" };
	const SchemaField *params = protocol_method(METHOD_AGENT_SPAWN)->params;
	uint64_t logged = 0;

	for (size_t i = 0; params[i].name; i++) {
		bool is_other = false;

		for (size_t k = 0; k < ARRAY_SIZE(others); k++)
			is_other |= strcmp(params[i].name, others[k]) == 0;
		if (!is_other)
			logged |= 1ULL << i;
	}
	return logged;
}

/* As the configuration has it now. */
static void note_trace(Agent *a, void *userdata)
{
	const Orchestrator *o = userdata;

	a->traced = config_agents_include(o->config->trace_agent, &a->id);
	if (a->run)
		agent_run_trace(a->run, a->traced);
}

int orchestrator_new(const OrchestratorStart *start, Orchestrator **ret)
{
	Orchestrator *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->hooks = start->hooks;
	o->config = start->config;
	o->log = start->log;
	o->reader = start->reader;
	list_init(&o->ended);
	list_init(&o->unsaid);
	o->counts.completed = start->totals.completed;
	o->counts.failed = start->totals.failed;
	o->counts.cancelled = start->totals.cancelled;
	registry_move(start->registry, &o->registry);
	registry_foreach(&o->registry, note_trace, o);
	projection_init(&o->projection, start->log, start->reader, start->applied);
	emitter_init(&o->emitter, eventlog_committer(start->log));
	o->logged_params = find_logged_params();
	r = tallies_init(&o->tallies);
	if (r == 0) {
		tallies_configure(&o->tallies, start->config);
		r = scheduler_init(&o->scheduler, start->config);
	}
	if (r == 0) {
		ProvidersHooks hooks = orchestrator_providers_hooks;

		hooks.userdata = o;
		providers_init(&o->providers, &o->scheduler, start->timers, &hooks);
		r = start_runners(o, start);
	}
	if (r < 0) {
		orchestrator_free(o);
		return r;
	}
	*ret = o;
	return 0;
}

void orchestrator_stop_workers(Orchestrator *o)
{
	for (unsigned i = 0; i < o->n_runners; i++)
		runner_stop(o->runners[i]);
	emitter_flush(&o->emitter);
	list_foreach (node, &o->registry.by_seq)
		container_of(node, Agent, by_seq)->run = NULL; /* the workers have freed them */
}

static void leave(Agent *a, void *userdata)
{
	Orchestrator *o = userdata;

	scheduler_leave(&o->scheduler, a);
}

void orchestrator_free(Orchestrator *o)
{
	if (!o)
		return;
	for (unsigned i = 0; i < o->n_runners; i++)
		runner_free(o->runners[i]);
	free(o->runners);
	emitter_done(&o->emitter);
	projection_done(&o->projection);
	/* Queues and gates look at their agents, also when one of them goes. */
	registry_foreach(&o->registry, leave, o);
	registry_done(&o->registry);
	providers_done(&o->providers);
	scheduler_done(&o->scheduler);
	tallies_done(&o->tallies);
	free(o);
}

int orchestrator_configure(Orchestrator *o, const Config *config)
{
	o->config = config;
	tallies_configure(&o->tallies, config);
	registry_foreach(&o->registry, note_trace, o);
	return scheduler_configure(&o->scheduler, config);
}

static int say_started(
	Orchestrator *o, const Uuid *instance_id, uint64_t requeued, uint64_t interrupted)
{
	JsonWriter *w = orchestrator_begin(o, EVENT_TYPE_DAEMON_STARTED, NULL);
	char id[UUID_TEXT_LEN + 1];
	uint64_t from, to;

	uuid_format(instance_id, id);
	jw_key_cstring(w, "version", LIONGATE_VERSION);
	jw_key_string(w, "instance_id", id, UUID_TEXT_LEN);
	jw_key_uint(w, "requeued", requeued);
	jw_key_uint(w, "interrupted", interrupted);
	if (eventlog_lost(o->log, &from, &to)) {
		jw_key(w, "lost");
		jw_object_begin(w);
		jw_key_uint(w, "from", from);
		jw_key_uint(w, "to", to);
		jw_object_end(w);
	}
	return orchestrator_end(o, NULL, (EventMeta){ .type = EVENT_TYPE_DAEMON_STARTED });
}

static int say_rerun(Orchestrator *o, Agent *a)
{
	JsonWriter *w = orchestrator_begin(o, EVENT_TYPE_AGENT_RETRYING, a);

	jw_key_uint(w, "attempt", a->attempt + 1);
	jw_key_name(w, "code", agent_error_to_string(AGENT_ERROR_INTERRUPTED));
	jw_key_uint(w, "delay_ms", 0);
	return orchestrator_end(o, a,
		(EventMeta){ .type = EVENT_TYPE_AGENT_RETRYING, .code = AGENT_ERROR_INTERRUPTED });
}

static int recover_agent(Orchestrator *o, Agent *a)
{
	int r = a->provider ? ticket_new(&o->providers, a, a->provider) : 0;

	if (r < 0)
		return r;
	a->tally = tallies_find(&o->tallies, a->group_name, a->backend);
	tally_enter(a->tally, a->state);
	if (a->state == AGENT_STATE_QUEUED) {
		o->counts.queued++;
		return orchestrator_enqueue(o, a);
	}
	o->counts.running++;
	if (a->rerun)
		return say_rerun(o, a);
	a->stop = AGENT_ERROR_INTERRUPTED;
	return orchestrator_say_error(
		o, a, AGENT_ERROR_INTERRUPTED, "the daemon died while it ran");
}

int orchestrator_recovered(Orchestrator *o, const Uuid *instance_id, uint64_t *ret_events)
{
	uint64_t requeued = 0, interrupted = 0, running = 0;
	int r;

	list_foreach (node, &o->registry.by_seq) {
		const Agent *a = container_of(node, Agent, by_seq);

		running += a->state == AGENT_STATE_RUNNING;
		if (a->state == AGENT_STATE_RUNNING && !a->rerun)
			interrupted++;
		else
			requeued++;
	}
	r = say_started(o, instance_id, requeued, interrupted);
	list_foreach_safe (node, &o->registry.by_seq) {
		if (r == 0)
			r = recover_agent(o, container_of(node, Agent, by_seq));
	}
	emitter_flush(&o->emitter);
	*ret_events = 1 + running;
	o->settled_seq = eventlog_end_seq(o->log) + *ret_events;
	return r;
}

/* ---- Spawning ---- */

int orchestrator_reserve(
	Orchestrator *o, const Uuid *id, json_object *spawn, uint32_t uid, Agent **ret)
{
	const char *group = jsonx_get_string(spawn, "group", NULL);
	Agent *a;
	Gate *gate = NULL;
	int r = agent_new(id, spawn, uid, &a);

	if (r < 0)
		return r;
	if (a->provider)
		r = ticket_new(&o->providers, a, a->provider);
	if (a->ticket)
		gate = &a->ticket->provider->gate;
	if (r == 0 && !scheduler_has_room(&o->scheduler, group, gate))
		r = -ENOBUFS;
	if (r == 0)
		r = scheduler_join(&o->scheduler, a, group, gate);
	if (r < 0) {
		agent_free(a);
		return r;
	}
	note_trace(a, o);
	registry_add(&o->registry, a);
	*ret = a;
	return 0;
}

int orchestrator_submit(Orchestrator *o, Agent *a, json_object *spawn)
{
	const SchemaField *params = protocol_method(METHOD_AGENT_SPAWN)->params;
	const SchemaField *options = protocol_backend_find(a->backend->name)->options;
	JsonWriter *w = orchestrator_begin(o, EVENT_TYPE_AGENT_SPAWNED, a);

	for (size_t i = 0; params[i].name; i++) {
		const SchemaField *f = &params[i];
		json_object *value = NULL;

		if (!(o->logged_params >> i & 1))
			continue;
		if (strcmp(f->name, "options") == 0) {
			jw_key(w, f->name);
			schema_write(options, jsonx_get(spawn, f->name, json_type_object), w);
		} else if (jsonx_member(spawn, f->name, &value)) {
			jw_key(w, f->name);
			schema_write_value(f, value, w);
		} else if (f->default_json) {
			jw_key_raw(w, f->name, f->default_json, strlen(f->default_json));
		}
	}
	jw_key_uint(w, "uid", a->uid);
	return orchestrator_end(o, a, (EventMeta){ .type = EVENT_TYPE_AGENT_SPAWNED });
}

void orchestrator_withdraw(Orchestrator *o, Agent *a)
{
	scheduler_leave(&o->scheduler, a);
	registry_remove(&o->registry, a);
	agent_notify(a, AGENT_REJECTED);
	agent_free(a);
}

void orchestrator_rejected(Orchestrator *o, void *owner)
{
	orchestrator_withdraw(o, owner);
}

/* ---- What the log says ---- */

static void apply_spawned(Orchestrator *o, Agent *a, const Batch *b, const BatchEntry *e)
{
	size_t len;
	const char *object = line_event(b->data + e->offset, e->len, &len);

	o->counts.queued++;
	a->tally = tallies_find(&o->tallies, a->group_name, a->backend);
	a->tally->spawned++;
	tally_enter(a->tally, AGENT_STATE_QUEUED);
	a->seq = e->meta.agent;
	a->spawned_us = b->time_us;
	if (agent_set_spec(a, object, len) < 0)
		log_warning("out of memory: a spec will be read from the log");
	registry_accept(&o->registry, a);
	if (orchestrator_enqueue(o, a) < 0)
		log_error("out of memory: an agent cannot be queued"); /* room was reserved */
	o->hooks.on_accepted(a, o->hooks.userdata);
	agent_notify(a, AGENT_ACCEPTED);
}

static void apply_started(Orchestrator *o, Agent *a, const Batch *b, const BatchEntry *e)
{
	if (!agent_move(a, AGENT_STATE_RUNNING))
		return;
	a->starting = false;
	a->attempt++;
	a->started_us = b->time_us;
	a->pid = e->meta.pid;
	a->output_seq = a->last_seq;
	if (a->ticket)
		a->ticket->waiting = LIMITER_OPEN;
	o->counts.queued--;
	o->counts.running++;
	tally_move(a->tally, AGENT_STATE_QUEUED, AGENT_STATE_RUNNING);
}

static AgentState final_state(const BatchEntry *e)
{
	if (e->meta.type == EVENT_TYPE_AGENT_COMPLETED)
		return AGENT_STATE_COMPLETED;
	return e->meta.code == AGENT_ERROR_CANCELLED ? AGENT_STATE_CANCELLED : AGENT_STATE_FAILED;
}

static void apply_ended(Orchestrator *o, Agent *a, const Batch *b, const BatchEntry *e)
{
	size_t len;
	const char *object = line_event(b->data + e->offset, e->len, &len);
	AgentState before = a->state;

	if (!agent_move(a, final_state(e)))
		return;
	if (before == AGENT_STATE_RUNNING)
		o->counts.running--;
	else
		o->counts.queued--;
	if (a->state == AGENT_STATE_COMPLETED)
		o->counts.completed++;
	else if (a->state == AGENT_STATE_CANCELLED)
		o->counts.cancelled++;
	else
		o->counts.failed++;
	tally_move(a->tally, before, a->state);
	if (e->meta.type == EVENT_TYPE_AGENT_ERROR)
		o->totals.errors[e->meta.code]++;
	a->ended_us = b->time_us;
	a->pid = 0;
	if (agent_set_ending(a, object, len) < 0)
		log_error("out of memory: an agent's ending is not shown");
	scheduler_leave(&o->scheduler, a);
	if (a->ticket)
		orchestrator_call_over(a, b, e);
	if (a->run)
		runner_free_run(a->runner, TAKE_PTR(a->run));
	list_append(&o->ended, &a->ended);
	agent_notify(a, AGENT_ENDED);
}

static void apply_entry(Orchestrator *o, const Batch *b, const BatchEntry *e, uint64_t seq)
{
	Agent *a = e->meta.owner;

	if (e->meta.type != EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		o->totals.events[e->meta.type]++;
	if (!a)
		return;
	a->last_seq = seq;
	switch (e->meta.type) {
	case EVENT_TYPE_AGENT_SPAWNED:
		apply_spawned(o, a, b, e);
		break;
	case EVENT_TYPE_AGENT_STARTED:
		apply_started(o, a, b, e);
		break;
	case EVENT_TYPE_AGENT_RETRYING:
		orchestrator_apply_retrying(o, a, b, e);
		break;
	case EVENT_TYPE_AGENT_WAITING:
		orchestrator_apply_waiting(a, b, e);
		break;
	case EVENT_TYPE_AGENT_COMPLETED:
	case EVENT_TYPE_AGENT_ERROR:
		apply_ended(o, a, b, e);
		break;
	default:
		break;
	}
	projection_note(&o->projection, a, seq, true);
}

/* What most events are. */
static void apply_output(Orchestrator *o, const BatchEntry *e, uint64_t seq)
{
	Agent *a = e->meta.owner;

	a->last_seq = seq;
	a->chunks++;
	a->bytes += e->meta.raw_bytes;
	if (a->ticket && !a->ticket->served)
		ticket_served(a->ticket);
	if (a->dirty_since == 0)
		projection_note(&o->projection, a, seq, false);
}

void orchestrator_apply(Orchestrator *o, const Batch *batch)
{
	for (size_t i = 0; i < batch->n; i++) {
		const BatchEntry *e = &batch->entries[i];

		if (e->meta.type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT && e->meta.owner)
			apply_output(o, e, batch->first_seq + i);
		else
			apply_entry(o, batch, e, batch->first_seq + i);
	}
}

void orchestrator_log_state(Orchestrator *o, int error)
{
	for (unsigned i = 0; i < o->n_runners; i++) {
		if (error < 0)
			runner_pause(o->runners[i]);
		else
			runner_resume(o->runners[i]);
	}
}

void orchestrator_synced(Orchestrator *o)
{
	projection_run(&o->projection);
}

void orchestrator_drained(Orchestrator *o)
{
	if (eventlog_error(o->log) == 0)
		orchestrator_log_state(o, 0);
}

/* ---- Turns ---- */

static void forget_ended(Orchestrator *o)
{
	uint64_t hot_seq = eventlog_hot_seq(o->log);

	while (!list_empty(&o->ended)) {
		Agent *a = container_of(o->ended.next, Agent, ended);

		/* The hot batches point at it. */
		if (!projection_knows(a) || a->holds > 0 || a->last_seq >= hot_seq)
			return;
		list_remove(&a->ended);
		registry_remove(&o->registry, a);
		agent_free(a);
	}
}

/* What starts must be able to say so. And what is to run anew is queued only once its AgentRetrying
 * is in the log: until then others of less priority would be started before it. */
static bool may_start(const Orchestrator *o)
{
	return !o->stopping && eventlog_error(o->log) == 0 &&
	       eventlog_end_seq(o->log) >= o->settled_seq;
}

bool orchestrator_end_turn(Orchestrator *o)
{
	Agent *a;
	bool more;

	while (may_start(o) && (a = scheduler_next(&o->scheduler)))
		orchestrator_start(o, a);
	orchestrator_say_unsaid(o);
	more = !providers_end_turn(&o->providers);
	for (unsigned i = 0; i < o->n_runners; i++)
		runner_flush(o->runners[i]);
	emitter_flush(&o->emitter);
	forget_ended(o);
	if (o->stopping && !o->all_ended_said && o->scheduler.running == 0 &&
		o->scheduler.spawning == 0 && o->waiting_for_spec == 0) {
		o->all_ended_said = true;
		o->hooks.on_all_ended(o->hooks.userdata);
	}
	return more || !list_empty(&o->unsaid);
}

int orchestrator_drain(Orchestrator *o, const char *reason)
{
	JsonWriter *w;

	if (o->stopping)
		return 0;
	o->stopping = true;
	w = orchestrator_begin(o, EVENT_TYPE_DAEMON_STOPPING, NULL);
	jw_key_cstring(w, "reason", reason);
	return orchestrator_end(o, NULL, (EventMeta){ .type = EVENT_TYPE_DAEMON_STOPPING });
}

void orchestrator_end_all(Orchestrator *o, uint32_t kill_grace_ms)
{
	AgentStop stop = { .code = AGENT_ERROR_SHUTDOWN, .kill_grace_ms = kill_grace_ms };

	list_foreach_safe (node, &o->registry.by_seq) {
		Agent *a = container_of(node, Agent, by_seq);

		if (a->run && runner_stop_run(a->runner, a->run, stop) < 0)
			log_error("out of memory: an agent cannot be stopped");
	}
}

bool orchestrator_is_stopping(const Orchestrator *o)
{
	return o->stopping;
}

/* ---- What others ask ---- */

Registry *orchestrator_registry(Orchestrator *o)
{
	return &o->registry;
}

Providers *orchestrator_providers(Orchestrator *o)
{
	return &o->providers;
}

Projection *orchestrator_projection(Orchestrator *o)
{
	return &o->projection;
}

AgentCounts orchestrator_counts(const Orchestrator *o)
{
	const CatalogStats *pruned = &o->projection.pruned;
	AgentCounts counts = o->counts;

	counts.completed -= pruned->completed;
	counts.failed -= pruned->failed;
	counts.cancelled -= pruned->cancelled;
	return counts;
}

const OrchestratorTotals *orchestrator_totals(const Orchestrator *o)
{
	return &o->totals;
}

const Tallies *orchestrator_tallies(const Orchestrator *o)
{
	return &o->tallies;
}

uint32_t orchestrator_queue_depth(const Orchestrator *o)
{
	return o->scheduler.queued;
}

uint64_t orchestrator_lost_events(const Orchestrator *o)
{
	uint64_t lost = 0;

	for (unsigned i = 0; i < o->n_runners; i++)
		lost += runner_lost_events(o->runners[i]);
	return lost;
}

unsigned orchestrator_workers(const Orchestrator *o)
{
	return o->n_runners;
}
