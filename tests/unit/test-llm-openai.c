/* daemon/backend/llm-openai.c: what the servers of this dialect send, at every split of its bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/llm-fixture.h"

#define DONE "data: [DONE]\n\n"

/* A chunk with one choice. */
#define DELTA(delta, finish_reason)                                                            \
	"data: "                                                                               \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m-1\"," \
	"\"choices\":[{\"index\":0,\"delta\":" delta                                           \
	",\"logprobs\":null,\"finish_reason\":" finish_reason "}]}\n\n"

static const LlmCase cases[] = {
	/* As it ought to be: a role, content, a reason on an empty delta, usage without choices. */
	{ DELTA("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null") DELTA(
		  "{\"content\":\"Hel\"}", "null") DELTA("{\"content\":\"lo\"}", "null") DELTA("{}",
		  "\"stop\"") "data: {\"id\":\"c1\",\"model\":\"m-1\","
			      "\"choices\":[],\"usage\":{\"prompt_tokens\":9,"
			      "\"completion_tokens\":2,\"total_tokens\":11}}\n\n" DONE,
		"output: Hel\noutput: lo\n= ok stop m-1 9/2" },
	/* A role only; null as content; a reason on the last content; no usage. */
	{ DELTA("{\"role\":\"assistant\"}", "null") DELTA("{\"content\":null}", "null")
			DELTA("{\"content\":\"a\"}", "\"length\"") DONE,
		"output: a\n= ok length m-1 -" },
	/* No id, created, model, index; white space; null usage; unknown members. */
	{ "data: { \"choices\" : [ { \"delta\" : { \"content\" : \"a\" , \"x\" : [ { } ] } } ] , "
	  "\"usage\" : null , \"y\" : 1e3 }\n\ndata: {\"choices\":[{\"delta\":null,"
	  "\"finish_reason\":\"stop\"}]}\n\n" DONE,
		"output: a\n= ok stop - -" },
	/* [DONE] without its blank line, or the end of its own. */
	{ DELTA("{\"content\":\"a\"}", "\"stop\"") "data: [DONE]\n", "output: a\n= ok stop m-1 -" },
	{ DELTA("{\"content\":\"a\"}", "\"stop\"") "data:[DONE]", "output: a\n= ok stop m-1 -" },
	/* Nothing counts behind it. */
	{ DONE "data: what\n\nevent: error\ndata: x\n\n", "= ok - - -" },
	/* Without it: what came was given out, and there is an error. */
	{ DELTA("{\"content\":\"a\"}", "\"stop\""), "output: a\n= EBADMSG stop m-1 -" },
	{ DELTA("{\"content\":\"a\"}", "null") "data: {\"choices\":[{\"delta\":{\"con",
		"output: a\n= EBADMSG - m-1 -" },
	{ "", "= EBADMSG - - -" },
	/* Comments; a BOM; several lines of data; named events; data that is empty. */
	{ "\xef\xbb\xbf: PROCESSING\n\n: PROCESSING\n\ndata: {\"choices\":[{\ndata: \"delta\":\n"
	  "data: {\"content\":\"a\"}}]}\n\nevent: ping\ndata: ping\n\nevent: message\ndata: "
	  "{\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\nevent: chunk\ndata: "
	  "{\"choices\":[{\"delta\":{\"content\":\"c\"}}]}\n\ndata:\n\n" DONE,
		"output: a\noutput: b\noutput: c\n= ok - - -" },
	/* Reasoning by both names; both at once. */
	{ DELTA("{\"reasoning_content\":\"r1\"}", "null") DELTA("{\"reasoning\":\"r2\"}",
		  "null") DELTA("{\"reasoning_content\":\"r3\",\"reasoning\":\"r3\"}", "null")
			DELTA("{\"reasoning_content\":null,\"reasoning\":\"r4\",\"content\":\"a\"}",
				"null") DELTA("{\"reasoning_content\":\"\",\"content\":\"b\"}",
				"\"stop\"") DONE,
		"reasoning: r1\nreasoning: r2\nreasoning: r3\nreasoning: r4\noutput: a\n"
		"output: b\n= ok stop m-1 -" },
	/* A refusal. */
	{ DELTA("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"\"}", "null")
			DELTA("{\"refusal\":\"I can't.\"}", "null") DELTA("{}", "\"stop\"") DONE,
		"output: I can't.\n= ok stop m-1 -" },
	/* Several choices, in one chunk and in many; without an index, the first. */
	{ "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"}},{\"index\":0,\"delta\":"
	  "{\"content\":\"a\"}}]}\n\ndata: "
	  "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"x\"},"
	  "\"finish_reason\":\"x\"}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}},"
	  "{\"delta\":{\"content\":\"x\"}}]}\n\n" DONE,
		"output: a\noutput: b\n= ok - - -" },
	/* Escapes, and characters of all lengths. */
	{ "data: {\"choices\":[{\"delta\":{\"content\":\"\\n\\\"\\\\\\/\\u00fc\\ud83d\\ude00"
	  "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"}}]}\n\n" DONE,
		"output: \n\"\\/\xc3\xbc\xf0\x9f\x98\x80\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\n"
		"= ok - - -" },
	/* Tool calls, interleaved; given out with the reason. */
	{ DELTA("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"index\":0,\"id\":"
		"\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}"
		"]}",
		  "null") DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{"
				"\\\"a\"}}]}",
		  "null") DELTA("{\"tool_calls\":[{\"index\":1,\"id\":\"call_2\",\"function\":{"
				"\"name\":"
				"\"g\",\"arguments\":\"\"}}]}",
		  "null")
			DELTA("{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}},"
			      "{\"index\":0,\"function\":{\"arguments\":\"\\\":1}\"}}]}",
				"null") DELTA("{}", "\"tool_calls\"") DONE,
		"tool_call: {\"id\":\"call_1\",\"name\":\"f\",\"arguments\":{\"a\":1}}\n"
		"tool_call: {\"id\":\"call_2\",\"name\":\"g\",\"arguments\":{}}\n"
		"= ok tool_calls m-1 -" },
	/* Without a reason: at the end. Name and id said again. Arguments that are an object, none,
	   and no JSON. */
	{ DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"f\","
		"\"arguments\":{\"a\":[1]}}}]}",
		  "null") DELTA("{\"tool_calls\":[{\"index\":1,\"id\":\"2\",\"function\":{\"name\":"
				"\"g\"}}]}",
		  "null") DELTA("{\"tool_calls\":[{\"index\":2,\"id\":\"3\",\"function\":{\"name\":"
				"\"h\","
				"\"arguments\":\"{\\\"x\"}}]}",
		  "null") DELTA("{\"tool_calls\":[{\"index\":2,\"id\":\"3\",\"function\":{\"name\":"
				"\"h\","
				"\"arguments\":\" y\"}}]}",
		  "null") DONE,
		"tool_call: {\"id\":\"1\",\"name\":\"f\",\"arguments\":{\"a\":[1]}}\n"
		"tool_call: {\"id\":\"2\",\"name\":\"g\",\"arguments\":{}}\n"
		"tool_call: {\"id\":\"3\",\"name\":\"h\",\"arguments\":\"{\\\"x y\"}\n"
		"= ok - m-1 -" },
	/* All with the same index, told apart by their ids, of which one begins the other. */
	{ DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"12\",\"function\":{\"name\":\"f\","
		"\"arguments\":\"{}\"}}]}",
		  "null") DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"function\":{\"name\":"
				"\"f\","
				"\"arguments\":\"[\"}},{\"index\":0,\"function\":{\"arguments\":\"]"
				"\"}}]}",
		  "\"tool_calls\"") DONE,
		"tool_call: {\"id\":\"12\",\"name\":\"f\",\"arguments\":{}}\n"
		"tool_call: {\"id\":\"1\",\"name\":\"f\",\"arguments\":\"[]\"}\n"
		"= ok tool_calls m-1 -" },
	/* Without any index, and without an id. */
	{ DELTA("{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
		"{\"function\":{\"name\":\"g\",\"arguments\":\"\"}},{\"function\":{\"arguments\":"
		"\"{\"}},{\"function\":{\"arguments\":\"}\"}}]}",
		  "\"tool_calls\"") DONE,
		"tool_call: {\"id\":null,\"name\":\"f\",\"arguments\":{}}\n"
		"tool_call: {\"id\":null,\"name\":\"g\",\"arguments\":{}}\n"
		"= ok tool_calls m-1 -" },
	/* The same id with each piece, and no index: one call; and the first goes on. */
	{ DELTA("{\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}},"
		"{\"id\":"
		"\"2\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}",
		  "null") DELTA("{\"tool_calls\":[{\"id\":\"2\",\"function\":{\"name\":\"f\","
				"\"arguments\":"
				"\"}\"}},{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":"
				"\"}\"}}]}",
		  "\"tool_calls\"") DONE,
		"tool_call: {\"id\":\"1\",\"name\":\"f\",\"arguments\":{}}\n"
		"tool_call: {\"id\":\"2\",\"name\":\"f\",\"arguments\":{}}\n"
		"= ok tool_calls m-1 -" },
	/* The same index, and no id: a name behind a whole object begins another; a name said again
	   does not. */
	{ DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"\",\"function\":{\"name\":\"f\","
		"\"arguments\":"
		"\"{\\\"a\\\":\\\"}\\\\\"}},{\"index\":0,\"function\":{\"name\":\"f\","
		"\"arguments\":\"\\\"\\\"}\"}}]}",
		  "\"null\"")
			DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\","
			      "\"arguments\":\"\"}},{\"index\":0,\"id\":\"\",\"function\":{"
			      "\"name\":"
			      "\"g\",\"arguments\":\"{}\"}},{\"index\":0,\"function\":{\"name\":"
			      "\"g\","
			      "\"arguments\":\"{}\"}},{\"index\":0,\"function\":{\"name\":\"h\","
			      "\"arguments\":\"\"}},{\"index\":0,\"function\":{\"arguments\":\"[]"
			      "\"}}]}",
				"\"tool_calls\"") DONE,
		"tool_call: {\"id\":null,\"name\":\"f\",\"arguments\":{\"a\":\"}\\\"\"}}\n"
		"tool_call: {\"id\":null,\"name\":\"g\",\"arguments\":{}}\n"
		"tool_call: {\"id\":null,\"name\":\"g\",\"arguments\":{}}\n"
		"tool_call: {\"id\":null,\"name\":\"h\",\"arguments\":\"[]\"}\n"
		"= ok tool_calls m-1 -" },
	/* As it was before there were tools; and both ways at once. */
	{ DELTA("{\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}", "null")
			DELTA("{\"function_call\":{\"arguments\":\"{\\\"a\\\":1}\"}}", "null")
				DELTA("{}", "\"function_call\"") DONE,
		"tool_call: {\"id\":null,\"name\":\"f\",\"arguments\":{\"a\":1}}\n"
		"= ok function_call m-1 -" },
	{ DELTA("{\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"},\"tool_calls\":[{\"id\":"
		"\"1\","
		"\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}",
		  "\"tool_calls\"") DONE,
		"tool_call: {\"id\":\"1\",\"name\":\"f\",\"arguments\":{}}\n"
		"= ok tool_calls m-1 -" },
	/* Content in parts. */
	{ DELTA("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":"
		"\"hm\"}]}]}",
		  "null") DELTA("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},\"b\",1,{"
				"\"type\":\"reference\","
				"\"text\":\"x\"},{\"type\":\"text\",\"text\":1},{\"type\":"
				"\"thinking\","
				"\"thinking\":\"hm\"}]}",
		  "null") DELTA("{\"reasoning\":[{\"type\":\"text\",\"text\":\"so\"}],\"content\":["
				"]}",
		  "\"stop\"") DONE,
		"reasoning: hm\noutput: a\noutput: b\nreasoning: hm\nreasoning: so\n= ok stop m-1 "
		"-" },
	/* A delta that is none. */
	{ DELTA("null", "null") DELTA("\"a\"", "null") DELTA("[]", "null") DELTA("1", "\"stop\"")
			DONE,
		"= ok stop m-1 -" },
	/* In other members; but not what deltas have said. */
	{ "data: {\"choices\":[{\"message\":{\"content\":\"a\"}}]}\n\ndata: "
	  "{\"choices\":[{\"message\":"
	  "{\"content\":\"b\"}}]}\n\ndata: {\"choices\":[{\"text\":\"c\"}]}\n\n" DONE,
		"output: a\noutput: b\noutput: c\n= ok - - -" },
	{ "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"text\":\"a\"}]}\n\ndata: "
	  "{\"choices\":["
	  "{\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n" DONE,
		"output: a\n= ok stop - -" },
	/* An end behind several blanks. */
	{ "data:   [DONE]\n\n", "= ok - - -" },
	/* Numbers that are none of ours. */
	{ "data: "
	  "{\"created\":99999999999999999999,\"choices\":[{\"delta\":{\"content\":\"a\"},"
	  "\"logprob\":"
	  "-Infinity,\"x\":[NaN,Infinity,1e999]}],\"usage\":{\"prompt_tokens\":NaN}}\n\n" DONE,
		"output: a\n= ok - - -" },
	/* A character cut in two, with what lies between; halves alone; what only looks like one.
	 */
	{ DELTA("{\"content\":\"a\\ud83d\"}", "null")
			DELTA("{\"content\":\"\",\"reasoning\":\"r\"}", "null")
				DELTA("{\"content\":\"\\ude00b\\uD83D\"}", "null")
					DELTA("{\"content\":\"\\uDE00\"}", "null") DONE,
		"output: a\nreasoning: r\noutput: \xf0\x9f\x98\x80"
		"b\noutput: \xf0\x9f\x98\x80\n= ok - m-1 -" },
	{ DELTA("{\"content\":\"\\ud83d\"}", "null") DELTA("{\"content\":\"x\\ude00\"}", "null")
			DELTA("{\"content\":\"\\ud83d\"}", "null")
				DELTA("{\"content\":\"\\ud83d\"}", "\"stop\"") DONE,
		"output: \xef\xbf\xbdx\xef\xbf\xbd\noutput: \xef\xbf\xbd\noutput: \xef\xbf\xbd\n"
		"= ok stop m-1 -" },
	{ DELTA("{\"content\":\"\\\\ud83d\"}", "null")
			DELTA("{\"content\":\"\\\\\\ud83d\"}", "null") DONE,
		"output: \\ud83d\noutput: \\\noutput: \xef\xbf\xbd\n= ok - m-1 -" },
	{ DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{"
		"\\\"a\\\":\\\""
		"\\ud83d\"}},{\"index\":0,\"function\":{\"arguments\":\"\\ude00\\\"}\"}},{"
		"\"index\":1,"
		"\"function\":{\"name\":\"g\",\"arguments\":\"x\\ud83d\"}}]}",
		  "null") DONE,
		"tool_call: "
		"{\"id\":null,\"name\":\"f\",\"arguments\":{\"a\":\"\xf0\x9f\x98\x80\"}}\n"
		"tool_call: {\"id\":null,\"name\":\"g\",\"arguments\":\"x\xef\xbf\xbd\"}\n"
		"= ok - m-1 -" },
	/* A call that is cut off is not given out. */
	{ DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"f\","
		"\"arguments\":\"{}\"}}]}",
		  "null"),
		"= EBADMSG - m-1 -" },
	/* Errors within a good answer, as several servers say them. */
	{ DELTA("{\"content\":\"a\"}",
		  "null") "data: {\"error\":{\"message\":\"over\\nloaded\",\"type\":"
			  "\"server_error\",\"code\":503}}\n\n" DONE,
		"output: a\n= EREMOTEIO - m-1 - server_error: over loaded (503)" },
	{ "data: {\"error\":\"out of memory\"}\n\n", "= EREMOTEIO - - - -: out of memory" },
	{ "data: {\"object\":\"error\",\"message\":\"bad\",\"type\":\"t\"}\n\n",
		"= EREMOTEIO - - - t: bad" },
	{ "event: error\ndata: {\"message\":\"bad\"}\n\n", "= EREMOTEIO - - - -: bad" },
	{ "event: error\ndata: gone away\n\n", "= EREMOTEIO - - - -: gone away" },
	{ "data: {\"error\":{\"code\":1}}\n\n", "= EREMOTEIO - - - -: {\"code\":1}" },
	/* In a field of its own, as llama.cpp once did. */
	{ "error: {\"code\":400,\"message\":\"too "
	  "long\",\"type\":\"invalid_request_error\"}\n\n" DONE,
		"= EREMOTEIO - - - invalid_request_error: too long (400)" },
	/* Their codes: a number, digits, a word; beside choices, and within one. */
	{ "data: {\"error\":{\"code\":429,\"message\":\"slow\"}}\n\n",
		"= EREMOTEIO - - - -: slow (429)" },
	{ "data: {\"error\":{\"message\":\"slow\",\"type\":\"None\",\"param\":\"None\",\"code\":"
	  "\"429\"}}\n\n",
		"= EREMOTEIO - - - -: slow (429)" },
	{ "data: {\"error\":{\"message\":\"slow\",\"type\":\"tokens\",\"code\":"
	  "\"rate_limit_exceeded\"}}\n\n",
		"= EREMOTEIO - - - tokens: slow (429)" },
	{ "data: "
	  "{\"error\":{\"code\":502,\"message\":\"gone\"},\"choices\":[{\"delta\":{\"content\":"
	  "\"\"},\"finish_reason\":\"error\"}]}\n\n",
		"= EREMOTEIO - - - -: gone (502)" },
	{ DELTA("{\"content\":\"a\"}",
		  "null") "data: "
			  "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"error\":{"
			  "\"code\":502,\"message\":\"gone\"},\"finish_reason\":\"error\"}]}"
			  "\n\n" DONE,
		"output: a\n= EREMOTEIO - m-1 - -: gone (502)" },
	{ "data: "
	  "{\"choices\":[{\"index\":0,\"delta\":{},\"error\":{},\"finish_reason\":\"error\"}]}"
	  "\n\n" DONE,
		"= EREMOTEIO - - - -: -" },
	/* What says that there is none. */
	{ "data: {\"error\":null,\"choices\":[]}\n\ndata: {\"error\":{},\"choices\":null}\n\n"
	  "data: {\"error\":\"\"}\n\ndata: {\"error\":false}\n\n" DONE,
		"= ok - - -" },
	/* Usage with each chunk: the last counts; and what is no number does not. */
	{ "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: {\"usage\":"
	  "{\"prompt_tokens\":2,\"completion_tokens\":\"3\"}}\n\ndata: {\"usage\":[]}\n\n" DONE,
		"= ok - - 2/1" },
	/* Nothing sensible. */
	{ DELTA("{\"content\":\"a\"}", "null") "data: {\"choices\":\n\n" DONE,
		"output: a\n= EBADMSG - m-1 -" },
	{ "data: <html>\n\n", "= EBADMSG - - -" },
	{ "data: []\n\n", "= EBADMSG - - -" },
	{ "data: {\"choices\":1}\n\n", "= EBADMSG - - -" },
	{ "data: {\"choices\":[1]}\n\n", "= EBADMSG - - -" },
	{ "data: {\"choices\":[{\"delta\":{\"content\":1}}]}\n\n", "= EBADMSG - - -" },
	{ "data: {\"choices\":[{\"delta\":{\"tool_calls\":[1]}}]}\n\n", "= EBADMSG - - -" },
	/* No UTF-8; a character cut in two. */
	{ "data: {\"choices\":[{\"delta\":{\"content\":\"a\xff\"}}]}\n\n", "= EBADMSG - - -" },
	{ "data: {\"choices\":[{\"delta\":{\"content\":\"\xe2\x82\"}}]}\n\n", "= EBADMSG - - -" },
};

START_TEST(answers)
{
	llm_check_case(&llm_openai, &cases[_i]);
}
END_TEST

static const LlmCase whole[] = {
	{ "{\"id\":\"c1\",\"object\":\"chat.completion\",\"model\":\"m-1\",\"choices\":[{\"index\":"
	  "0,"
	  "\"message\":{\"role\":\"assistant\",\"content\":\"Hello\",\"reasoning_content\":\"hm\","
	  "\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	  "\"arguments\":"
	  "\"{\\\"a\\\":1}\"}},{\"id\":\"2\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},"
	  "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n",
		"reasoning: hm\noutput: Hello\n"
		"tool_call: {\"id\":\"1\",\"name\":\"f\",\"arguments\":{\"a\":1}}\n"
		"tool_call: {\"id\":\"2\",\"name\":\"g\",\"arguments\":{}}\n"
		"= ok stop m-1 9/2" },
	{ "{\"choices\":[{\"text\":\"Hello\"}]}", "output: Hello\n= ok - - -" },
	{ "{\"error\":{\"code\":429,\"message\":\"slow\"},\"choices\":[{}]}",
		"= EREMOTEIO - - - -: slow (429)" },
	{ "[{\"error\":{\"code\":503,\"message\":\"busy\"}}]", "= EREMOTEIO - - - -: busy (503)" },
	{ "{\"detail\":\"Not Found\"}", "= EREMOTEIO - - - -: Not Found" },
	{ "{\"errors\":[{\"message\":\"no route\"}]}", "= EREMOTEIO - - - -: no route" },
	{ "{}", "= EBADMSG - - -" },
	{ "[]", "= EBADMSG - - -" },
	{ "{\"choices\":[ ]}", "= EBADMSG - - -" },
	{ "{\"choices\":null}", "= EBADMSG - - -" },
	{ "{\"choices\":1}", "= EBADMSG - - -" },
	{ "{\"choices\":[{\"message\":{\"content\":\"a\"}}]", "= EBADMSG - - -" },
	{ "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}{}", "= EBADMSG - - -" },
};

START_TEST(whole_answers)
{
	llm_check_whole(&llm_openai, &whole[_i]);
}
END_TEST

static void append_n(Buf *b, const char *text, size_t n)
{
	int r = 0;

	/* Check writes down each place that it is at. */
	while (n-- > 0 && r == 0)
		r = buf_append_str(b, text);
	ck_assert_int_eq(r, 0);
}

/* Above the size of a chunk: in pieces as large as can be, and no character is cut (the fixture
 * sees to that). */
START_TEST(large_content)
{
	static const struct {
		const char *written, *meant;
	} characters[] = { { "a", "a" }, { "\xc3\xbc", "\xc3\xbc" },
		{ "\xe2\x82\xac", "\xe2\x82\xac" }, { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
		{ "\\u20ac", "\xe2\x82\xac" } };
	const char *meant = characters[_i].meant;
	size_t n = 2 * PROTOCOL_MAX_CHUNK_BYTES / strlen(meant);

	for (size_t before = 0; before < 4; before++) {
		_cleanup_buf_ Buf stream = { 0 }, told = { 0 };
		size_t total = before + n * strlen(meant);

		append_n(&stream, "data: {\"choices\":[{\"delta\":{\"content\":\"", 1);
		append_n(&stream, "x", before);
		append_n(&stream, characters[_i].written, n);
		append_n(&stream, "\"}}]}\n\n" DONE, 1);
		llm_tell(&llm_openai, stream.data, stream.len, 0, 5000, &told);
		for (const char *p = told.data; total > 0;) {
			const char *end = memchr(p, '\n', told.len - (size_t)(p - told.data));
			size_t len = (size_t)(end - p) - strlen("output: ");

			ck_assert_mem_eq(p, "output: ", strlen("output: "));
			ck_assert(len == total || len > PROTOCOL_MAX_CHUNK_BYTES - 4);
			total -= len;
			p = end + 1;
		}
		ck_assert_mem_eq(told.data + told.len - 10, "= ok - - -", 10);
	}
}
END_TEST

static void check_bound(const Buf *stream, const char *end)
{
	_cleanup_buf_ Buf told = { 0 };

	llm_tell(&llm_openai, stream->data, stream->len, 0, stream->len, &told);
	ck_assert_int_eq(buf_terminate(&told), 0);
	ck_assert_msg(strstr(told.data, end), "%.200s", strstr(told.data, "= "));
}

START_TEST(too_many_calls)
{
	_cleanup_buf_ Buf stream = { 0 };

	for (unsigned i = 0; i < LLM_MAX_TOOL_CALLS; i++)
		ck_assert_int_eq(
			buf_printf(&stream,
				"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%u,"
				"\"function\":{\"name\":\"f\"}}]}}]}\n\n",
				i),
			0);

	size_t len = stream.len;

	append_n(&stream, DONE, 1);
	check_bound(&stream, "= ok");
	stream.len = len;
	append_n(&stream,
		"data: "
		"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":999,\"function\":{}}]}}]}"
		"\n\n" DONE,
		1);
	check_bound(&stream, "= EMSGSIZE");
}
END_TEST

START_TEST(too_long_a_call)
{
	static const char begin[] = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,"
				    "\"function\":{\"arguments\":\"",
			  end[] = "\"}}]}}]}\n\n";
	_cleanup_buf_ Buf stream = { 0 };

	for (unsigned i = 0; i < 4; i++) {
		append_n(&stream, begin, 1);
		append_n(&stream, "x", LLM_MAX_TOOL_BYTES / 4);
		append_n(&stream, end, 1);
	}

	size_t len = stream.len;

	append_n(&stream, DONE, 1);
	check_bound(&stream, "= ok");
	stream.len = len;
	append_n(&stream, begin, 1);
	append_n(&stream, "x", 1);
	append_n(&stream, end, 1);
	append_n(&stream, DONE, 1);
	check_bound(&stream, "= EMSGSIZE");
}
END_TEST

START_TEST(long_names_are_cut)
{
	_cleanup_buf_ Buf stream = { 0 }, told = { 0 };

	append_n(&stream, "data: {\"model\":\"x", 1);
	append_n(&stream, "\xc3\xbc", LLM_MAX_NAME_BYTES);
	append_n(&stream, "\"}\n\n" DONE, 1);
	llm_tell(&llm_openai, stream.data, stream.len, 0, stream.len, &told);
	ck_assert_uint_eq(told.len, strlen("= ok -  -") + LLM_MAX_NAME_BYTES - 1);
}
END_TEST

static int stop(Channel channel, const char *text, size_t len, void *userdata)
{
	(void)channel, (void)text, (void)len;
	++*(int *)userdata;
	return -ECANCELED;
}

START_TEST(receiver_stops_it)
{
	static const char *const data[] = {
		"{\"choices\":[{\"delta\":{\"reasoning\":\"a\",\"content\":\"b\"}}]}",
		"{\"choices\":[{\"delta\":{\"content\":\"b\",\"refusal\":\"c\"}}]}",
		("{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}},"
		 "{\"function\":{\"name\":\"g\"}}]},\"finish_reason\":\"x\"}]}"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		int n = 0;
		const LlmOutput out = { .on_chunk = stop, .userdata = &n };
		const SseEvent event = { .name = "", .data = data[i], .data_len = strlen(data[i]) };
		LlmDecoder d;

		llm_decoder_init(&d, &llm_openai, &out);
		ck_assert_int_eq(llm_openai.on_event(&d, &event), -ECANCELED);
		ck_assert_int_eq(n, 1);
		llm_decoder_done(&d);
	}
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
	static const char data[] =
		"{\"choices\":[{\"delta\":{\"content\":\"\\n\\ud83d\",\"tool_calls\":[{\"id\":"
		"\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"\\n\\ud83d\"}}]},"
		"\"finish_reason\":\"x\"}]}";
	const LlmOutput out = { .on_chunk = ignore };
	const SseEvent event = { .name = "", .data = data, .data_len = strlen(data) };
	int failed = 0, r = -ENOMEM;

	for (int n = 0; r < 0; n++) {
		LlmDecoder d;

		llm_decoder_init(&d, &llm_openai, &out);
		fault_realloc_after(n);
		r = llm_openai.on_event(&d, &event);
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
		{ "{}", "hi \"there\"\n",
			"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":"
			"true},"
			"\"messages\":[{\"role\":\"user\",\"content\":\"hi \\\"there\\\"\\n\"}]}" },
		{ "{\"provider\":\"p\",\"model\":\"other\",\"system\":\"s\",\"temperature\":0.25,"
		  "\"max_tokens\":7}",
			"hi",
			"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":"
			"true},"
			"\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
			"\"content\":\"hi\"}],\"temperature\":0.25,\"max_tokens\":7}" },
		/* A conversation: each message as it is, the prompt last. */
		{ "{\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
		  "\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"1\"}]},{\"role\":"
		  "\"tool\","
		  "\"tool_call_id\":\"1\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]}]}",
			"c",
			"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":"
			"true},"
			"\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
			"\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,\"tool_"
			"calls\":"
			"[{\"id\":\"1\"}]},{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":"
			"[{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":"
			"\"c\"}]}" },
		/* An empty prompt is a turn only where there is no other. */
		{ "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "",
			"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":"
			"true},"
			"\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}" },
		{ "{\"messages\":[]}", "",
			"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":"
			"true},"
			"\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}" },
		/* `extra` as it is, over all else. */
		{ "{\"temperature\":1,\"max_tokens\":7,\"system\":\"s\",\"extra\":{\"model\":\"e\","
		  "\"stream\":true,\"stream_options\":null,\"messages\":[],\"temperature\":{\"a\":"
		  "1},"
		  "\"max_tokens\":9,\"seed\":18446744073709551615,\"sys\\\"tem\":[1.50]}}",
			"hi",
			"{\"model\":\"e\",\"stream\":true,\"stream_options\":null,\"messages\":[],"
			"\"temperature\":{\"a\":1},\"max_tokens\":9,\"seed\":18446744073709551615,"
			"\"sys\\\"tem\":[1.50]}" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
		llm_check_request(&llm_openai, bodies[i].options, bodies[i].prompt, bodies[i].body);
}
END_TEST

START_TEST(options)
{
	static const struct {
		const char *options, *param;
	} given[] = {
		{ "{}", NULL },
		{ "{\"messages\":[],\"extra\":{}}", NULL },
		{ "{\"messages\":[{\"role\":\"critic\"}],\"extra\":{\"stream\":true}}", NULL },
		{ "{\"messages\":[1]}", "options.messages[0]" },
		{ "{\"messages\":[{\"role\":\"user\"},null]}", "options.messages[1]" },
		{ "{\"messages\":[{}]}", "options.messages[0].role" },
		{ "{\"messages\":[{\"role\":\"\"}]}", "options.messages[0].role" },
		{ "{\"messages\":[{\"role\":1}]}", "options.messages[0].role" },
		{ "{\"messages\":[{\"role\":\"user\",\"content\":1}]}",
			"options.messages[0].content" },
		{ "{\"messages\":[{\"role\":\"user\",\"content\":{}}]}",
			"options.messages[0].content" },
		{ "{\"extra\":{\"stream\":false}}", "options.extra.stream" },
		{ "{\"extra\":{\"stream\":null}}", "options.extra.stream" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		llm_check_options(&llm_openai, given[i].options, given[i].param);
}
END_TEST

START_TEST(names)
{
	ck_assert_ptr_eq(llm_dialect_find("openai"), &llm_openai);
	ck_assert_ptr_eq(llm_dialect_find("anthropic"), &llm_anthropic);
	ck_assert_ptr_null(llm_dialect_find("open"));
	ck_assert_str_eq(llm_openai.path, "/chat/completions");
	ck_assert_str_eq(llm_openai.key_header, "Authorization: Bearer ");
	ck_assert_ptr_null(llm_openai.headers[0]);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("llm-openai");
	TCase *t = tcase_create("llm-openai");

	tcase_add_loop_test(t, answers, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(t, whole_answers, 0, ARRAY_SIZE(whole));
	tcase_add_loop_test(t, large_content, 0, 5);
	tcase_add_test(t, too_many_calls);
	tcase_add_test(t, too_long_a_call);
	tcase_add_test(t, long_names_are_cut);
	tcase_add_test(t, receiver_stops_it);
	tcase_add_test(t, out_of_memory);
	tcase_add_test(t, requests);
	tcase_add_test(t, options);
	tcase_add_test(t, names);
	suite_add_tcase(s, t);
	return s;
}
