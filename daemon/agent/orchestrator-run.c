#include "daemon/agent/orchestrator-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx-find.h"
#include "common/jsonx.h"
#include "daemon/agent/spec-job.h"

/* ---- Events that main says ---- */

JsonWriter *orchestrator_begin(Orchestrator *o, EventType type, const Agent *a)
{
	JsonWriter *w = emitter_begin(&o->emitter);
	char id[UUID_TEXT_LEN + 1];

	jw_key_name(w, "type", protocol_event_name(type));
	if (a) {
		uuid_format(&a->id, id);
		jw_key_string(w, "agent_id", id, UUID_TEXT_LEN);
		if (a->correlation_id)
			jw_key_cstring(w, "correlation_id", a->correlation_id);
	}
	return w;
}

int orchestrator_end(Orchestrator *o, Agent *a, EventMeta meta)
{
	meta.owner = a;
	meta.agent = a ? a->seq : 0;
	if (a && a->traced)
		emitter_trace(&o->emitter);
	return emitter_end(&o->emitter, &meta);
}

int orchestrator_say_error(Orchestrator *o, Agent *a, AgentErrorCode code, const char *message)
{
	JsonWriter *w = orchestrator_begin(o, EVENT_TYPE_AGENT_ERROR, a);
	uint64_t now_us = clock_realtime_us(), took_us = 0;

	if (a->started_us > 0 && now_us > a->started_us)
		took_us = now_us - a->started_us;
	jw_key_name(w, "code", agent_error_to_string(code));
	jw_key_cstring(w, "message", message);
	if (code == AGENT_ERROR_TIMEOUT) /* the one that runs on while it waits */
		jw_key_name(w, "which", "total");
	jw_key_uint(w, "chunks", a->chunks);
	jw_key_uint(w, "bytes", a->bytes);
	jw_key_uint(w, "duration_ms", took_us / USEC_PER_MSEC);
	return orchestrator_end(
		o, a, (EventMeta){ .type = EVENT_TYPE_AGENT_ERROR, .code = (uint8_t)code });
}

static void drop_input(Orchestrator *o, Agent *a)
{
	o->input_bytes -= a->input.len;
	buf_done(&a->input);
}

/* -ENOMEM: not yet. */
static int try_to_end(Orchestrator *o, Agent *a, AgentErrorCode code, const char *message)
{
	int r = orchestrator_say_error(o, a, code, message);

	if (r < 0)
		return r;
	a->stop = code;
	drop_input(o, a);
	scheduler_leave(&o->scheduler, a);
	if (a->ticket) {
		ticket_left(a->ticket);
		ticket_ended(a->ticket, UINT64_MAX);
	}
	return 0;
}

void orchestrator_end_here(Orchestrator *o, Agent *a, AgentErrorCode code, const char *message)
{
	if (try_to_end(o, a, code, message) == 0)
		return;
	a->stop = code;
	list_append(&o->unsaid, &a->ended);
}

void orchestrator_say_unsaid(Orchestrator *o)
{
	while (!list_empty(&o->unsaid)) {
		Agent *a = container_of(o->unsaid.next, Agent, ended);

		if (try_to_end(o, a, a->stop, "out of memory") < 0)
			return;
		list_remove(&a->ended);
	}
}

/* ---- Running ---- */

static Runner *least_loaded(const Orchestrator *o)
{
	Runner *best = o->runners[0];

	for (unsigned i = 1; i < o->n_runners; i++)
		if (runner_load(o->runners[i]) < runner_load(best))
			best = o->runners[i];
	return best;
}

/* The members of an AgentSpawned that a run needs; the last only where it calls a provider. */
typedef enum SpecMember { SPEC_PROMPT, SPEC_OPTIONS, SPEC_TIMEOUTS, _SPEC_MEMBER_MAX } SpecMember;

/* Their texts, lent; that of one which is not there is NULL. They stand near the beginning.
 * -EBADMSG. */
static int find_members(const char *spec, size_t len, bool calls_provider, JsonxText *ret)
{
	static const char *const names[_SPEC_MEMBER_MAX] = {
		[SPEC_PROMPT] = "\"prompt\"",
		[SPEC_OPTIONS] = "\"options\"",
		[SPEC_TIMEOUTS] = "\"timeouts\"",
	};
	const size_t n = calls_provider ? _SPEC_MEMBER_MAX : SPEC_TIMEOUTS;
	JsonxWalk w;
	size_t found = 0;
	int r = jsonx_walk(&w, spec, len);

	while (r >= 0 && found < n && (r = jsonx_walk_next(&w)) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (ret[i].text || !jsonx_text_is(w.name, names[i]))
				continue;
			ret[i] = w.value;
			found++;
			break;
		}
	}
	return r < 0 ? r : 0;
}

/* *ret is the caller's to put; NULL: there is none. -EBADMSG, -ENOMEM. */
static int parse_member(JsonxText member, json_object **ret)
{
	JsonxError why;

	*ret = NULL;
	return member.text ? jsonx_parse(member.text, member.len, ret, &why) : 0;
}

/* The run of its backend: fills in what the spec says. What it lends of that, run_new() copies.
 * -EBADMSG, and what run_new() says. */
static int make_backend_run(
	const Agent *a, const char *spec, size_t len, BackendSpec *backend_spec, BackendRun **ret)
{
	_cleanup_json_ json_object *options = NULL, *timeouts = NULL;
	_cleanup_buf_ Buf scratch = { 0 };
	JsonxText members[_SPEC_MEMBER_MAX] = { 0 };
	int r = find_members(spec, len, a->ticket != NULL, members);

	if (r == 0)
		r = jsonx_text_string(members[SPEC_PROMPT], &scratch, &backend_spec->prompt,
			&backend_spec->prompt_len);
	if (r == -EINVAL)
		r = -EBADMSG;
	if (r == 0)
		r = parse_member(members[SPEC_OPTIONS], &options);
	if (r == 0)
		r = parse_member(members[SPEC_TIMEOUTS], &timeouts);
	if (r == 0 && !json_object_is_type(options, json_type_object))
		r = -EBADMSG;
	if (r < 0)
		return r;
	backend_spec->options = options;
	backend_spec->timeouts = timeouts;
	return a->backend->run_new(backend_spec, ret);
}

/* `spec` is its AgentSpawned object. */
static int make_run(Orchestrator *o, Agent *a, const char *spec, size_t len)
{
	BackendSpec backend_spec = {
		.agent_id = a->id,
		.attempt = a->attempt + 1,
		.input = a->input.data,
		.input_len = a->input.len,
		.input_ended = a->input_ended,
		.kill_grace_ms = o->config->kill_grace_ms,
	};
	AgentRunSpec run_spec = {
		.owner = a,
		.agent = a->seq,
		.id = &a->id,
		.correlation_id = a->correlation_id,
		.attempt = a->attempt + 1,
		.accepted_us = a->queued_us,
		.chunks = a->chunks,
		.bytes = a->bytes,
		.total_ms = orchestrator_total_ms(a),
		.idle_ms = a->ticket ? 0 : a->idle_ms, /* its backend sees to that */
		.kill_grace_ms = o->config->kill_grace_ms,
		.traced = a->traced,
		.on_trial = a->ticket && limiter_is_on_trial(&a->ticket->provider->limiter),
	};
	int r;

	if (a->ticket) {
		backend_spec.provider = a->ticket->provider->settings;
		backend_spec.retries = a->ticket->retries;
	}
	r = make_backend_run(a, spec, len, &backend_spec, &run_spec.backend_run);
	return r < 0 ? r : agent_run_new(&run_spec, &a->run);
}

static void cannot_start(Orchestrator *o, Agent *a, int error)
{
	AgentErrorCode code =
		error == -ENOMEM ? AGENT_ERROR_RESOURCE_LIMIT : AGENT_ERROR_SPAWN_FAILED;

	orchestrator_end_here(o, a, code, strerror(-error));
}

/* A reload may have taken its provider away, or made another of it. False: it has ended. */
static bool has_provider(Orchestrator *o, Agent *a)
{
	const Provider *p = a->ticket->provider;
	char message[256];

	if (p->settings && strcmp(p->settings->kind, a->backend->name) == 0)
		return true;
	(void)snprintf(message, sizeof(message), "there is no provider %.128s of kind %s any more",
		p->name, a->backend->name);
	orchestrator_end_here(o, a, AGENT_ERROR_SPAWN_FAILED, message);
	return false;
}

/* False: it has ended. */
static bool begin_call(Orchestrator *o, Agent *a)
{
	if (!has_provider(o, a))
		return false;
	/* Four bytes are about one token. */
	if (ticket_started(a->ticket, a->text_bytes / 4 + 1) == 0)
		return true;
	cannot_start(o, a, -ENOMEM);
	return false;
}

static void start_with(Orchestrator *o, Agent *a, const char *spec, size_t len)
{
	int r;

	/* It was there, but the spec may have had to be read. */
	if (a->ticket && !has_provider(o, a))
		return;
	r = make_run(o, a, spec, len);
	if (r < 0) {
		cannot_start(o, a, r);
		return;
	}
	drop_input(o, a);
	a->runner = least_loaded(o);
	runner_start(a->runner, a->run);
}

static void on_spec(Agent *a, const char *spec, size_t len, int error, void *userdata)
{
	Orchestrator *o = userdata;

	o->waiting_for_spec--;
	if (a->stop != AGENT_ERROR_NONE) /* ended meanwhile */
		return;
	if (o->stopping) /* it stays queued, for the next start */
		scheduler_leave(&o->scheduler, a);
	else if (error < 0)
		cannot_start(o, a, error);
	else
		start_with(o, a, spec, len);
}

void orchestrator_start(Orchestrator *o, Agent *a)
{
	int r;

	if (a->ticket && !begin_call(o, a))
		return;
	if (a->spec) {
		start_with(o, a, a->spec, a->spec_len);
		return;
	}
	r = spec_job_post(o->reader, o->log, a, on_spec, o);
	if (r < 0)
		cannot_start(o, a, r);
	else
		o->waiting_for_spec++;
}

int orchestrator_cancel(Orchestrator *o, Agent *a)
{
	AgentStop stop = {
		.code = AGENT_ERROR_CANCELLED,
		.kill_grace_ms = o->config->kill_grace_ms,
	};

	if (a->run) {
		int r = runner_stop_run(a->runner, a->run, stop);

		/* Its run may just have said AgentRetrying. */
		if (r == 0 && a->ticket)
			a->ticket->cancelled = true;
		return r;
	}
	if (a->stop != AGENT_ERROR_NONE)
		return 0; /* its last event is on its way */
	return try_to_end(o, a, AGENT_ERROR_CANCELLED, "it was cancelled before it started");
}

/* For one that does not run yet. Returns what Backend.send() would. */
static ssize_t keep_input(Orchestrator *o, Agent *a, const char *bytes, size_t len, bool eof)
{
	size_t waiting = a->prompt_bytes + a->input.len;
	int r;

	if (!a->takes_input || a->input_ended || a->stop != AGENT_ERROR_NONE || !agent_is_live(a))
		return -EPIPE;
	if (o->stopping)
		return -ECANCELED;
	if (len > 0 && waiting + len > PROTOCOL_MAX_INPUT_BYTES)
		return -ENOBUFS;
	if (len > PROTOCOL_MAX_ALL_INPUT_BYTES - o->input_bytes)
		return -EDQUOT;
	r = buf_append(&a->input, bytes, len);
	if (r < 0)
		return r;
	o->input_bytes += len;
	a->input_ended = eof;
	return (ssize_t)(waiting + len);
}

int orchestrator_send(Orchestrator *o, Agent *a, const char *bytes, size_t len, bool eof,
	RunnerOnSent on_sent, void *userdata)
{
	ssize_t r;

	if (a->run)
		return runner_send(a->runner, a->run, bytes, len, eof, on_sent, userdata);
	r = keep_input(o, a, bytes, len, eof);
	if (r < 0)
		return (int)r;
	on_sent(r, userdata);
	return 0;
}
