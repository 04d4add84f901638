#include <errno.h>

#include "client/key-value.h"
#include "common/jsonx.h"
#include "tests/lib/check-main.h"

#define MAX_ASSIGNMENTS 4

typedef struct Case {
	const char *assignments[MAX_ASSIGNMENTS];
	int r; /* of the last one */
	const char *json;
} Case;

static const Case cases[] = {
	{ { "a=1" }, 0, "{\"a\":1}" },
	{ { "a=text" }, 0, "{\"a\":\"text\"}" },
	{ { "a=\"1\"" }, 0, "{\"a\":\"1\"}" },
	{ { "a=" }, 0, "{\"a\":\"\"}" },
	{ { "a=b=c" }, 0, "{\"a\":\"b=c\"}" },
	{ { "a=true", "b=null", "c=[1,2]" }, 0, "{\"a\":true,\"b\":null,\"c\":[1,2]}" },
	{ { "a={\"x\":1}" }, 0, "{\"a\":{\"x\":1}}" },
	/* not JSON, though json-c alone would take it */
	{ { "a=NaN", "b='x'", "c=01" }, 0, "{\"a\":\"NaN\",\"b\":\"'x'\",\"c\":\"01\"}" },
	{ { "a={\"x\"" }, 0, "{\"a\":\"{\\\"x\\\"\"}" },
	{ { "a=gpt-4.1" }, 0, "{\"a\":\"gpt-4.1\"}" },
	{ { "l.m=1", "l.c=2" }, 0, "{\"l\":{\"m\":1,\"c\":2}}" },
	{ { "a.b.c=x" }, 0, "{\"a\":{\"b\":{\"c\":\"x\"}}}" },
	{ { "a={\"x\":1}", "a.y=2" }, 0, "{\"a\":{\"x\":1,\"y\":2}}" },
	{ { "a=1", "a=2" }, 0, "{\"a\":2}" },
	{ { "a.b=x.y" }, 0, "{\"a\":{\"b\":\"x.y\"}}" },
	{ { "a=1", "a.b=2" }, -EEXIST, "{\"a\":1}" },
	{ { "a" }, -EINVAL, "{}" },
	{ { "" }, -EINVAL, "{}" },
	{ { "=1" }, -EINVAL, "{}" },
	{ { ".a=1" }, -EINVAL, "{}" },
	{ { "a=\377" }, -EINVAL, "{}" },
	{ { "\377=a" }, -EINVAL, "{}" },
};

START_TEST(test_set)
{
	const Case *c = &cases[_i];
	_cleanup_json_ json_object *root = json_object_new_object();
	_cleanup_buf_ Buf text = { 0 };
	int r = 0;

	for (size_t i = 0; i < MAX_ASSIGNMENTS && c->assignments[i]; i++)
		r = key_value_set(root, c->assignments[i]);
	ck_assert_int_eq(r, c->r);
	ck_assert_int_eq(jsonx_append(&text, root), 0);
	ck_assert_int_eq(buf_terminate(&text), 0);
	ck_assert_str_eq(text.data, c->json);
}
END_TEST

START_TEST(test_empty_segment)
{
	_cleanup_json_ json_object *root = json_object_new_object();

	ck_assert_int_eq(key_value_set(root, "a.=1"), -EINVAL);
	ck_assert_int_eq(key_value_set(root, "a..b=1"), -EINVAL);
}
END_TEST

START_TEST(test_set_string)
{
	_cleanup_json_ json_object *root = json_object_new_object();

	ck_assert_int_eq(key_value_set_string(root, "a.b=1"), 0);
	ck_assert_str_eq(jsonx_get_string(root, "a.b", NULL), "1");
	ck_assert_int_eq(key_value_set_string(root, "a"), -EINVAL);
	ck_assert_int_eq(key_value_set_string(root, "a=\377"), -EINVAL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("key-value");
	TCase *tc = tcase_create("key-value");

	tcase_add_loop_test(tc, test_set, 0, (int)ARRAY_SIZE(cases));
	tcase_add_test(tc, test_empty_segment);
	tcase_add_test(tc, test_set_string);
	suite_add_tcase(suite, tc);
	return suite;
}
