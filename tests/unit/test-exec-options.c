/* daemon/backend/exec-options.c: what the table of options cannot say of a spawn. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/jsonx.h"
#include "daemon/backend/exec-options.h"
#include "tests/lib/check-main.h"

START_TEST(refuses_options)
{
	static const struct {
		const char *options, *param;
	} cases[] = {
		{ "{\"argv\":[\"\"]}", "options.argv[0]" },
		{ "{\"argv\":[\"x\"],\"cwd\":\"relative\"}", "options.cwd" },
		{ "{\"argv\":[\"x\"],\"env\":{\"A=B\":\"\"}}", "options.env.A=B" },
		{ "{\"argv\":[\"x\"],\"env_from\":{\"A=\":\"file:/x\"}}", "options.env_from.A=" },
		{ "{\"argv\":[\"x\"],\"env_from\":{\"A\":\"x\"}}", "options.env_from.A" },
		{ "{\"argv\":[\"x\"],\"env_from\":{\"A\":\"file:\"}}", "options.env_from.A" },
		{ "{\"argv\":[\"x\"],\"env_from\":{\"A\":\"file:x\"}}", "options.env_from.A" },
		{ "{\"argv\":[\"x\"],\"env_from\":{\"A\":\"credential:\"}}", "options.env_from.A" },
		{ "{\"argv\":[\"x\"],\"env_from\":{\"A\":\"credential:../x\"}}",
			"options.env_from.A" },
		{ "{\"argv\":[\"x\"],\"env_from\":{\"A\":\"credential:..\"}}",
			"options.env_from.A" },
		{ "{\"argv\":[\"x\"],\"limits\":{\"processes\":5}}", "options.limits.processes" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_object *o;
		JsonxError why;
		RpcError error = { 0 };
		char expected[128];
		ck_assert_int_eq(
			jsonx_parse(cases[i].options, strlen(cases[i].options), &o, &why), 0);
		ck_assert_int_eq(exec_options_check(o, &error), -EINVAL);
		ck_assert_int_eq(error.reason, RPC_INVALID_PARAMS);
		snprintf(expected, sizeof(expected), "\"param\":\"%s\"", cases[i].param);
		ck_assert_int_eq(buf_terminate(&error.data), 0);
		ck_assert_str_eq(error.data.data, expected);
		rpc_error_done(&error);
		json_object_put(o);
	}
}
END_TEST

START_TEST(processes_take_cgroups)
{
	static const char text[] = "{\"argv\":[\"x\"],\"limits\":{\"processes\":5}}";
	RpcError error = { 0 };
	ExecOptions options;
	JsonxError why;
	json_object *o;
	ck_assert_int_eq(jsonx_parse(text, sizeof(text) - 1, &o, &why), 0);
	exec_options_allow_processes(true);
	ck_assert_int_eq(exec_options_check(o, &error), 0);
	exec_options_allow_processes(false);
	ck_assert_int_eq(exec_options_check(o, &error), -EINVAL);
	ck_assert_int_eq(exec_options_init(&options, o), 0);
	ck_assert_uint_eq(options.processes, 5);
	exec_options_done(&options);
	rpc_error_done(&error);
	json_object_put(o);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("exec-options");
	TCase *t = tcase_create("exec-options");
	tcase_add_test(t, refuses_options);
	tcase_add_test(t, processes_take_cgroups);
	suite_add_tcase(s, t);
	return s;
}
