#include "client/provider-list.h"

#include <string.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"

static const char two[] = "{\"providers\":["
			  "7,{\"name\":\"half\"},{\"kind\":\"openai\"},"
			  "{\"name\":\"a\",\"kind\":\"openai\"},"
			  "{\"name\":\"b\",\"kind\":\"anthropic\"},"
			  "{\"name\":\"c\",\"kind\":\"anthropic\"}]}";

static const struct {
	const char *list;
	const char *name, *kind;
	const char *found;
} cases[] = {
	{ two, NULL, NULL, "a" },
	{ two, "c", NULL, "c" },
	{ two, "c", "anthropic", "c" },
	{ two, NULL, "anthropic", "b" },
	{ two, "c", "openai", NULL },
	{ two, "half", NULL, NULL },
	{ two, "A", NULL, NULL },
	{ two, "", NULL, NULL },
	{ "{\"providers\":[]}", NULL, NULL, NULL },
	{ "{\"providers\":{}}", NULL, NULL, NULL },
	{ "[]", NULL, NULL, NULL },
};

START_TEST(test_find)
{
	_cleanup_json_ json_object *list = NULL;
	json_object *found;

	ck_assert_int_eq(jsonx_parse(cases[_i].list, strlen(cases[_i].list), &list, NULL), 0);
	found = provider_list_find(list, cases[_i].name, cases[_i].kind);
	ck_assert_pstr_eq(jsonx_get_string(found, "name", NULL), cases[_i].found);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("provider-list");
	TCase *tc = tcase_create("provider-list");

	tcase_add_loop_test(tc, test_find, 0, (int)ARRAY_SIZE(cases));
	suite_add_tcase(suite, tc);
	return suite;
}
