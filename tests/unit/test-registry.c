#include "daemon/agent/registry.h"

#include <string.h>

#include "tests/lib/check-main.h"
#include "tests/lib/make-agent.h"

#define N 5000U

static Registry registry;
static Agent *agents[N];

static void setup(void)
{
	ck_assert_int_eq(registry_init(&registry), 0);
}

static void teardown(void)
{
	registry_done(&registry);
	registry_done(&registry);
}

static void add_all(size_t n)
{
	for (size_t i = 0; i < n; i++) {
		agents[i] = make_agent(i * 0x9e3779b97f4a7c15ULL, NULL);
		agents[i]->seq = i + 1;
		registry_add(&registry, agents[i]);
		registry_accept(&registry, agents[i]);
	}
}

static void assert_found(size_t i, bool there)
{
	Uuid id = make_agent_id(i * 0x9e3779b97f4a7c15ULL);

	ck_assert_ptr_eq(registry_find(&registry, &id), there ? agents[i] : NULL);
}

/* Through several growths, and with every third gone again. */
START_TEST(test_many)
{
	size_t n = 0;
	uint64_t last = 0;

	add_all(N);
	ck_assert_uint_eq(registry.n, N);
	ck_assert_uint_ge(registry.n_buckets, N / 2);
	for (size_t i = 0; i < N; i++)
		assert_found(i, true);
	for (size_t i = 0; i < N; i += 3) {
		registry_remove(&registry, agents[i]);
		agent_free(agents[i]);
	}
	for (size_t i = 0; i < N; i++)
		assert_found(i, i % 3 != 0);
	list_foreach (node, &registry.by_seq) {
		const Agent *a = container_of(node, Agent, by_seq);

		ck_assert_uint_gt(a->seq, last);
		last = a->seq;
		n++;
	}
	ck_assert_uint_eq(n, registry.n);
	assert_found(N, false);
}
END_TEST

/* One that is not accepted yet is found, and not listed. */
START_TEST(test_not_accepted)
{
	Agent *a = make_agent(1, NULL);
	Uuid id = make_agent_id(1);

	registry_add(&registry, a);
	ck_assert_ptr_eq(registry_find(&registry, &id), a);
	ck_assert(list_empty(&registry.by_seq));
	registry_remove(&registry, a);
	ck_assert_ptr_null(registry_find(&registry, &id));
	registry_remove(&registry, a);
	agent_free(a);
}
END_TEST

START_TEST(test_move)
{
	Registry other;

	add_all(50);
	registry_move(&registry, &other);
	ck_assert_ptr_null(registry.buckets);
	registry_done(&registry);
	ck_assert_uint_eq(other.n, 50);
	ck_assert_ptr_eq(container_of(other.by_seq.next, Agent, by_seq), agents[0]);
	ck_assert_ptr_eq(container_of(other.by_seq.prev, Agent, by_seq), agents[49]);
	registry_move(&other, &registry);
	for (size_t i = 0; i < 50; i++)
		assert_found(i, true);
}
END_TEST

START_TEST(test_move_empty)
{
	Registry other;

	registry_move(&registry, &other);
	ck_assert(list_empty(&other.by_seq));
	registry_move(&other, &registry);
	add_all(1);
}
END_TEST

/* ---- Prefixes ---- */

static size_t n_found, n_wanted;

static bool on_agent(Agent *a, void *userdata)
{
	ck_assert_ptr_eq(userdata, &n_found);
	ck_assert_ptr_nonnull(a);
	return ++n_found < n_wanted;
}

static const struct {
	const char *prefix;
	size_t n;
} prefixes[] = {
	{ "00000000-0000-0000-0000-000000000000", 1 },
	{ "00000000-0000-0000-0000-00000000000", 16 },
	{ "00000000-0000-0000-0000-000000000", 100 },
	{ "00000000-0000-0000-0000-00000000001", 16 },
	{ "00000000-0000-0000-0000-00000000006", 4 },
	{ "0000", 100 },
	{ "00000000-", 100 },
	{ "", 100 },
	{ "0001", 0 },
	{ "000000000000", 0 },
	{ "00000000-0000-0000-0000-00000000000A", 0 },
	{ "00000000-0000-0000-0000-00000000000a", 1 },
	{ "00000000-0000-0000-0000-0000000000000", 0 },
};

static void find(const char *prefix, size_t wanted)
{
	n_found = 0;
	n_wanted = wanted;
	registry_find_prefix(&registry, prefix, strlen(prefix), on_agent, &n_found);
}

START_TEST(test_prefixes)
{
	for (uint64_t i = 0; i < 100; i++)
		registry_add(&registry, make_agent(i, NULL));
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		find(prefixes[i].prefix, SIZE_MAX);
		ck_assert_msg(n_found == prefixes[i].n, "\"%s\": %zu", prefixes[i].prefix, n_found);
	}
	find("0000", 2);
	ck_assert_uint_eq(n_found, 2);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("registry");
	TCase *tc = tcase_create("registry");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_many);
	tcase_add_test(tc, test_not_accepted);
	tcase_add_test(tc, test_move);
	tcase_add_test(tc, test_move_empty);
	tcase_add_test(tc, test_prefixes);
	suite_add_tcase(s, tc);
	return s;
}
