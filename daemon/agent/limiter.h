/* What one provider lets through: so many calls at once, so many requests and tokens in any minute,
 * and none at all while it has asked to be left alone.
 *
 * After it has been told to wait, it is tried by one call first, and by twice as many after each
 * one that is answered: a provider that still refuses is asked once for each pause, not by
 * everybody. What those say that were under way before does not count for that; and a trial that
 * hangs is not waited for for ever.
 *
 * It only reckons: the clock and the dice are its caller's. Times are in us of the monotonic clock.
 * Thread: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

typedef enum LimiterReason {
	LIMITER_OPEN,
	LIMITER_CONCURRENT, /* max_concurrent, or the first that are tried after a pause */
	LIMITER_REQUESTS,   /* requests_per_minute */
	LIMITER_TOKENS,     /* tokens_per_minute */
	LIMITER_HELD,       /* the provider has said so */
	LIMITER_RETRY,      /* not the limiter's: the delay before another attempt */
	_LIMITER_REASON_MAX,
} LimiterReason;

/* As AgentWaiting has it; NULL for LIMITER_OPEN. */
const char *limiter_reason_to_string(LimiterReason reason);

/* 0: none. */
typedef struct LimiterSettings {
	uint32_t max_concurrent, requests_per_minute, tokens_per_minute;
} LimiterSettings;

/* A call that is under way, as the limiter knows it again. */
typedef struct LimiterCall {
	uint64_t number; /* of its request; UINT64_MAX: those are not counted */
	uint32_t epoch;  /* the limiter's, when it began */
} LimiterCall;

/* One request of the last minute. */
typedef struct LimiterRequest {
	uint64_t at_us;
	uint64_t tokens;
} LimiterRequest;

typedef struct Limiter {
	LimiterSettings settings;
	uint32_t running;
	uint32_t unproven;   /* of those begun since the last pause: not answered yet */
	uint32_t ramp;       /* how many may be unproven at once; UINT32_MAX: any */
	uint32_t strikes;    /* pauses since a call was served */
	uint32_t epoch;      /* pauses in all, and other servers behind the name */
	uint32_t since;      /* the first epoch of this provider */
	uint64_t started_us; /* the newest call */
	uint64_t held_until_us;
	/* A ring, oldest first. */
	LimiterRequest *requests;
	size_t head, n, cap;
	uint64_t first;  /* number of the oldest, of all there ever were */
	uint64_t tokens; /* of all of them */
} Limiter;

void limiter_init(Limiter *l, const LimiterSettings *settings);
void limiter_done(Limiter *l);
void limiter_configure(Limiter *l, const LimiterSettings *settings);
/* It is another provider from now on, which has asked for nothing yet. The limits stay, and count
 * what has been. */
void limiter_replace(Limiter *l);

/* May another one start? If not, why, and when it may as far as that can be told (0: when one
 * ends). */
LimiterReason limiter_look(Limiter *l, uint64_t now_us, uint64_t *ret_until_us);
/* Where limiter_look() lets one start: how many may at once, as far as can be told. */
uint32_t limiter_room(const Limiter *l);
/* One does; it may cost so many tokens. -ENOMEM. */
int limiter_start(Limiter *l, uint64_t now_us, uint64_t tokens, LimiterCall *ret) _must_check_;
/* There was a pause, and it has not been shown yet that calls get through again as they did before.
 */
bool limiter_is_on_trial(const Limiter *l);
/* The first sign of it: the provider answers. */
void limiter_prove(Limiter *l, const LimiterCall *call);
/* It gives what was asked for, and not but an error in other clothes: pauses begin to be short
 * again. */
void limiter_serve(Limiter *l, const LimiterCall *call);
/* It has ended, proven or not, and has cost so many tokens (UINT64_MAX: it is not known). */
void limiter_end(Limiter *l, const LimiterCall *call, bool proven, uint64_t tokens);
/* The call is one to this provider, not to one that was replaced. */
bool limiter_is_current(const Limiter *l, const LimiterCall *call);
/* The provider has refused the call, and asks for a pause (0: it does not say how long a one).
 * `dice`: any random number. Returns until when all are held. */
uint64_t limiter_hold(
	Limiter *l, const LimiterCall *call, uint64_t now_us, uint64_t pause_us, uint64_t dice);
