/* Agents that wait: for their turn, for their provider, for another attempt. */
#include "daemon/agent/orchestrator-internal.h"

#include <string.h>

#include "common/clock.h"
#include "common/jsonx-find.h"
#include "common/jsonx.h"

static const char no_queue[] = "out of memory: it cannot be queued again";

int orchestrator_enqueue(Orchestrator *o, Agent *a)
{
	int r = 0;

	if (!a->lane)
		r = scheduler_join(&o->scheduler, a, a->group_name,
			a->ticket ? &a->ticket->provider->gate : NULL);
	if (r == 0)
		r = scheduler_enqueue(&o->scheduler, a);
	if (r == 0 && a->ticket)
		ticket_queued(a->ticket);
	return r;
}

uint64_t orchestrator_total_ms(const Agent *a)
{
	uint64_t total_ms = a->total_ms, took_ms;

	if (!a->ticket)
		return total_ms;
	/* A reload may have taken its provider away. */
	if (total_ms == 0 && a->ticket->provider->settings)
		total_ms = a->ticket->provider->settings->total_ms;
	took_ms = (clock_monotonic_us() - a->ticket->total_us) / USEC_PER_MSEC;
	if (total_ms == 0)
		return 0;
	return took_ms < total_ms ? total_ms - took_ms : 1;
}

/* ---- What providers say ---- */

static int on_waiting(Ticket *t, LimiterReason reason, uint64_t until_us, void *userdata)
{
	Orchestrator *o = userdata;
	JsonWriter *w = orchestrator_begin(o, EVENT_TYPE_AGENT_WAITING, t->agent);
	char time[CLOCK_RFC3339_LEN + 1];

	jw_key_cstring(w, "reason", limiter_reason_to_string(reason));
	jw_key_cstring(w, "provider", t->provider->name);
	if (until_us > 0) {
		clock_format_rfc3339(until_us, time);
		jw_key_string(w, "until", time, CLOCK_RFC3339_LEN);
	}
	return orchestrator_end(o, t->agent, (EventMeta){ .type = EVENT_TYPE_AGENT_WAITING });
}

static void on_due(Ticket *t, void *userdata)
{
	Orchestrator *o = userdata;

	/* Stopping: it stays queued, for the next start. */
	if (!o->stopping && orchestrator_enqueue(o, t->agent) < 0)
		orchestrator_end_here(o, t->agent, AGENT_ERROR_RESOURCE_LIMIT, no_queue);
}

static void on_deadline(Ticket *t, void *userdata)
{
	Orchestrator *o = userdata;

	if (o->stopping || t->agent->stop != AGENT_ERROR_NONE)
		return;
	/* Out of the queue first: without memory for its end it must not be started meanwhile. */
	scheduler_leave(&o->scheduler, t->agent);
	orchestrator_end_here(o, t->agent, AGENT_ERROR_TIMEOUT, "it took longer than its total_ms");
}

const ProvidersHooks orchestrator_providers_hooks = {
	.on_waiting = on_waiting,
	.on_due = on_due,
	.on_deadline = on_deadline,
};

/* ---- What the log says ---- */

static json_object *event_of(const Batch *b, const BatchEntry *e)
{
	json_object *event = NULL;
	JsonxError why;
	size_t len;
	const char *text = line_event(b->data + e->offset, e->len, &len);

	return jsonx_parse(text, len, &event, &why) == 0 ? event : NULL;
}

void orchestrator_apply_waiting(Agent *a, const Batch *b, const BatchEntry *e)
{
	_cleanup_json_ json_object *event = event_of(b, e);
	const char *until, *reason = jsonx_get_string(event, "reason", NULL);
	size_t len = 0;

	if (!a->ticket || !reason || a->state != AGENT_STATE_QUEUED)
		return;
	for (LimiterReason r = LIMITER_OPEN + 1; r < _LIMITER_REASON_MAX; r++)
		if (strcmp(limiter_reason_to_string(r), reason) == 0)
			a->ticket->waiting = r;
	until = jsonx_get_string(event, "until", &len);
	if (!until || clock_parse_rfc3339(until, len, &a->ticket->waiting_until_us) < 0)
		a->ticket->waiting_until_us = 0;
}

static void keep_fault(Provider *p, const Batch *b, const BatchEntry *e)
{
	size_t len;
	const char *text = line_event(b->data + e->offset, e->len, &len);
	char *copy = malloc(len);

	p->totals.faults[e->meta.code]++;
	p->fault.time_us = b->time_us;
	p->fault.code = e->meta.code;
	free(p->fault.event);
	p->fault.event = copy;
	p->fault.event_len = copy ? len : 0;
	if (copy)
		memcpy(copy, text, len);
}

/* As far as AgentCompleted says it; UINT64_MAX: it does not. */
static uint64_t count_tokens(Provider *p, const Batch *b, const BatchEntry *e)
{
	_cleanup_json_ json_object *usage = NULL;
	size_t len;
	const char *text = line_event(b->data + e->offset, e->len, &len);
	uint64_t in, out;

	if (jsonx_find_value(text, len, "usage", &usage) < 0 || !usage)
		return UINT64_MAX;
	in = jsonx_get_uint(usage, "input_tokens", 0);
	out = jsonx_get_uint(usage, "output_tokens", 0);
	if (in >= UINT32_MAX || out >= UINT32_MAX)
		return UINT64_MAX;
	p->totals.input_tokens += in;
	p->totals.output_tokens += out;
	return in + out;
}

static void call_over(Agent *a, const Batch *b, const BatchEntry *e)
{
	Ticket *t = a->ticket;
	uint64_t tokens = UINT64_MAX;

	if (t->calling && provider_is_fault(e->meta.code))
		keep_fault(t->provider, b, e);
	if (e->meta.holds)
		ticket_refused(t, e->meta.delay_ms * USEC_PER_MSEC);
	else if (e->meta.type == EVENT_TYPE_AGENT_COMPLETED)
		ticket_served(t);
	if (e->meta.type == EVENT_TYPE_AGENT_COMPLETED)
		tokens = count_tokens(t->provider, b, e);
	ticket_ended(t, tokens);
}

void orchestrator_call_over(Agent *a, const Batch *b, const BatchEntry *e)
{
	call_over(a, b, e);
	ticket_free(a->ticket);
}

void orchestrator_apply_retrying(Orchestrator *o, Agent *a, const Batch *b, const BatchEntry *e)
{
	Ticket *t = a->ticket;
	uint64_t left_ms;

	if (!agent_move(a, AGENT_STATE_QUEUED))
		return;
	o->counts.running--;
	o->counts.queued++;
	tally_move(a->tally, AGENT_STATE_RUNNING, AGENT_STATE_QUEUED);
	o->totals.retries[e->meta.code]++;
	if (a->run)
		runner_free_run(a->runner, TAKE_PTR(a->run));
	scheduler_leave(&o->scheduler, a);
	a->queued_us = clock_monotonic_us();
	a->pid = 0;
	if (t && t->calling) {
		call_over(a, b, e);
		t->retries++;
		/* Who was refused goes behind those that wait: else the oldest would use up all its
		 * attempts alone. */
		t->turn = a->last_seq;
		t->waiting = e->meta.holds ? LIMITER_HELD : LIMITER_RETRY;
		t->waiting_until_us =
			e->meta.delay_ms > 0 ? b->time_us + e->meta.delay_ms * USEC_PER_MSEC : 0;
		left_ms = orchestrator_total_ms(a);
		if (left_ms > 0)
			ticket_expires(t, left_ms);
	}
	if (a->stop != AGENT_ERROR_NONE) /* its end is on its way */
		return;
	if (t && t->cancelled)
		orchestrator_end_here(o, a, AGENT_ERROR_CANCELLED, "it was cancelled");
	else if (t && e->meta.delay_ms > 0 && !e->meta.holds)
		ticket_delay(t, e->meta.delay_ms);
	else if (!o->stopping && orchestrator_enqueue(o, a) < 0)
		orchestrator_end_here(o, a, AGENT_ERROR_RESOURCE_LIMIT, no_queue);
}
