#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonx-find.h"
#include "tests/lib/check-main.h"

/* `found` is what stands behind "k"; NULL: `error` is what there is instead. */
typedef struct FindCase {
	const char *text, *found;
	int error;
} FindCase;

static const FindCase cases[] = {
	{ "{\"k\":1}", "1", 0 },
	{ "{\"k\":\"v\"}", "\"v\"", 0 },
	{ " {\t\"a\" : [ ] ,\n\"k\" : null } ", "null", 0 },
	{ "{\"a\":1,\"k\":true,\"b\":2}", "true", 0 },
	{ "{\"k\":{\"k\":[1,{\"k\":2}]},\"b\":0}", "{\"k\":[1,{\"k\":2}]}", 0 },
	{ "{\"a\":{\"k\":1},\"b\":[\"k\",{\"k\":2}],\"k\":3}", "3", 0 },
	{ "{\"a\":\"\\\"k\\\":1\",\"k\":2}", "2", 0 },
	{ "{\"a\":\"\\\\\",\"k\":2}", "2", 0 },
	{ "{\"a\":\"\\\\\\\"\",\"k\":2}", "2", 0 },
	{ "{\"a\":[\"]\",\"}\",\"\\\"]\"],\"k\":2}", "2", 0 },
	{ "{\"k\":\"a\\\\\"}", "\"a\\\\\"", 0 },
	{ "{\"kk\":1,\"\":2,\"k\":-1.5e3}", "-1.5e3", 0 },
	{ "{\"k\":1,\"k\":2}", "1", 0 },
	{ "{}", NULL, -ENOENT },
	{ "{ }", NULL, -ENOENT },
	{ "{\"a\":1}", NULL, -ENOENT },
	{ "{\"a\":{\"k\":1}}", NULL, -ENOENT },
	{ "", NULL, -EBADMSG },
	{ "  ", NULL, -EBADMSG },
	{ "[\"k\",1]", NULL, -EBADMSG },
	{ "\"k\"", NULL, -EBADMSG },
	{ "{", NULL, -EBADMSG },
	{ "{\"", NULL, -EBADMSG },
	{ "{\"k", NULL, -EBADMSG },
	{ "{\"k\"", NULL, -EBADMSG },
	{ "{\"k\":", NULL, -EBADMSG },
	{ "{\"k\": ", NULL, -EBADMSG },
	{ "{\"k\":,", NULL, -EBADMSG },
	{ "{\"k\":}", NULL, -EBADMSG },
	{ "{\"k\" 1}", NULL, -EBADMSG },
	{ "{k:1}", NULL, -EBADMSG },
	{ "{\"k\":\"", NULL, -EBADMSG },
	{ "{\"k\":\"\\\"", NULL, -EBADMSG },
	{ "{\"k\":[1", NULL, -EBADMSG },
	{ "{\"k\":{\"a\":\"b}", NULL, -EBADMSG },
	{ "{\"a\":1 \"k\":2}", NULL, -EBADMSG },
	{ "{\"a\":1,", NULL, -EBADMSG },
	{ "{\"a\":1", NULL, -EBADMSG },
	{ "{\"a\":]", NULL, -EBADMSG },
};

START_TEST(find)
{
	const FindCase *c = &cases[_i];
	size_t len = strlen(c->text), found_len = 0;
	/* Of exactly that size, for the sanitizer to see what is read beyond it. */
	_cleanup_free_ char *text = malloc(len > 0 ? len : 1);
	const char *found = NULL;
	int r;

	memcpy(text, c->text, len);
	r = jsonx_find(text, len, "k", &found, &found_len);
	ck_assert_msg(r == c->error, "%s: %d", c->text, r);
	if (c->found)
		ck_assert_msg(
			found_len == strlen(c->found) && memcmp(found, c->found, found_len) == 0,
			"%s: %.*s", c->text, (int)found_len, found);
	else
		ck_assert_ptr_null(found);
}
END_TEST

START_TEST(find_value)
{
	static const char text[] = "{\"a\":01,\"b\":\"x\\ny\",\"c\":null}";
	_cleanup_json_ json_object *o = NULL;

	ck_assert_int_eq(jsonx_find_value(text, strlen(text), "b", &o), 0);
	ck_assert_str_eq(json_object_get_string(o), "x\ny");
	json_object_put(o);
	o = NULL;
	ck_assert_int_eq(jsonx_find_value(text, strlen(text), "c", &o), 0);
	ck_assert_ptr_null(o);
	ck_assert_int_eq(jsonx_find_value(text, strlen(text), "a", &o), -EBADMSG);
	ck_assert_int_eq(jsonx_find_value(text, strlen(text), "d", &o), -ENOENT);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("jsonx-find");
	TCase *t = tcase_create("jsonx-find");

	tcase_add_loop_test(t, find, 0, ARRAY_SIZE(cases));
	tcase_add_test(t, find_value);
	suite_add_tcase(s, t);
	return s;
}
