#include "client/top-model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "tests/lib/check-main.h"

static TopModel m;

static void setup(void)
{
	ck_assert_int_eq(top_model_init(&m, NULL), 0);
}

static void teardown(void)
{
	top_model_done(&m);
}

static json_object *parse(const char *text)
{
	json_object *o = NULL;

	ck_assert_int_eq(jsonx_parse(text, strlen(text), &o, NULL), 0);
	return o;
}

static void event(const char *text)
{
	_cleanup_json_ json_object *o = parse(text);

	ck_assert_int_eq(top_model_event(&m, o), 0);
}

/* An agent's event: `more` is what follows its id, from the comma on. */
_printf_(4, 5) static void say(
	uint64_t seq, const char *type, const char *id, const char *more, ...)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "{\"seq\":%llu,\"type\":\"%s\",\"agent_id\":\"%s\"",
		(unsigned long long)seq, type, id);
	va_list ap;

	va_start(ap, more);
	n += vsnprintf(text + n, sizeof(text) - (size_t)n, more, ap);
	va_end(ap);
	(void)snprintf(text + n, sizeof(text) - (size_t)n, "}");
	event(text);
}

static void spawn(uint64_t seq, const char *id, const char *group)
{
	say(seq, "AgentSpawned", id,
		",\"time\":\"2026-01-02T03:04:05.000000Z\",\"backend\":\"mock\",\"group\":\"%s\","
		"\"prompt\":\"do it\",\"labels\":{\"name\":\"n-%s\"}",
		group, id);
}

static void entry(const char *text)
{
	_cleanup_json_ json_object *o = parse(text);

	ck_assert_int_eq(top_model_add(&m, o), 0);
}

static void assert_line(const TopAgent *a, const char *line)
{
	ck_assert_uint_eq(a->line.len, strlen(line));
	ck_assert_mem_eq(a->line.text, line, a->line.len);
}

static void assert_line_begins(const TopAgent *a, const char *beginning)
{
	ck_assert_uint_ge(a->line.len, strlen(beginning));
	ck_assert_mem_eq(a->line.text, beginning, strlen(beginning));
}

/* The ids in the order in which they are shown, with blanks between them. */
static void assert_view(TopOrder order, bool reversed, const char *filter, const char *ids)
{
	TopAgent *const *view;
	ssize_t n = top_model_view(&m, order, reversed, filter, &view);
	char text[256] = "";

	for (ssize_t i = 0; i < n; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			i > 0 ? " " : "", view[i]->id);
	ck_assert_str_eq(text, ids);
}

START_TEST(test_life)
{
	const TopAgent *a;

	spawn(5, "a", "g");
	a = top_model_find(&m, "a");
	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a->backend, "mock");
	ck_assert_str_eq(a->prompt, "do it");
	ck_assert_uint_eq(a->first_seq, 5);
	ck_assert_uint_eq(a->spawned_us, 1767323045ULL * USEC_PER_SEC);
	ck_assert_int_eq(a->state, AGENT_STATE_QUEUED);
	say(6, "AgentWaiting", "a", ",\"reason\":\"provider_limit\"");
	ck_assert(a->waiting);
	say(7, "AgentStarted", "a", ",\"attempt\":1");
	ck_assert_int_eq(a->state, AGENT_STATE_RUNNING);
	ck_assert(!a->waiting);
	say(8, "AgentPartialOutput", "a",
		",\"index\":0,\"channel\":\"output\",\"chunk\":\"one\\ntw\"");
	say(9, "AgentPartialOutput", "a",
		",\"index\":1,\"channel\":\"output\",\"chunk\":\"b///\",\"encoding\":\"base64\"");
	ck_assert_uint_eq(a->chunks, 2);
	ck_assert_uint_eq(a->bytes, 9);
	assert_line(a, "two\377\377");
	say(10, "AgentRetrying", "a", ",\"attempt\":2,\"code\":\"provider\"");
	ck_assert_int_eq(a->state, AGENT_STATE_QUEUED);
	say(11, "AgentStarted", "a", ",\"attempt\":2");
	say(12, "AgentCompleted", "a", ",\"chunks\":7,\"bytes\":70");
	ck_assert_int_eq(a->state, AGENT_STATE_COMPLETED);
	ck_assert_uint_eq(a->chunks, 7);
	ck_assert_uint_eq(a->bytes, 70);
	ck_assert_uint_eq(m.n_by_state[AGENT_STATE_COMPLETED], 1);
	ck_assert_uint_eq(m.newest_seq, 12);
}
END_TEST

START_TEST(test_errors)
{
	spawn(1, "a", "g");
	spawn(2, "b", "g");
	say(3, "AgentError", "a",
		",\"code\":\"cancelled\",\"message\":\"no more\",\"chunks\":0,\"bytes\":0");
	say(4, "AgentError", "b",
		",\"code\":\"exit\",\"message\":\"went away\",\"chunks\":0,\"bytes\":0");
	ck_assert_int_eq(top_model_find(&m, "a")->state, AGENT_STATE_CANCELLED);
	ck_assert_int_eq(top_model_find(&m, "b")->state, AGENT_STATE_FAILED);
	ck_assert_ptr_nonnull(memmem(top_model_find(&m, "b")->line.text,
		top_model_find(&m, "b")->line.len, "went away", 9));
}
END_TEST

/* What is no agent, or none that is known, or makes no sense. */
START_TEST(test_others)
{
	say(1, "AgentStarted", "nobody", ",\"attempt\":1");
	event("{\"seq\":2,\"type\":\"DaemonStarted\"}");
	event("{\"seq\":3,\"type\":\"Unheard\",\"agent_id\":7}");
	spawn(4, "", "g");
	spawn(5, "0123456789012345678901234567890123456789012345678901234567890123", "g");
	ck_assert_uint_eq(m.n, 0);
	spawn(6, "a", "g");
	spawn(7, "a", "g");
	say(8, "AgentPartialOutput", "a", ",\"index\":0");
	say(9, "AgentUnheard", "a", ",\"x\":1");
	ck_assert_uint_eq(m.n, 1);
	ck_assert_uint_eq(m.newest_seq, 9);
}
END_TEST

/* The events that a snapshot had in it already count once. */
START_TEST(test_snapshot)
{
	const TopAgent *a;

	entry("{\"agent_id\":\"a\",\"state\":\"running\",\"backend\":\"exec\",\"group\":\"g\","
	      "\"prompt\":\"p\",\"chunks\":3,\"bytes\":30,\"first_seq\":2,\"last_seq\":8,"
	      "\"spawned_at\":\"2026-01-02T03:04:05.000000Z\"}");
	a = top_model_find(&m, "a");
	say(8, "AgentPartialOutput", "a", ",\"chunk\":\"old\",\"channel\":\"output\"");
	ck_assert_uint_eq(a->chunks, 3);
	say(9, "AgentPartialOutput", "a", ",\"chunk\":\"new\",\"channel\":\"output\"");
	ck_assert_uint_eq(a->chunks, 4);
	ck_assert_uint_eq(a->bytes, 33);
	/* One that is older than what is known changes nothing, one that is newer does. */
	entry("{\"agent_id\":\"a\",\"state\":\"queued\",\"chunks\":0,\"bytes\":0,\"last_seq\":8}");
	ck_assert_int_eq(a->state, AGENT_STATE_RUNNING);
	entry("{\"agent_id\":\"a\",\"state\":\"completed\",\"chunks\":5,\"bytes\":50,\"last_seq\":"
	      "11}");
	ck_assert_int_eq(a->state, AGENT_STATE_COMPLETED);
	ck_assert_uint_eq(a->bytes, 50);
	ck_assert_uint_eq(m.n, 1);
}
END_TEST

/* How an agent has ended is known also of one that had before. */
START_TEST(test_snapshot_endings)
{
	entry("{\"agent_id\":\"a\",\"state\":\"failed\",\"last_seq\":3,\"ending\":{\"type\":"
	      "\"AgentError\",\"code\":\"exit\",\"message\":\"went away\"}}");
	entry("{\"agent_id\":\"b\",\"state\":\"cancelled\",\"last_seq\":3,\"ending\":{\"type\":"
	      "\"AgentError\",\"code\":\"cancelled\",\"message\":\"no more\"}}");
	entry("{\"agent_id\":\"c\",\"state\":\"completed\",\"last_seq\":3,\"ending\":{\"type\":"
	      "\"AgentCompleted\"}}");
	assert_line_begins(top_model_find(&m, "a"), "failed: exit: went away");
	assert_line_begins(top_model_find(&m, "b"), "cancelled: no more");
	assert_line(top_model_find(&m, "c"), "");
}
END_TEST

/* A gap, 10 to 20: who has ended in it is not listed any more, or as what it has become. */
START_TEST(test_rounds)
{
	spawn(1, "ended", "g");
	spawn(2, "gone", "g");
	spawn(3, "lives", "g");
	spawn(4, "speaks", "g");
	say(5, "AgentCompleted", "ended", ",\"chunks\":0,\"bytes\":0");
	top_model_begin_round(&m);
	say(21, "AgentStarted", "speaks", ",\"attempt\":1");
	spawn(22, "new", "g");
	entry("{\"agent_id\":\"lives\",\"state\":\"queued\",\"last_seq\":3}");
	top_model_end_round(&m, 20);
	assert_view(TOP_ORDER_ID, false, "", "ended lives new speaks");
	/* Without a gap nobody goes. */
	top_model_begin_round(&m);
	top_model_end_round(&m, 0);
	ck_assert_uint_eq(m.n, 4);
}
END_TEST

START_TEST(test_group)
{
	top_model_done(&m);
	ck_assert_int_eq(top_model_init(&m, "g"), 0);
	spawn(1, "a", "g");
	spawn(2, "b", "other");
	entry("{\"agent_id\":\"c\",\"state\":\"queued\",\"group\":\"other\",\"last_seq\":3}");
	assert_view(TOP_ORDER_AGE, false, "", "a");
	/* What others do counts as little. */
	ck_assert(top_model_tick(&m, USEC_PER_SEC));
	say(4, "AgentStarted", "a", ",\"attempt\":1");
	say(5, "AgentStarted", "b", ",\"attempt\":1");
	spawn(6, "d", "other");
	ck_assert(top_model_tick(&m, 2 * USEC_PER_SEC));
	ck_assert_double_eq(m.events_rate, 1);
}
END_TEST

START_TEST(test_bounded)
{
	char id[32], first[32] = "";

	for (unsigned i = 0; i < TOP_MAX_ENDED + 500; i++) {
		(void)snprintf(id, sizeof(id), "agent-%u", i);
		if (i == 0)
			memcpy(first, id, sizeof(first));
		spawn(2 * i + 1, id, "g");
		say(2 * i + 2, "AgentCompleted", id, ",\"chunks\":0,\"bytes\":0");
	}
	spawn(100000, "alive", "g");
	ck_assert_uint_eq(m.n, TOP_MAX_ENDED + 1);
	ck_assert_uint_eq(m.n_by_state[AGENT_STATE_COMPLETED], TOP_MAX_ENDED + 500);
	ck_assert_uint_eq(m.n_by_state[AGENT_STATE_QUEUED], 1);
	ck_assert_ptr_null(top_model_find(&m, first));
	ck_assert_ptr_nonnull(top_model_find(&m, id));
	ck_assert_ptr_nonnull(top_model_find(&m, "alive"));
	top_model_clear(&m);
	ck_assert_uint_eq(m.n, 0);
	ck_assert_ptr_null(top_model_find(&m, id));
	spawn(1, "again", "g");
	ck_assert_uint_eq(m.n, 1);
}
END_TEST

START_TEST(test_rates)
{
	const TopAgent *a;

	spawn(1, "a", "g");
	a = top_model_find(&m, "a");
	ck_assert(top_model_tick(&m, 10 * USEC_PER_SEC));
	for (uint64_t i = 0; i < 20; i++)
		say(2 + i, "AgentPartialOutput", "a",
			",\"chunk\":\"12345\",\"channel\":\"output\"");
	ck_assert(!top_model_tick(&m, 10 * USEC_PER_SEC + USEC_PER_SEC / 2));
	ck_assert(top_model_tick(&m, 12 * USEC_PER_SEC));
	ck_assert_double_eq(m.events_rate, 10);
	ck_assert_double_eq(m.bytes_rate, 50);
	ck_assert_double_eq(a->rate, 5);
	ck_assert_uint_eq(m.spark.values[0], 10);
	for (uint64_t i = 13; i < 60; i++)
		ck_assert(top_model_tick(&m, i * USEC_PER_SEC));
	ck_assert_double_eq(a->rate, 0);
	ck_assert_double_eq(m.events_rate, 0);
	/* Seldom is not never. */
	say(100, "AgentStarted", "a", ",\"attempt\":1");
	ck_assert(top_model_tick(&m, 70 * USEC_PER_SEC));
	ck_assert_uint_eq(m.spark.values[m.spark.next - 1], 1);
}
END_TEST

START_TEST(test_view)
{
	spawn(1, "bb", "red");
	spawn(2, "aa", "blue");
	spawn(3, "cc", "Red");
	say(4, "AgentStarted", "aa", ",\"attempt\":1");
	say(5, "AgentPartialOutput", "aa", ",\"chunk\":\"12345\",\"channel\":\"output\"");
	say(6, "AgentCompleted", "cc", ",\"chunks\":1,\"bytes\":99");
	assert_view(TOP_ORDER_STATE, false, "", "aa bb cc");
	assert_view(TOP_ORDER_STATE, true, "", "cc bb aa");
	assert_view(TOP_ORDER_AGE, false, "", "cc aa bb");
	assert_view(TOP_ORDER_BYTES, false, "", "cc aa bb");
	assert_view(TOP_ORDER_ID, false, "", "aa bb cc");
	assert_view(TOP_ORDER_GROUP, false, "", "cc aa bb");
	assert_view(TOP_ORDER_BACKEND, false, "", "cc aa bb");
	assert_view(TOP_ORDER_RATE, false, "", "cc aa bb");
	assert_view(TOP_ORDER_ID, false, "RED", "bb cc");
	assert_view(TOP_ORDER_ID, false, "name=n-aa", "aa");
	assert_view(TOP_ORDER_ID, false, "runn", "aa");
	assert_view(TOP_ORDER_ID, false, "nothing", "");
	ck_assert_int_eq(top_order_from_string("bytes"), TOP_ORDER_BYTES);
	ck_assert_int_eq(top_order_from_string("nope"), -EINVAL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("top-model");
	TCase *t = tcase_create("top-model");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_life);
	tcase_add_test(t, test_errors);
	tcase_add_test(t, test_others);
	tcase_add_test(t, test_snapshot);
	tcase_add_test(t, test_snapshot_endings);
	tcase_add_test(t, test_rounds);
	tcase_add_test(t, test_group);
	tcase_add_test(t, test_bounded);
	tcase_add_test(t, test_rates);
	tcase_add_test(t, test_view);
	suite_add_tcase(s, t);
	return s;
}
