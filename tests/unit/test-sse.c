/* daemon/backend/sse.c: the standard's parsing, from any split of the bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/backend/sse.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

#define MAX_BYTES 64

/* What was given out: `name|data;` for each. */
typedef struct Heard {
	Buf text;
	const char *last; /* where the last one's data was */
	unsigned n;
	int answer; /* of on_event() */
} Heard;

static int on_event(const SseEvent *event, void *userdata)
{
	Heard *h = userdata;

	ck_assert_int_eq(buf_append(&h->text, event->name, event->name_len), 0);
	ck_assert_int_eq(buf_append_char(&h->text, '|'), 0);
	ck_assert_int_eq(buf_append(&h->text, event->data, event->data_len), 0);
	ck_assert_int_eq(buf_append_char(&h->text, ';'), 0);
	h->last = event->data;
	h->n++;
	return h->answer;
}

static int feed(Sse *s, const char *bytes, size_t len)
{
	/* Of exactly that size, for the sanitizer to see what is read beyond it; and gone
	 * afterwards. */
	char *exact = malloc(len > 0 ? len : 1);
	int r;

	ck_assert_ptr_nonnull(exact);
	if (len > 0)
		memcpy(exact, bytes, len);
	r = sse_feed(s, exact, len);
	free(exact);
	return r;
}

typedef struct Case {
	const char *stream;
	size_t len;
	const char *heard;
	const char *at_end; /* what sse_end() brings */
	int error;
} Case;

#define CASE(stream, heard)                              \
	{                                                \
		stream, sizeof(stream) - 1, heard, "", 0 \
	}
#define LACKS_END(stream, heard, at_end)                     \
	{                                                    \
		stream, sizeof(stream) - 1, heard, at_end, 0 \
	}
#define TOO_LONG(stream, heard)                                  \
	{                                                        \
		stream, sizeof(stream) - 1, heard, "", -EMSGSIZE \
	}

#define LINE_64 "data: 7890123456789012345678901234567890123456789012345678901234"

static const Case cases[] = {
	CASE("", ""),
	CASE("\n\n\n", ""),
	CASE("data: a\n\n", "|a;"),
	CASE("data:a\n\n", "|a;"),
	CASE("data:  a\n\n", "| a;"),
	CASE("data: a \n\n", "|a ;"),
	CASE("data: a\n\ndata: b\n\n", "|a;|b;"),
	CASE("data: a\n\n\n\ndata: b\n\n", "|a;|b;"),
	CASE("data: a:b\n\n", "|a:b;"),
	CASE("data: a\ndata: b\n\n", "|a\nb;"),
	CASE("data: a\ndata\ndata:\ndata: b\n\n", "|a\n\n\nb;"),
	CASE("data\n\n", "|;"),
	CASE("data:\n\n", "|;"),
	CASE("data: \n\n", "|;"),
	CASE("data\ndata\n\n", "|\n;"),
	LACKS_END("data\n\ndata\ndata\n\ndata:", "|;|\n;", "|;"),
	CASE(":a comment\ndata: a\n:\n: another\ndata: b\n\n: last\n\n", "|a\nb;"),
	CASE("event: e\ndata: a\n\ndata: b\n\n", "e|a;|b;"),
	CASE("data: a\nevent: e\n\n", "e|a;"),
	CASE("data: a\nevent: e\ndata: b\nevent: longer\n\n", "longer|a\nb;"),
	CASE("event: e\nevent\ndata: a\n\n", "|a;"),
	CASE("event: e\n\ndata: a\n\n", "|a;"),
	CASE("id: 1\nretry: 10\nid\nwhat: ever\n data: x\nDATA: x\ndatas: x\ndat: x\ndata: a\n\n",
		"|a;"),
	CASE("data : x\n\ndata: a\n\n", "|a;"),
	CASE("\xef\xbb\xbf"
	     "data: a\n\n",
		"|a;"),
	CASE("\xef\xbb\xbf\ndata: a\n\n", "|a;"),
	CASE("\xef\xbb\xbf\xef\xbb\xbf"
	     "data: a\n\n",
		""),
	CASE("\n\xef\xbb\xbf"
	     "data: a\n\n",
		""),
	CASE("\xef\xbb"
	     "data: a\n\n",
		""),
	CASE("data: \xef\xbb\xbf\n\n", "|\xef\xbb\xbf;"),
	/* What is not the standard's. */
	CASE("error: a\n\ndata: b\n\n", "error|a;|b;"),
	CASE("error:{\"a\":1}\ndata: b\n\n", "error|{\"a\":1}\nb;"),
	CASE("data: a\nevent: e\nerror: b\n\n", "error|a\nb;"),
	CASE("error\n\nerrors: x\nerro: x\n\n", "error|;"),
	LACKS_END("error: a", "", "error|a;"),
	/* The ends of lines, mixed. */
	CASE("data: a\r\rdata: b\r\r", "|a;|b;"),
	CASE("data: a\r\n\r\ndata: b\r\n\r\n", "|a;|b;"),
	CASE("data: a\r\n\rdata: b\n\r\n", "|a;|b;"),
	CASE("data: a\n\rdata: b\r\n\n", "|a;|b;"),
	CASE("data: a\rdata: b\ndata: c\r\ndata: d\n\r", "|a\nb\nc\nd;"),
	CASE("\r\n\n\r\rdata: a\r\n\r", "|a;"),
	CASE("data: a\n\n\r\n", "|a;"),
	/* No blank line at the end; no end of a line. */
	LACKS_END("data: a\n\ndata: b\n", "|a;", "|b;"),
	LACKS_END("data: a\n\nevent: e\ndata: b", "|a;", "e|b;"),
	LACKS_END("data: a\r", "", "|a;"),
	LACKS_END("event: e", "", ""),
	LACKS_END("data", "", "|;"),
	LACKS_END(": comment", "", ""),
	/* Bytes that are no text. */
	CASE("data: \xff\x80\n\n", "|\xff\x80;"),
	/* At the bound, and above it. */
	CASE(LINE_64 "\n\n", "|7890123456789012345678901234567890123456789012345678901234;"),
	TOO_LONG("data: a\n\n" LINE_64 "x\n\n", "|a;"),
	TOO_LONG("data: a\n\n" LINE_64 "x", "|a;"),
	TOO_LONG("data: a\n\n:" LINE_64 "\n\n", "|a;"),
	CASE(LINE_64 "\ndata: 1234\ndata\n\n",
		"|7890123456789012345678901234567890123456789012345678901234\n1234\n;"),
	TOO_LONG(LINE_64 "\ndata: 1234\ndata: 1\n\n", ""),
	TOO_LONG(LINE_64 "\n" LINE_64 "\n\n", ""),
	TOO_LONG(LINE_64 "\nerror: 123456\n\n", ""),
	CASE("event: 789012345678901234567890123456789012345678901234567890\ndata: a\n\n",
		"789012345678901234567890123456789012345678901234567890|a;"),
};

static void check(const Case *c, const Heard *h, int r, const char *how, size_t at)
{
	size_t len = strlen(c->heard);

	ck_assert_msg(r == c->error, "%s, %s %zu: %d", c->stream, how, at, r);
	ck_assert_msg(
		h->text.len >= len && memcmp(h->text.data ? h->text.data : "", c->heard, len) == 0,
		"%s, %s %zu: %.*s", c->stream, how, at, (int)h->text.len, h->text.data);
	if (c->error < 0)
		ck_assert_uint_eq(h->text.len, len);
}

/* To its end, once all was fed; and all of it is forgotten. */
static void finish(const Case *c, Sse *s, Heard *h)
{
	const char *rest = c->at_end;
	size_t len = strlen(c->heard);

	if (c->error == 0) {
		ck_assert_uint_eq(h->text.len, len);
		ck_assert_int_eq(sse_end(s), 0);
		ck_assert_uint_eq(h->text.len, len + strlen(rest));
		if (strlen(rest) > 0)
			ck_assert_mem_eq(h->text.data + len, rest, strlen(rest));
	}
	buf_done(&h->text);
	sse_done(s);
	ck_assert_ptr_null(s->held.data);
}

START_TEST(every_split)
{
	const Case *c = &cases[_i];

	for (size_t at = 0; at <= c->len; at++) {
		Heard h = { 0 };
		Sse s;
		int r;

		sse_init(&s, MAX_BYTES, on_event, &h);
		r = feed(&s, c->stream, at);
		if (r == 0)
			r = feed(&s, c->stream + at, c->len - at);
		check(c, &h, r, "split at", at);
		finish(c, &s, &h);
	}
}
END_TEST

START_TEST(small_pieces)
{
	const Case *c = &cases[_i];

	for (size_t n = 1; n <= 5; n++) {
		Heard h = { 0 };
		Sse s;
		int r = 0;

		sse_init(&s, MAX_BYTES, on_event, &h);
		for (size_t at = 0; r == 0 && at < c->len; at += n)
			r = feed(&s, c->stream + at, n < c->len - at ? n : c->len - at);
		check(c, &h, r, "in pieces of", n);
		finish(c, &s, &h);
	}
}
END_TEST

START_TEST(name_is_cut)
{
	Heard h = { 0 };
	Sse s;

	sse_init(&s, 1000, on_event, &h);
	ck_assert_int_eq(sse_feed(&s, "event: ", 7), 0);
	for (size_t i = 0; i < 2 * SSE_MAX_NAME_BYTES; i++)
		ck_assert_int_eq(sse_feed(&s, "n", 1), 0);
	ck_assert_int_eq(sse_feed(&s, "\ndata\n\n", 7), 0);
	ck_assert_uint_eq(h.text.len, SSE_MAX_NAME_BYTES + 2);
	buf_done(&h.text);
	sse_done(&s);
}
END_TEST

START_TEST(whole_events_are_not_copied)
{
	static const char stream[] = "event: e\r\ndata: {}\r\n\r\n";
	Heard h = { 0 };
	Sse s;

	sse_init(&s, MAX_BYTES, on_event, &h);
	ck_assert_int_eq(sse_feed(&s, stream, strlen(stream)), 0);
	ck_assert_ptr_eq(h.last, strchr(stream, '{'));
	ck_assert_ptr_null(s.held.data);
	buf_done(&h.text);
	sse_done(&s);
}
END_TEST

START_TEST(large_memory_is_given_back)
{
	static char line[100000];
	Heard h = { 0 };
	Sse s;

	memset(line, 'x', sizeof(line));
	memcpy(line, "data: ", 6);
	sse_init(&s, sizeof(line), on_event, &h);
	ck_assert_int_eq(sse_feed(&s, line, 100), 0);
	ck_assert_int_eq(sse_feed(&s, line + 100, sizeof(line) - 100), 0);
	ck_assert_uint_ge(s.held.cap, sizeof(line));
	ck_assert_int_eq(sse_feed(&s, "\n\n", 2), 0);
	ck_assert_uint_eq(h.n, 1);
	ck_assert_uint_eq(h.text.len, sizeof(line) - 6 + 2);
	ck_assert_ptr_null(s.held.data);
	buf_done(&h.text);
	sse_done(&s);
}
END_TEST

/* Never more than the bound asks, however long the line is. */
START_TEST(endless_line)
{
	Heard h = { 0 };
	Sse s;
	int r = 0;

	sse_init(&s, 10000, on_event, &h);
	ck_assert_int_eq(sse_feed(&s, "data: ", 6), 0);
	for (int i = 0; i < 10 * 1024 * 1024 && r == 0; i++) {
		r = sse_feed(&s, "x", 1);
		ck_assert_uint_le(s.held.cap, 20000);
	}
	ck_assert_int_eq(r, -EMSGSIZE);
	ck_assert_uint_eq(s.held.len, 10000);
	sse_done(&s);
}
END_TEST

START_TEST(receiver_stops_it)
{
	Heard h = { .answer = -ECANCELED };
	Sse s;

	sse_init(&s, MAX_BYTES, on_event, &h);
	ck_assert_int_eq(sse_feed(&s, "data: a\n\ndata: b\n\n", 18), -ECANCELED);
	ck_assert_uint_eq(h.n, 1);
	h.answer = 1; /* is no error */
	ck_assert_int_eq(sse_feed(&s, "data: c\n\ndata: d", 16), 0);
	ck_assert_uint_eq(h.n, 2);
	h.answer = -ECANCELED;
	ck_assert_int_eq(sse_end(&s), -ECANCELED);
	ck_assert_uint_eq(h.n, 3);
	buf_done(&h.text);
	sse_done(&s);
}
END_TEST

/* Each allocation fails once. */
START_TEST(out_of_memory)
{
	static const char *const pieces[] = { "data: 1", "2\nda", "ta: 3\ndata: 4\n",
		"data: 5\n\n" };
	int failed = 0;

	for (int n = 0;; n++) {
		Heard h = { 0 };
		Sse s;
		int r = 0;

		sse_init(&s, MAX_BYTES, on_event, &h);
		ck_assert_int_eq(buf_reserve(&h.text, 1000), 0);
		fault_realloc_after(n);
		for (size_t i = 0; i < ARRAY_SIZE(pieces) && r == 0; i++)
			r = sse_feed(&s, pieces[i], strlen(pieces[i]));
		fault_realloc_after(-1);
		sse_done(&s);
		buf_done(&h.text);
		if (r == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
		failed++;
	}
	ck_assert_int_gt(failed, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("sse");
	TCase *t = tcase_create("sse");

	tcase_add_loop_test(t, every_split, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(t, small_pieces, 0, ARRAY_SIZE(cases));
	tcase_add_test(t, name_is_cut);
	tcase_add_test(t, whole_events_are_not_copied);
	tcase_add_test(t, large_memory_is_given_back);
	tcase_add_test(t, endless_line);
	tcase_add_test(t, receiver_stops_it);
	tcase_add_test(t, out_of_memory);
	suite_add_tcase(s, t);
	return s;
}
