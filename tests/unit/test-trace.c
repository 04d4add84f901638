#include "daemon/control/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/lib/check-main.h"
#include "tests/lib/make-agent.h"

#define FIRST_SEQ    40U
#define COMMITTED_US 312U
#define ID           "00000000-0000-0000-0000-000000000007"

static Trace trace;
static Agent *agent;
static uint64_t emitted_us;

/* A batch of two events of the agent, of which the second is traced; and what was logged. */
static BatchEntry entries[2];
static TraceMark mark;
static Batch batch;
static char last[512];
static unsigned n_told;

static void sink(const LogRecord *record)
{
	ck_assert_int_eq(record->level, LOG_LEVEL_INFO);
	ck_assert_str_eq(record->agent_id, ID);
	snprintf(last, sizeof(last), "%s", record->message);
	n_told++;
}

static void setup(void)
{
	trace_init(&trace);
	agent = make_agent(7, NULL);
	emitted_us = clock_monotonic_us() - 1000;
	entries[0] = (BatchEntry){ .meta = { .owner = agent, .type = EVENT_TYPE_AGENT_STARTED } };
	entries[1] = (BatchEntry){
		.meta = { .owner = agent, .type = EVENT_TYPE_AGENT_PARTIAL_OUTPUT },
		.len = 415,
	};
	mark = (TraceMark){ .seq = FIRST_SEQ + 1, .emitted_us = emitted_us };
	batch = (Batch){
		.first_seq = FIRST_SEQ,
		.entries = entries,
		.n = 2,
		.marks = &mark,
		.n_marks = 1,
		.committed_us = emitted_us + COMMITTED_US,
	};
	n_told = 0;
	last[0] = '\0';
	log_set_level(LOG_LEVEL_ERROR);
	log_set_sink(sink);
}

static void teardown(void)
{
	log_set_sink(NULL);
	agent_free(agent);
}

/* The next event of the agent, with `n` who want it. */
static void publish(ListNode *takers, size_t n)
{
	TraceEvent *e = trace_publish(&trace, &batch, 0);

	ck_assert_ptr_nonnull(e);
	for (size_t i = 0; i < n; i++)
		trace_expect(e, &takers[i]);
	trace_settle(e);
	mark.seq++;
	batch.first_seq++;
}

/* What was told is of that event, and ends so; in which "+#" is any time that is not before the one
 * in front of it. */
static void assert_told(unsigned seq, const char *end)
{
	uint64_t before_us = COMMITTED_US, us;
	const char *p = last;
	char form[256], *rest;

	snprintf(form, sizeof(form),
		"trace: seq %u AgentPartialOutput, 415 bytes: emitted @, committed +%u us, "
		"published +# us, written %s",
		seq, COMMITTED_US, end);
	for (const char *f = form; *f; f++) {
		if (*f == '@') {
			ck_assert_int_eq(clock_parse_rfc3339(p, CLOCK_RFC3339_LEN, &us), 0);
			p += CLOCK_RFC3339_LEN;
		} else if (*f == '#') {
			us = strtoull(p, &rest, 10);
			ck_assert_ptr_ne(rest, p);
			ck_assert_uint_ge(us, before_us);
			before_us = us;
			p = rest;
		} else {
			ck_assert_msg(*p++ == *f, "%s is not %s", last, form);
		}
	}
	ck_assert_str_eq(p, "");
}

static void init_takers(ListNode *takers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		list_init(&takers[i]);
}

START_TEST(nobody_wants_it)
{
	publish(NULL, 0);
	ck_assert_uint_eq(n_told, 1);
	assert_told(FIRST_SEQ + 1, "to 0 of 0 subscribers");
	ck_assert(list_empty(&trace.events));
}
END_TEST

START_TEST(one_gets_it)
{
	ListNode taker;

	init_takers(&taker, 1);
	publish(&taker, 1);
	trace_written(&taker, FIRST_SEQ + 1);
	ck_assert_uint_eq(n_told, 0);
	trace_written(&taker, FIRST_SEQ + 2);
	ck_assert_uint_eq(n_told, 1);
	assert_told(FIRST_SEQ + 1, "+# us to 1 of 1 subscribers");
	ck_assert(list_empty(&taker));
}
END_TEST

/* It is told when the last of them has it or has gone, whatever else was told meanwhile. */
START_TEST(several)
{
	ListNode takers[3];

	init_takers(takers, 3);
	publish(takers, 3);
	publish(takers + 1, 1);
	trace_written(&takers[0], FIRST_SEQ + 2);
	trace_written(&takers[1], FIRST_SEQ + 3);
	ck_assert_uint_eq(n_told, 1);
	assert_told(FIRST_SEQ + 2, "+# us to 1 of 1 subscribers");
	trace_gone(&takers[2]);
	ck_assert_uint_eq(n_told, 2);
	assert_told(FIRST_SEQ + 1, "+# us, the last +# us, to 2 of 3 subscribers");
	ck_assert_uint_eq(trace.n_links, 0);
	ck_assert(list_empty(&trace.events));
}
END_TEST

START_TEST(all_go)
{
	ListNode taker;

	init_takers(&taker, 1);
	publish(&taker, 1);
	publish(&taker, 1);
	trace_gone(&taker);
	ck_assert_uint_eq(n_told, 2);
	assert_told(FIRST_SEQ + 2, "to 0 of 1 subscribers");
}
END_TEST

/* Of one that reads nothing any more only so much is kept. */
START_TEST(bounded)
{
	ListNode takers[2];

	init_takers(takers, 2);
	publish(takers, 2);
	trace_written(&takers[0], FIRST_SEQ + 2);
	for (unsigned i = 0; i < TRACE_MAX_LINKS - 1; i++)
		publish(&takers[1], 1);
	ck_assert_uint_eq(n_told, 0);
	ck_assert_uint_eq(trace.n_links, TRACE_MAX_LINKS);
	publish(&takers[1], 1);
	ck_assert_uint_eq(n_told, 1);
	assert_told(FIRST_SEQ + 1, "+# us to 1 of 2 subscribers, 1 lag behind");
	ck_assert_uint_eq(trace.n_links, TRACE_MAX_LINKS);
	trace_gone(&takers[1]);
	ck_assert_uint_eq(n_told, 1 + TRACE_MAX_LINKS);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("trace");
	TCase *t = tcase_create("trace");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, nobody_wants_it);
	tcase_add_test(t, one_gets_it);
	tcase_add_test(t, several);
	tcase_add_test(t, all_go);
	tcase_add_test(t, bounded);
	suite_add_tcase(s, t);
	return s;
}
