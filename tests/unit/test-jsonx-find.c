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

/* What is picked of the keys a, b, c: their texts, of which "-" is none. */
static const struct {
	const char *text, *picked;
	int error;
} picks[] = {
	{ "{}", "-,-,-", 0 },
	{ "{\"a\":1}", "1,-,-", 0 },
	{ " { \"c\" : [ 1 ] , \"a\" : {\"b\":2} } ", "{\"b\":2},-,[ 1 ]", 0 },
	{ "{\"b\":\"x\\\"\",\"d\":[{\"a\":1}],\"a\":-0.5}", "-0.5,\"x\\\"\",-", 0 },
	{ "{\"a\":null,\"b\":1,\"b\":2,\"c\":3,\"c\":null}", "-,2,-", 0 },
	{ "{\"aa\":1,\"\":2,\"\\u0061\":3,\"b\":false}", "-,false,-", 0 },
	{ "[]", "", -EBADMSG },
	{ "[{\"a\":1}]", "", -EBADMSG },
	{ "\"a\"", "", -EBADMSG },
	{ "null", "", -EBADMSG },
	{ "", "", -EBADMSG },
	{ "{\"a\":1", "", -EBADMSG },
	{ "{\"a\":1,}", "", -EBADMSG },
};

START_TEST(pick)
{
	static const char *const keys[] = { "a", "b", "c" };
	size_t len = strlen(picks[_i].text);
	_cleanup_free_ char *text = malloc(len > 0 ? len : 1);
	_cleanup_buf_ Buf b = { 0 };
	JsonxText found[3];
	int r;

	memcpy(text, picks[_i].text, len);
	r = jsonx_pick((JsonxText){ text, len }, keys, found, 3);
	ck_assert_msg(r == picks[_i].error, "%s: %d", picks[_i].text, r);
	if (r < 0)
		return;
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(buf_printf(&b, "%s%.*s", i > 0 ? "," : "",
					 found[i].text ? (int)found[i].len : 1,
					 found[i].text ? found[i].text : "-"),
			0);
	ck_assert_uint_eq(b.len, strlen(picks[_i].picked));
	ck_assert_mem_eq(b.data, picks[_i].picked, b.len);
}
END_TEST

START_TEST(pick_of_nothing)
{
	static const char *const keys[] = { "a" };
	JsonxText found;

	ck_assert_int_eq(jsonx_pick((JsonxText){ 0 }, keys, &found, 1), -EBADMSG);
}
END_TEST

START_TEST(walk)
{
	static const char text[] = " [ 1 , \"a,]\",[2,3],{} ] ";
	static const char *const items[] = { "1", "\"a,]\"", "[2,3]", "{}" };
	JsonxWalk w;

	ck_assert_int_eq(jsonx_walk(&w, text, strlen(text)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		ck_assert_int_eq(jsonx_walk_next(&w), 1);
		ck_assert(jsonx_text_is(w.value, items[i]));
		ck_assert_ptr_null(w.name.text);
	}
	ck_assert_int_eq(jsonx_walk_next(&w), 0);
	ck_assert_int_eq(jsonx_walk_next(&w), 0);
	ck_assert_int_eq(jsonx_walk(&w, "[]", 2), 0);
	ck_assert_int_eq(jsonx_walk_next(&w), 0);
	ck_assert_int_eq(jsonx_walk(&w, "[1,]", 4), 0);
	ck_assert_int_eq(jsonx_walk_next(&w), 1);
	ck_assert_int_eq(jsonx_walk_next(&w), -EBADMSG);
	ck_assert_int_eq(jsonx_walk(&w, "1", 1), -EBADMSG);
}
END_TEST

START_TEST(text_string)
{
	static const struct {
		const char *text, *contents; /* NULL: it is none */
	} strings[] = {
		{ "\"\"", "" },
		{ "\"plain \xc3\xbc\"", "plain \xc3\xbc" },
		{ "\"\\n\"", "\n" },
		{ "\"a\\\"\\\\b\\/\\b\\f\\r\\t\"", "a\"\\b/\b\f\r\t" },
		{ "\"\\u0041\\u00fc\\u20AC\\ud83d\\ude00.\"",
			"A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80." },
		/* Halves of pairs. */
		{ "\"\\ud83d\"", "\xef\xbf\xbd" },
		{ "\"a\\ude00b\"", "a\xef\xbf\xbd"
				   "b" },
		{ "\"\\ud83d\\n\"", "\xef\xbf\xbd\n" },
		{ "\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
					"A" },
		{ "\"\\ud83d\\ud83d\\ude00\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd" },
		{ "12", NULL },
		{ "{\"a\":\"b\"}", NULL },
	};
	_cleanup_buf_ Buf scratch = { 0 };
	const char *contents;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		size_t size = strlen(strings[i].text);
		/* Of exactly that size, for the sanitizer to see what is read beyond it. */
		_cleanup_free_ char *text = malloc(size);
		JsonxText value = { memcpy(text, strings[i].text, size), size };
		int r = jsonx_text_string(value, &scratch, &contents, &len);

		ck_assert_int_eq(r, strings[i].contents ? 0 : -EINVAL);
		if (r < 0)
			continue;
		ck_assert_uint_eq(len, strlen(strings[i].contents));
		ck_assert_mem_eq(contents, strings[i].contents, len);
		ck_assert(memchr(text, '\\', size) || contents == text + 1);
	}
	ck_assert_int_eq(jsonx_text_string((JsonxText){ 0 }, &scratch, &contents, &len), -EINVAL);
}
END_TEST

START_TEST(text_uint)
{
	static const char *const wrong[] = { "", "-1", "1.0", "1e3", "\"1\"",
		"18446744073709551616", "99999999999999999999" };
	uint64_t n = 7;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert(!jsonx_text_uint((JsonxText){ wrong[i], strlen(wrong[i]) }, &n));
	ck_assert(!jsonx_text_uint((JsonxText){ 0 }, &n));
	ck_assert_uint_eq(n, 7);
	ck_assert(jsonx_text_uint((JsonxText){ "0", 1 }, &n));
	ck_assert_uint_eq(n, 0);
	ck_assert(jsonx_text_uint((JsonxText){ "18446744073709551615", 20 }, &n));
	ck_assert_uint_eq(n, UINT64_MAX);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("jsonx-find");
	TCase *t = tcase_create("jsonx-find");

	tcase_add_loop_test(t, find, 0, ARRAY_SIZE(cases));
	tcase_add_test(t, find_value);
	tcase_add_loop_test(t, pick, 0, ARRAY_SIZE(picks));
	tcase_add_test(t, pick_of_nothing);
	tcase_add_test(t, walk);
	tcase_add_test(t, text_string);
	tcase_add_test(t, text_uint);
	suite_add_tcase(s, t);
	return s;
}
