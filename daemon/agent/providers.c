#include "daemon/agent/providers.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"

static uint64_t dice(void)
{
	uint64_t number;

	return getrandom(&number, sizeof(number), GRND_NONBLOCK) == sizeof(number)
		       ? number
		       : clock_monotonic_us();
}

/* ---- The gate ---- */

/* All that wait are told anew. */
static void untell(Provider *p)
{
	list_foreach_safe (node, &p->told) {
		list_remove(node);
		list_append(&p->untold, node);
	}
}

/* Opens or shuts the gate, as the limiter has it now. */
static void look(Provider *p)
{
	Timers *timers = p->providers->timers;
	LimiterReason reason = LIMITER_OPEN;
	uint64_t until_us = 0;

	if (p->settings)
		reason = limiter_look(&p->limiter, clock_monotonic_us(), &until_us);
	/* A pause is worth to be told to those that have waited for something else, or for a much shorter one. */
	if (reason == LIMITER_HELD &&
		(p->reason != LIMITER_HELD || until_us > p->told_until_us + USEC_PER_SEC)) {
		p->told_until_us = until_us;
		untell(p);
	}
	p->reason = reason;
	p->until_us = until_us;
	scheduler_set_gate(p->providers->scheduler, &p->gate, reason == LIMITER_OPEN);
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

static void configure(Provider *one, ProviderSettings *settings)
{
	LimiterSettings limits = { 0 };

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
	list_foreach_safe (node, &p->all) {
		list_remove(node);
		list_append(&old, node);
		configure(container_of(node, Provider, node), NULL);
	}
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

static void on_due(Timer *timer)
{
	Ticket *t = container_of(timer, Ticket, timer);
	const ProvidersHooks *hooks = &t->provider->providers->hooks;

	ticket_left(t);
	hooks->on_due(t, hooks->userdata);
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
	timer_init(&t->timer, on_due);
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
}

void ticket_left(Ticket *t)
{
	t->provider->n_delayed -= t->delayed;
	t->delayed = false;
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
	t->calling = true;
	t->proven = false;
	look(p);
	return 0;
}

void ticket_proven(Ticket *t)
{
	if (!t->calling || t->proven)
		return;
	t->proven = true;
	limiter_prove(&t->provider->limiter, &t->call);
	look(t->provider);
}

void ticket_ended(Ticket *t, uint64_t tokens)
{
	if (!t->calling)
		return;
	t->calling = false;
	limiter_end(&t->provider->limiter, &t->call, t->proven, tokens);
	look(t->provider);
}

void ticket_refused(Ticket *t, uint64_t pause_us)
{
	limiter_hold(&t->provider->limiter, clock_monotonic_us(), pause_us, dice());
	look(t->provider);
}

void ticket_delay(Ticket *t, uint64_t delay_ms)
{
	Provider *p = t->provider;

	list_append(&p->delayed, &t->node);
	t->delayed = true;
	p->n_delayed++;
	if (timer_set(p->providers->timers, &t->timer,
		    clock_monotonic_us() + delay_ms * USEC_PER_MSEC, 0) < 0)
		on_due(&t->timer);
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

	while (!list_empty(&p->untold)) {
		Ticket *t = container_of(p->untold.next, Ticket, node);

		if (hooks->on_waiting(t, p->reason, until_us, hooks->userdata) < 0)
			return false;
		list_remove(&t->node);
		list_append(&p->told, &t->node);
	}
	return true;
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
		if (!one->gate.open && !list_empty(&one->untold))
			told &= tell(one);
	}
	return told;
}
