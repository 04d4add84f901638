#include "client/messages.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"

static const struct {
	const char *text;
	const char *why; /* NULL: nothing is wrong */
} cases[] = {
	{ "[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"\"}]",
		NULL },
	{ "[{\"role\":\"user\",\"content\":[]}]", NULL },
	{ "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}],\"name\":\"n\"}]",
		NULL },
	{ "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]}]", NULL },
	{ "[{\"role\":\"assistant\",\"tool_calls\":[{}]}]", NULL },
	{ "[{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}]", NULL },
	{ "[]", "it is no array of messages" },
	{ "null", "it is no array of messages" },
	{ "{\"messages\":[]}", "it is no array of messages" },
	{ "\"hi\"", "it is no array of messages" },
	{ "[null]", "message 1 is no object" },
	{ "[{\"role\":\"user\",\"content\":\"hi\"},\"hi\"]", "message 2 is no object" },
	{ "[{\"content\":\"hi\"}]", "message 1 has no role" },
	{ "[{\"role\":\"\",\"content\":\"hi\"}]", "message 1 has no role" },
	{ "[{\"role\":7,\"content\":\"hi\"}]", "message 1 has no role" },
	{ "[{\"role\":\"user\"}]", "message 1 has no content" },
	{ "[{\"role\":\"user\",\"content\":null}]", "message 1 has no content" },
	{ "[{\"role\":\"assistant\",\"tool_calls\":null}]", "message 1 has no content" },
	{ "[{\"role\":\"user\",\"content\":{}}]",
		"message 1 has a content that is neither text nor an array of parts" },
	{ "[{\"role\":\"user\",\"content\":7}]",
		"message 1 has a content that is neither text nor an array of parts" },
	{ "[{\"role\":\"user\",\"content\":[{},\"hi\"]}]",
		"message 1 has a part that is no object" },
	{ "[{\"role\":\"user\",\"content\":[null]}]", "message 1 has a part that is no object" },
};

START_TEST(test_check)
{
	_cleanup_json_ json_object *messages = NULL;
	_cleanup_buf_ Buf why = { 0 };

	ck_assert_int_eq(jsonx_parse(cases[_i].text, strlen(cases[_i].text), &messages, NULL), 0);
	ck_assert_int_eq(messages_check(messages, &why), cases[_i].why ? -EINVAL : 0);
	ck_assert_int_eq(buf_terminate(&why), 0);
	ck_assert_str_eq(why.data, cases[_i].why ? cases[_i].why : "");
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("messages");
	TCase *tc = tcase_create("messages");

	tcase_add_loop_test(tc, test_check, 0, (int)ARRAY_SIZE(cases));
	suite_add_tcase(suite, tc);
	return suite;
}
