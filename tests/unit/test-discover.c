/* What daemon/control/discover.c writes, against the tables of common/protocol.c. */
#include <string.h>

#include "common/jsonx.h"
#include "common/protocol.h"
#include "daemon/control/discover.h"
#include "tests/lib/check-main.h"

static json_object *document;

static void setup(void)
{
	_cleanup_buf_ Buf text = { 0 };

	ck_assert_int_eq(discover_write(&text), 0);
	ck_assert_int_eq(jsonx_parse(text.data, text.len, &document, NULL), 0);
}

static void teardown(void)
{
	json_object_put(document);
}

static json_object *member(json_object *o, const char *key, json_type type)
{
	json_object *found = jsonx_get(o, key, type);

	ck_assert_msg(found != NULL, "%s is missing", key);
	return found;
}

static void check_method(json_object *m, int i)
{
	const ProtocolMethod *expected = protocol_method((MethodId)i);
	json_object *list = member(m, "params", json_type_array);
	json_object *errors = member(m, "errors", json_type_array);
	size_t n = 0;

	ck_assert_str_eq(jsonx_get_string(m, "name", NULL), expected->name);
	ck_assert_str_eq(jsonx_get_string(m, "x-role", NULL), role_to_string(expected->role));
	while (expected->params[n].name)
		n++;
	ck_assert_uint_eq(json_object_array_length(list), n);
	for (size_t k = 0; k < n; k++) {
		json_object *p = json_object_array_get_idx(list, k);

		ck_assert_str_eq(jsonx_get_string(p, "name", NULL), expected->params[k].name);
		member(member(p, "schema", json_type_object), "type", json_type_string);
	}
	member(member(m, "result", json_type_object), "schema", json_type_object);
	ck_assert_uint_ge(json_object_array_length(errors), 3);
	for (size_t a = 0; a < json_object_array_length(errors); a++)
		for (size_t b = 0; b < a; b++)
			ck_assert_int_ne(
				jsonx_get_int(json_object_array_get_idx(errors, a), "code", 0),
				jsonx_get_int(json_object_array_get_idx(errors, b), "code", 0));
}

START_TEST(methods)
{
	json_object *list = member(document, "methods", json_type_array);

	ck_assert_str_eq(jsonx_get_string(document, "openrpc", NULL), "1.2.6");
	ck_assert_uint_eq(json_object_array_length(list), _METHOD_MAX);
	for (int i = 0; i < _METHOD_MAX; i++)
		check_method(json_object_array_get_idx(list, (size_t)i), i);
}
END_TEST

static void check_event(json_object *e, EventType type)
{
	json_object *schema = member(e, "schema", json_type_object);
	json_object *properties = member(schema, "properties", json_type_object);
	bool of_agent = strncmp(protocol_event_name(type), "Agent", 5) == 0;

	ck_assert_str_eq(jsonx_get_string(e, "name", NULL), protocol_event_name(type));
	member(properties, "seq", json_type_object);
	ck_assert(!!jsonx_get(properties, "agent_id", json_type_object) == of_agent);
	ck_assert_int_gt(json_object_object_length(properties), of_agent ? 5 : 3);
	ck_assert_uint_gt(json_object_array_length(member(schema, "required", json_type_array)), 3);
}

START_TEST(events)
{
	json_object *list = member(document, "x-events", json_type_array);

	ck_assert_uint_eq(json_object_array_length(list), _EVENT_TYPE_MAX - 1);
	for (int i = 1; i < _EVENT_TYPE_MAX; i++)
		check_event(json_object_array_get_idx(list, (size_t)i - 1), (EventType)i);
}
END_TEST

START_TEST(backends_and_limits)
{
	json_object *backend =
		json_object_array_get_idx(member(document, "x-backends", json_type_array), 0);
	json_object *limits = member(document, "x-limits", json_type_object);

	ck_assert_str_eq(jsonx_get_string(backend, "name", NULL), "mock");
	ck_assert_uint_eq(jsonx_get_uint(limits, "max_batch", 0), PROTOCOL_DEFAULT_MAX_BATCH);
	for (const ProtocolLimit *l = protocol_limits(); l->name; l++)
		ck_assert_uint_eq(jsonx_get_uint(limits, l->name, 0), l->value);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("discover");
	TCase *tc = tcase_create("discover");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, methods);
	tcase_add_test(tc, events);
	tcase_add_test(tc, backends_and_limits);
	suite_add_tcase(s, tc);
	return s;
}
