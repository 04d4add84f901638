#include "daemon/agent/limiter.h"

#include <string.h>

#include "tests/lib/check-main.h"

#define SECOND 1000000ULL

static Limiter limiter;
static uint64_t now_us;

static void setup(void)
{
	LimiterSettings none = { 0 };

	now_us = 1000 * SECOND;
	limiter_init(&limiter, &none);
}

static void teardown(void)
{
	limiter_done(&limiter);
}

static void configure(LimiterSettings settings)
{
	limiter_configure(&limiter, &settings);
}

static LimiterReason look(uint64_t *until_us)
{
	uint64_t until;
	LimiterReason reason = limiter_look(&limiter, now_us, &until);

	if (until_us)
		*until_us = until;
	return reason;
}

static LimiterCall start(uint64_t tokens)
{
	LimiterCall call;

	ck_assert_int_eq(look(NULL), LIMITER_OPEN);
	ck_assert_int_eq(limiter_start(&limiter, now_us, tokens, &call), 0);
	return call;
}

/* What may start is what there was said to be room for. */
static unsigned start_all(void)
{
	unsigned n = 0;
	uint32_t room = look(NULL) == LIMITER_OPEN ? limiter_room(&limiter) : 0;

	for (; n < 10000 && look(NULL) == LIMITER_OPEN; n++)
		start(0);
	ck_assert_uint_eq(n, room < 10000 ? room : 10000);
	return n;
}

START_TEST(test_no_limits)
{
	ck_assert_uint_eq(start_all(), 10000);
}
END_TEST

START_TEST(test_concurrent)
{
	LimiterCall call;
	uint64_t until_us;

	configure((LimiterSettings){ .max_concurrent = 3 });
	call = start(0);
	start(0);
	start(0);
	ck_assert_int_eq(look(&until_us), LIMITER_CONCURRENT);
	ck_assert_uint_eq(until_us, 0);
	limiter_prove(&limiter, &call);
	ck_assert_int_eq(look(NULL), LIMITER_CONCURRENT);
	limiter_end(&limiter, &call, true, UINT64_MAX);
	start(0);
	ck_assert_int_eq(look(NULL), LIMITER_CONCURRENT);
}
END_TEST

/* In no minute more than so many, wherever it begins. */
START_TEST(test_requests)
{
	uint64_t until_us;

	configure((LimiterSettings){ .requests_per_minute = 100 });
	for (unsigned i = 0; i < 100; i++) {
		start(0);
		now_us += SECOND / 10;
	}
	ck_assert_int_eq(look(&until_us), LIMITER_REQUESTS);
	ck_assert_uint_eq(until_us, 1060 * SECOND);
	now_us = until_us - 1;
	ck_assert_int_eq(look(NULL), LIMITER_REQUESTS);
	now_us++;
	start(0);
	ck_assert_int_eq(look(&until_us), LIMITER_REQUESTS);
	ck_assert_uint_eq(until_us, 1060 * SECOND + SECOND / 10);
	/* A lower limit holds for those that were before it. */
	configure((LimiterSettings){ .requests_per_minute = 10 });
	ck_assert_int_eq(look(&until_us), LIMITER_REQUESTS);
	now_us = until_us;
	ck_assert_uint_eq(start_all(), 1);
}
END_TEST

START_TEST(test_tokens)
{
	LimiterCall call;
	uint64_t until_us;

	configure((LimiterSettings){ .tokens_per_minute = 1000 });
	call = start(400);
	ck_assert_uint_eq(limiter_room(&limiter), 1); /* but more may pass */
	now_us += SECOND;
	start(500);
	now_us += SECOND;
	start(600); /* it was still below */
	ck_assert_int_eq(look(&until_us), LIMITER_TOKENS);
	ck_assert_uint_eq(until_us, 1061 * SECOND); /* the first is not enough: 1,100 are left */
	limiter_end(&limiter, &call, false, 10);
	ck_assert_int_eq(look(&until_us), LIMITER_TOKENS);
	now_us = 1061 * SECOND;
	start(0);
	/* What ended is not counted twice once it is forgotten. */
	now_us += 100 * SECOND;
	ck_assert_int_eq(look(NULL), LIMITER_OPEN);
	ck_assert_uint_eq(limiter.tokens, 0);
	limiter_end(&limiter, &call, false, 10);
	ck_assert_uint_eq(limiter.tokens, 0);
}
END_TEST

/* Never earlier than asked for, a little later by the dice. */
START_TEST(test_hold)
{
	LimiterCall call = start(0);
	uint64_t until_us;

	until_us = limiter_hold(&limiter, &call, now_us, 5 * SECOND, 0);
	ck_assert_uint_eq(until_us, now_us + 5 * SECOND);
	/* Another that is refused at the same time throws no dice. */
	ck_assert_uint_eq(limiter_hold(&limiter, &call, now_us, 5 * SECOND, 12345), until_us);
	ck_assert_uint_eq(limiter_hold(&limiter, &call, now_us, 6 * SECOND, 12345),
		now_us + 6 * SECOND + 12345);
	/* A shorter one does not shorten it. */
	until_us = limiter.held_until_us;
	ck_assert_uint_eq(limiter_hold(&limiter, &call, now_us, SECOND, 0), until_us);
	limiter_end(&limiter, &call, false, UINT64_MAX);
	ck_assert_int_eq(look(&until_us), LIMITER_HELD);
	ck_assert_uint_eq(until_us, limiter.held_until_us);
}
END_TEST

/* Without a time it is longer each time, but not for those that were refused at once. */
START_TEST(test_strikes)
{
	uint64_t pauses[4];

	for (unsigned i = 0; i < ARRAY_SIZE(pauses); i++) {
		LimiterCall call = start(0);
		uint64_t others = start_all();

		ck_assert_uint_eq(others, i == 0 ? 10000 : 0);
		pauses[i] = limiter_hold(&limiter, &call, now_us, 0, 0) - now_us;
		for (unsigned k = 0; k < 10; k++)
			ck_assert_uint_eq(
				limiter_hold(&limiter, &call, now_us, 0, 0), now_us + pauses[i]);
		limiter_end(&limiter, &call, false, UINT64_MAX);
		while (others-- > 0)
			limiter_end(&limiter, &call, false, UINT64_MAX);
		now_us = limiter.held_until_us;
		if (i > 0)
			ck_assert_uint_gt(pauses[i], pauses[i - 1]);
	}
}
END_TEST

/* One is sent ahead, then twice as many for each that is answered. */
START_TEST(test_ramp)
{
	LimiterCall call, before[2];

	configure((LimiterSettings){ .max_concurrent = 100 });
	call = start(0);
	before[0] = start(0);
	before[1] = start(0);
	limiter_hold(&limiter, &call, now_us, SECOND, 0);
	limiter_end(&limiter, &call, false, UINT64_MAX);
	/* What was under way before proves nothing. */
	limiter_prove(&limiter, &before[0]);
	now_us = limiter.held_until_us;
	call = start(0);
	ck_assert_uint_eq(start_all(), 0);
	limiter_prove(&limiter, &call);
	call = start(0);
	ck_assert_uint_eq(start_all(), 1);
	limiter_prove(&limiter, &call);
	ck_assert_uint_eq(start_all(), 3); /* four at once, one is on its way */
	for (unsigned i = 0; i < 4; i++)
		limiter_prove(&limiter, &call);
	ck_assert_uint_eq(start_all(), 64);
	limiter_prove(&limiter, &call);
	limiter_end(&limiter, &before[0], true, UINT64_MAX);
	limiter_end(&limiter, &before[1], false, UINT64_MAX);
	ck_assert_uint_gt(start_all(), 0);
	ck_assert_uint_eq(limiter.running, 100);
}
END_TEST

/* Whoever is refused late, of those that were under way before the pause, is no new refusal; but a
 * time is a time. */
START_TEST(test_late_refusals)
{
	LimiterCall call, late[3];
	uint64_t until_us;

	configure((LimiterSettings){ .max_concurrent = 100 });
	call = start(0);
	for (unsigned i = 0; i < ARRAY_SIZE(late); i++)
		late[i] = start(0);
	now_us = limiter_hold(&limiter, &call, now_us, 0, 0);
	for (unsigned i = 0; i < 2; i++) {
		call = start(0);
		limiter_prove(&limiter, &call);
		ck_assert_uint_eq(limiter.strikes, 1 - i);
		limiter_serve(&limiter, &call);
	}
	ck_assert_uint_eq(limiter_hold(&limiter, &late[0], now_us, 0, 0), now_us);
	ck_assert_int_eq(look(NULL), LIMITER_OPEN);
	until_us = limiter_hold(&limiter, &late[1], now_us, 2 * SECOND, 0);
	ck_assert_uint_eq(until_us, now_us + 2 * SECOND);
	ck_assert_int_eq(look(NULL), LIMITER_HELD);
	ck_assert_uint_eq(limiter.strikes, 0);
	now_us = until_us;
	ck_assert_uint_eq(start_all(), 4);
	/* A trial that is refused while another's time holds is one. */
	limiter_hold(&limiter, &late[2], now_us, 5 * SECOND, 0);
	call.epoch = limiter.epoch;
	limiter_hold(&limiter, &call, now_us, 0, 0);
	ck_assert_uint_eq(limiter.strikes, 1);
	ck_assert_uint_eq(limiter.held_until_us, now_us + 5 * SECOND);
	now_us = limiter.held_until_us;
	ck_assert_uint_eq(start_all(), 1);
}
END_TEST

/* Who is refused late, but says for how long, when all get through again: what comes then is a
 * trial. */
START_TEST(test_late_pause)
{
	LimiterCall call, late;

	configure((LimiterSettings){ .max_concurrent = 4 });
	late = start(0);
	call = start(0);
	now_us = limiter_hold(&limiter, &call, now_us, 0, 0);
	limiter_end(&limiter, &call, false, UINT64_MAX);
	while (limiter_is_on_trial(&limiter)) {
		call = start(0);
		limiter_prove(&limiter, &call);
		limiter_serve(&limiter, &call);
		limiter_end(&limiter, &call, true, UINT64_MAX);
	}
	now_us = limiter_hold(&limiter, &late, now_us, SECOND, 0);
	ck_assert_uint_eq(limiter.strikes, 0);
	ck_assert(limiter_is_on_trial(&limiter));
	ck_assert_uint_eq(start_all(), 1);
}
END_TEST

/* An answer that turns out to be a refusal does not make the next pause short. */
START_TEST(test_refused_within)
{
	uint64_t before_us = 0;

	configure((LimiterSettings){ .max_concurrent = 4 });
	for (unsigned i = 0; i < 4; i++) {
		LimiterCall call = start(0);
		uint64_t began_us = now_us;

		limiter_prove(&limiter, &call);
		now_us = limiter_hold(&limiter, &call, now_us, 0, 0);
		limiter_end(&limiter, &call, true, UINT64_MAX);
		ck_assert_uint_gt(now_us - began_us, before_us);
		before_us = now_us - began_us;
	}
}
END_TEST

/* A trial that hangs is joined by another after a while. */
START_TEST(test_trial_hangs)
{
	LimiterCall call = start(0);
	uint64_t until_us;

	limiter_hold(&limiter, &call, now_us, SECOND, 0);
	limiter_end(&limiter, &call, false, UINT64_MAX);
	now_us = limiter.held_until_us;
	start(0);
	ck_assert_int_eq(look(&until_us), LIMITER_CONCURRENT);
	ck_assert_uint_gt(until_us, now_us);
	now_us = until_us;
	ck_assert_uint_eq(start_all(), 1);
}
END_TEST

/* Another provider under the same name: nothing holds but the limits, and what the old one says is
 * not its. */
START_TEST(test_replace)
{
	LimiterCall before = start(0), trial, call;

	configure((LimiterSettings){ .requests_per_minute = 4 });
	start(0);
	limiter_hold(&limiter, &before, now_us, 3000 * SECOND, 0);
	now_us = limiter.held_until_us;
	trial = start(0);
	limiter_hold(&limiter, &trial, now_us, 0, 0);
	ck_assert_int_eq(look(NULL), LIMITER_HELD);
	limiter_replace(&limiter);
	ck_assert(!limiter_is_current(&limiter, &before));
	ck_assert(!limiter_is_current(&limiter, &trial));
	call = start(0);
	ck_assert(limiter_is_current(&limiter, &call));
	limiter_prove(&limiter, &trial);
	limiter_end(&limiter, &trial, false, UINT64_MAX);
	limiter_end(&limiter, &before, false, UINT64_MAX);
	/* No ramp, and none that was unproven: two more of the four. */
	ck_assert_uint_eq(start_all(), 2);
	ck_assert_int_eq(look(NULL), LIMITER_REQUESTS);
	/* Refused once more, it is the first time. */
	limiter_hold(&limiter, &call, now_us, 0, 0);
	ck_assert_uint_eq(limiter.held_until_us, now_us + SECOND / 2);
	ck_assert(limiter_is_current(&limiter, &call));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("limiter");
	TCase *tc = tcase_create("limiter");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_no_limits);
	tcase_add_test(tc, test_concurrent);
	tcase_add_test(tc, test_requests);
	tcase_add_test(tc, test_tokens);
	tcase_add_test(tc, test_hold);
	tcase_add_test(tc, test_strikes);
	tcase_add_test(tc, test_late_pause);
	tcase_add_test(tc, test_refused_within);
	tcase_add_test(tc, test_ramp);
	tcase_add_test(tc, test_late_refusals);
	tcase_add_test(tc, test_trial_hangs);
	tcase_add_test(tc, test_replace);
	suite_add_tcase(s, tc);
	return s;
}
