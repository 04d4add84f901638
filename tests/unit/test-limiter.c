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

static uint64_t start(uint64_t tokens)
{
	uint64_t number;

	ck_assert_int_eq(look(NULL), LIMITER_OPEN);
	ck_assert_int_eq(limiter_start(&limiter, now_us, tokens, &number), 0);
	return number;
}

static unsigned start_all(void)
{
	unsigned n = 0;

	for (; n < 10000 && look(NULL) == LIMITER_OPEN; n++)
		start(0);
	return n;
}

START_TEST(test_no_limits)
{
	ck_assert_uint_eq(start_all(), 10000);
}
END_TEST

START_TEST(test_concurrent)
{
	uint64_t number, until_us;

	configure((LimiterSettings){ .max_concurrent = 3 });
	number = start(0);
	start(0);
	start(0);
	ck_assert_int_eq(look(&until_us), LIMITER_CONCURRENT);
	ck_assert_uint_eq(until_us, 0);
	limiter_prove(&limiter);
	ck_assert_int_eq(look(NULL), LIMITER_CONCURRENT);
	limiter_end(&limiter, number, true, UINT64_MAX);
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
	uint64_t number, until_us;

	configure((LimiterSettings){ .tokens_per_minute = 1000 });
	number = start(400);
	now_us += SECOND;
	start(500);
	now_us += SECOND;
	start(600); /* it was still below */
	ck_assert_int_eq(look(&until_us), LIMITER_TOKENS);
	ck_assert_uint_eq(until_us, 1061 * SECOND); /* the first is not enough: 1,100 are left */
	limiter_end(&limiter, number, false, 10);
	ck_assert_int_eq(look(&until_us), LIMITER_TOKENS);
	now_us = 1061 * SECOND;
	start(0);
	/* What ended is not counted twice once it is forgotten. */
	now_us += 100 * SECOND;
	ck_assert_int_eq(look(NULL), LIMITER_OPEN);
	ck_assert_uint_eq(limiter.tokens, 0);
	limiter_end(&limiter, number, false, 10);
	ck_assert_uint_eq(limiter.tokens, 0);
}
END_TEST

/* Never earlier than asked for, a little later by the dice. */
START_TEST(test_hold)
{
	uint64_t until_us, number = start(0);

	until_us = limiter_hold(&limiter, now_us, 5 * SECOND, 0);
	ck_assert_uint_eq(until_us, now_us + 5 * SECOND);
	ck_assert_uint_gt(limiter_hold(&limiter, now_us, 5 * SECOND, 12345), until_us);
	ck_assert_uint_le(limiter.held_until_us, until_us + SECOND / 2);
	/* A shorter one does not shorten it. */
	until_us = limiter.held_until_us;
	ck_assert_uint_eq(limiter_hold(&limiter, now_us, SECOND, 0), until_us);
	limiter_end(&limiter, number, false, UINT64_MAX);
	ck_assert_int_eq(look(&until_us), LIMITER_HELD);
	ck_assert_uint_eq(until_us, limiter.held_until_us);
}
END_TEST

/* Without a time it is longer each time, but not for those that were refused at once. */
START_TEST(test_strikes)
{
	uint64_t pauses[4];

	for (unsigned i = 0; i < ARRAY_SIZE(pauses); i++) {
		uint64_t number = start(0), others = start_all();

		ck_assert_uint_eq(others, i == 0 ? 10000 : 0);
		pauses[i] = limiter_hold(&limiter, now_us, 0, 0) - now_us;
		for (unsigned k = 0; k < 10; k++)
			ck_assert_uint_ge(limiter_hold(&limiter, now_us, 0, 0), now_us + pauses[i]);
		limiter_end(&limiter, number, false, UINT64_MAX);
		while (others-- > 0)
			limiter_end(&limiter, number, false, UINT64_MAX);
		now_us = limiter.held_until_us;
		if (i > 0)
			ck_assert_uint_gt(pauses[i], pauses[i - 1]);
	}
}
END_TEST

/* One is sent ahead, then twice as many for each that is answered. */
START_TEST(test_ramp)
{
	uint64_t number;

	configure((LimiterSettings){ .max_concurrent = 100 });
	number = start(0);
	limiter_hold(&limiter, now_us, SECOND, 0);
	limiter_end(&limiter, number, false, UINT64_MAX);
	now_us = limiter.held_until_us;
	ck_assert_uint_eq(start_all(), 1);
	limiter_prove(&limiter);
	ck_assert_uint_eq(start_all(), 2);
	limiter_prove(&limiter);
	ck_assert_uint_eq(start_all(), 3); /* four at once, one is on its way */
	for (unsigned i = 0; i < 4; i++)
		limiter_prove(&limiter);
	ck_assert_uint_eq(start_all(), 64);
	limiter_prove(&limiter);
	ck_assert_uint_eq(start_all(), 30);
	ck_assert_uint_eq(limiter.running, 100);
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
	tcase_add_test(tc, test_ramp);
	suite_add_tcase(s, tc);
	return s;
}
