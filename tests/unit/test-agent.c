#include "daemon/agent/agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/log.h"
#include "tests/lib/check-main.h"
#include "tests/lib/make-agent.h"

static void setup(void)
{
	log_set_level(0);
}

/* ---- States ---- */

/* Row: from, column: to; in the order of AgentState. */
static const char *const legal[_AGENT_STATE_MAX] = {
	/* queued */ "01011",
	/* running */ "10111",
	/* completed */ "00000",
	/* failed */ "00000",
	/* cancelled */ "00000",
};

START_TEST(test_moves)
{
	Agent *a = make_agent(1, NULL);

	ck_assert_int_eq(a->state, AGENT_STATE_QUEUED);
	for (int from = 0; from < _AGENT_STATE_MAX; from++) {
		for (int to = 0; to < _AGENT_STATE_MAX; to++) {
			bool may = legal[from][to] == '1';

			a->state = (AgentState)from;
			ck_assert(agent_is_live(a) == (from < AGENT_STATE_COMPLETED));
			ck_assert_msg(agent_move(a, (AgentState)to) == may, "%d to %d", from, to);
			ck_assert_int_eq(a->state, may ? to : from);
		}
	}
	agent_free(a);
}
END_TEST

/* ---- What was asked ---- */

START_TEST(test_members)
{
	Agent *a = make_agent(7,
		",\"correlation_id\":\"run\",\"group\":\"nightly\",\"priority\":-3,"
		"\"timeouts\":{\"total_ms\":5,\"idle_ms\":6},\"on_restart\":\"rerun\","
		"\"labels\":{\"a\":\"1\",\"empty\":\"\",\"\xc3\xa9\":\"x=y\"}");
	CatalogRow row;

	ck_assert_str_eq(a->correlation_id, "run");
	ck_assert_str_eq(a->group_name, "nightly");
	ck_assert_int_eq(a->priority, -3);
	ck_assert_uint_eq(a->total_ms, 5);
	ck_assert_uint_eq(a->idle_ms, 6);
	ck_assert(a->rerun);
	ck_assert_uint_eq(a->uid, 1000);
	ck_assert_str_eq(agent_label(a, "a"), "1");
	ck_assert_str_eq(agent_label(a, "empty"), "");
	ck_assert_str_eq(agent_label(a, "\xc3\xa9"), "x=y");
	ck_assert_ptr_null(agent_label(a, "1"));
	ck_assert_ptr_null(agent_label(a, ""));
	ck_assert_ptr_null(agent_label(a, "aa"));

	a->seq = 12;
	a->state = AGENT_STATE_FAILED;
	a->chunks = 3;
	a->last_seq = 40;
	ck_assert_int_eq(agent_set_ending(a, "{\"x\":1}", 7), 0);
	ck_assert_int_eq(agent_set_ending(a, "{}", 2), 0);
	row = agent_row(a);
	ck_assert_uint_eq(row.seq, 12);
	ck_assert_str_eq(row.backend, "mock");
	ck_assert_str_eq(row.group, "nightly");
	ck_assert_str_eq(row.correlation_id, "run");
	ck_assert_int_eq(row.state, AGENT_STATE_FAILED);
	ck_assert_uint_eq(row.chunks, 3);
	ck_assert_uint_eq(row.last_seq, 40);
	ck_assert_uint_eq(row.ending_len, 2);
	ck_assert_uint_eq(row.spec_len, 0);
	agent_free(a);
	agent_free(NULL);
}
END_TEST

START_TEST(test_defaults)
{
	Agent *a = make_agent(7, NULL);

	ck_assert_ptr_null(a->correlation_id);
	ck_assert_str_eq(a->group_name, "default");
	ck_assert_int_eq(a->priority, 0);
	ck_assert_uint_eq(a->total_ms, 0);
	ck_assert(!a->rerun);
	ck_assert_ptr_null(agent_label(a, "a"));
	ck_assert_ptr_null(agent_row(a).correlation_id);
	agent_free(a);
}
END_TEST

static const char *const senseless[] = {
	"{}",
	"{\"backend\":\"mock\"}",
	"{\"group\":\"default\"}",
	"{\"backend\":\"nothing\",\"group\":\"default\"}",
	"{\"backend\":1,\"group\":\"default\"}",
	"{\"backend\":\"mock\",\"group\":\"default\",\"labels\":{\"a\":null}}",
};

/* A damaged log. */
START_TEST(test_senseless)
{
	_cleanup_json_ json_object *spec = NULL;
	Uuid id = make_agent_id(1);
	Agent *a = NULL;
	JsonxError why;

	ck_assert_int_eq(jsonx_parse(senseless[_i], strlen(senseless[_i]), &spec, &why), 0);
	ck_assert_int_eq(agent_new(&id, spec, 0, &a), -EINVAL);
	ck_assert_ptr_null(a);
	/* It can be ended all the same. */
	ck_assert_int_eq(agent_new_unknown(&id, spec, 7, &a), 0);
	ck_assert_str_eq(a->group_name, "default");
	ck_assert_str_eq(agent_row(a).backend, "unknown");
	ck_assert_uint_eq(a->uid, 7);
	ck_assert_int_eq(a->backend->run_new(NULL, NULL), -EOPNOTSUPP);
	agent_free(a);
}
END_TEST

/* ---- Specs ---- */

static void make_spec(Buf *b, size_t prompt_len)
{
	ck_assert_int_eq(buf_append_str(b, "{\"type\":\"AgentSpawned\",\"prompt\":\""), 0);
	/* An odd number of bytes before characters of two: cuts would fall into them. */
	ck_assert_int_eq(buf_append_char(b, 'x'), 0);
	for (size_t i = 0; i < prompt_len / 2; i++)
		ck_assert_int_eq(buf_append_str(b, "\xc3\xa9"), 0);
	ck_assert_int_eq(
		buf_append_str(b, "\",\"options\":{\"a\":1},\"context\":{},\"uid\":3}"), 0);
}

START_TEST(test_short_spec)
{
	_cleanup_buf_ Buf b = { 0 };
	Agent *a = make_agent(1, NULL);

	make_spec(&b, 100);
	ck_assert_int_eq(agent_set_spec(a, b.data, b.len), 0);
	ck_assert_uint_eq(a->spec_len, b.len);
	ck_assert_mem_eq(a->spec, b.data, b.len);
	ck_assert_ptr_null(a->list_spec);
	ck_assert_uint_eq(agent_row(a).spec_len, b.len);
	agent_free(a);
}
END_TEST

/* Of a long one only what lists show is kept: enough of the prompt, no options, no context. */
START_TEST(test_long_spec)
{
	_cleanup_buf_ Buf b = { 0 };
	_cleanup_json_ json_object *o = NULL;
	Agent *a = make_agent(1, NULL);
	JsonxError why;
	size_t len;

	make_spec(&b, 2UL * AGENT_SPEC_KEPT_BYTES);
	ck_assert_int_eq(agent_set_spec(a, b.data, b.len), 0);
	ck_assert_ptr_null(a->spec);
	ck_assert_uint_lt(a->list_spec_len, AGENT_SPEC_KEPT_BYTES);
	ck_assert_int_eq(jsonx_parse(a->list_spec, a->list_spec_len, &o, &why), 0);
	ck_assert_ptr_nonnull(jsonx_get_string(o, "prompt", &len));
	ck_assert_uint_ge(len, 2UL * PROTOCOL_LIST_PROMPT_CHARS);
	ck_assert(!json_object_object_get_ex(o, "options", NULL));
	ck_assert(!json_object_object_get_ex(o, "context", NULL));
	ck_assert_int_eq(jsonx_get_int(o, "uid", 0), 3);
	/* One that has lost its prompt is still shown. */
	memcpy(strstr(b.data, "prompt"), "PROMPT", 6);
	ck_assert_int_eq(agent_set_spec(a, b.data, b.len), 0);
	agent_free(a);
}
END_TEST

/* ---- Who waits ---- */

typedef struct Waiter {
	AgentWaiter waiter;
	char letter;
	struct Waiter *adds, *removes;
} Waiter;

static char journal[64];

static void on_change(AgentWaiter *w, Agent *a, AgentChange change)
{
	Waiter *self = container_of(w, Waiter, waiter);
	size_t len = strlen(journal);

	ck_assert(list_empty(&w->node));
	(void)snprintf(journal + len, sizeof(journal) - len, "%c%d", self->letter, (int)change);
	if (self->adds)
		agent_add_waiter(a, &self->adds->waiter);
	if (self->removes)
		list_remove(&self->removes->waiter.node);
}

static Waiter make_waiter(char letter, uint32_t changes)
{
	return (Waiter){ .waiter = { .changes = changes, .on_change = on_change },
		.letter = letter };
}

START_TEST(test_waiters)
{
	const uint32_t accepted = 1U << AGENT_ACCEPTED, ended = 1U << AGENT_ENDED;
	Waiter a = make_waiter('a', accepted), b = make_waiter('b', ended),
	       c = make_waiter('c', accepted | ended), d = make_waiter('d', accepted),
	       e = make_waiter('e', accepted);
	Agent *agent = make_agent(1, NULL);

	a.adds = &e;
	a.removes = &d;
	c.adds = &c;
	agent_add_waiter(agent, &a.waiter);
	agent_add_waiter(agent, &b.waiter);
	agent_add_waiter(agent, &c.waiter);
	agent_add_waiter(agent, &d.waiter);
	agent_notify(agent, AGENT_ACCEPTED);
	/* Each once, in order; `d` was taken off, and those added meanwhile wait for the next. */
	ck_assert_str_eq(journal, "a0c0");
	agent_notify(agent, AGENT_REJECTED);
	ck_assert_str_eq(journal, "a0c0");
	c.adds = NULL;
	agent_notify(agent, AGENT_ENDED);
	ck_assert_str_eq(journal, "a0c0b2c2");
	agent_notify(agent, AGENT_ACCEPTED);
	ck_assert_str_eq(journal, "a0c0b2c2e0");
	ck_assert(list_empty(&agent->waiters));
	agent_free(agent);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("agent");
	TCase *tc = tcase_create("agent");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_moves);
	tcase_add_test(tc, test_members);
	tcase_add_test(tc, test_defaults);
	tcase_add_loop_test(tc, test_senseless, 0, ARRAY_SIZE(senseless));
	tcase_add_test(tc, test_short_spec);
	tcase_add_test(tc, test_long_spec);
	tcase_add_test(tc, test_waiters);
	suite_add_tcase(s, tc);
	return s;
}
