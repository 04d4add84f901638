#include <errno.h>
#include <string.h>

#include "client/text.h"
#include "tests/lib/check-main.h"

typedef struct SafeCase {
	const char *text;
	size_t len;
	const char *line;  /* everything on one line */
	const char *lines; /* newlines and tabs kept */
} SafeCase;

#define SAFE(text, line, lines)                     \
	{                                           \
		text, sizeof(text) - 1, line, lines \
	}

static const SafeCase safe_cases[] = {
	SAFE("", "", ""),
	SAFE("plain", "plain", "plain"),
	SAFE("grün €", "grün €", "grün €"),
	SAFE("a\nb\tc", "a\\nb\\tc", "a\nb\tc"),
	SAFE("\033[31mred\033[0m", "\\x1b[31mred\\x1b[0m", "\\x1b[31mred\\x1b[0m"),
	SAFE("\r\b\a", "\\x0d\\x08\\x07", "\\x0d\\x08\\x07"),
	SAFE("a\0b", "a\\x00b", "a\\x00b"),
	SAFE("\177", "\\x7f", "\\x7f"),
	SAFE("\302\233", "\\u009b", "\\u009b"),
	SAFE("\342\200\256x", "\\u202ex", "\\u202ex"),
	SAFE("\342\201\246x", "\\u2066x", "\\u2066x"),
	/* not UTF-8 */
	SAFE("\377", "\\xff", "\\xff"),
	SAFE("\303", "\\xc3", "\\xc3"),
	SAFE("\233x", "\\x9bx", "\\x9bx"),
	SAFE("\342\202 ", "\\xe2\\x82 ", "\\xe2\\x82 "),
};

START_TEST(test_append_safe)
{
	const SafeCase *c = &safe_cases[_i];
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(text_append_safe(&b, c->text, c->len, false), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, c->line);
	buf_clear(&b, SIZE_MAX);
	ck_assert_int_eq(text_append_safe(&b, c->text, c->len, true), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, c->lines);
}
END_TEST

START_TEST(test_width)
{
	ck_assert_uint_eq(text_width("", 0), 0);
	ck_assert_uint_eq(text_width("grün", 5), 4);
	ck_assert_uint_eq(text_fit("grün", 5, 3), 4);
	ck_assert_uint_eq(text_fit("grün", 5, 2), 2);
	ck_assert_uint_eq(text_fit("grün", 5, 9), 5);
	ck_assert_uint_eq(text_fit("grün", 5, 0), 0);
}
END_TEST

static const struct {
	const char *text;
	int r;
	uint64_t ms;
} durations[] = {
	{ "0", 0, 0 },
	{ "5", 0, 5000 },
	{ "500ms", 0, 500 },
	{ "30s", 0, 30000 },
	{ "2m", 0, 120000 },
	{ "2min", 0, 120000 },
	{ "1h", 0, 3600000 },
	{ "1d", 0, 86400000 },
	{ "", -EINVAL, 0 },
	{ "s", -EINVAL, 0 },
	{ "-5s", -EINVAL, 0 },
	{ "+5s", -EINVAL, 0 },
	{ " 5s", -EINVAL, 0 },
	{ "5 s", -EINVAL, 0 },
	{ "5x", -EINVAL, 0 },
	{ "1.5s", -EINVAL, 0 },
	{ "99999999999999999999s", -ERANGE, 0 },
	{ "9223372036854775807d", -ERANGE, 0 },
};

START_TEST(test_duration)
{
	uint64_t ms = 0;

	ck_assert_int_eq(text_parse_duration(durations[_i].text, &ms), durations[_i].r);
	ck_assert_uint_eq(ms, durations[_i].ms);
}
END_TEST

START_TEST(test_speed)
{
	static const char *const bad[] = { "", "x", "0x", "0", "-1x", "1y", "infx", "maxx", "1x " };
	double factor;

	ck_assert_int_eq(text_parse_speed("max", &factor), 0);
	ck_assert(factor == 0);
	ck_assert_int_eq(text_parse_speed("10x", &factor), 0);
	ck_assert(factor == 10);
	ck_assert_int_eq(text_parse_speed("0.5x", &factor), 0);
	ck_assert(factor == 0.5);
	ck_assert_int_eq(text_parse_speed("3", &factor), 0);
	ck_assert(factor == 3);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(text_parse_speed(bad[i], &factor), -EINVAL);
}
END_TEST

START_TEST(test_age)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "0ms" },
		{ 999, "999ms" },
		{ 1000, "1s" },
		{ 119999, "119s" },
		{ 120000, "2m" },
		{ 7200000, "2h" },
		{ 172800000, "2d" },
		{ UINT64_MAX, "213503982334d" },
	};
	char out[TEXT_AGE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		text_format_age(cases[i].ms, out);
		ck_assert_str_eq(out, cases[i].text);
	}
}
END_TEST

START_TEST(test_amount)
{
	static const struct {
		double amount;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 0.25, "0.2" },
		{ 3, "3" },
		{ 9.94, "9.9" },
		{ 9.96, "10" },
		{ 87.4, "87" },
		{ 999.4, "999" },
		{ 999.6, "1.0k" },
		{ 1000, "1k" },
		{ 1536, "1.5k" },
		{ 99950, "100k" },
		{ 12345678, "12M" },
		{ 1e18, "1000P" },
	};
	char out[TEXT_AMOUNT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		text_format_amount(cases[i].amount, out);
		ck_assert_str_eq(out, cases[i].text);
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("text");
	TCase *tc = tcase_create("text");

	tcase_add_loop_test(tc, test_append_safe, 0, (int)ARRAY_SIZE(safe_cases));
	tcase_add_test(tc, test_width);
	tcase_add_loop_test(tc, test_duration, 0, (int)ARRAY_SIZE(durations));
	tcase_add_test(tc, test_speed);
	tcase_add_test(tc, test_age);
	tcase_add_test(tc, test_amount);
	suite_add_tcase(suite, tc);
	return suite;
}
