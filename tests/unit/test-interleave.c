#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/interleave.h"
#include "common/buf.h"
#include "common/clock.h"
#include "tests/lib/check-main.h"

#define MAX_LINE  16
#define MAX_TOTAL 40

static Buf seen;
static int answer; /* what the callback returns */

/* "A|line" and a newline; what had no newline ends in "~". */
static int on_line(const InterleaveLine *line, void *userdata _unused_)
{
	static const char marks[_CHANNEL_MAX] = { '|', '!', '?', '+' };

	ck_assert_int_eq(buf_printf(&seen, "%s%c%.*s%s\n", line->agent_id, marks[line->channel],
				 (int)line->len, line->len > 0 ? line->text : "",
				 line->unfinished ? "~" : ""),
		0);
	return answer;
}

static Interleave *fresh(void)
{
	Interleave *il = NULL;

	buf_done(&seen);
	answer = 0;
	ck_assert_int_eq(interleave_new(MAX_LINE, MAX_TOTAL, on_line, NULL, &il), 0);
	return il;
}

static void feed(Interleave *il, const char *agent, const char *text)
{
	ck_assert_int_eq(interleave_feed(il, agent, CHANNEL_OUTPUT, text, strlen(text)), 0);
}

static void expect(const char *text)
{
	ck_assert_int_eq(buf_terminate(&seen), 0);
	ck_assert_str_eq(seen.data, text);
}

START_TEST(test_whole_lines)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();

	feed(il, "A", "one\ntwo\n\n");
	expect("A|one\nA|two\nA|\n");
}
END_TEST

START_TEST(test_holds_what_is_unfinished)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();

	feed(il, "A", "a1 ");
	feed(il, "B", "b1 ");
	feed(il, "A", "a2");
	expect("");
	feed(il, "B", "b2\nb3");
	feed(il, "A", "\n");
	expect("B|b1 b2\nA|a1 a2\n");
	ck_assert_int_eq(interleave_flush(il, "A"), 0);
	expect("B|b1 b2\nA|a1 a2\n");
	ck_assert_int_eq(interleave_flush(il, "B"), 0);
	expect("B|b1 b2\nA|a1 a2\nB|b3~\n");
}
END_TEST

START_TEST(test_channels_apart)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();

	feed(il, "A", "out");
	ck_assert_int_eq(interleave_feed(il, "A", CHANNEL_ERROR, "err\n", 4), 0);
	feed(il, "A", "put\n");
	expect("A!err\nA|output\n");
}
END_TEST

START_TEST(test_long_line_goes_out_in_pieces)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();

	feed(il, "A", "0123456789");
	feed(il, "A", "0123456789");
	expect("A|01234567890123456789~\n");
	feed(il, "A", "x\n");
	expect("A|01234567890123456789~\nA|x\n");
}
END_TEST

START_TEST(test_total_is_bounded)
{
	static const char *const agents[] = { "A", "B", "C" };
	_cleanup_(interleave_free_p) Interleave *il = fresh();

	for (size_t i = 0; i < ARRAY_SIZE(agents); i++)
		feed(il, agents[i], "0123456789abcd");
	expect("C|0123456789abcd~\n");
	ck_assert_int_eq(interleave_flush(il, NULL), 0);
	ck_assert_uint_eq(seen.len, 3 * strlen("C|0123456789abcd~\n"));
}
END_TEST

START_TEST(test_many_agents)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();
	char name[8];

	for (int i = 0; i < 39; i++) {
		snprintf(name, sizeof(name), "%d", i);
		feed(il, name, "x");
	}
	expect("");
	for (int i = 0; i < 39; i++) {
		snprintf(name, sizeof(name), "%d", i);
		buf_clear(&seen, SIZE_MAX);
		ck_assert_int_eq(interleave_flush(il, name), 0);
		ck_assert_uint_eq(seen.len, strlen(name) + strlen("|x~\n"));
	}
}
END_TEST

START_TEST(test_hands_errors_on)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();

	feed(il, "A", "held");
	answer = -EPIPE;
	ck_assert_int_eq(interleave_feed(il, "B", CHANNEL_OUTPUT, "x\n", 2), -EPIPE);
	ck_assert_int_eq(interleave_flush(il, NULL), -EPIPE);
	/* What was given out is gone, whatever became of it. */
	ck_assert_int_eq(interleave_flush(il, NULL), 0);
}
END_TEST

START_TEST(test_refuses_what_is_no_id)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();
	char name[100];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(interleave_feed(il, name, CHANNEL_OUTPUT, "x", 1), -EINVAL);
}
END_TEST

START_TEST(test_what_waits_is_given_out)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();
	uint64_t first, second;

	ck_assert_uint_eq(interleave_waiting_since(il), UINT64_MAX);
	feed(il, "A", "a1");
	first = interleave_waiting_since(il);
	ck_assert_uint_le(first, clock_monotonic_us());
	feed(il, "B", "b1");
	ck_assert_uint_eq(interleave_waiting_since(il), first);
	ck_assert_int_eq(interleave_flush_waiting(il, first - 1), 0);
	expect("");
	for (second = clock_monotonic_us(); clock_monotonic_us() == second;)
		continue;
	/* More of it makes it wait anew: B's is older now. */
	feed(il, "A", "a2");
	ck_assert_int_eq(interleave_flush_waiting(il, UINT64_MAX - 1), 0);
	expect("B|b1~\nA|a1a2~\n");
	ck_assert_uint_eq(interleave_waiting_since(il), UINT64_MAX);
}
END_TEST

START_TEST(test_line_goes_on_behind_what_was_given_out)
{
	_cleanup_(interleave_free_p) Interleave *il = fresh();

	feed(il, "A", "a1");
	ck_assert_int_eq(interleave_flush_waiting(il, UINT64_MAX), 0);
	feed(il, "A", "\n\nx");
	expect("A|a1~\nA|\n");
	ck_assert_int_eq(interleave_flush_waiting(il, UINT64_MAX), 0);
	feed(il, "A", "y\n");
	expect("A|a1~\nA|\nA|x~\nA|y\n");
	feed(il, "A", "z");
	ck_assert_int_eq(interleave_flush_waiting(il, UINT64_MAX), 0);
	ck_assert_int_eq(interleave_flush(il, "A"), 0);
	expect("A|a1~\nA|\nA|x~\nA|y\nA|z~\n");
}
END_TEST

static void teardown(void)
{
	buf_done(&seen);
}

Suite *test_suite(void)
{
	Suite *suite = suite_create("interleave");
	TCase *tc = tcase_create("interleave");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, test_whole_lines);
	tcase_add_test(tc, test_holds_what_is_unfinished);
	tcase_add_test(tc, test_channels_apart);
	tcase_add_test(tc, test_long_line_goes_out_in_pieces);
	tcase_add_test(tc, test_total_is_bounded);
	tcase_add_test(tc, test_many_agents);
	tcase_add_test(tc, test_hands_errors_on);
	tcase_add_test(tc, test_refuses_what_is_no_id);
	tcase_add_test(tc, test_what_waits_is_given_out);
	tcase_add_test(tc, test_line_goes_on_behind_what_was_given_out);
	suite_add_tcase(suite, tc);
	return suite;
}
