#include "daemon/agent/scheduler.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/make-agent.h"

static Scheduler scheduler;
static char name_one[] = "one", name_two[] = "two";
static ConfigGroup groups[] = {
	{ .name = name_one, .max_running = 1 },
	{ .name = name_two, .max_running = 2 },
};
static Config config = {
	.max_running = 4,
	.max_queued = 10,
	.groups = groups,
	.n_groups = ARRAY_SIZE(groups),
};
static uint64_t next_seq;
static Gate *gate; /* that spawn() puts agents behind; NULL: none */

static void setup(void)
{
	config.max_running = 4;
	config.max_queued = 10;
	config.n_groups = ARRAY_SIZE(groups);
	groups[0].max_running = 1;
	groups[1].max_running = 2;
	next_seq = 0;
	ck_assert_int_eq(scheduler_init(&scheduler, &config), 0);
}

static void teardown(void)
{
	fault_realloc_after(-1);
	scheduler_done(&scheduler);
}

static Agent *spawn(const char *group, int32_t priority)
{
	Agent *a = make_agent(++next_seq, NULL);

	a->priority = priority;
	ck_assert_int_eq(scheduler_join(&scheduler, a, group, gate), 0);
	ck_assert(a->spawning);
	return a;
}

static Agent *queue(const char *group, int32_t priority)
{
	Agent *a = spawn(group, priority);

	a->seq = next_seq;
	ck_assert_int_eq(scheduler_enqueue(&scheduler, a), 0);
	ck_assert(!a->spawning);
	return a;
}

static Agent *next(Agent *expected)
{
	Agent *a = scheduler_next(&scheduler);

	ck_assert_msg(a == expected, "%llu, not %llu", a ? (unsigned long long)a->seq : 0,
		expected ? (unsigned long long)expected->seq : 0);
	if (a)
		ck_assert(a->starting);
	return a;
}

static void end(Agent *a)
{
	scheduler_leave(&scheduler, a);
	ck_assert_ptr_null(a->lane);
	scheduler_leave(&scheduler, a);
	agent_free(a);
}

static void assert_counts(uint32_t running, uint32_t queued, uint32_t spawning)
{
	ck_assert_uint_eq(scheduler.running, running);
	ck_assert_uint_eq(scheduler.queued, queued);
	ck_assert_uint_eq(scheduler.spawning, spawning);
}

/* ---- Order ---- */

START_TEST(test_priorities)
{
	Agent *a = queue("x", 0), *b = queue("x", 5), *c = queue("y", 5), *d = queue("x", -5),
	      *e = queue("y", INT32_MIN), *f = queue("z", INT32_MAX);

	assert_counts(0, 6, 0);
	next(f);
	next(b);
	next(c);
	next(a);
	next(NULL); /* four run */
	assert_counts(4, 2, 0);
	end(a);
	next(d);
	end(b);
	next(e);
	next(NULL);
	end(c);
	end(d);
	end(e);
	end(f);
	assert_counts(0, 0, 0);
}
END_TEST

/* The one with the highest priority whose group has room, however many wait before it. */
START_TEST(test_groups)
{
	Agent *a = queue("one", 9), *b = queue("one", 8), *c = queue("two", 7),
	      *d = queue("two", 6), *e = queue("two", 5), *f = queue("free", -1);

	next(a);
	next(c);
	next(d);
	next(f);
	next(NULL);
	end(f);
	next(NULL); /* both groups are full */
	assert_counts(3, 2, 0);
	end(c);
	next(e);
	end(a);
	next(b);
	end(b);
	end(d);
	end(e);
	assert_counts(0, 0, 0);
}
END_TEST

/* Out of the queue without having run; the group's place in the order changes with its first. */
START_TEST(test_leave_queue)
{
	Agent *a = queue("x", 9), *b = queue("x", 1), *c = queue("y", 5);

	end(a);
	assert_counts(0, 2, 0);
	next(c);
	next(b);
	end(c);
	end(b);
}
END_TEST

START_TEST(test_leave_spawning)
{
	Agent *a = spawn("one", 0), *b = queue("one", 0);

	assert_counts(0, 1, 1);
	end(a);
	assert_counts(0, 1, 0);
	next(b);
	end(b);
	assert_counts(0, 0, 0);
}
END_TEST

/* ---- Groups come and go ---- */

static size_t count_groups(void)
{
	size_t n = 0;

	list_foreach (node, &scheduler.groups)
		n++;
	return n;
}

START_TEST(test_unused_groups_go)
{
	Agent *a, *b;

	ck_assert_uint_eq(count_groups(), 2);
	a = spawn("x", 0);
	b = queue("x", 0);
	ck_assert_uint_eq(count_groups(), 3);
	end(a);
	next(b);
	ck_assert_uint_eq(count_groups(), 3);
	end(b);
	ck_assert_uint_eq(count_groups(), 2);
}
END_TEST

static size_t longest_chain(void)
{
	size_t longest = 0;

	for (size_t i = 0; i < scheduler.n_buckets; i++) {
		size_t n = 0;

		for (const Group *g = scheduler.buckets[i]; g; g = g->hash_next)
			n++;
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Each agent in a group of its own: finding one's group takes no longer for that. */
START_TEST(test_many_groups)
{
	enum { N = 20000 };
	static Agent *agents[N];
	char name[32];

	for (size_t i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "group %zu", i);
		agents[i] = queue(name, 0);
	}
	ck_assert_uint_eq(count_groups(), N + 2);
	ck_assert_uint_lt(longest_chain(), 32);
	for (size_t i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "group %zu", N - 1 - i);
		end(queue(name, 0));
	}
	ck_assert_uint_eq(count_groups(), N + 2);
	for (size_t i = 0; i < N; i++)
		end(agents[i]);
	ck_assert_uint_eq(count_groups(), 2);
	ck_assert_uint_le(longest_chain(), 2);
}
END_TEST

START_TEST(test_configure)
{
	Agent *a = queue("one", 0), *b = queue("one", 0), *c = queue("one", 0);

	next(a);
	next(NULL);
	groups[0].max_running = 2;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	next(b);
	next(NULL);
	/* Fewer than run: they run on, and no more are started until they have ended. */
	groups[0].max_running = 1;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	end(a);
	next(NULL);
	/* A group that the configuration does not name any more has no limit of its own. */
	config.n_groups = 0;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	ck_assert_uint_eq(count_groups(), 1);
	next(c);
	config.max_running = 1;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	a = queue("one", 0);
	end(b);
	next(NULL);
	end(c);
	next(a);
	end(a);
	ck_assert_uint_eq(count_groups(), 0);
}
END_TEST

/* ---- Gates ---- */

/* Behind a gate that is shut nobody comes through, and keeps nobody else; when it opens, the order
 * is what it always is. */
START_TEST(test_gate)
{
	Gate shut;
	Agent *behind[3], *low, *high;

	ck_assert_int_eq(scheduler_add_gate(&scheduler, &shut), 0);
	gate = &shut;
	behind[0] = queue("x", 1);
	behind[1] = queue("y", 3);
	behind[2] = queue("one", 2);
	gate = NULL;
	scheduler_set_gate(&scheduler, &shut, 0);
	low = queue("x", 0);
	ck_assert_uint_eq(shut.queued, 3);
	next(low);
	next(NULL);
	assert_counts(1, 3, 0);
	scheduler_set_gate(&scheduler, &shut, UINT32_MAX);
	scheduler_set_gate(&scheduler, &shut, UINT32_MAX);
	high = queue("x", 9);
	next(high);
	next(behind[1]);
	scheduler_set_gate(&scheduler, &shut, 0);
	next(NULL);
	end(behind[2]); /* out of the queue */
	scheduler_set_gate(&scheduler, &shut, UINT32_MAX);
	next(behind[0]);
	ck_assert_uint_eq(shut.queued, 0);
	end(low);
	end(high);
	end(behind[0]);
	end(behind[1]);
	ck_assert_uint_eq(shut.n_lanes, 0);
	ck_assert_uint_eq(count_groups(), 2);
	scheduler_remove_gate(&scheduler, &shut);
}
END_TEST

/* By turn the oldest comes first; the gate has its place among others by the best that stand behind
 * it. */
START_TEST(test_gate_by_turn)
{
	Gate trial;
	Agent *a, *b, *c, *d, *middle;

	ck_assert_int_eq(scheduler_add_gate(&scheduler, &trial), 0);
	gate = &trial;
	a = queue("x", 0);
	b = queue("y", 5);
	c = queue("x", 9);
	gate = NULL;
	middle = queue("x", 3);
	scheduler_order_gate(&scheduler, &trial, true);
	next(a);
	next(b);
	scheduler_set_gate(&scheduler, &trial, 0);
	gate = &trial;
	d = queue("y", 10);
	gate = NULL;
	scheduler_set_gate(&scheduler, &trial, UINT32_MAX);
	next(c);
	end(a);
	end(b);
	scheduler_set_gate(&scheduler, &trial, 0);
	gate = &trial;
	a = queue("z", -1);
	b = queue("z", 11);
	gate = NULL;
	scheduler_set_gate(&scheduler, &trial, UINT32_MAX);
	/* By priority again. */
	scheduler_order_gate(&scheduler, &trial, false);
	next(b);
	next(d);
	next(middle);
	end(b);
	next(a);
	end(a);
	end(c);
	end(d);
	end(middle);
	scheduler_remove_gate(&scheduler, &trial);
}
END_TEST

/* A group that fills up does so for all of its lanes, whichever gate they are behind. */
START_TEST(test_gates_of_one_group)
{
	Gate gates[2];
	Agent *a, *b, *c;

	for (size_t i = 0; i < ARRAY_SIZE(gates); i++)
		ck_assert_int_eq(scheduler_add_gate(&scheduler, &gates[i]), 0);
	gate = &gates[0];
	a = queue("one", 0);
	gate = &gates[1];
	b = queue("one", 0);
	gate = NULL;
	c = queue("one", 0);
	next(a);
	next(NULL);
	end(a);
	scheduler_set_gate(&scheduler, &gates[1], 0);
	next(c);
	next(NULL);
	end(c);
	next(NULL);
	scheduler_set_gate(&scheduler, &gates[1], UINT32_MAX);
	next(b);
	end(b);
	for (size_t i = 0; i < ARRAY_SIZE(gates); i++)
		scheduler_remove_gate(&scheduler, &gates[i]);
}
END_TEST

/* ---- Room ---- */

static unsigned spawn_while_room(const char *group, Agent **agents, unsigned max)
{
	unsigned n = 0;

	while (n < max && scheduler_has_room(&scheduler, group, gate))
		agents[n++] = spawn(group, 0);
	return n;
}

static void start_all(Agent **agents, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		agents[i]->seq = i + 1;
		ck_assert_int_eq(scheduler_enqueue(&scheduler, agents[i]), 0);
	}
	while (scheduler_next(&scheduler))
		continue;
}

/* As many as run and as many as may wait, whether they came one after the other or all at once. */
START_TEST(test_room)
{
	static const struct {
		const char *group;
		unsigned running;
	} cases[] = { { "free", 4 }, { "one", 1 }, { "two", 2 } };
	const char *group = cases[_i].group;
	Agent *agents[100];
	unsigned n = spawn_while_room(group, agents, 100);

	ck_assert_uint_eq(n, cases[_i].running + 10);
	start_all(agents, n);
	assert_counts(cases[_i].running, 10, 0);
	ck_assert(!scheduler_has_room(&scheduler, group, NULL));
	end(agents[0]);
	while (scheduler_next(&scheduler))
		continue;
	ck_assert(scheduler_has_room(&scheduler, group, NULL));
	for (unsigned i = 1; i < n; i++)
		end(agents[i]);
	ck_assert(scheduler_has_room(&scheduler, group, NULL));
	assert_counts(0, 0, 0);
}
END_TEST

/* A group that is full does not keep others from running, and what waits in it waits in the common
 * queue. */
START_TEST(test_room_of_groups)
{
	Agent *full[100], *free_ones[100];
	unsigned n_full, n_free;

	config.max_queued = 3;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	n_full = spawn_while_room("one", full, 100);
	ck_assert_uint_eq(n_full, 4);
	start_all(full, n_full);
	n_free = spawn_while_room("free", free_ones, 100);
	ck_assert_uint_ge(n_free, 1);
	ck_assert_uint_le(n_free, 3);
	start_all(free_ones, n_free);
	ck_assert_uint_eq(scheduler.queued, 3);
	for (unsigned i = 0; i < n_full; i++)
		end(full[i]);
	for (unsigned i = 0; i < n_free; i++)
		end(free_ones[i]);
}
END_TEST

/* Who comes together behind a gate does not pass it together; and who was to pass, and cannot any
 * more, waits. */
START_TEST(test_room_behind_gate)
{
	Gate narrow;
	Agent *agents[100], *others[100];
	unsigned n, n_others;

	ck_assert_int_eq(scheduler_add_gate(&scheduler, &narrow), 0);
	scheduler_set_gate(&scheduler, &narrow, 2);
	gate = &narrow;
	n = spawn_while_room("x", agents, 100);
	gate = NULL;
	ck_assert_uint_eq(n, 2 + 10);
	scheduler_set_gate(&scheduler, &narrow, 0);
	/* Two wait above the limit, and keep nobody from running whom no gate holds. */
	n_others = spawn_while_room("y", others, 100);
	ck_assert_uint_eq(n_others, 4);
	while (n_others > 0)
		end(others[--n_others]);
	end(agents[--n]);
	end(agents[--n]);
	scheduler_set_gate(&scheduler, &narrow, 2);
	gate = &narrow;
	n += spawn_while_room("x", &agents[n], 100 - n);
	ck_assert_uint_eq(n, 2 + 10);
	start_all(agents, n);
	gate = NULL;
	/* The test has no limiter that would shut it. */
	assert_counts(4, 8, 0);
	while (n > 0)
		end(agents[--n]);
	ck_assert_uint_eq(scheduler.waiting, 0);
	scheduler_remove_gate(&scheduler, &narrow);
}
END_TEST

START_TEST(test_no_queue)
{
	Agent *agents[100];
	unsigned n;

	config.max_queued = 0;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	n = spawn_while_room("free", agents, 100);
	ck_assert_uint_eq(n, 4);
	start_all(agents, n);
	assert_counts(4, 0, 0);
	ck_assert(!scheduler_has_room(&scheduler, "free", NULL));
	for (unsigned i = 0; i < n; i++)
		end(agents[i]);
}
END_TEST

/* ---- Memory ---- */

/* Once an agent has joined, nothing that concerns it takes memory. */
START_TEST(test_joined_needs_no_memory)
{
	Agent *agents[200];
	char name[16];

	config.max_running = 1000;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(agents); i++) {
		(void)snprintf(name, sizeof(name), "group-%u", i % 100);
		agents[i] = spawn(name, 0);
	}
	fault_realloc_after(0);
	for (unsigned i = 0; i < ARRAY_SIZE(agents); i++) {
		agents[i]->seq = i + 1;
		ck_assert_int_eq(scheduler_enqueue(&scheduler, agents[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(agents); i++)
		next(agents[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(agents); i++)
		end(agents[i]);
}
END_TEST

/* Many groups, each full with one waiting: when all become free at once, all that wait are found.
 */
START_TEST(test_all_groups_free_at_once)
{
	enum { N = 100 };
	static ConfigGroup many[N];
	static char names[N][16];
	Agent *first[N], *second[N];

	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "g%u", i);
		many[i] = (ConfigGroup){ .name = names[i], .max_running = 1 };
	}
	config.max_running = 1000;
	config.groups = many;
	config.n_groups = N;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	for (unsigned i = 0; i < N; i++) {
		first[i] = queue(names[i], 0);
		next(first[i]);
	}
	for (unsigned i = 0; i < N; i++)
		second[i] = queue(names[i], 0);
	next(NULL);
	fault_realloc_after(0);
	for (unsigned i = 0; i < N; i++)
		end(first[i]);
	for (unsigned i = 0; i < N; i++)
		next(second[i]);
	for (unsigned i = 0; i < N; i++)
		end(second[i]);
	config.groups = groups;
}
END_TEST

START_TEST(test_join_without_memory)
{
	Agent *a = make_agent(1, NULL);

	fault_realloc_after(0);
	ck_assert_int_eq(scheduler_join(&scheduler, a, "new", NULL), -ENOMEM);
	ck_assert_ptr_null(a->lane);
	ck_assert(!a->spawning);
	ck_assert_uint_eq(count_groups(), 2);
	assert_counts(0, 0, 0);
	agent_free(a);
}
END_TEST

/* ---- Many ---- */

START_TEST(test_hundred_thousand)
{
	enum { N = 100000 };
	static Agent *agents[N];
	uint64_t seq = 0;
	int32_t priority = INT32_MAX;
	char name[16];

	config.max_queued = N;
	ck_assert_int_eq(scheduler_configure(&scheduler, &config), 0);
	for (unsigned i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "g%u", i % 7);
		agents[i] = queue(name, (int32_t)(i * 2654435761U >> 28));
	}
	assert_counts(0, N, 0);
	for (unsigned i = 0; i < N; i++) {
		Agent *a = scheduler_next(&scheduler);

		ck_assert_ptr_nonnull(a);
		ck_assert_int_le(a->priority, priority);
		if (a->priority == priority)
			ck_assert_uint_gt(a->seq, seq);
		priority = a->priority;
		seq = a->seq;
		scheduler_leave(&scheduler, a);
	}
	next(NULL);
	for (unsigned i = 0; i < N; i++)
		agent_free(agents[i]);
}
END_TEST

/* ---- Against the slow way ---- */

enum { STEPS = 20000, MANY = 60, GROUPS = 4 };

static const char *const group_names[GROUPS] = { "one", "two", "x", "y" };
static const uint32_t group_limits[GROUPS] = { 1, 2, UINT32_MAX, UINT32_MAX };

typedef enum Where { NOWHERE, SPAWNING, QUEUED, RUNNING } Where;

static struct {
	Agent *agent;
	Where where;
	unsigned group;
} model[MANY];

static unsigned next_random(unsigned below)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % below;
}

static unsigned count_running(unsigned group)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MANY; i++)
		n += model[i].where == RUNNING && (group == GROUPS || model[i].group == group);
	return n;
}

static unsigned slow_next(void)
{
	unsigned best = MANY;

	if (count_running(GROUPS) >= 4)
		return MANY;
	for (unsigned i = 0; i < MANY; i++) {
		const Agent *a = model[i].agent;

		if (model[i].where != QUEUED ||
			count_running(model[i].group) >= group_limits[model[i].group])
			continue;
		if (best == MANY || a->priority > model[best].agent->priority ||
			(a->priority == model[best].agent->priority &&
				a->seq < model[best].agent->seq))
			best = i;
	}
	return best;
}

static void step(unsigned i)
{
	switch (next_random(4)) {
	case 0:
		if (model[i].where != NOWHERE)
			break;
		model[i].group = next_random(GROUPS);
		model[i].agent = spawn(group_names[model[i].group], (int32_t)next_random(3));
		model[i].where = SPAWNING;
		break;
	case 1:
		if (model[i].where != SPAWNING)
			break;
		model[i].agent->seq = ++next_seq;
		ck_assert_int_eq(scheduler_enqueue(&scheduler, model[i].agent), 0);
		model[i].where = QUEUED;
		break;
	case 2:
		if (model[i].where == NOWHERE)
			break;
		end(model[i].agent);
		model[i].where = NOWHERE;
		break;
	default:
		i = slow_next();
		next(i < MANY ? model[i].agent : NULL);
		if (i < MANY)
			model[i].where = RUNNING;
	}
}

START_TEST(test_random_steps)
{
	for (unsigned n = 0; n < STEPS; n++) {
		uint32_t counts[4] = { 0 };

		step(next_random(MANY));
		for (unsigned i = 0; i < MANY; i++)
			counts[model[i].where]++;
		assert_counts(counts[RUNNING], counts[QUEUED], counts[SPAWNING]);
	}
	for (unsigned i = 0; i < MANY; i++)
		if (model[i].where != NOWHERE)
			end(model[i].agent);
	ck_assert_uint_eq(count_groups(), 2);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("scheduler");
	TCase *tc = tcase_create("scheduler");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_priorities);
	tcase_add_test(tc, test_groups);
	tcase_add_test(tc, test_leave_queue);
	tcase_add_test(tc, test_leave_spawning);
	tcase_add_test(tc, test_unused_groups_go);
	tcase_add_test(tc, test_configure);
	tcase_add_test(tc, test_gate);
	tcase_add_test(tc, test_gate_by_turn);
	tcase_add_test(tc, test_gates_of_one_group);
	tcase_add_loop_test(tc, test_room, 0, 3);
	tcase_add_test(tc, test_room_of_groups);
	tcase_add_test(tc, test_room_behind_gate);
	tcase_add_test(tc, test_no_queue);
	tcase_add_test(tc, test_joined_needs_no_memory);
	tcase_add_test(tc, test_all_groups_free_at_once);
	tcase_add_test(tc, test_join_without_memory);
	tcase_add_test(tc, test_random_steps);
	suite_add_tcase(s, tc);

	tc = tcase_create("mass");
	tcase_set_tags(tc, "mass");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_many_groups);
	tcase_add_test(tc, test_hundred_thousand);
	suite_add_tcase(s, tc);
	return s;
}
