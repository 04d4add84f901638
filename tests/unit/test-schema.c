#include "common/schema.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"

static const char *const colours[] = { "red", "green", NULL };
static const SchemaField word = { .type = SCHEMA_STRING, .no_nul = true, .max_bytes = 5 };
static const SchemaField inner[] = {
	{ .name = "ms", .type = SCHEMA_INTEGER, .min = 1, .max = 10, .default_json = "7" },
	{ .name = "must", .type = SCHEMA_BOOLEAN, .required = true },
	{ 0 },
};
static const SchemaField element = { .type = SCHEMA_OBJECT, .fields = inner };

static const SchemaField fields[] = {
	{ .name = "id", .type = SCHEMA_STRING, .required = true, .no_nul = true, .doc = "Which." },
	{ .name = "text", .type = SCHEMA_STRING, .max_bytes = 8, .default_json = "\"hey\"" },
	{ .name = "name", .type = SCHEMA_STRING, .not_empty = true },
	{ .name = "colour", .type = SCHEMA_STRING, .choices = colours },
	{ .name = "n", .type = SCHEMA_INTEGER, .min = -2, .max = 2 },
	{ .name = "seq", .type = SCHEMA_INTEGER, .min = 0, .max = INT64_MAX },
	{ .name = "any", .type = SCHEMA_INTEGER },
	{ .name = "ratio", .type = SCHEMA_NUMBER },
	{ .name = "on", .type = SCHEMA_BOOLEAN, .default_json = "false" },
	{ .name = "free", .type = SCHEMA_ANY_OBJECT, .max_bytes = 20, .default_json = "{}" },
	{ .name = "in", .type = SCHEMA_OBJECT, .fields = inner },
	{ .name = "labels",
		.type = SCHEMA_STRING_MAP,
		.no_nul = true,
		.max_items = 2,
		.max_key_bytes = 3,
		.max_bytes = 4 },
	{ .name = "words", .type = SCHEMA_ARRAY, .items = &word, .min_items = 1, .max_items = 3 },
	{ .name = "list", .type = SCHEMA_ARRAY, .items = &element },
	{ 0 },
};

/* In: what is checked. Out: what it becomes, or what is wrong: its path, and its limit if it is too
 * large. */
static const struct {
	const char *in, *out, *param;
	long limit; /* 0: invalid_params */
} cases[] = {
	{ "{\"id\":\"x\"}", "{\"id\":\"x\",\"text\":\"hey\",\"on\":false,\"free\":{}}", NULL, 0 },
	{ "{}", NULL, "id", 0 },
	{ "{\"id\":null}", NULL, "id", 0 },
	{ "{\"id\":1}", NULL, "id", 0 },
	{ "{\"id\":\"a\\u0000b\"}", NULL, "id", 0 },
	{ "{\"id\":\"\",\"text\":\"\\u0000\",\"on\":true,\"free\":{\"a\":[1]}}",
		"{\"id\":\"\",\"text\":\"\\u0000\",\"on\":true,\"free\":{\"a\":[1]}}", NULL, 0 },
	{ "{\"id\":\"x\",\"more\":1}", NULL, "more", 0 },
	{ "{\"id\":\"x\",\"Id\":1}", NULL, "Id", 0 },
	{ "{\"id\":\"x\",\"text\":\"123456789\"}", NULL, "text", 8 },
	{ "{\"id\":\"x\",\"text\":null}", NULL, "text", 0 },
	{ "{\"id\":\"x\",\"name\":\"\"}", NULL, "name", 0 },
	{ "{\"id\":\"x\",\"colour\":\"blue\"}", NULL, "colour", 0 },
	{ "{\"id\":\"x\",\"colour\":\"red\\u0000\"}", NULL, "colour", 0 },
	{ "{\"id\":\"x\",\"colour\":\"\"}", NULL, "colour", 0 },
	{ "{\"id\":\"x\",\"n\":3}", NULL, "n", 0 },
	{ "{\"id\":\"x\",\"n\":-3}", NULL, "n", 0 },
	{ "{\"id\":\"x\",\"n\":1.0}", NULL, "n", 0 },
	{ "{\"id\":\"x\",\"n\":\"1\"}", NULL, "n", 0 },
	{ "{\"id\":\"x\",\"n\":true}", NULL, "n", 0 },
	{ "{\"id\":\"x\",\"seq\":-1}", NULL, "seq", 0 },
	{ "{\"id\":\"x\",\"seq\":9223372036854775808}", NULL, "seq", 0 },
	{ "{\"id\":\"x\",\"seq\":18446744073709551615}", NULL, "seq", 0 },
	{ "{\"id\":\"x\",\"ratio\":\"1\"}", NULL, "ratio", 0 },
	{ "{\"id\":\"x\",\"on\":0}", NULL, "on", 0 },
	{ "{\"id\":\"x\",\"free\":[]}", NULL, "free", 0 },
	{ "{\"id\":\"x\",\"free\":{\"a\":\"1234567890123456\"}}", NULL, "free", 20 },
	{ "{\"id\":\"x\",\"in\":{}}", NULL, "in.must", 0 },
	{ "{\"id\":\"x\",\"in\":{\"must\":true,\"ms\":11}}", NULL, "in.ms", 0 },
	{ "{\"id\":\"x\",\"in\":{\"must\":true,\"x\":11}}", NULL, "in.x", 0 },
	{ "{\"id\":\"x\",\"labels\":{\"a\":1}}", NULL, "labels.a", 0 },
	{ "{\"id\":\"x\",\"labels\":{\"a\":null}}", NULL, "labels.a", 0 },
	{ "{\"id\":\"x\",\"labels\":{\"\":\"1\"}}", NULL, "labels", 0 },
	{ "{\"id\":\"x\",\"labels\":{\"a\":\"\\u0000\"}}", NULL, "labels.a", 0 },
	{ "{\"id\":\"x\",\"labels\":{\"abcd\":\"1\"}}", NULL, "labels.abcd", 3 },
	{ "{\"id\":\"x\",\"labels\":{\"abc\":\"12345\"}}", NULL, "labels.abc", 4 },
	{ "{\"id\":\"x\",\"labels\":{\"a\":\"\",\"b\":\"\",\"c\":\"\"}}", NULL, "labels", 2 },
	{ "{\"id\":\"x\",\"words\":[]}", NULL, "words", 0 },
	{ "{\"id\":\"x\",\"words\":[\"a\",2]}", NULL, "words[1]", 0 },
	{ "{\"id\":\"x\",\"words\":[\"a\",\"123456\"]}", NULL, "words[1]", 5 },
	{ "{\"id\":\"x\",\"words\":[\"\",\"\",\"\",\"\"]}", NULL, "words", 3 },
	{ "{\"id\":\"x\",\"list\":[{\"must\":true},{\"must\":1}]}", NULL, "list[1].must", 0 },
	{ "{\"id\":\"x\",\"list\":[{\"must\":true},null]}", NULL, "list[1]", 0 },
	{ "{\"id\":\"x\",\"text\":\"t\",\"on\":true,\"free\":{},\"list\":[{\"must\":true}]}",
		"{\"id\":\"x\",\"text\":\"t\",\"on\":true,\"free\":{},"
		"\"list\":[{\"must\":true,\"ms\":7}]}",
		NULL, 0 },
	{ "{\"id\":\"x\",\"text\":\"12345678\",\"name\":\"n\",\"colour\":\"green\",\"n\":-2,"
	  "\"seq\":"
	  "9223372036854775807,\"any\":18446744073709551615,\"ratio\":2,\"on\":false,\"free\":{},"
	  "\"in\":{\"ms\":1,\"must\":false},\"labels\":{\"abc\":\"1234\",\"b\":\"\"},\"words\":["
	  "\"\"],"
	  "\"list\":[]}",
		"{\"id\":\"x\",\"text\":\"12345678\",\"name\":\"n\",\"colour\":\"green\",\"n\":-2,"
		"\"seq\":9223372036854775807,\"any\":18446744073709551615,\"ratio\":2,\"on\":false,"
		"\"free\":{},\"in\":{\"ms\":1,\"must\":false},\"labels\":{\"abc\":\"1234\",\"b\":"
		"\"\"},"
		"\"words\":[\"\"],\"list\":[]}",
		NULL, 0 },
};

static json_object *parse(const char *text)
{
	json_object *o = NULL;
	JsonxError why;

	ck_assert_msg(jsonx_parse(text, strlen(text), &o, &why) == 0, "%s", text);
	return o;
}

static void assert_json(json_object *o, const char *expected)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(jsonx_append(&b, o), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, expected);
}

/* The members of data, as the error has them. */
static void assert_error(const RpcError *e, const char *param, long limit, const char *what)
{
	_cleanup_buf_ Buf b = { 0 };
	_cleanup_json_ json_object *o = NULL;
	json_object *data;
	RpcReason reason = limit > 0 ? RPC_TOO_LARGE : RPC_INVALID_PARAMS;

	ck_assert_msg(e->reason == reason, "%s: %s", what, e->message);
	ck_assert_int_eq(rpc_error_write(e, &b), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	o = parse(b.data);
	data = jsonx_get(o, "data", json_type_object);
	ck_assert_msg(
		strcmp(jsonx_get_string(data, "param", NULL), param) == 0, "%s: %s", what, b.data);
	ck_assert_msg(jsonx_get_int(data, "limit", 0) == limit, "%s: %s", what, b.data);
	ck_assert_msg(strncmp(e->message, param, strlen(param)) == 0, "%s: %s", what, e->message);
}

START_TEST(test_cases)
{
	_cleanup_json_ json_object *o = parse(cases[_i].in);
	_cleanup_rpc_error_ RpcError e = { 0 };
	int r = schema_check(fields, o, "", &e);

	if (cases[_i].out) {
		ck_assert_msg(r == 0, "%s: %s", cases[_i].in, e.message);
		assert_json(o, cases[_i].out);
	} else {
		ck_assert_msg(r == -EINVAL, "%s: %d", cases[_i].in, r);
		assert_error(&e, cases[_i].param, cases[_i].limit, cases[_i].in);
	}
}
END_TEST

/* Without a change to what is checked, and written it says the same. */
START_TEST(test_given)
{
	_cleanup_json_ json_object *o = parse(cases[_i].in);
	_cleanup_rpc_error_ RpcError e = { 0 };
	_cleanup_buf_ Buf before = { 0 }, b = { 0 };
	int r;
	JsonWriter w;

	ck_assert_int_eq(jsonx_append(&before, o), 0);
	ck_assert_int_eq(buf_terminate(&before), 0);
	r = schema_check_given(fields, o, "", &e);
	assert_json(o, before.data);
	if (!cases[_i].out) {
		ck_assert_msg(r == -EINVAL, "%s: %d", cases[_i].in, r);
		assert_error(&e, cases[_i].param, cases[_i].limit, cases[_i].in);
		return;
	}
	ck_assert_msg(r == 0, "%s: %s", cases[_i].in, e.message);
	jw_init(&w, &b);
	schema_write(fields, o, &w);
	ck_assert_int_eq(jw_finish(&w), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, cases[_i].out);
}
END_TEST

/* No object is one without members. */
START_TEST(test_nothing_given)
{
	_cleanup_rpc_error_ RpcError e = { 0 };
	_cleanup_buf_ Buf b = { 0 };
	JsonWriter w;

	ck_assert_int_eq(schema_check_given(fields, NULL, "", &e), -EINVAL);
	assert_error(&e, "id", 0, "nothing");
	ck_assert_int_eq(schema_check_given(inner + 2, NULL, "", NULL), 0);
	jw_init(&w, &b);
	schema_write(fields, NULL, &w);
	ck_assert_int_eq(jw_finish(&w), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, "{\"text\":\"hey\",\"on\":false,\"free\":{}}");
}
END_TEST

START_TEST(test_fill)
{
	_cleanup_json_ json_object *o = parse("{\"on\":true}");

	ck_assert_int_eq(schema_fill(fields, o, "text"), 0);
	ck_assert_int_eq(schema_fill(fields, o, "on"), 0);
	assert_json(o, "{\"on\":true,\"text\":\"hey\"}");
}
END_TEST

START_TEST(test_prefix)
{
	_cleanup_json_ json_object *o = parse("{\"id\":\"x\",\"words\":[1]}");
	_cleanup_rpc_error_ RpcError e = { 0 };

	ck_assert_int_eq(schema_check(fields, o, "options", &e), -EINVAL);
	assert_error(&e, "options.words[0]", 0, "with a prefix");
	ck_assert_int_eq(schema_check(fields, o, "options", NULL), -EINVAL);
}
END_TEST

/* A default is a value of its own each time: changing one changes no other. */
START_TEST(test_defaults_are_new)
{
	_cleanup_json_ json_object *a = parse("{\"id\":\"a\"}"), *b = parse("{\"id\":\"b\"}");

	ck_assert_int_eq(schema_check(fields, a, "", NULL), 0);
	json_object_object_add(jsonx_get(a, "free", json_type_object), "x", json_object_new_int(1));
	ck_assert_int_eq(schema_check(fields, b, "", NULL), 0);
	assert_json(jsonx_get(b, "free", json_type_object), "{}");
}
END_TEST

/* A path of any length in the input does not make a message of any length. */
START_TEST(test_long_name)
{
	_cleanup_buf_ Buf text = { 0 };
	_cleanup_json_ json_object *o = NULL;
	_cleanup_rpc_error_ RpcError e = { 0 };

	ck_assert_int_eq(buf_append_str(&text, "{\"id\":\"\",\"x"), 0);
	for (int i = 0; i < 5000; i++)
		ck_assert_int_eq(buf_append_str(&text, "\xc3\xa9"), 0);
	ck_assert_int_eq(buf_append_str(&text, "\":1}"), 0);
	ck_assert_int_eq(buf_terminate(&text), 0);
	o = parse(text.data);
	ck_assert_int_eq(schema_check(fields, o, "", &e), -EINVAL);
	ck_assert_uint_lt(strlen(e.message), 200);
	ck_assert_ptr_nonnull(strstr(e.message, "is no parameter of this method"));
}
END_TEST

static const struct {
	const SchemaField *field;
	const char *out;
} printed[] = {
	{ &fields[0], "{\"type\":\"string\",\"description\":\"Which.\"}" },
	{ &fields[1], "{\"type\":\"string\",\"default\":\"hey\"}" },
	{ &fields[2], "{\"type\":\"string\",\"minLength\":1}" },
	{ &fields[3], "{\"type\":\"string\",\"enum\":[\"red\",\"green\"]}" },
	{ &fields[4], "{\"type\":\"integer\",\"minimum\":-2,\"maximum\":2}" },
	{ &fields[6], "{\"type\":\"integer\"}" },
	{ &fields[7], "{\"type\":\"number\"}" },
	{ &fields[8], "{\"type\":\"boolean\",\"default\":false}" },
	{ &fields[9], "{\"type\":\"object\",\"default\":{}}" },
	{ &fields[10],
		"{\"type\":\"object\",\"properties\":{\"ms\":{\"type\":\"integer\",\"default\":7,"
		"\"minimum\":1,\"maximum\":10},\"must\":{\"type\":\"boolean\"}},\"required\":["
		"\"must\"],"
		"\"additionalProperties\":false}" },
	{ &fields[11], "{\"type\":\"object\",\"maxProperties\":2,"
		       "\"additionalProperties\":{\"type\":\"string\"}}" },
	{ &fields[12], "{\"type\":\"array\",\"minItems\":1,\"maxItems\":3,"
		       "\"items\":{\"type\":\"string\"}}" },
};

/* Whatever the order of the members. */
START_TEST(test_json_schema)
{
	json_object *got = schema_to_json(printed[_i].field), *expected = parse(printed[_i].out);

	ck_assert_ptr_nonnull(got);
	ck_assert_msg(json_object_equal(got, expected), "%s, not %s",
		json_object_to_json_string(got), printed[_i].out);
	json_object_put(got);
	json_object_put(expected);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("schema");
	TCase *tc = tcase_create("schema");

	tcase_add_loop_test(tc, test_cases, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(tc, test_given, 0, ARRAY_SIZE(cases));
	tcase_add_test(tc, test_nothing_given);
	tcase_add_test(tc, test_fill);
	tcase_add_test(tc, test_prefix);
	tcase_add_test(tc, test_defaults_are_new);
	tcase_add_test(tc, test_long_name);
	tcase_add_loop_test(tc, test_json_schema, 0, ARRAY_SIZE(printed));
	suite_add_tcase(s, tc);
	return s;
}
