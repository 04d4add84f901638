#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/line-buffer.h"
#include "tests/lib/check-main.h"

#define MAX_LINE 100

static LineBuffer lb;

static void setup(void)
{
	line_buffer_init(&lb, MAX_LINE);
}

static void teardown(void)
{
	line_buffer_done(&lb);
}

static void feed(const char *bytes, size_t n)
{
	while (n > 0) {
		size_t room;
		char *space = line_buffer_space(&lb, &room);

		ck_assert_ptr_nonnull(space);
		ck_assert_uint_ge(room, 1);
		if (room > n)
			room = n;
		memcpy(space, bytes, room);
		line_buffer_commit(&lb, room);
		bytes += room;
		n -= room;
	}
}

static void expect_line(const char *expected)
{
	const char *line;
	size_t len;

	ck_assert_int_eq(line_buffer_next(&lb, &line, &len), 1);
	ck_assert_uint_eq(len, strlen(expected));
	ck_assert_mem_eq(line, expected, len);
}

static void expect(int r)
{
	const char *line;
	size_t len;

	ck_assert_int_eq(line_buffer_next(&lb, &line, &len), r);
}

START_TEST(lines)
{
	expect(0);
	feed("one\ntwo\n\nth", 11);
	expect_line("one");
	expect_line("two");
	expect_line("");
	expect(0);
	ck_assert_uint_eq(line_buffer_pending(&lb), 2);
	feed("ree\n", 4);
	expect_line("three");
	expect(0);
	ck_assert_uint_eq(line_buffer_pending(&lb), 0);
}
END_TEST

START_TEST(byte_by_byte)
{
	static const char text[] = "a\nbc\r\n\n";

	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		feed(text + i, 1);
		if (i == 1)
			expect_line("a");
		else if (i == 5)
			expect_line("bc\r");
		else if (i == 6)
			expect_line("");
		expect(0);
	}
}
END_TEST

START_TEST(memory_is_given_back)
{
	feed("a\n", 2);
	expect_line("a");
	ck_assert_ptr_nonnull(lb.buf.data);
	expect(0);
	ck_assert_ptr_null(lb.buf.data);
	ck_assert_uint_eq(lb.buf.cap, 0);
}
END_TEST

START_TEST(longest_line)
{
	char text[MAX_LINE + 2];

	memset(text, 'x', sizeof(text));
	text[MAX_LINE] = '\n';
	feed(text, MAX_LINE);
	expect(0);
	feed("\n", 1);
	text[MAX_LINE] = '\0';
	expect_line(text);
	expect(0);
}
END_TEST

START_TEST(too_long_with_its_newline)
{
	char text[MAX_LINE + 2];

	memset(text, 'x', sizeof(text));
	text[MAX_LINE + 1] = '\n';
	feed("ok\n", 3);
	feed(text, sizeof(text));
	expect_line("ok");
	expect(-EMSGSIZE);
	expect(-EMSGSIZE);
}
END_TEST

START_TEST(too_long_without)
{
	char text[MAX_LINE + 1];

	memset(text, 'x', sizeof(text));
	feed("ok\n", 3);
	feed(text, MAX_LINE);
	expect_line("ok");
	expect(0);
	feed(text, 1);
	expect(-EMSGSIZE);
	expect(-EMSGSIZE);
}
END_TEST

/* Random lines in random pieces come out as they went in, and memory stays within a few lines. */
START_TEST(at_random)
{
	enum { BYTES = 2000000, LONGEST = 20000 };
	_cleanup_free_ char *text = malloc(BYTES);
	unsigned seed = 1;
	size_t fed = 0, taken = 0;

	ck_assert_ptr_nonnull(text);
	memset(text, 'a', BYTES);
	for (size_t at = 0; at < BYTES;) {
		int longest = rand_r(&seed) % 10 ? 50 : LONGEST;

		at += (size_t)(rand_r(&seed) % longest);
		if (at < BYTES)
			text[at++] = '\n';
	}
	text[BYTES - 1] = '\n';
	line_buffer_init(&lb, LONGEST);
	while (fed < BYTES) {
		size_t n = (size_t)(1 + rand_r(&seed) % (rand_r(&seed) % 2 ? 10 : 10000)), len;
		const char *line;

		if (n > BYTES - fed)
			n = BYTES - fed;
		feed(text + fed, n);
		fed += n;
		ck_assert_uint_le(lb.buf.cap, 4 * LONGEST);
		while (rand_r(&seed) % 100 && line_buffer_next(&lb, &line, &len) == 1) {
			ck_assert_mem_eq(line, text + taken, len);
			ck_assert_int_eq(text[taken + len], '\n');
			taken += len + 1;
		}
		ck_assert_uint_eq(line_buffer_pending(&lb), fed - taken);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("line-buffer");
	TCase *t = tcase_create("line-buffer");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lines);
	tcase_add_test(t, byte_by_byte);
	tcase_add_test(t, memory_is_given_back);
	tcase_add_test(t, longest_line);
	tcase_add_test(t, too_long_with_its_newline);
	tcase_add_test(t, too_long_without);
	tcase_add_test(t, at_random);
	suite_add_tcase(s, t);
	return s;
}
