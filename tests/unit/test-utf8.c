#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/utf8.h"
#include "tests/lib/check-main.h"

typedef struct Case {
	const char *text;
	size_t len;
	bool valid;
	size_t incomplete;
} Case;

#define CASE(text, valid, incomplete)                     \
	{                                                 \
		text, sizeof(text) - 1, valid, incomplete \
	}

static const Case cases[] = {
	CASE("", true, 0),
	CASE("a", true, 0),
	CASE("\0", true, 0),
	CASE("\x7f", true, 0),
	CASE("\xc2\x80", true, 0),
	CASE("\xdf\xbf", true, 0),
	CASE("\xe0\xa0\x80", true, 0),
	CASE("\xed\x9f\xbf", true, 0),
	CASE("\xee\x80\x80", true, 0),
	CASE("\xef\xbf\xbf", true, 0),
	CASE("\xf0\x90\x80\x80", true, 0),
	CASE("\xf4\x8f\xbf\xbf", true, 0),
	/* complete, and wrong */
	CASE("\x80", false, 0),
	CASE("\xbf\xbf", false, 0),
	CASE("\xc0\x80", false, 0),
	CASE("\xc1\xbf", false, 0),
	CASE("\xe0\x9f\xbf", false, 0),
	CASE("\xed\xa0\x80", false, 0),
	CASE("\xed\xbf\xbf", false, 0),
	CASE("\xf0\x8f\xbf\xbf", false, 0),
	CASE("\xf4\x90\x80\x80", false, 0),
	CASE("\xf5\x80\x80\x80", false, 0),
	CASE("\xff", false, 0),
	CASE("\xfe", false, 0),
	CASE("\xc3 ", false, 0),
	CASE("\xe2\x82 ", false, 0),
	CASE("\xf0\x9f\x92 ", false, 0),
	CASE("\x80\x80\x80\x80", false, 0),
	/* may yet become right */
	CASE("\xc3", false, 1),
	CASE("\xe2", false, 1),
	CASE("\xe2\x82", false, 2),
	CASE("\xf0", false, 1),
	CASE("\xf0\x9f", false, 2),
	CASE("\xf0\x9f\x92", false, 3),
	CASE("\xc3\xbc\xc3", false, 1),
	CASE("\xff\xe2\x82", false, 2),
	/* cut short, but wrong already */
	CASE("\xc0", false, 0),
	CASE("\xe0\x80", false, 0),
	CASE("\xed\xa0", false, 0),
	CASE("\xf0\x80", false, 0),
	CASE("\xf4\x90", false, 0),
	CASE("\xf5", false, 0),
	CASE("\xe2\xe2", false, 1),
	CASE("\xf0\x9f\x80\x80\x80", false, 0),
};

/* At every place of a longer text, so that the fast lanes see it too. */
START_TEST(valid_or_not)
{
	const Case *c = &cases[_i];

	for (size_t before = 0; before < 40; before++) {
		for (size_t behind = 0; behind < 40; behind++) {
			/* Of exactly that size, for the sanitizer to see what is read beyond it. */
			size_t len = before + c->len + behind;
			_cleanup_free_ char *text = malloc(len + 1);

			ck_assert_ptr_nonnull(text);
			memset(text, 'a', len + 1);
			memcpy(text + 1 + before, c->text, c->len);
			ck_assert_msg(utf8_valid(text + 1, len) == c->valid,
				"case %d at %zu of %zu", _i, before, len);
		}
	}
}
END_TEST

START_TEST(incomplete_tail)
{
	const Case *c = &cases[_i];
	char text[16] = "abcdef";

	ck_assert_uint_eq(utf8_incomplete_tail(c->text, c->len), c->incomplete);
	memcpy(text + 6, c->text, c->len);
	ck_assert_uint_eq(utf8_incomplete_tail(text, 6 + c->len), c->incomplete);
}
END_TEST

static size_t encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}

	size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)((0xf00 >> n & 0xf0) | code);
	return n;
}

/* Is all as it should be with the encoded `code`, whole and cut short? Not by ck_assert_*(), each
 * of which costs a write(2). */
static bool character_is_right(uint32_t code)
{
	char text[4];
	size_t n = encode(code, text);
	bool valid = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
	bool right = utf8_valid(text, n) == valid && utf8_char_len(text, n) == (valid ? n : 0) &&
		     utf8_incomplete_tail(text, n) == 0;

	for (size_t part = 1; valid && part < n; part++)
		right = right && utf8_incomplete_tail(text, part) == part &&
			utf8_char_len(text, part) == 0;
	return right;
}

START_TEST(every_character)
{
	for (uint32_t code = 0; code < 0x120000; code++) {
		if (!character_is_right(code))
			ck_abort_msg("U+%04X", code);
	}
}
END_TEST

START_TEST(char_len)
{
	ck_assert_uint_eq(utf8_char_len("", 0), 0);
	ck_assert_uint_eq(utf8_char_len("ab", 2), 1);
	ck_assert_uint_eq(utf8_char_len("\xc3\xbcx", 3), 2);
	ck_assert_uint_eq(utf8_char_len("\xbc", 1), 0);
}
END_TEST

START_TEST(cut)
{
	static const char text[] = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x92\xa9z";
	static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11 };

	for (size_t max = 0; max < ARRAY_SIZE(expected); max++)
		ck_assert_uint_eq(utf8_cut(text, sizeof(text) - 1, max), expected[max]);
	ck_assert_uint_eq(utf8_cut("", 0, 5), 0);
	ck_assert_uint_eq(utf8_cut("abc", 3, SIZE_MAX), 3);
	/* What is no text is cut all the same. */
	ck_assert_uint_eq(utf8_cut("\x80\x80\x80\x80\x80\x80\x80\x80", 8, 6), 6);
	ck_assert_uint_eq(utf8_cut("\x80\x80\x80", 3, 2), 2);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("utf8");
	TCase *t = tcase_create("utf8");

	tcase_add_loop_test(t, valid_or_not, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(t, incomplete_tail, 0, ARRAY_SIZE(cases));
	tcase_add_test(t, every_character);
	tcase_add_test(t, char_len);
	tcase_add_test(t, cut);
	suite_add_tcase(s, t);
	return s;
}
