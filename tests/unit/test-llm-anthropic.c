/* daemon/backend/llm-anthropic.c: its events, at every split of their bytes. */
#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/llm-fixture.h"

#define EVENT(name, members) "event: " name "\ndata: {\"type\":\"" name "\"" members "}\n\n"
#define START                                                                                 \
	EVENT("message_start",                                                                \
		",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\"," \
		"\"content\":[],\"model\":\"c-1\",\"stop_reason\":null,\"usage\":"            \
		"{\"input_tokens\":9,\"output_tokens\":1}}")
#define BLOCK_START(index, block) \
	EVENT("content_block_start", ",\"index\":" index ",\"content_block\":" block)
#define BLOCK_DELTA(index, delta) \
	EVENT("content_block_delta", ",\"index\":" index ",\"delta\":" delta)
#define BLOCK_STOP(index) EVENT("content_block_stop", ",\"index\":" index)
#define TEXT(text)        BLOCK_DELTA("0", "{\"type\":\"text_delta\",\"text\":\"" text "\"}")
#define JSON(index, text) \
	BLOCK_DELTA(index, "{\"type\":\"input_json_delta\",\"partial_json\":\"" text "\"}")
#define TOOL(index, id, input) \
	BLOCK_START(index,     \
		"{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":" input "}")
#define REASON(reason)                                                                         \
	EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":" \
			       "null},\"usage\":{\"output_tokens\":5}")
#define STOP EVENT("message_stop", "")

static const LlmCase cases[] = {
	/* As it ought to be. */
	{ START BLOCK_START("0", "{\"type\":\"text\",\"text\":\"\"}") EVENT("ping", "") TEXT("Hel")
			TEXT("lo") BLOCK_STOP("0") REASON("end_turn") STOP,
		"output: Hel\noutput: lo\n= ok end_turn c-1 9/5" },
	/* Thinking, its signature, what is redacted; text that comes with its block. */
	{ START BLOCK_START("0", "{\"type\":\"thinking\",\"thinking\":\"T\"}") BLOCK_DELTA(
		  "0", "{\"type\":\"thinking_delta\",\"thinking\":\"h\\u00e4\"}") BLOCK_DELTA("0",
		  "{\"type\":\"signature_delta\",\"signature\":\"x\"}") BLOCK_STOP("0")
			BLOCK_START("1", "{\"type\":\"redacted_thinking\",\"data\":\"x\"}")
				BLOCK_STOP("1")
					BLOCK_START("2", "{\"type\":\"text\",\"text\":\"a\"}")
						BLOCK_STOP("2") REASON("end_turn") STOP,
		"reasoning: T\nreasoning: h\xc3\xa4\noutput: a\n= ok end_turn c-1 9/5" },
	/* Tools, each given out when its block ends. */
	{ START TEXT("a") BLOCK_STOP("0") TOOL("1", "toolu_1", "{}") JSON("1", "")
			JSON("1", "{\\\"a\\\":") JSON("1", " [1]}") BLOCK_STOP("1")
				TOOL("2", "toolu_2", "{}") BLOCK_STOP("2") REASON("tool_use") STOP,
		"output: a\n"
		"tool_call: {\"id\":\"toolu_1\",\"name\":\"f\",\"arguments\":{\"a\": [1]}}\n"
		"tool_call: {\"id\":\"toolu_2\",\"name\":\"f\",\"arguments\":{}}\n"
		"= ok tool_use c-1 9/5" },
	/* Input that comes all at once, and counts unless more comes; blocks that never end. */
	{ START TOOL("0", "1", "{\"a\":1}") TOOL("1", "2", "{\"a\":1}") JSON("1", "{\\\"b\\\"")
			JSON("1", ":2}") TOOL("2", "3", "{}") JSON("2", "{") STOP,
		"tool_call: {\"id\":\"1\",\"name\":\"f\",\"arguments\":{\"a\":1}}\n"
		"tool_call: {\"id\":\"2\",\"name\":\"f\",\"arguments\":{\"b\":2}}\n"
		"tool_call: {\"id\":\"3\",\"name\":\"f\",\"arguments\":\"{\"}\n"
		"= ok - c-1 9/1" },
	/* Tools that the server runs itself, and all that is not known. */
	{ START BLOCK_START("0", "{\"type\":\"server_tool_use\",\"id\":\"1\",\"name\":\"w\","
				 "\"input\":{}}") JSON("0", "{}") BLOCK_STOP("0") BLOCK_START("1",
		  "{\"type\":\"new\"}") BLOCK_DELTA("1", "{\"type\":\"new_delta\",\"text\":\"x\"}")
			BLOCK_STOP("1") "event: new\ndata: what\n\n" EVENT("newer", ",\"delta\":1")
				STOP,
		"= ok - c-1 9/1" },
	/* Without the events' names. */
	{ "data: {\"type\":\"message_start\",\"message\":{\"model\":\"c-1\"}}\n\ndata: {\"type\":"
	  "\"ping\"}\n\nevent: message\ndata: {\"index\":0,\"delta\":{\"text\":\"a\",\"type\":"
	  "\"text_delta\"},\"type\":\"content_block_delta\"}\n\ndata: {\"type\":\"new\"}\n\n"
	  "data:\n\ndata: {\"type\":\"message_stop\"}\n\ndata: [DONE]\n\n",
		"output: a\n= ok - c-1 -" },
	/* Usage that is told whole at the end. */
	{ START EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"refusal\"},\"usage\":"
				       "{\"input_tokens\":10,\"output_tokens\":0}") STOP,
		"= ok refusal c-1 10/0" },
	/* Nothing counts behind the end, which may lack its blank line. */
	{ STOP TEXT("x") "event: error\ndata: x\n\n", "= ok - - -" },
	{ TEXT("a") "event: message_stop\ndata: {\"type\":\"message_stop\"}",
		"output: a\n= ok - - -" },
	/* Without an end, what is not whole is not given out. */
	{ START TEXT("a") TOOL("1", "1", "{}") REASON("end_turn"),
		"output: a\n= EBADMSG end_turn c-1 9/5" },
	{ START "event: content_block_delta\ndata: {\"type\":\"content_bl", "= EBADMSG - c-1 9/1" },
	{ "", "= EBADMSG - - -" },
	/* Errors. */
	{ TEXT("a") EVENT("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":"
				   "\"Overloaded\"}") STOP,
		"output: a\n= EREMOTEIO - - - overloaded_error: Overloaded (529)" },
	{ "data: "
	  "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"\\u00fc\\n\"}}\n\n",
		"= EREMOTEIO - - - api_error: \xc3\xbc (500)" },
	{ "event: error\ndata: <html><title>502 Bad Gateway</title>\n\n",
		"= EREMOTEIO - - - -: 502 Bad Gateway" },
	/* Nothing sensible. */
	{ TEXT("a") "event: message_stop\ndata: {\n\n", "output: a\n= EBADMSG - - -" },
	{ "data: <html>\n\n", "= EBADMSG - - -" },
	{ "data: {}\n\n", "= EBADMSG - - -" },
	{ "data: {\"type\":1}\n\n", "= EBADMSG - - -" },
	{ "event: message_start\ndata: []\n\n", "= EBADMSG - - -" },
	{ EVENT("message_start", ""), "= EBADMSG - - -" },
	{ EVENT("content_block_start", ""), "= EBADMSG - - -" },
	{ EVENT("content_block_delta", ",\"delta\":[]"), "= EBADMSG - - -" },
	{ BLOCK_DELTA("0", "{\"type\":\"text_delta\",\"text\":1}"), "= EBADMSG - - -" },
	{ TEXT("a\xff"), "= EBADMSG - - -" },
	/* A character cut in two, and a half alone. */
	{ TEXT("a\\ud83d") TEXT("") TEXT("\\ude00b") TEXT("\\ude00") STOP,
		"output: a\noutput: \xf0\x9f\x98\x80"
		"b\noutput: \xef\xbf\xbd\n= ok - - -" },
	{ TOOL("0", "1", "{}") JSON("0", "{\\\"a\\\":\\\"\\ud83d") JSON("0", "\\ude00\\\"}")
			BLOCK_STOP("0") STOP,
		"tool_call: "
		"{\"id\":\"1\",\"name\":\"f\",\"arguments\":{\"a\":\"\xf0\x9f\x98\x80\"}}\n"
		"= ok - - -" },
	/* Numbers that are none of ours. */
	{ "event: message_stop\ndata: {\"type\":\"message_stop\",\"x\":[NaN,-Infinity,1e999]}\n\n",
		"= ok - - -" },
	/* A delta that is none, and a count that is not told twice. */
	{ START EVENT("message_delta",
		  ",\"delta\":null,\"usage\":{\"input_tokens\":0,\"output_tokens\":5}")
			EVENT("message_delta", "") STOP,
		"= ok - c-1 9/5" },
};

START_TEST(answers)
{
	llm_check_case(&llm_anthropic, &cases[_i]);
}
END_TEST

static const LlmCase whole[] = {
	{ "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c-1\","
	  "\"content\":["
	  "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"x\"},{\"type\":\"text\","
	  "\"text\":"
	  "\"Hello\"},{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"f\",\"input\":{\"a\":1}},{"
	  "\"type\":"
	  "\"new\"},{\"type\":\"text\",\"text\":\"!\"}],\"stop_reason\":\"end_turn\",\"usage\":{"
	  "\"input_tokens\":9,\"output_tokens\":5}}",
		"reasoning: hm\noutput: Hello\n"
		"tool_call: {\"id\":\"1\",\"name\":\"f\",\"arguments\":{\"a\":1}}\n"
		"output: !\n= ok end_turn c-1 9/5" },
	{ "{\"type\":\"message\",\"content\":[]}", "= ok - - -" },
	{ "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}"
	  "}",
		"= EREMOTEIO - - - overloaded_error: Overloaded (529)" },
	{ "{\"message\":\"no\"}", "= EREMOTEIO - - - -: no" },
	{ "{}", "= EBADMSG - - -" },
	{ "{\"type\":\"message\"}", "= EBADMSG - - -" },
	{ "{\"type\":\"message\",\"content\":\"x\"}", "= EBADMSG - - -" },
	{ "{\"type\":\"message\",\"content\":[1]}", "= EBADMSG - - -" },
	{ "{\"type\":\"message\",\"content\":[", "= EBADMSG - - -" },
};

START_TEST(whole_answers)
{
	llm_check_whole(&llm_anthropic, &whole[_i]);
}
END_TEST

/* The bound is on what is kept at a time, not on all calls of an answer. */
START_TEST(many_tools)
{
	_cleanup_buf_ Buf stream = { 0 }, told = { 0 };
	size_t calls = 0;

	for (unsigned i = 0; i < 2 * LLM_MAX_TOOL_CALLS; i++)
		ck_assert_int_eq(buf_append_str(&stream, TOOL("0", "1", "{}") BLOCK_STOP("0")), 0);
	ck_assert_int_eq(buf_append_str(&stream, STOP), 0);
	llm_tell(&llm_anthropic, stream.data, stream.len, 0, stream.len, &told);
	ck_assert_int_eq(buf_terminate(&told), 0);
	for (const char *p = told.data; (p = strstr(p, "tool_call: ")); p++)
		calls++;
	ck_assert_uint_eq(calls, 2 * LLM_MAX_TOOL_CALLS);
	ck_assert(strstr(told.data, "= ok"));

	stream.len = told.len = 0;
	for (unsigned i = 0; i <= LLM_MAX_TOOL_CALLS; i++)
		ck_assert_int_eq(buf_append_str(&stream, TOOL("0", "1", "{}")), 0);
	llm_tell(&llm_anthropic, stream.data, stream.len, 0, stream.len, &told);
	ck_assert_int_eq(buf_terminate(&told), 0);
	ck_assert_str_eq(told.data, "= EMSGSIZE - - -");
}
END_TEST

/* Nor is that on its bytes. */
START_TEST(large_tools)
{
	static char text[LLM_MAX_TOOL_BYTES * 3 / 4];
	_cleanup_buf_ Buf stream = { 0 }, told = { 0 };

	memset(text, 'x', sizeof(text));
	/* One that stays. */
	ck_assert_int_eq(buf_append_str(&stream, TOOL("9", "1", "{}")), 0);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(buf_append_str(&stream, TOOL("0", "1", "{}")), 0);
		ck_assert_int_eq(
			buf_append_str(&stream,
				"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
				"{\"type\":\"input_json_delta\",\"partial_json\":\""),
			0);
		ck_assert_int_eq(buf_append(&stream, text, sizeof(text)), 0);
		ck_assert_int_eq(buf_append_str(&stream, "\"}}\n\n" BLOCK_STOP("0")), 0);
	}
	ck_assert_int_eq(buf_append_str(&stream, STOP), 0);
	llm_tell(&llm_anthropic, stream.data, stream.len, 0, stream.len, &told);
	ck_assert_int_eq(buf_terminate(&told), 0);
	ck_assert_uint_gt(told.len, 2 * sizeof(text));
	ck_assert_str_eq(told.data + told.len - strlen("= ok - - -"), "= ok - - -");
}
END_TEST

static int ignore(Channel channel, const char *text, size_t len, void *userdata)
{
	(void)channel, (void)text, (void)len, (void)userdata;
	return 0;
}

/* Each allocation fails once. */
START_TEST(out_of_memory)
{
	static const char *const data[] = {
		"{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"tool_use\",\"id\":"
		"\"1\","
		"\"name\":\"\\n\",\"input\":{\"a\":1}}}",
		("{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"input_json_delta\","
		 "\"partial_json\":\"\\n\"}}"),
		"{\"type\":\"message_stop\"}",
	};
	const LlmOutput out = { .on_chunk = ignore };
	int failed = 0, r = -ENOMEM;

	for (int n = 0; r < 0; n++) {
		LlmDecoder d;

		r = 0;
		llm_decoder_init(&d, &llm_anthropic, &out);
		fault_realloc_after(n);
		for (size_t i = 0; i < ARRAY_SIZE(data) && r == 0; i++) {
			const SseEvent event = {
				.name = "",
				.data = data[i],
				.data_len = strlen(data[i]),
			};

			r = llm_anthropic.on_event(&d, &event);
		}
		fault_realloc_after(-1);
		llm_decoder_done(&d);
		ck_assert(r == 0 || r == -ENOMEM);
		failed += r < 0;
	}
	ck_assert_int_gt(failed, 3);
}
END_TEST

START_TEST(requests)
{
	static const struct {
		const char *options, *prompt, *body;
	} bodies[] = {
		{ "{}", "hi",
			"{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"messages\":[{"
			"\"role\":"
			"\"user\",\"content\":\"hi\"}]}" },
		{ "{\"provider\":\"p\",\"model\":\"other\",\"system\":\"s\",\"temperature\":0.25,"
		  "\"max_tokens\":7}",
			"hi",
			"{\"model\":\"m\",\"stream\":true,\"max_tokens\":7,\"system\":\"s\","
			"\"messages\":"
			"[{\"role\":\"user\",\"content\":\"hi\"}],\"temperature\":0.25}" },
		/* What the system says goes to its own place, wherever it stood. */
		{ "{\"system\":\"s\",\"messages\":[{\"role\":\"system\",\"content\":\"t\"},{"
		  "\"role\":"
		  "\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
		  "\"text\","
		  "\"text\":\"b\"}]},{\"role\":\"developer\",\"content\":[{\"type\":\"text\","
		  "\"text\":"
		  "\"u\",\"cache_control\":{}}]}]}",
			"c",
			"{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"system\":[{"
			"\"type\":\"text\","
			"\"text\":\"s\"},{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"text\","
			"\"text\":\"u\","
			"\"cache_control\":{}}],\"messages\":[{\"role\":\"user\",\"content\":\"a\"}"
			","
			"{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]},"
			"{\"role\":\"user\",\"content\":\"c\"}]}" },
		{ "{\"system\":\"\",\"messages\":[{\"role\":\"system\",\"content\":\"t\"}]}", "c",
			"{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"system\":[{"
			"\"type\":\"text\","
			"\"text\":\"t\"}],\"messages\":[{\"role\":\"user\",\"content\":\"c\"}]}" },
		{ "{\"system\":\"\"}", "c",
			"{\"model\":\"m\",\"stream\":true,\"max_tokens\":4096,\"messages\":[{"
			"\"role\":"
			"\"user\",\"content\":\"c\"}]}" },
		/* `extra` as it is, over all else. */
		{ "{\"system\":\"s\",\"temperature\":1,\"extra\":{\"max_tokens\":9,\"system\":[],"
		  "\"messages\":[],\"temperature\":null,\"thinking\":{\"type\":\"enabled\"}}}",
			"hi",
			"{\"model\":\"m\",\"stream\":true,\"max_tokens\":9,\"system\":[],"
			"\"messages\":[],"
			"\"temperature\":null,\"thinking\":{\"type\":\"enabled\"}}" },
		{ "{\"max_tokens\":7,\"extra\":{\"max_tokens\":9,\"stream\":true,\"model\":\"e\"}}",
			"hi",
			"{\"model\":\"e\",\"stream\":true,\"max_tokens\":9,\"messages\":[{\"role\":"
			"\"user\",\"content\":\"hi\"}]}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
		llm_check_request(
			&llm_anthropic, bodies[i].options, bodies[i].prompt, bodies[i].body);
}
END_TEST

START_TEST(options)
{
	static const struct {
		const char *options, *param;
	} given[] = {
		{ "{}", NULL },
		{ "{\"messages\":[{\"role\":\"system\",\"content\":\"\"},{\"role\":\"user\","
		  "\"content\":[]}]}",
			NULL },
		{ "{\"messages\":[{\"role\":\"tool\",\"content\":\"\"}]}",
			"options.messages[0].role" },
		{ "{\"messages\":[{\"content\":\"\"}]}", "options.messages[0].role" },
		{ "{\"messages\":[{\"role\":\"user\"}]}", "options.messages[0].content" },
		{ "{\"messages\":[{\"role\":\"user\",\"content\":null}]}",
			"options.messages[0].content" },
		{ "{\"extra\":{\"stream\":false}}", "options.extra.stream" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		llm_check_options(&llm_anthropic, given[i].options, given[i].param);
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(llm_anthropic.path, "/v1/messages");
	ck_assert_str_eq(llm_anthropic.key_header, "x-api-key: ");
	ck_assert_str_eq(llm_anthropic.headers[0], "anthropic-version: 2023-06-01");
	ck_assert_ptr_null(llm_anthropic.headers[1]);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("llm-anthropic");
	TCase *t = tcase_create("llm-anthropic");

	tcase_add_loop_test(t, answers, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(t, whole_answers, 0, ARRAY_SIZE(whole));
	tcase_add_test(t, many_tools);
	tcase_add_test(t, large_tools);
	tcase_add_test(t, out_of_memory);
	tcase_add_test(t, requests);
	tcase_add_test(t, options);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	return s;
}
