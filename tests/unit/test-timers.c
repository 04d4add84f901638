#include "daemon/loop/timers.h"

#include <errno.h>

#include "common/clock.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

#define N 1000U

typedef struct Ticker {
	Timer timer;
	unsigned runs;
	uint64_t due_us;      /* what it was set for */
	struct Ticker *other; /* is unset by it */
	uint64_t again_ms;    /* 0: not */
} Ticker;

static struct event_base *base;
static Timers *timers;
static Ticker tickers[N];
static unsigned n_run;

static void run(Timer *t)
{
	Ticker *ticker = container_of(t, Ticker, timer);
	uint64_t now_us = clock_monotonic_us();

	ck_assert_uint_ge(now_us, ticker->due_us);
	ticker->runs++;
	n_run++;
	if (ticker->other)
		timer_unset(timers, &ticker->other->timer);
	if (ticker->again_ms > 0) {
		ticker->due_us = now_us;
		ck_assert_int_eq(timer_set(timers, t, ticker->due_us, ticker->again_ms), 0);
		ticker->again_ms = 0;
	}
}

static void set(unsigned i, uint64_t from_us, uint64_t ms)
{
	tickers[i].due_us = from_us + ms * USEC_PER_MSEC;
	ck_assert_int_eq(timer_set(timers, &tickers[i].timer, tickers[i].due_us, ms), 0);
}

static void setup(void)
{
	base = event_base_new();
	ck_assert_int_eq(timers_new(base, &timers), 0);
	for (unsigned i = 0; i < N; i++) {
		tickers[i] = (Ticker){ 0 };
		timer_init(&tickers[i].timer, run);
	}
	n_run = 0;
}

static void teardown(void)
{
	timers_free(timers);
	event_base_free(base);
}

/* Until there is no timer any more. */
static void loop(void)
{
	ck_assert_int_ge(event_base_dispatch(base), 0);
}

/* More delays than there are queues, in no order, and none runs too early or twice. */
START_TEST(test_all_run)
{
	uint64_t now_us = clock_monotonic_us();

	for (unsigned i = 0; i < N; i++)
		set(i, now_us, 1 + i * 7919U % 97);
	loop();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(tickers[i].runs, 1);
}
END_TEST

/* One delay, but hardly two of them in order. */
START_TEST(test_out_of_order)
{
	uint64_t now_us = clock_monotonic_us();

	for (unsigned i = 0; i < N; i++) {
		tickers[i].due_us = now_us + i * 7919U % N * 20;
		ck_assert_int_eq(timer_set(timers, &tickers[i].timer, tickers[i].due_us, 10), 0);
	}
	loop();
	for (unsigned i = 0; i < N; i++)
		ck_assert_uint_eq(tickers[i].runs, 1);
}
END_TEST

/* In a queue, in the heap, and by one that is due in the same moment. */
START_TEST(test_unset)
{
	uint64_t now_us = clock_monotonic_us();

	for (unsigned i = 0; i < 200; i++)
		set(i, now_us, 1 + i);
	for (unsigned i = 1; i < 200; i++)
		timer_unset(timers, &tickers[i].timer);
	set(300, now_us, 1);
	set(301, now_us, 1);
	tickers[300].other = &tickers[301];
	tickers[301].other = &tickers[300];
	timer_unset(timers, &tickers[400].timer);
	loop();
	ck_assert_uint_eq(n_run, 2);
	ck_assert_uint_eq(tickers[0].runs, 1);
	ck_assert_uint_eq(tickers[300].runs + tickers[301].runs, 1);
}
END_TEST

/* One that is set anew for a moment that has passed lets the loop breathe. */
START_TEST(test_set_while_run)
{
	set(0, clock_monotonic_us(), 0);
	tickers[0].again_ms = 5;
	ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
	ck_assert_uint_eq(tickers[0].runs, 1);
	loop();
	ck_assert_uint_eq(tickers[0].runs, 2);
}
END_TEST

/* A later one does not put an earlier one off. */
START_TEST(test_earlier)
{
	uint64_t now_us = clock_monotonic_us();

	set(0, now_us, 3600000);
	set(1, now_us, 2);
	set(2, now_us, 7200000);
	/* More than one turn: libevent goes by the coarse clock, so that a turn may come before its
	 * time, in which nothing runs. */
	while (n_run == 0)
		ck_assert_int_ge(event_base_loop(base, EVLOOP_ONCE), 0);
	ck_assert_uint_eq(tickers[1].runs, 1);
	ck_assert_uint_eq(n_run, 1);
}
END_TEST

START_TEST(test_no_memory)
{
	uint64_t now_us = clock_monotonic_us();
	unsigned i = 0;

	for (; i < 64; i++)
		set(i, now_us, 1 + i);
	fault_realloc_after(0);
	ck_assert_int_eq(timer_set(timers, &tickers[i].timer, now_us, 1 + i), -ENOMEM);
	fault_realloc_after(-1);
	loop();
	ck_assert_uint_eq(n_run, 64);
	ck_assert_uint_eq(tickers[i].runs, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("timers");
	TCase *tc = tcase_create("timers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_all_run);
	tcase_add_test(tc, test_out_of_order);
	tcase_add_test(tc, test_unset);
	tcase_add_test(tc, test_set_while_run);
	tcase_add_test(tc, test_earlier);
	tcase_add_test(tc, test_no_memory);
	suite_add_tcase(s, tc);
	return s;
}
