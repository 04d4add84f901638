#include "daemon/agent/providers.h"

#include <event2/event.h>

#include "common/clock.h"
#include "tests/lib/check-main.h"
#include "tests/lib/config-fixture.h"
#include "tests/lib/make-agent.h"

#define N_AGENTS 1000

static struct event_base *base;
static Timers *timers;
static Config *config;
static Scheduler scheduler;
static Providers providers;
static Agent *agents[N_AGENTS];
static unsigned n_told;
static LimiterReason told_last;

static int on_waiting(Ticket *t, LimiterReason reason, uint64_t until_us, void *userdata)
{
	(void)t;
	(void)until_us;
	(void)userdata;
	n_told++;
	told_last = reason;
	return 0;
}

static void on_time(Ticket *t, void *userdata)
{
	(void)t;
	(void)userdata;
	ck_abort_msg("no loop runs");
}

static void setup(void)
{
	const ProvidersHooks hooks = {
		.on_waiting = on_waiting,
		.on_due = on_time,
		.on_deadline = on_time,
	};
	_cleanup_buf_ Buf why = { 0 };
	ProviderSettings *settings;

	config_fixture_setup();
	config = config_fixture_must_load("[provider p]\n"
					  "kind = openai\n"
					  "base_url = http://localhost\n"
					  "max_concurrent = 1\n");
	n_told = 0;
	base = event_base_new();
	ck_assert_int_eq(timers_new(base, &timers), 0);
	ck_assert_int_eq(scheduler_init(&scheduler, config), 0);
	providers_init(&providers, &scheduler, timers, &hooks);
	ck_assert_int_eq(provider_settings_new(config->providers, &settings, &why), 0);
	ck_assert_int_eq(providers_configure(&providers, &settings, 1), 0);
	provider_settings_unref(settings);
	for (unsigned i = 0; i < N_AGENTS; i++) {
		Agent *a = agents[i] = make_agent(i + 1, NULL);

		a->seq = i + 1;
		ck_assert_int_eq(ticket_new(&providers, a, "p"), 0);
		ck_assert_int_eq(scheduler_join(&scheduler, a, "g", &a->ticket->provider->gate), 0);
		ck_assert_int_eq(scheduler_enqueue(&scheduler, a), 0);
		ticket_queued(a->ticket);
	}
}

static void teardown(void)
{
	for (unsigned i = 0; i < N_AGENTS; i++) {
		scheduler_leave(&scheduler, agents[i]);
		agent_free(agents[i]); /* and its ticket */
	}
	providers_done(&providers);
	scheduler_done(&scheduler);
	timers_free(timers);
	event_base_free(base);
	config_free(config);
	config_fixture_teardown();
}

static Ticket *start(void)
{
	Agent *a = scheduler_next(&scheduler);

	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(ticket_started(a->ticket, 0), 0);
	return a->ticket;
}

/* In as many turns as it takes. */
static unsigned tell(void)
{
	unsigned before = n_told, last = before;

	while (!providers_end_turn(&providers)) {
		ck_assert_uint_gt(n_told, last);
		ck_assert_uint_le(n_told - last, 256);
		last = n_told;
	}
	ck_assert_uint_le(n_told - last, 256);
	return n_told - before;
}

/* Each is told once, not all of them in one turn. */
START_TEST(test_told_in_turns)
{
	ck_assert_uint_eq(tell(), 0);
	start();
	ck_assert(!providers_end_turn(&providers));
	ck_assert_uint_eq(n_told, 256);
	ck_assert_uint_eq(tell(), N_AGENTS - 1 - 256);
	ck_assert_int_eq(told_last, LIMITER_CONCURRENT);
	ck_assert_uint_eq(tell(), 0);
}
END_TEST

/* Of a pause everybody is told once, and again where it has become much longer. */
START_TEST(test_told_of_pauses)
{
	Ticket *t = start();
	uint64_t told_us;

	tell();
	ticket_refused(t, 5 * USEC_PER_SEC);
	ck_assert_uint_eq(tell(), N_AGENTS - 1);
	ck_assert_int_eq(told_last, LIMITER_HELD);
	told_us = t->provider->limiter.held_until_us;
	ticket_refused(t, 5 * USEC_PER_SEC + 100 * USEC_PER_MSEC);
	/* On a machine that takes its time it is much longer. */
	if (t->provider->limiter.held_until_us > told_us + USEC_PER_SEC)
		tell();
	ck_assert_uint_eq(tell(), 0);
	ticket_refused(t, 60 * USEC_PER_SEC);
	ck_assert_uint_eq(tell(), N_AGENTS - 1);
	ticket_ended(t, UINT64_MAX);
	/* As if it were over. A trial that is refused then is news only if that takes longer. */
	t->provider->limiter.held_until_us = 0;
	scheduler_set_gate(&scheduler, &t->provider->gate, 1);
	t = start();
	tell();
	ticket_refused(t, USEC_PER_MSEC);
	ck_assert_uint_eq(tell(), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("providers");
	TCase *tc = tcase_create("providers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_told_in_turns);
	tcase_add_test(tc, test_told_of_pauses);
	suite_add_tcase(s, tc);
	return s;
}
