#include "daemon/agent/providers.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/dice.h"

/* Of each provider, in one turn: thousands may wait, and others have something to do as well. */
#define TOLD_AT_ONCE 256U

/* ---- The gate ---- */

/* A pause is worth to be told to those that were told of something else, or of a much shorter one.
 */
static void untell(Provider *p, uint64_t until_us)
{
	list_foreach_safe (node, &p->told) {
		const Ticket *t = container_of(node, Ticket, node);

		if (until_us <= t->told_until_us + USEC_PER_SEC)
			continue;
		list_remove(node);
		list_append(&p->untold, node);
	}
}

/* Opens or shuts the gate, as the limiter has it now. */
static void look(Provider *p)
{
	Timers *timers = p->providers->timers;
	LimiterReason reason = LIMITER_OPEN;
	uint32_t room = UINT32_MAX;
	uint64_t until_us = 0;

	if (p->settings) {
		reason = limiter_look(&p->limiter, clock_monotonic_us(), &until_us);
		room = reason == LIMITER_OPEN ? limiter_room(&p->limiter) : 0;
	}
	if (reason == LIMITER_HELD && (p->reason != LIMITER_HELD || until_us > p->until_us))
		untell(p, until_us);
	p->reason = reason;
	p->until_us = until_us;
	scheduler_set_gate(p->providers->scheduler, &p->gate, room);
	/* What is tried is refused more often than not: by priority one agent would use up its
	 * attempts for all. */
	scheduler_order_gate(
		p->providers->scheduler, &p->gate, p->settings && limiter_is_on_trial(&p->limiter));
	timer_unset(timers, &p->timer);
	/* Without memory for it, it is looked at again in the next turn. */
	p->unwatched = until_us > 0 && timer_set(timers, &p->timer, until_us, 0) < 0;
}

static void on_timer(Timer *t)
{
	look(container_of(t, Provider, timer));
}

/* ---- Providers ---- */

void providers_init(Providers *p, Scheduler *scheduler, Timers *timers, const ProvidersHooks *hooks)
{
	list_init(&p->all);
	p->scheduler = scheduler;
	p->timers = timers;
	p->hooks = *hooks;
}

static Provider *find(const Providers *p, const char *name)
{
	list_foreach (node, &p->all) {
		Provider *one = container_of(node, Provider, node);

		if (strcmp(one->name, name) == 0)
			return one;
	}
	return NULL;
}

static Provider *add(Providers *p, const char *name)
{
	size_t len = strlen(name);
	Provider *one = calloc(1, sizeof(*one) + len + 1);
	LimiterSettings none = { 0 };

	if (!one || scheduler_add_gate(p->scheduler, &one->gate) < 0) {
		free(one);
		return NULL;
	}
	memcpy(one->name, name, len);
	one->providers = p;
	limiter_init(&one->limiter, &none);
	timer_init(&one->timer, on_timer);
	list_init(&one->untold);
	list_init(&one->told);
	list_init(&one->delayed);
	list_append(&p->all, &one->node);
	return one;
}

static void drop(Provider *one)
{
	Providers *p = one->providers;

	list_remove(&one->node);
	timer_unset(p->timers, &one->timer);
	scheduler_remove_gate(p->scheduler, &one->gate);
	provider_settings_unref(one->settings);
	limiter_done(&one->limiter);
	free(one->fault.event);
	free(one);
}

static void drop_if_unused(Provider *one)
{
	if (!one->settings && one->tickets == 0)
		drop(one);
}

void providers_done(Providers *p)
{
	if (!p->all.next)
		return;
	list_foreach_safe (node, &p->all)
		drop(container_of(node, Provider, node));
}

/* What is left of its pause. */
static uint64_t pause_left_us(const Provider *p)
{
	uint64_t now_us = clock_monotonic_us();

	return p->limiter.held_until_us > now_us ? p->limiter.held_until_us - now_us : 0;
}

uint64_t provider_waiting(const Provider *p)
{
	return (uint64_t)p->gate.queued + p->n_delayed;
}

uint64_t provider_held_us(const Provider *p)
{
	return p->totals.held_us - pause_left_us(p);
}

bool provider_is_fault(AgentErrorCode code)
{
	switch (code) {
	case AGENT_ERROR_PROVIDER:
	case AGENT_ERROR_RATE_LIMITED:
	case AGENT_ERROR_UNAUTHORIZED:
	case AGENT_ERROR_CONNECTION:
	case AGENT_ERROR_PROTOCOL:
	case AGENT_ERROR_TIMEOUT:
		return true;
	default:
		return false;
	}
}

static void configure(Provider *one, ProviderSettings *settings)
{
	LimiterSettings limits = { 0 };

	/* What the one server has asked for does not concern the other. */
	if (one->settings &&
		(!settings || !provider_settings_is_same_caller(one->settings, settings))) {
		one->totals.held_us = provider_held_us(one);
		limiter_replace(&one->limiter);
	}
	provider_settings_unref(one->settings);
	one->settings = settings;
	if (settings)
		limits = (LimiterSettings){
			.max_concurrent = settings->max_concurrent,
			.requests_per_minute = settings->requests_per_minute,
			.tokens_per_minute = settings->tokens_per_minute,
		};
	limiter_configure(&one->limiter, &limits);
}

int providers_configure(Providers *p, ProviderSettings *const *settings, size_t n)
{
	ListNode old;
	int r = 0;

	list_init(&old);
	list_prepend_all(&old, &p->all);
	for (size_t i = 0; i < n; i++) {
		Provider *one = NULL;

		list_foreach (node, &old)
			if (strcmp(container_of(node, Provider, node)->name, settings[i]->name) ==
				0)
				one = container_of(node, Provider, node);
		if (one) {
			list_remove(&one->node);
			list_append(&p->all, &one->node);
		} else {
			one = add(p, settings[i]->name);
		}
		if (one)
			configure(one, provider_settings_ref(settings[i]));
		else
			r = -ENOMEM;
	}
	list_foreach_safe (node, &old) {
		configure(container_of(node, Provider, node), NULL);
		list_remove(node);
		list_append(&p->all, node);
	}
	list_foreach_safe (node, &p->all) {
		Provider *one = container_of(node, Provider, node);

		look(one);
		drop_if_unused(one);
	}
	return r;
}

Provider *providers_find(const Providers *p, const char *name)
{
	Provider *one = find(p, name);

	return one && one->settings ? one : NULL;
}

Provider *providers_first(const Providers *p, const char *kind)
{
	list_foreach (node, &p->all) {
		Provider *one = container_of(node, Provider, node);

		if (one->settings && strcmp(one->settings->kind, kind) == 0)
			return one;
	}
	return NULL;
}

/* ---- Tickets ---- */

static bool is_over(uint64_t at_us, uint64_t now_us)
{
	return at_us > 0 && at_us <= now_us;
}

static void end_delay(Ticket *t)
{
	const ProvidersHooks *hooks = &t->provider->providers->hooks;

	t->due_us = 0;
	t->provider->n_delayed--;
	list_remove(&t->node);
	hooks->on_due(t, hooks->userdata);
}

/* Without memory for it a delay is over at once, and the total time runs out when it has started.
 */
static void watch_time(Ticket *t)
{
	Timers *timers = t->provider->providers->timers;
	uint64_t at_us = t->deadline_us;

	if (t->due_us > 0 && (at_us == 0 || t->due_us < at_us))
		at_us = t->due_us;
	timer_unset(timers, &t->timer);
	if (at_us > 0 && timer_set(timers, &t->timer, at_us, 0) < 0 && t->due_us > 0)
		end_delay(t);
}

static void on_time(Timer *timer)
{
	Ticket *t = container_of(timer, Ticket, timer);
	const ProvidersHooks *hooks = &t->provider->providers->hooks;
	uint64_t now_us = clock_monotonic_us();

	if (is_over(t->deadline_us, now_us)) {
		ticket_left(t);
		hooks->on_deadline(t, hooks->userdata);
	} else if (is_over(t->due_us, now_us)) {
		end_delay(t);
	}
}

int ticket_new(Providers *p, Agent *a, const char *name)
{
	Provider *one = find(p, name);
	Ticket *t = calloc(1, sizeof(*t));

	if (t && !one)
		one = add(p, name);
	if (!t || !one) {
		free(t);
		return -ENOMEM;
	}
	list_init(&t->node);
	timer_init(&t->timer, on_time);
	t->agent = a;
	t->provider = one;
	one->tickets++;
	a->ticket = t;
	return 0;
}

void ticket_free(Ticket *t)
{
	if (!t)
		return;
	ticket_left(t);
	ticket_ended(t, UINT64_MAX);
	t->agent->ticket = NULL;
	t->provider->tickets--;
	drop_if_unused(t->provider);
	free(t);
}

void ticket_queued(Ticket *t)
{
	list_append(&t->provider->untold, &t->node);
	watch_time(t);
}

void ticket_expires(Ticket *t, uint64_t left_ms)
{
	t->deadline_us = clock_monotonic_us() + left_ms * USEC_PER_MSEC;
}

void ticket_left(Ticket *t)
{
	t->provider->n_delayed -= t->due_us > 0;
	t->due_us = t->deadline_us = 0;
	timer_unset(t->provider->providers->timers, &t->timer);
	list_remove(&t->node);
}

int ticket_started(Ticket *t, uint64_t tokens)
{
	Provider *p = t->provider;
	uint64_t now_us = clock_monotonic_us();
	int r = limiter_start(&p->limiter, now_us, tokens, &t->call);

	ticket_left(t);
	if (r < 0)
		return r;
	if (t->total_us == 0)
		t->total_us = now_us;
	p->totals.calls++;
	t->calling = true;
	t->proven = t->served = false;
	look(p);
	return 0;
}

void ticket_answered(Ticket *t)
{
	if (!t->calling || t->proven)
		return;
	t->proven = true;
	limiter_prove(&t->provider->limiter, &t->call);
	look(t->provider);
}

void ticket_served(Ticket *t)
{
	if (!t->calling || t->served)
		return;
	ticket_answered(t);
	t->served = true;
	limiter_serve(&t->provider->limiter, &t->call);
}

void ticket_ended(Ticket *t, uint64_t tokens)
{
	if (!t->calling)
		return;
	t->calling = false;
	limiter_end(&t->provider->limiter, &t->call, t->proven, tokens);
	look(t->provider);
}

static void hold(Ticket *t, uint64_t pause_us)
{
	Provider *p = t->provider;
	uint64_t now_us = clock_monotonic_us(), before_us = p->limiter.held_until_us, until_us;

	until_us = limiter_hold(&p->limiter, &t->call, now_us, pause_us, dice_throw());
	if (before_us < now_us)
		before_us = now_us;
	if (until_us > before_us)
		p->totals.held_us += until_us - before_us;
}

void ticket_refused(Ticket *t, uint64_t pause_us)
{
	if (!t->calling)
		return;
	if (limiter_is_current(&t->provider->limiter, &t->call))
		hold(t, pause_us);
	look(t->provider);
}

void ticket_delay(Ticket *t, uint64_t delay_ms)
{
	Provider *p = t->provider;

	list_append(&p->delayed, &t->node);
	t->due_us = clock_monotonic_us() + delay_ms * USEC_PER_MSEC;
	p->n_delayed++;
	watch_time(t);
}

/* ---- Turns ---- */

static uint64_t realtime_us(uint64_t monotonic_us)
{
	uint64_t now_us = clock_monotonic_us();

	if (monotonic_us == 0)
		return 0;
	return clock_realtime_us() + (monotonic_us > now_us ? monotonic_us - now_us : 0);
}

static bool tell(Provider *p)
{
	const ProvidersHooks *hooks = &p->providers->hooks;
	uint64_t until_us = realtime_us(p->until_us);

	for (unsigned i = 0; i < TOLD_AT_ONCE && !list_empty(&p->untold); i++) {
		Ticket *t = container_of(p->untold.next, Ticket, node);

		if (hooks->on_waiting(t, p->reason, until_us, hooks->userdata) < 0)
			return false;
		t->told_until_us = p->reason == LIMITER_HELD ? p->until_us : 0;
		list_remove(&t->node);
		list_append(&p->told, &t->node);
	}
	return list_empty(&p->untold);
}

bool providers_end_turn(Providers *p)
{
	bool told = true;

	list_foreach (node, &p->all) {
		Provider *one = container_of(node, Provider, node);

		if (one->unwatched)
			look(one);
		told &= !one->unwatched;
		/* Behind an open gate they wait for others than the provider. */
		if (one->gate.room == 0 && !list_empty(&one->untold))
			told &= tell(one);
	}
	return told;
}
