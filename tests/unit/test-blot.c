/* daemon/backend/blot.c: what of a secret is found in a text, however it was said. */
#include <stdio.h>
#include <string.h>

#include "daemon/backend/blot.h"
#include "tests/lib/check-main.h"

/* The first of the secrets. */
#define KEY "sk-0123456789-abcdef"

static const char *const secrets[] = {
	KEY,
	KEY "-and-longer",
	"Bearer T0KEN-in-a-header",
	"two  blanks here",
	"quo\"te\\back/slash",
	"<tag>&more",
	"overlap-begins-with-this",
	"with-this-other",
	"short",
	"sixsix",
};

/* What is left of a text: the same where nothing is. */
static const struct {
	const char *text, *left;
} cases[] = {
	{ "", "" },
	{ "nothing of it", "nothing of it" },
	{ KEY, "********************" },
	{ "a " KEY " b " KEY ".", "a ******************** b ********************." },
	/* One that another begins with. */
	{ KEY "-and-longer!", "*******************************!" },
	{ KEY "-and-l", "**************************" },
	{ KEY "-and-less", "**************************ess" },
	/* Cut: at the end few are enough, elsewhere it may be chance. */
	{ "it is sk-012", "it is ******" },
	{ "it is sk-01", "it is sk-01" },
	{ "sk-012 is it", "sk-012 is it" },
	{ "sk-01234567 is it", "sk-01234567 is it" },
	{ "sk-012345678 is it", "************ is it" },
	/* Begun twice. */
	{ "sk-sk-0123456789-abcdef", "sk-********************" },
	/* A word of a header. */
	{ "you sent T0KEN-in-a-header", "you sent *****************" },
	{ "Bearer T0KEN-in-a-header", "************************" },
	{ "Bearer of bad news", "Bearer of bad news" },
	/* White space. */
	{ "two  blanks here", "****************" },
	{ "two blanks here", "***************" },
	{ "two \t\r\n blanks\nhere", "*******************" },
	{ "twoblanks here", "twoblanks here" },
	{ "two blanks", "**********" },
	/* As it is, in JSON, in JSON within JSON; every character may be escaped. */
	{ "quo\"te\\back/slash", "*****************" },
	{ "quo\\\"te\\\\back\\/slash", "********************" },
	{ "quo\\\\\\\"te\\\\\\\\back/slash", "***********************" },
	{ "{\"quo\\u0022te\\\\back\\u002Fslash\"}", "{\"****************************\"}" },
	{ "\\u003ctag\\u003E\\u0026more.", "*************************." },
	{ "<tag>&m", "*******" },
	{ "<tag>&\\u006", "***********" },
	{ "<tag>&\\", "*******" },
	{ "<tag>&\\u006f", "<tag>&\\u006f" },
	{ "<tag>&u", "<tag>&u" },
	/* One within the other. */
	{ "overlap-begins-with-this-other.", "******************************." },
	/* Not what may be any word. */
	{ "short", "short" },
	{ "sixsix", "******" },
	{ "\xc3\xa9 sixsix \xe2\x82\xac", "\xc3\xa9 ****** \xe2\x82\xac" },
};

START_TEST(blots)
{
	Blot b = { 0 };
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
		ck_assert_int_eq(blot_add(&b, secrets[i]), 0);
	ck_assert_uint_lt(strlen(cases[_i].text), sizeof(text));
	strcpy(text, cases[_i].text);
	blot_text(&b, text);
	ck_assert_str_eq(text, cases[_i].left);
	blot_done(&b);
}
END_TEST

START_TEST(blots_nothing)
{
	Blot b = { 0 };
	char text[] = KEY;

	blot_text(&b, text);
	ck_assert_str_eq(text, KEY);
	blot_done(&b);
}
END_TEST

/* However it is cut, and wherever: nobody has as many as MIN_CUT of its characters. */
START_TEST(blots_each_cut)
{
	Blot b = { 0 };
	char text[64];

	ck_assert_int_eq(blot_add(&b, KEY), 0);
	for (size_t n = 0; n <= strlen(KEY); n++) {
		(void)snprintf(text, sizeof(text), "x%.*s", (int)n, KEY);
		blot_text(&b, text);
		ck_assert_uint_eq(strspn(text + 1, "*"), n < 6 ? 0 : n);
		(void)snprintf(text, sizeof(text), "x%.*s: y", (int)n, KEY);
		blot_text(&b, text);
		ck_assert_uint_eq(strspn(text + 1, "*"), n < 12 ? 0 : n);
	}
	blot_done(&b);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("blot");
	TCase *t = tcase_create("blot");

	tcase_add_loop_test(t, blots, 0, ARRAY_SIZE(cases));
	tcase_add_test(t, blots_nothing);
	tcase_add_test(t, blots_each_cut);
	suite_add_tcase(s, t);
	return s;
}
