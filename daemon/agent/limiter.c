#include "daemon/agent/limiter.h"

#include <errno.h>
#include <stdlib.h>

#define MINUTE_US         (60ULL * 1000 * 1000)
#define FIRST_PAUSE_US    (1000ULL * 1000)
#define LONGEST_PAUSE_US  MINUTE_US
#define LONGEST_SPREAD_US (1000ULL * 1000)
#define TRIAL_US          (30ULL * 1000 * 1000) /* after so long another one is tried beside it */
#define MAX_DOUBLINGS     6U
#define FIRST_CAP         64U
#define MOST_RAMP         1024U /* as good as no bound */

static const char *const reasons[_LIMITER_REASON_MAX] = {
	[LIMITER_CONCURRENT] = "provider_limit",
	[LIMITER_REQUESTS] = "requests_per_minute",
	[LIMITER_TOKENS] = "tokens_per_minute",
	[LIMITER_HELD] = "rate_limited",
	[LIMITER_RETRY] = "retry",
};

const char *limiter_reason_to_string(LimiterReason reason)
{
	return reasons[reason];
}

void limiter_init(Limiter *l, const LimiterSettings *settings)
{
	*l = (Limiter){ .settings = *settings, .ramp = UINT32_MAX };
}

void limiter_done(Limiter *l)
{
	free(l->requests);
	l->requests = NULL;
}

void limiter_configure(Limiter *l, const LimiterSettings *settings)
{
	l->settings = *settings;
}

void limiter_replace(Limiter *l)
{
	l->held_until_us = 0;
	l->strikes = 0;
	l->ramp = UINT32_MAX;
	l->unproven = 0;
	l->since = ++l->epoch;
}

/* ---- The last minute ---- */

static LimiterRequest *request(const Limiter *l, size_t i)
{
	return &l->requests[(l->head + i) & (l->cap - 1)];
}

static void forget_old(Limiter *l, uint64_t now_us)
{
	while (l->n > 0 && request(l, 0)->at_us + MINUTE_US <= now_us) {
		l->tokens -= request(l, 0)->tokens;
		l->head = (l->head + 1) & (l->cap - 1);
		l->first++;
		l->n--;
	}
}

static int make_room(Limiter *l)
{
	size_t cap = l->cap > 0 ? l->cap * 2 : FIRST_CAP;
	LimiterRequest *grown;

	if (l->n < l->cap)
		return 0;
	grown = reallocarray(NULL, cap, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		grown[i] = *request(l, i);
	free(l->requests);
	l->requests = grown;
	l->head = 0;
	l->cap = cap;
	return 0;
}

/* When the oldest requests that are too many, or cost too much, are a minute old. */
static uint64_t tokens_again_us(const Limiter *l)
{
	uint64_t tokens = l->tokens, until_us = 0;

	for (size_t i = 0; i < l->n && tokens >= l->settings.tokens_per_minute; i++) {
		tokens -= request(l, i)->tokens;
		until_us = request(l, i)->at_us + MINUTE_US;
	}
	return until_us;
}

LimiterReason limiter_look(Limiter *l, uint64_t now_us, uint64_t *ret_until_us)
{
	const LimiterSettings *s = &l->settings;

	*ret_until_us = 0;
	if (now_us < l->held_until_us) {
		*ret_until_us = l->held_until_us;
		return LIMITER_HELD;
	}
	if (s->max_concurrent > 0 && l->running >= s->max_concurrent)
		return LIMITER_CONCURRENT;
	if (l->unproven >= l->ramp && now_us < l->started_us + TRIAL_US) {
		*ret_until_us = l->started_us + TRIAL_US;
		return LIMITER_CONCURRENT;
	}
	forget_old(l, now_us);
	if (s->requests_per_minute > 0 && l->n >= s->requests_per_minute) {
		*ret_until_us = request(l, l->n - s->requests_per_minute)->at_us + MINUTE_US;
		return LIMITER_REQUESTS;
	}
	if (s->tokens_per_minute > 0 && l->tokens >= s->tokens_per_minute) {
		*ret_until_us = tokens_again_us(l);
		return LIMITER_TOKENS;
	}
	return LIMITER_OPEN;
}

bool limiter_is_on_trial(const Limiter *l)
{
	return l->ramp != UINT32_MAX;
}

static uint32_t at_most(uint32_t room, uint64_t limit, uint64_t used)
{
	/* More than one may start that was looked at: the trial that joins one which hangs. */
	uint64_t left = used < limit ? limit - used : 1;

	return left < room ? (uint32_t)left : room;
}

uint32_t limiter_room(const Limiter *l)
{
	const LimiterSettings *s = &l->settings;
	uint32_t room = UINT32_MAX;

	if (s->max_concurrent > 0)
		room = at_most(room, s->max_concurrent, l->running);
	if (limiter_is_on_trial(l))
		room = at_most(room, l->ramp, l->unproven);
	if (s->requests_per_minute > 0)
		room = at_most(room, s->requests_per_minute, l->n);
	if (s->tokens_per_minute > 0) /* nobody knows what the next one will cost */
		room = 1;
	return room;
}

int limiter_start(Limiter *l, uint64_t now_us, uint64_t tokens, LimiterCall *ret)
{
	*ret = (LimiterCall){ .number = UINT64_MAX, .epoch = l->epoch };
	forget_old(l, now_us);
	if (l->settings.requests_per_minute > 0 || l->settings.tokens_per_minute > 0) {
		int r = make_room(l);

		if (r < 0)
			return r;
		l->n++;
		*request(l, l->n - 1) = (LimiterRequest){ .at_us = now_us, .tokens = tokens };
		l->tokens += tokens;
		ret->number = l->first + l->n - 1;
	}
	l->started_us = now_us;
	l->running++;
	l->unproven++;
	return 0;
}

/* ---- Answers and refusals ---- */

void limiter_prove(Limiter *l, const LimiterCall *call)
{
	if (call->epoch != l->epoch)
		return;
	l->unproven--;
	if (!limiter_is_on_trial(l))
		return;
	l->ramp *= 2;
	if (l->ramp >= (l->settings.max_concurrent > 0 ? l->settings.max_concurrent : MOST_RAMP))
		l->ramp = UINT32_MAX;
}

void limiter_serve(Limiter *l, const LimiterCall *call)
{
	if (call->epoch == l->epoch)
		l->strikes = 0;
}

void limiter_end(Limiter *l, const LimiterCall *call, bool proven, uint64_t tokens)
{
	l->running--;
	if (!proven && call->epoch == l->epoch)
		l->unproven--;
	if (tokens != UINT64_MAX && call->number >= l->first && call->number - l->first < l->n) {
		LimiterRequest *one = request(l, (size_t)(call->number - l->first));

		l->tokens += tokens - one->tokens;
		one->tokens = tokens;
	}
}

bool limiter_is_current(const Limiter *l, const LimiterCall *call)
{
	return call->epoch >= l->since;
}

/* Without a time that was asked for, longer each time. */
static uint64_t own_pause_us(const Limiter *l)
{
	uint32_t doublings = l->strikes > 0 ? l->strikes - 1 : 0;
	uint64_t pause_us = FIRST_PAUSE_US
			    << (doublings < MAX_DOUBLINGS ? doublings : MAX_DOUBLINGS);

	return pause_us < LONGEST_PAUSE_US ? pause_us : LONGEST_PAUSE_US;
}

/* The next one that is let through is a trial. */
static void begin_trial(Limiter *l)
{
	l->epoch++;
	l->unproven = 0;
	l->ramp = 1;
}

uint64_t limiter_hold(
	Limiter *l, const LimiterCall *call, uint64_t now_us, uint64_t pause_us, uint64_t dice)
{
	uint64_t spread_us;

	/* Those that were under way when the first one was refused say nothing new, but for a time
	 * that was asked for. */
	if (call->epoch == l->epoch) {
		l->strikes++;
		begin_trial(l);
	} else if (pause_us == 0) {
		return l->held_until_us;
	} else if (now_us + pause_us > l->held_until_us && !limiter_is_on_trial(l)) {
		begin_trial(l);
	}
	if (pause_us == 0) {
		pause_us = own_pause_us(l);
		spread_us = pause_us / 2;
		pause_us -= spread_us;
	} else {
		/* Never earlier than was asked for. */
		spread_us = pause_us / 10 < LONGEST_SPREAD_US ? pause_us / 10 : LONGEST_SPREAD_US;
	}
	/* Nor do dice that fall anew for each of them. */
	if (now_us + pause_us > l->held_until_us)
		l->held_until_us = now_us + pause_us + dice % (spread_us + 1);
	return l->held_until_us;
}
