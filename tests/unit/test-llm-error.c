/* daemon/backend/llm-error.c: what is said of an error, whatever the body of the response is. */
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "daemon/backend/llm-dialect.h"
#include "daemon/backend/llm-error.h"
#include "tests/lib/check-main.h"

static const struct {
	const char *body, *message;
} cases[] = {
	{ "", "" },
	{ " \r\n", "" },
	{ "{\"error\":{\"message\":\"No such model\",\"type\":\"t\",\"code\":null}}",
		"No such model" },
	{ "\n "
	  "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow\"}}\n",
		"Slow" },
	{ "{\"error\":\"model 'x' not found\"}", "model 'x' not found" },
	{ "{\"object\":\"error\",\"message\":\"too long\",\"code\":400}", "too long" },
	{ "{\"message\":\"Unauthorized\"}", "Unauthorized" },
	{ "{\"detail\":\"Not Found\"}", "Not Found" },
	{ "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"missing\"}]}",
		"[{\"loc\":[\"body\"],\"msg\":\"missing\"}]" },
	{ "[{\"error\":{\"code\":400,\"message\":\"API key not valid\"}}]", "API key not valid" },
	{ "{\"error\":{\"code\":400}}", "{\"code\":400}" },
	{ "{\"error\":null,\"ok\":false}", "{\"error\":null,\"ok\":false}" },
	{ "{\"success\":false,\"errors\":[{\"code\":7003,\"message\":\"No "
	  "route\"},{}],\"messages\":[]}",
		"No route" },
	{ "{\"errors\":[],\"message\":\"x\"}", "x" },
	{ "{\"errors\":[\"x\"]}", "x" },
	{ "[]", "[]" },
	{ "[[{\"error\":\"x\"}]]", "[[{\"error\":\"x\"}]]" },
	{ "12", "12" },
	{ "{\"error\":{\"message\":\" a\\n\\t b\\u0000c\\u001b[1m\\u009b\\u00fc \"}}",
		"a b c [1m \xc3\xbc" },
	{ "{\"error\":{\"message\":\"cut", "{\"error\":{\"message\":\"cut" },
	{ "upstream  connect\r\nerror\n", "upstream connect error" },
	{ "a\xff\xe2\x82z", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz" },
	{ "<html>\n<head><title>502 Bad\n Gateway</title></head><body><h1>x</h1></body></html>",
		"502 Bad Gateway" },
	{ "<!DOCTYPE html><HTML><TITLE lang=\"en\">Oops</TITLE>", "Oops" },
	{ "<html><body>x</body></html>", "" },
	{ "<html><title", "" },
	{ "<html><title>", "" },
	{ "<html><title>x", "" },
	{ "<", "" },
};

START_TEST(message)
{
	size_t len = strlen(cases[_i].body);
	/* Of exactly that size, for the sanitizer to see what is read beyond it. */
	_cleanup_free_ char *body = malloc(len > 0 ? len : 1);
	_cleanup_buf_ Buf b = { 0 };

	memcpy(body, cases[_i].body, len);
	ck_assert_int_eq(buf_append_str(&b, "HTTP 500: "), 0);
	ck_assert_int_eq(llm_error_message(body, len, &b), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data + strlen("HTTP 500: "), cases[_i].message);
}
END_TEST

static const struct {
	const char *body;
	unsigned status;
} codes[] = {
	{ "{\"error\":{\"message\":\"x\"}}", 0 },
	{ "{\"error\":\"x\"}", 0 },
	{ "{\"error\":\"x\",\"code\":503}", 503 },
	{ "{\"error\":{\"code\":429}}", 429 },
	{ "{\"error\":{\"code\":\"429\",\"type\":\"None\"}}", 429 },
	{ "{\"error\":{\"code\":400,\"type\":\"server_error\"}}", 400 },
	{ "{\"error\":{\"code\":\"rate_limit_exceeded\",\"type\":\"tokens\"}}", 429 },
	{ "{\"error\":{\"code\":\"what\",\"type\":\"overloaded_error\"}}", 529 },
	{ "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\"}}", 429 },
	{ "{\"object\":\"error\",\"message\":\"x\",\"code\":404}", 404 },
	{ "{\"message\":\"x\",\"code\":\"503\"}", 503 },
	{ "{\"errors\":[{\"code\":500,\"message\":\"x\"}]}", 500 },
	{ "[{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\"}}]", 429 },
	/* What is no status. */
	{ "{\"error\":{\"code\":399}}", 0 },
	{ "{\"error\":{\"code\":600}}", 0 },
	{ "{\"error\":{\"code\":-429}}", 0 },
	{ "{\"error\":{\"code\":429.0}}", 0 },
	{ "{\"error\":{\"code\":18446744073709551615}}", 0 },
	{ "{\"error\":{\"code\":\"\",\"type\":\"\"}}", 0 },
	{ "{\"error\":{\"code\":[429],\"type\":{}}}", 0 },
};

START_TEST(status)
{
	const char *body = codes[_i].body;
	LlmError error;

	ck_assert(llm_error_find(body, strlen(body), &error));
	ck_assert_msg(llm_error_status(&error) == codes[_i].status, "%s: %u", body,
		llm_error_status(&error));
}
END_TEST

/* Cut where it becomes too long, but in no character. */
START_TEST(long_message)
{
	for (size_t before = 0; before < 4; before++) {
		_cleanup_buf_ Buf body = { 0 }, b = { 0 };

		for (size_t i = 0; i < before; i++)
			ck_assert_int_eq(buf_append_char(&body, 'x'), 0);
		for (size_t i = 0; i < LLM_MAX_ERROR_BYTES; i++)
			ck_assert_int_eq(buf_append_str(&body, "\xf0\x9f\x98\x80"), 0);
		ck_assert_int_eq(llm_error_message(body.data, body.len, &b), 0);
		ck_assert_uint_le(b.len, LLM_MAX_ERROR_BYTES);
		ck_assert_uint_gt(b.len, LLM_MAX_ERROR_BYTES - 4);
		ck_assert(utf8_valid(b.data, b.len));
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("llm-error");
	TCase *t = tcase_create("llm-error");

	tcase_add_loop_test(t, message, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(t, status, 0, ARRAY_SIZE(codes));
	tcase_add_test(t, long_message);
	suite_add_tcase(s, t);
	return s;
}
