#include "client/columns.h"

#include <locale.h>
#include <string.h>

#include "tests/lib/check-main.h"

typedef struct Case {
	const char *text;
	size_t width;
	const char *shown;
	size_t columns;
} Case;

static const Case cases[] = {
	{ "", 5, "", 0 },
	{ "plain", 5, "plain", 5 },
	{ "plain", 4, "plai", 4 },
	{ "plain", 0, "", 0 },
	{ "grün", 3, "grü", 3 },
	/* wide ones: half of one is none */
	{ "漢字", 4, "漢字", 4 },
	{ "漢字", 3, "漢", 2 },
	{ "漢字", 1, "", 0 },
	/* an accent of its own goes with its letter, what else takes no room is left out */
	{ "e\u0301x", 1, "e\u0301", 1 },
	{ "a\u200bb\u200ec\ufeff", 5, "abc", 3 },
	{ "\u202eabc\u2066", 5, "abc", 3 },
	/* what a terminal would act upon, and what is no UTF-8 */
	{ "\033[31m\a\177", 20, "?[31m??", 7 },
	{ "\302\233x", 5, "?x", 2 },
	{ "\377\342\202x", 5, "???x", 4 },
};

START_TEST(test_append)
{
	const Case *c = &cases[_i];
	_cleanup_buf_ Buf b = { 0 };
	size_t columns = 99;

	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
	ck_assert_int_eq(columns_append(&b, c->text, strlen(c->text), c->width, &columns), 0);
	ck_assert_uint_eq(columns, c->columns);
	ck_assert_uint_eq(b.len, strlen(c->shown));
	ck_assert(b.len == 0 || memcmp(b.data, c->shown, b.len) == 0);
}
END_TEST

START_TEST(test_fit)
{
	static const struct {
		const char *text;
		size_t width, bytes, columns;
	} fits[] = {
		{ "", 3, 0, 0 },
		{ "abcd", 3, 3, 3 },
		{ "a漢字", 3, 4, 3 },
		{ "a漢字", 4, 4, 3 },
		/* something at least, so that whoever goes on from there comes to an end */
		{ "漢字", 1, 3, 2 },
		{ "ab", 0, 1, 1 },
	};

	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
	for (size_t i = 0; i < ARRAY_SIZE(fits); i++) {
		size_t columns;

		ck_assert_uint_eq(
			columns_fit(fits[i].text, strlen(fits[i].text), fits[i].width, &columns),
			fits[i].bytes);
		ck_assert_uint_eq(columns, fits[i].columns);
	}
}
END_TEST

START_TEST(test_tail)
{
	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
	ck_assert_uint_eq(columns_tail("", 0, 0), 0);
	ck_assert_uint_eq(columns_tail("abcd", 4, 4), 0);
	ck_assert_uint_eq(columns_tail("abcd", 4, 3), 1);
	ck_assert_uint_eq(columns_tail("abcd", 4, 0), 4);
	ck_assert_uint_eq(columns_tail("漢字x", 7, 4), 3);
	ck_assert_uint_eq(columns_tail("漢字x", 7, 2), 6);
}
END_TEST

/* Without a locale that knows more than ASCII. */
START_TEST(test_no_locale)
{
	_cleanup_buf_ Buf b = { 0 };
	size_t columns;

	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C"));
	ck_assert_int_eq(columns_append(&b, "aü漢", 6, 9, &columns), 0);
	ck_assert_mem_eq(b.data, "a??", 3);
	ck_assert_uint_eq(b.len, 3);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("columns");
	TCase *t = tcase_create("columns");

	tcase_add_loop_test(t, test_append, 0, (int)ARRAY_SIZE(cases));
	tcase_add_test(t, test_fit);
	tcase_add_test(t, test_tail);
	tcase_add_test(t, test_no_locale);
	suite_add_tcase(s, t);
	return s;
}
