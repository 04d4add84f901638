#include "client/top-line.h"

#include <string.h>

#include "common/cleanup.h"
#include "tests/lib/check-main.h"

static const struct {
	const char *chunks[4];
	const char *line;
} cases[] = {
	{ { "" }, "" },
	{ { "one" }, "one" },
	{ { "one", " and more" }, "one and more" },
	{ { "one\n" }, "one" },
	{ { "one\n", "two" }, "two" },
	{ { "one\ntwo\nthree\n", "fo", "ur\n" }, "four" },
	{ { "one\n\n\n", "\n" }, "one" },
	{ { "\n\n" }, "" },
	{ { "a\nb", "c\nd", "e" }, "de" },
	/* a bar that moves on, and lines as DOS ends them */
	{ { "10%\r20%\r", "30%" }, "30%" },
	{ { "one\r\n", "\r\n" }, "one" },
	{ { "one", "\n", "two" }, "two" },
	{ { "a\tb" }, "a b" },
};

START_TEST(test_feed)
{
	TopLine l = { 0 };

	for (size_t i = 0; i < 4 && cases[_i].chunks[i]; i++)
		top_line_feed(&l, cases[_i].chunks[i], strlen(cases[_i].chunks[i]));
	ck_assert_uint_eq(l.len, strlen(cases[_i].line));
	ck_assert_mem_eq(l.text, cases[_i].line, l.len);
}
END_TEST

START_TEST(test_bounded)
{
	char long_text[3 * TOP_LINE_BYTES + 1];
	TopLine l = { 0 };

	for (size_t i = 0; i < 1000; i++)
		top_line_feed(&l, "xy€", 5);
	ck_assert_uint_le(l.len, TOP_LINE_BYTES);
	ck_assert_uint_gt(l.len, TOP_LINE_BYTES - 5);
	ck_assert_mem_eq(l.text + l.len - 5, "xy€", 5);
	ck_assert_int_ne((unsigned char)l.text[0] & 0xc0, 0x80);
	memset(long_text, '-', sizeof(long_text));
	memcpy(long_text + sizeof(long_text) - 3, "end", 3);
	top_line_feed(&l, long_text, sizeof(long_text));
	ck_assert_uint_le(l.len, TOP_LINE_BYTES);
	ck_assert_mem_eq(l.text + l.len - 4, "-end", 4);
	memcpy(long_text, "begin", 5);
	top_line_set(&l, long_text, sizeof(long_text));
	ck_assert_uint_le(l.len, TOP_LINE_BYTES);
	ck_assert_mem_eq(l.text, "begin-", 6);
	top_line_set(&l, "the end", 7);
	ck_assert_uint_eq(l.len, 7);
	top_line_feed(&l, "more", 4);
	ck_assert_mem_eq(l.text, "more", 4);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("top-line");
	TCase *t = tcase_create("top-line");

	tcase_add_loop_test(t, test_feed, 0, (int)ARRAY_SIZE(cases));
	tcase_add_test(t, test_bounded);
	suite_add_tcase(s, t);
	return s;
}
