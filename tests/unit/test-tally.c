#include "daemon/agent/tally.h"

#include <errno.h>
#include <stdio.h>

#include "tests/lib/check-main.h"
#include "tests/lib/config-fixture.h"
#include "tests/lib/fault.h"

static Tallies tallies;

static void setup(void)
{
	config_fixture_setup();
	ck_assert_int_eq(tallies_init(&tallies), 0);
}

static void teardown(void)
{
	tallies_done(&tallies);
	config_fixture_teardown();
}

static Tally *find(const char *group)
{
	return tallies_find(&tallies, group, &backend_mock);
}

static Tally *find_nth(unsigned n)
{
	char name[16];

	(void)snprintf(name, sizeof(name), "g%u", n);
	return find(name);
}

START_TEST(test_counts)
{
	Tally *t = find("g");

	t->spawned++;
	tally_enter(t, AGENT_STATE_QUEUED);
	tally_move(t, AGENT_STATE_QUEUED, AGENT_STATE_RUNNING);
	tally_enter(t, AGENT_STATE_QUEUED);
	ck_assert_uint_eq(t->by_state[AGENT_STATE_QUEUED], 1);
	ck_assert_uint_eq(t->by_state[AGENT_STATE_RUNNING], 1);
	tally_move(t, AGENT_STATE_RUNNING, AGENT_STATE_FAILED);
	ck_assert_uint_eq(t->by_state[AGENT_STATE_RUNNING], 0);
	ck_assert_uint_eq(t->by_state[AGENT_STATE_FAILED], 1);
	ck_assert_uint_eq(t->spawned, 1);
}
END_TEST

START_TEST(test_found_again)
{
	Tally *a = find("a"), *b = find("b");

	ck_assert_ptr_ne(a, b);
	ck_assert_ptr_eq(find("a"), a);
	ck_assert_ptr_eq(a->backend, &backend_mock);
	ck_assert_ptr_ne(tallies_find(&tallies, "a", &backend_exec), a);
	ck_assert_ptr_eq(find("b"), b);
}
END_TEST

/* Each that there is has a place of its own in a group, and so has the one that makes no sense. */
START_TEST(test_backends)
{
	static const Backend unknown = { .name = "unknown" };
	Tally *seen[TALLY_BACKENDS];
	size_t n = 0;

	for (const char *const *name = protocol_backend_names(); *name; name++)
		seen[n++] = tallies_find(&tallies, "g", backend_find(*name));
	ck_assert_uint_eq(n, BACKENDS);
	seen[n++] = tallies_find(&tallies, "g", &unknown);
	ck_assert_uint_eq(n, TALLY_BACKENDS);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_ptr_ne(seen[i], seen[j]);
}
END_TEST

/* Names are the clients' choice. */
START_TEST(test_too_many_groups)
{
	Tally *rest;

	for (unsigned i = 0; i < TALLIES_MAX_NAMES; i++)
		find_nth(i);
	rest = find_nth(TALLIES_MAX_NAMES);
	ck_assert_ptr_eq(find_nth(TALLIES_MAX_NAMES + 1), rest);
	ck_assert_ptr_eq(find(""), rest);
	ck_assert_ptr_ne(find_nth(TALLIES_MAX_NAMES - 1), rest);
	ck_assert_ptr_ne(find_nth(0), rest);
}
END_TEST

/* What is configured later, too, and whatever came before. */
START_TEST(test_configured)
{
	Config *config = config_fixture_must_load("[group g1]\n"
						  "max_running = 1\n"
						  "[group kept]\n"
						  "max_running = 1\n");
	Tally *rest;

	for (unsigned i = 0; i <= TALLIES_MAX_NAMES; i++)
		find_nth(i);
	rest = find("kept");
	ck_assert_ptr_eq(rest, find(""));
	tallies_configure(&tallies, config);
	tallies_configure(&tallies, config);
	config_free(config);
	ck_assert_ptr_ne(find("kept"), rest);
	ck_assert_ptr_eq(find("another"), rest);
	ck_assert_ptr_ne(find("g1"), rest);
}
END_TEST

START_TEST(test_out_of_memory)
{
	Tallies none = { 0 };

	fault_calloc_after(0);
	ck_assert_ptr_eq(find("g"), find(""));
	ck_assert_int_eq(tallies_init(&none), -ENOMEM);
	tallies_done(&none);
	fault_calloc_after(-1);
	ck_assert_ptr_ne(find("g"), find(""));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("tally");
	TCase *tc = tcase_create("tally");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_counts);
	tcase_add_test(tc, test_found_again);
	tcase_add_test(tc, test_backends);
	tcase_add_test(tc, test_too_many_groups);
	tcase_add_test(tc, test_configured);
	tcase_add_test(tc, test_out_of_memory);
	suite_add_tcase(s, tc);
	return s;
}
