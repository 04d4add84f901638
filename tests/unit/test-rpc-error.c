#include "common/rpc-error.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/utf8.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

/* The table of the protocol. */
static const struct {
	const char *name;
	int code;
	bool retryable;
} table[] = {
	{ "parse_error", -32700, false },
	{ "invalid_request", -32600, false },
	{ "line_too_long", -32600, false },
	{ "method_not_found", -32601, false },
	{ "invalid_params", -32602, false },
	{ "internal_error", -32603, false },
	{ "permission_denied", 403, false },
	{ "not_found", 404, false },
	{ "timeout", 408, false },
	{ "already_exists", 409, false },
	{ "already_subscribed", 409, false },
	{ "not_running", 409, false },
	{ "ambiguous", 409, false },
	{ "log_replaced", 409, false },
	{ "pruned", 410, false },
	{ "too_large", 413, false },
	{ "queue_full", 429, true },
	{ "log_unavailable", 503, true },
	{ "shutting_down", 503, true },
};

static void assert_text(const RpcError *e, const char *expected)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(rpc_error_write(e, &b), 0);
	ck_assert(jsonx_valid(b.data, b.len, NULL));
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, expected);
}

START_TEST(test_table)
{
	ck_assert_uint_eq(ARRAY_SIZE(table), _RPC_REASON_MAX);
	for (int i = 0; i < _RPC_REASON_MAX; i++) {
		ck_assert_str_eq(rpc_reason_to_string((RpcReason)i), table[i].name);
		ck_assert_int_eq(rpc_reason_code((RpcReason)i), table[i].code);
		ck_assert(rpc_reason_retryable((RpcReason)i) == table[i].retryable);
	}
}
END_TEST

START_TEST(test_write)
{
	_cleanup_rpc_error_ RpcError e = { 0 };

	ck_assert_int_eq(rpc_error_set(&e, RPC_QUEUE_FULL, "%d are \"%s\"", 3, "q"), -EINVAL);
	assert_text(&e, "{\"code\":429,\"message\":\"3 are \\\"q\\\"\",\"data\":{\"reason\":"
			"\"queue_full\",\"retryable\":true}}");
	rpc_error_add_uint(&e, "limit", 18446744073709551615ULL);
	rpc_error_add_string(&e, "param", "a\n\"b\"");
	assert_text(&e, "{\"code\":429,\"message\":\"3 are \\\"q\\\"\",\"data\":{\"reason\":"
			"\"queue_full\",\"retryable\":true,\"limit\":18446744073709551615,"
			"\"param\":\"a\\n\\\"b\\\"\"}}");
	/* What is set anew begins anew. */
	ck_assert_int_eq(rpc_error_set(&e, RPC_NOT_FOUND, "none"), -EINVAL);
	assert_text(&e, "{\"code\":404,\"message\":\"none\",\"data\":{\"reason\":\"not_found\","
			"\"retryable\":false}}");
}
END_TEST

START_TEST(test_null)
{
	ck_assert_int_eq(rpc_error_set(NULL, RPC_TIMEOUT, "x"), -EINVAL);
	rpc_error_add_string(NULL, "a", "b");
	rpc_error_add_uint(NULL, "a", 1);
}
END_TEST

/* Messages are cut where they do not fit, wherever that is; what is no UTF-8 is made some. */
START_TEST(test_cut)
{
	char text[400];

	for (size_t shift = 0; shift < 8; shift++) {
		_cleanup_rpc_error_ RpcError e = { 0 };

		memset(text, 'x', sizeof(text));
		for (size_t i = shift; i + 4 < sizeof(text); i += 4)
			memcpy(text + i, "\xf0\x9f\xa6\x81", 4);
		text[sizeof(text) - 1] = '\0';
		ck_assert_int_eq(rpc_error_set(&e, RPC_NOT_FOUND, "%s", text), -EINVAL);
		ck_assert_uint_lt(strlen(e.message), sizeof(e.message));
		ck_assert_uint_gt(strlen(e.message), sizeof(e.message) - 6);
		ck_assert(utf8_valid(e.message, strlen(e.message)));
	}
	for (size_t n = 1; n < 4; n++) {
		_cleanup_rpc_error_ RpcError e = { 0 };

		ck_assert_int_eq(
			rpc_error_set(&e, RPC_NOT_FOUND, "%.*s is not", (int)n, "\xf0\x9f\xa6\x81"),
			-EINVAL);
		ck_assert(utf8_valid(e.message, strlen(e.message)));
		ck_assert_ptr_nonnull(strstr(e.message, " is not"));
	}
}
END_TEST

START_TEST(test_refuse)
{
	_cleanup_rpc_error_ RpcError e = { 0 };
	char name[400];

	ck_assert_int_eq(rpc_error_refuse(&e, "options.cwd", "must be a path"), -EINVAL);
	assert_text(&e, "{\"code\":-32602,\"message\":\"options.cwd must be a path\",\"data\":"
			"{\"reason\":\"invalid_params\",\"retryable\":false,\"param\":"
			"\"options.cwd\"}}");
	ck_assert_int_eq(rpc_error_refuse(NULL, "options.cwd", "must be a path"), -EINVAL);
	/* However long its name is, what is wrong is said. */
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(rpc_error_refuse(&e, name, "is wrong"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.message, "x is wrong"));
}
END_TEST

/* Without memory a member is missing, and the rest is whole. */
START_TEST(test_out_of_memory)
{
	for (int n = 0; n < 4; n++) {
		_cleanup_rpc_error_ RpcError e = { 0 };
		_cleanup_buf_ Buf b = { 0 };
		int r;

		ck_assert_int_eq(rpc_error_set(&e, RPC_INVALID_PARAMS, "bad"), -EINVAL);
		fault_realloc_after(n);
		rpc_error_add_string(&e, "param", "options.argv[0]");
		rpc_error_add_uint(&e, "limit", 5);
		r = rpc_error_write(&e, &b);
		fault_realloc_after(-1);
		ck_assert(r == 0 || r == -ENOMEM);
		if (r == 0)
			ck_assert(jsonx_valid(b.data, b.len, NULL));
		b.len = 0;
		ck_assert_int_eq(rpc_error_write(&e, &b), 0);
		ck_assert(jsonx_valid(b.data, b.len, NULL));
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("rpc-error");
	TCase *tc = tcase_create("rpc-error");

	tcase_add_test(tc, test_table);
	tcase_add_test(tc, test_write);
	tcase_add_test(tc, test_null);
	tcase_add_test(tc, test_cut);
	tcase_add_test(tc, test_refuse);
	tcase_add_test(tc, test_out_of_memory);
	suite_add_tcase(s, tc);
	return s;
}
