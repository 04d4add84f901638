#include <errno.h>
#include <string.h>

#include "client/describe.h"
#include "client/exit-code.h"
#include "client/outcome.h"
#include "common/jsonx.h"
#include "tests/lib/check-main.h"

static json_object *parse(const char *text)
{
	json_object *o = NULL;

	ck_assert_int_eq(jsonx_parse(text, strlen(text), &o, NULL), 0);
	return o;
}

static const struct {
	const char *event;
	const char *words;
} cases[] = {
	{ "{\"type\":\"AgentSpawned\",\"backend\":\"mock\",\"prompt\":\"a\\nb\"}",
		"spawned: mock \"a\\nb\"" },
	{ "{\"type\":\"AgentStarted\",\"attempt\":2,\"pid\":7}", "started: attempt 2, pid 7" },
	{ "{\"type\":\"AgentWaiting\",\"reason\":\"rate_limited\",\"provider\":\"p\"}",
		"waiting: rate_limited, provider p" },
	{ "{\"type\":\"AgentWaiting\",\"reason\":\"rate_limited\",\"provider\":\"p\","
	  "\"time\":\"2026-01-02T03:04:05.000000Z\",\"until\":\"2026-01-02T03:04:17.500000Z\"}",
		"waiting: rate_limited, provider p, for 12s" },
	{ "{\"type\":\"AgentWaiting\",\"reason\":\"rate_limited\","
	  "\"time\":\"2026-01-02T03:04:05.000000Z\",\"until\":\"2026-01-02T03:04:05.000000Z\"}",
		"waiting: rate_limited, due" },
	{ "{\"type\":\"AgentRetrying\",\"attempt\":2,\"code\":\"provider\",\"delay_ms\":1500,"
	  "\"message\":\"Over\\nloaded\"}",
		"retrying after provider, attempt 2 in 1s: Over\\nloaded" },
	{ "{\"type\":\"AgentRetrying\",\"attempt\":2,\"code\":\"interrupted\",\"delay_ms\":0}",
		"retrying after interrupted, attempt 2" },
	{ "{\"type\":\"AgentPartialOutput\",\"index\":3,\"channel\":\"error\",\"chunk\":"
	  "\"x\\u001b\"}",
		"error 3: x\\x1b" },
	{ "{\"type\":\"AgentPartialOutput\",\"channel\":\"output\",\"chunk\":\"/w==\","
	  "\"encoding\":\"base64\"}",
		"output 0: \\xff" },
	{ "{\"type\":\"AgentCompleted\",\"chunks\":3,\"bytes\":9,\"duration_ms\":12,\"exit_code\":"
	  "0}",
		"completed: 3 chunks, 9 bytes, 12ms, exit code 0" },
	{ "{\"type\":\"AgentCompleted\",\"chunks\":1,\"bytes\":1,\"duration_ms\":1}",
		"completed: 1 chunk, 1 byte, 1ms" },
	{ "{\"type\":\"AgentCompleted\",\"chunks\":40,\"bytes\":160,\"duration_ms\":3000,"
	  "\"finish_reason\":\"stop\",\"model\":\"m-1\",\"first_chunk_ms\":350,"
	  "\"usage\":{\"input_tokens\":21,\"output_tokens\":190}}",
		"completed: 40 chunks, 160 bytes, 3s, first after 350ms, stop, model m-1, tokens "
		"in 21, out 190" },
	{ "{\"type\":\"AgentError\",\"code\":\"exit\",\"message\":\"it is over\",\"chunks\":0,"
	  "\"bytes\":0,\"duration_ms\":2000}",
		"failed: exit: it is over (0 chunks, 0 bytes, 2s)" },
	{ "{\"type\":\"AgentError\",\"code\":\"provider\",\"message\":\"Overloaded\","
	  "\"http_status\":529,\"request_id\":\"req_1\",\"chunks\":0,\"bytes\":0,"
	  "\"duration_ms\":20}",
		"failed: provider: Overloaded (HTTP 529, request req_1, 0 chunks, 0 bytes, 20ms)" },
	{ "{\"type\":\"AgentError\",\"code\":\"cancelled\"}",
		"cancelled (0 chunks, 0 bytes, 0ms)" },
	{ "{\"type\":\"DaemonStopping\",\"reason\":\"SIGTERM\"}", "daemon stopping: SIGTERM" },
	{ "{\"type\":\"DaemonStarted\",\"version\":\"1\",\"requeued\":2,\"interrupted\":3}",
		"daemon started: version 1, requeued 2, interrupted 3" },
	/* what a later version, or nobody in his right mind, would send */
	{ "{\"type\":\"Agent\\u001bNew\"}", "Agent\\x1bNew" },
	{ "{}", "-" },
	{ "{\"type\":3}", "-" },
	{ "{\"type\":\"AgentSpawned\",\"backend\":[],\"prompt\":{}}", "spawned: - \"-\"" },
	{ "{\"type\":\"AgentPartialOutput\"}", "output that cannot be read" },
	{ "{\"type\":\"AgentPartialOutput\",\"chunk\":\"?\",\"encoding\":\"base64\"}",
		"output that cannot be read" },
	{ "{\"type\":\"AgentPartialOutput\",\"chunk\":\"x\",\"encoding\":\"rot13\"}",
		"output that cannot be read" },
	{ "{\"type\":\"AgentCompleted\",\"chunks\":\"many\"}",
		"completed: 0 chunks, 0 bytes, 0ms" },
	{ "{\"type\":\"AgentCompleted\",\"usage\":7,\"first_chunk_ms\":\"x\",\"model\":[]}",
		"completed: 0 chunks, 0 bytes, 0ms" },
	{ "{\"type\":\"AgentError\",\"code\":\"x\",\"http_status\":\"x\",\"request_id\":7}",
		"failed: x (0 chunks, 0 bytes, 0ms)" },
	{ "{\"type\":\"AgentWaiting\",\"time\":1,\"until\":\"to\\nmorrow\"}",
		"waiting: -, until to\\nmorrow" },
};

START_TEST(test_event)
{
	_cleanup_json_ json_object *event = parse(cases[_i].event);
	_cleanup_buf_ Buf words = { 0 };

	ck_assert_int_eq(describe_event(event, &words), 0);
	ck_assert_int_eq(buf_terminate(&words), 0);
	ck_assert_str_eq(words.data, cases[_i].words);
}
END_TEST

/* As list and show have it: from now on. */
START_TEST(test_waiting)
{
	_cleanup_json_ json_object *waiting =
		parse("{\"reason\":\"provider_limit\",\"provider\":\"p\","
		      "\"until\":\"1970-01-01T00:10:00.000000Z\"}");
	_cleanup_buf_ Buf words = { 0 };

	ck_assert_int_eq(describe_waiting(waiting, 590000000, &words), 0);
	ck_assert_int_eq(buf_append_str(&words, "; "), 0);
	ck_assert_int_eq(describe_waiting(waiting, 600000001, &words), 0);
	ck_assert_int_eq(buf_terminate(&words), 0);
	ck_assert_str_eq(
		words.data, "provider_limit, provider p, for 10s; provider_limit, provider p, due");
}
END_TEST

static const struct {
	const char *ending;
	int code;
	int own;
} endings[] = {
	{ "{\"chunks\":1}", EXIT_CODE_OK, EXIT_CODE_OK },
	{ "{\"exit_code\":0}", EXIT_CODE_OK, EXIT_CODE_OK },
	{ "{\"code\":\"exit\",\"exit_code\":3}", EXIT_CODE_FAILED, 3 },
	{ "{\"code\":\"signal\",\"signal\":9}", EXIT_CODE_FAILED, 137 },
	{ "{\"code\":\"timeout\",\"signal\":15}", EXIT_CODE_TIMED_OUT, EXIT_CODE_TIMED_OUT },
	{ "{\"code\":\"cancelled\"}", EXIT_CODE_INTERRUPTED, EXIT_CODE_INTERRUPTED },
	{ "{\"code\":\"provider\"}", EXIT_CODE_FAILED, EXIT_CODE_FAILED },
};

START_TEST(test_outcome)
{
	_cleanup_json_ json_object *ending = parse(endings[_i].ending);

	ck_assert_int_eq(outcome_exit_code(ending, false), endings[_i].code);
	ck_assert_int_eq(outcome_exit_code(ending, true), endings[_i].own);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("describe");
	TCase *tc = tcase_create("describe");

	tcase_add_loop_test(tc, test_event, 0, (int)ARRAY_SIZE(cases));
	tcase_add_test(tc, test_waiting);
	tcase_add_loop_test(tc, test_outcome, 0, (int)ARRAY_SIZE(endings));
	suite_add_tcase(suite, tc);
	return suite;
}
