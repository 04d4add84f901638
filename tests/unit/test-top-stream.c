#include "client/top-stream.h"

#include <stdio.h>
#include <string.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"

static TopStream s;

static void setup(void)
{
	ck_assert_int_eq(top_stream_open(&s, "a", 10, 100), 0);
}

static void teardown(void)
{
	top_stream_close(&s);
}

static json_object *parse(const char *text)
{
	json_object *o = NULL;

	ck_assert_int_eq(jsonx_parse(text, strlen(text), &o, NULL), 0);
	return o;
}

static void page(const char *events, uint64_t seq, bool more, uint64_t newest_seq)
{
	char text[1024];
	_cleanup_json_ json_object *o = NULL;

	(void)snprintf(text, sizeof(text), "{\"events\":[%s],\"seq\":%llu,\"more\":%s}", events,
		(unsigned long long)seq, more ? "true" : "false");
	o = parse(text);
	ck_assert_int_eq(top_stream_add_page(&s, o, newest_seq), more);
}

static void chunk(uint64_t seq, const char *id, const char *channel, const char *json_text)
{
	char text[1024];
	_cleanup_json_ json_object *o = NULL;

	(void)snprintf(text, sizeof(text),
		"{\"seq\":%llu,\"type\":\"AgentPartialOutput\",\"agent_id\":\"%s\",\"channel\":\"%"
		"s\","
		"\"chunk\":\"%s\"}",
		(unsigned long long)seq, id, channel, json_text);
	o = parse(text);
	ck_assert_int_eq(top_stream_event(&s, o), 0);
}

/* Bytes that are no text by themselves. */
static void half(uint64_t seq, const char *base64)
{
	char text[256];
	_cleanup_json_ json_object *o = NULL;

	(void)snprintf(text, sizeof(text),
		"{\"seq\":%llu,\"type\":\"AgentPartialOutput\",\"agent_id\":\"a\",\"encoding\":"
		"\"base64\",\"chunk\":\"%s\"}",
		(unsigned long long)seq, base64);
	o = parse(text);
	ck_assert_int_eq(top_stream_event(&s, o), 0);
}

static void assert_line(size_t age, TopStreamKind kind, const char *text)
{
	const TopStreamLine *line = top_stream_line(&s, age);

	ck_assert_ptr_nonnull(line);
	ck_assert_int_eq(line->kind, kind);
	ck_assert_uint_eq(line->len, strlen(text));
	ck_assert(line->len == 0 || memcmp(line->text, text, line->len) == 0);
}

START_TEST(test_where_it_begins)
{
	_cleanup_buf_ Buf params = { 0 };

	ck_assert(top_stream_is_open(&s));
	ck_assert_int_eq(top_stream_write_page(&s, &params), 0);
	ck_assert_int_eq(buf_terminate(&params), 0);
	ck_assert_str_eq(params.data, "{\"after\":9,\"limit\":1000,\"agents\":[\"a\"]}");
	ck_assert_uint_eq(s.n, 0);
	ck_assert_int_eq(top_stream_open(&s, "b", 10, 1000000), 0);
	ck_assert_uint_eq(s.seq, 1000000 - TOP_STREAM_BACK);
	ck_assert_uint_eq(s.n, 1);
	assert_line(0, TOP_STREAM_LIFE, "earlier events are left out");
	ck_assert_int_eq(top_stream_open(&s, "c", 0, 5), 0);
	ck_assert_uint_eq(s.seq, 0);
	ck_assert_uint_eq(s.n, 0);
	top_stream_close(&s);
	ck_assert(!top_stream_is_open(&s));
	chunk(7, "", "output", "x");
	ck_assert_uint_eq(s.n, 0);
}
END_TEST

/* What the subscription brings before the pages have caught up comes with them. */
START_TEST(test_seam)
{
	chunk(101, "a", "output", "early\\n");
	page("{\"seq\":50,\"type\":\"AgentPartialOutput\",\"channel\":\"output\",\"chunk\":"
	     "\"one\\n\"}",
		60, true, 101);
	ck_assert(s.reading);
	page("", 100, false, 101);
	ck_assert(s.reading);
	page("{\"seq\":101,\"type\":\"AgentPartialOutput\",\"channel\":\"output\",\"chunk\":"
	     "\"early\\n\"},"
	     "{\"seq\":103,\"type\":\"AgentPartialOutput\",\"channel\":\"output\",\"chunk\":"
	     "\"ahead\\n\"}",
		103, false, 102);
	ck_assert(!s.reading);
	chunk(103, "a", "output", "ahead\\n");
	chunk(104, "b", "output", "another's\\n");
	chunk(105, "a", "output", "last\\n");
	ck_assert_uint_eq(s.n, 4);
	assert_line(3, TOP_STREAM_OUTPUT, "one");
	assert_line(2, TOP_STREAM_OUTPUT, "early");
	assert_line(1, TOP_STREAM_OUTPUT, "ahead");
	assert_line(0, TOP_STREAM_OUTPUT, "last");
	ck_assert_ptr_null(top_stream_line(&s, 4));
}
END_TEST

/* What is not to be had leaves no silent hole. */
START_TEST(test_skip)
{
	page("", 100, false, 100);
	chunk(101, "a", "output", "unfinished");
	ck_assert_int_eq(top_stream_skip(&s, 101, "are gone"), 0);
	ck_assert_uint_eq(s.n, 1);
	ck_assert_int_eq(top_stream_skip(&s, 105, "are gone"), 0);
	chunk(105, "a", "output", "x");
	chunk(106, "a", "output", "y");
	ck_assert_uint_eq(s.n, 3);
	assert_line(2, TOP_STREAM_OUTPUT, "unfinished");
	assert_line(1, TOP_STREAM_LIFE, "events 102 to 105 are gone");
	assert_line(0, TOP_STREAM_OUTPUT, "y");
}
END_TEST

START_TEST(test_lines)
{
	_cleanup_json_ json_object *end = parse("{\"seq\":300,\"type\":\"AgentCompleted\",\"agent_"
						"id\":\"a\",\"chunks\":1,\"bytes\":2,"
						"\"duration_ms\":3}");

	page("", 200, false, 100);
	chunk(200, "a", "output", "seen already");
	chunk(201, "a", "output", "a\\tb");
	chunk(202, "a", "output", "c\\r\\n\\n");
	chunk(203, "a", "output", "unfinished");
	chunk(204, "a", "error", "oh");
	chunk(205, "a", "reasoning", "hm");
	assert_line(4, TOP_STREAM_OUTPUT, "a       bc");
	assert_line(3, TOP_STREAM_OUTPUT, "");
	assert_line(2, TOP_STREAM_OUTPUT, "unfinished");
	assert_line(1, TOP_STREAM_ERROR, "oh");
	assert_line(0, TOP_STREAM_REASONING, "hm");
	ck_assert_int_eq(top_stream_event(&s, end), 0);
	ck_assert_int_eq(top_stream_line(&s, 0)->kind, TOP_STREAM_LIFE);
	ck_assert_mem_eq(top_stream_line(&s, 0)->text, "completed", 9);
	ck_assert_uint_eq(s.n, 6);
}
END_TEST

/* Columns are counted on across chunks, and a character that comes in two is one. */
START_TEST(test_tabs)
{
	page("", 200, false, 100);
	chunk(201, "a", "output", "ab");
	chunk(202, "a", "output", "\\tc");
	half(203, "4g==");
	half(204, "gqw=");
	chunk(205, "a", "output", "\\t|");
	chunk(206, "a", "error", "\\t|");
	assert_line(1, TOP_STREAM_OUTPUT, "ab      c€      |");
	assert_line(0, TOP_STREAM_ERROR, "        |");
}
END_TEST

START_TEST(test_bounded)
{
	page("", 200, false, 100);
	for (uint64_t i = 0; i < TOP_STREAM_LINES + 50; i++)
		chunk(201 + i, "a", "output", "line\\n");
	ck_assert_uint_eq(s.n, TOP_STREAM_LINES);
	for (uint64_t i = 0; i < TOP_STREAM_BYTES; i++)
		chunk(10000 + i, "a", "output", "€€€");
	for (size_t age = 0; top_stream_line(&s, age); age++)
		ck_assert_uint_le(top_stream_line(&s, age)->len, TOP_STREAM_BYTES);
	/* No character is cut in two. */
	ck_assert_uint_eq(top_stream_line(&s, 1)->len % 3, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("top-stream");
	TCase *t = tcase_create("top-stream");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_where_it_begins);
	tcase_add_test(t, test_seam);
	tcase_add_test(t, test_skip);
	tcase_add_test(t, test_lines);
	tcase_add_test(t, test_tabs);
	tcase_add_test(t, test_bounded);
	suite_add_tcase(suite, t);
	return suite;
}
