#include "daemon/backend/http.h"

#include <errno.h>
#include <string.h>

#include "daemon/backend/http-failure.h"
#include "daemon/backend/http-response.h"
#include "tests/lib/check-main.h"

/* 2026-01-02T03:04:05Z */
#define NOW_S 1767323045ULL

static const int64_t day_ms = 24LL * 3600 * 1000;

static HttpResponse response;

static void setup(void)
{
	_cleanup_buf_ Buf why = { 0 };

	ck_assert_int_eq(http_load(&why), 0);
	ck_assert_uint_eq(why.len, 0);
	http_response_init(&response);
}

static void line(const char *text)
{
	http_response_line(&response, text, strlen(text), NOW_S);
}

START_TEST(test_load_twice)
{
	_cleanup_buf_ Buf why = { 0 };

	ck_assert_int_eq(http_load(&why), 0);
}
END_TEST

static const struct {
	const char *line;
	int64_t ms;
} retries[] = {
	{ "Retry-After: 0\r\n", 0 },
	{ "Retry-After: 7\r\n", 7000 },
	{ "retry-after:7", 7000 },
	{ "RETRY-AFTER: \t 7 \r\n", 7000 },
	{ "Retry-After: 1.5\r\n", 1500 },
	{ "Retry-After: 0.0019\r\n", 1 },
	{ "Retry-After: 2.\r\n", 2000 },
	{ "Retry-After: 86401\r\n", 24LL * 3600 * 1000 },
	{ "Retry-After: 99999999999999999999999999999999\r\n", 24LL * 3600 * 1000 },
	{ "Retry-After:\r\n", -1 },
	{ "Retry-After: soon\r\n", -1 },
	{ "Retry-After: -1\r\n", -1 },
	{ "Retry-After: 7 seconds\r\n", -1 },
	{ "Retry-After: 7;\r\n", -1 },
	{ "Retry-After: .5\r\n", -1 },
	/* All three forms of an HTTP date, a minute ahead. */
	{ "Retry-After: Fri, 02 Jan 2026 03:05:05 GMT\r\n", 60000 },
	{ "Retry-After: Friday, 02-Jan-26 03:05:05 GMT\r\n", 60000 },
	{ "Retry-After: Fri Jan  2 03:05:05 2026\r\n", 60000 },
	/* What has passed; and what is far away. */
	{ "Retry-After: Fri, 02 Jan 2026 03:04:05 GMT\r\n", 0 },
	{ "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 0 },
	/* libcurl reads no date that time_t cannot hold. */
	{ "Retry-After: Fri, 02 Jan 2099 03:04:05 GMT\r\n",
		sizeof(time_t) < 8 ? -1 : 24LL * 3600 * 1000 },
	{ "Retry-After: Fri, 99 Jan 2026 99:99:99 GMT\r\n", -1 },
	{ "Retry-After: Fri, 02 Jan 2026 03:05:05 GMT Fri, 02 Jan 2026 03:05:05 GMT Fri, 02\r\n",
		-1 },
	{ "retry-after-ms: 250\r\n", 250 },
	{ "retry-after-ms: 250.7\r\n", 250 },
	{ "Retry-After-Ms: 86400001\r\n", 24LL * 3600 * 1000 },
	{ "retry-after-ms: Fri, 02 Jan 2026 03:05:05 GMT\r\n", -1 },
	{ "x-retry-after: 7\r\n", -1 },
	{ "retry-afte: 7\r\n", -1 },
	{ "retry-after 7\r\n", -1 },
	{ "", -1 },
	{ "\r\n", -1 },
	{ ":\r\n", -1 },
};

START_TEST(test_retry_after)
{
	line(retries[_i].line);
	ck_assert_msg(response.retry_after_ms == retries[_i].ms, "%s: %lld", retries[_i].line,
		(long long)response.retry_after_ms);
}
END_TEST

/* The finer one counts, in whatever order they come; and what makes no sense takes nothing away. */
START_TEST(test_retry_after_both)
{
	line("retry-after-ms: 250");
	line("retry-after: 7");
	ck_assert_int_eq(response.retry_after_ms, 250);
	line("HTTP/1.1 429 Too Many Requests");
	line("retry-after: 7");
	line("retry-after-ms: 250");
	ck_assert_int_eq(response.retry_after_ms, 250);
	line("retry-after-ms: soon");
	ck_assert_int_eq(response.retry_after_ms, 250);
	ck_assert_int_lt(response.retry_after_ms, day_ms);
}
END_TEST

static const struct {
	const char *line;
	long status;
} statuses[] = {
	{ "HTTP/1.1 200 OK\r\n", 200 },
	{ "HTTP/1.1 529\r\n", 529 },
	{ "HTTP/2 404 \r\n", 404 },
	{ "HTTP/1.0 200", 200 },
	{ "HTTP/1.1 20", 20 },
	{ "HTTP/1.1 2000", 200 },
	{ "HTTP/1.1", 0 },
	{ "HTTP/1.1 ", 0 },
	{ "HTTP/1.1 abc", 0 },
};

START_TEST(test_status)
{
	line(statuses[_i].line);
	ck_assert_int_eq(response.status, statuses[_i].status);
}
END_TEST

START_TEST(test_status_begins_anew)
{
	line("HTTP/1.1 103 Early Hints");
	line("x-request-id: early");
	line("content-type: text/early");
	line("retry-after: 7");
	line("HTTP/1.1 200 OK");
	ck_assert_int_eq(response.status, 200);
	ck_assert_str_eq(response.request_id, "");
	ck_assert_str_eq(response.content_type, "");
	ck_assert_int_eq(response.retry_after_ms, -1);
}
END_TEST

START_TEST(test_texts)
{
	char text[400] = "Request-Id: ";

	line("Content-Type: text/event-stream; charset=utf-8\r\n");
	line("X-Request-Id:  req_1\x01\xff\x7f"
	     "2 \r\n");
	ck_assert_str_eq(response.content_type, "text/event-stream; charset=utf-8");
	ck_assert_str_eq(response.request_id, "req_12");
	memset(text + strlen(text), 'x', sizeof(text) - strlen(text) - 1);
	line(text);
	ck_assert_uint_eq(strlen(response.request_id), sizeof(response.request_id) - 1);
}
END_TEST

/* ---- Failures ---- */

static const struct {
	CURLcode code;
	const char *detail;
	int os_error;
	HttpFailure failure;
	const char *sentence;
} failures[] = {
	{ CURLE_OK, "", 0, HTTP_OK, "the response is complete" },
	{ CURLE_COULDNT_CONNECT, "Failed to connect", ECONNREFUSED, HTTP_CONNECT,
		"no connection could be made: Connection refused" },
	{ CURLE_COULDNT_CONNECT, "", 0, HTTP_CONNECT, "no connection could be made" },
	{ CURLE_COULDNT_RESOLVE_HOST, "Could not resolve host: x", 0, HTTP_RESOLVE,
		"a name could not be resolved: Could not resolve host: x" },
	/* libcurl may quote the proxy's URL, which may hold a password. */
	{ CURLE_COULDNT_RESOLVE_PROXY, "Unsupported proxy 'ftp://user:secret@x'", 0, HTTP_RESOLVE,
		"the proxy's name could not be resolved" },
	{ CURLE_RECV_ERROR, "Recv failure: Connection reset by peer", ECONNRESET, HTTP_RESET,
		"the connection was lost: Recv failure: Connection reset by peer" },
	{ CURLE_RECV_ERROR, "Illegal or missing hexadecimal sequence in chunked-encoding", 0,
		HTTP_PROTOCOL,
		"the response is not valid: Illegal or missing hexadecimal sequence in "
		"chunked-encoding" },
	{ CURLE_OUT_OF_MEMORY, "", 0, HTTP_NO_MEMORY,
		"out of memory, or a line of the header that has no end" },
	{ CURLE_FTP_ACCEPT_FAILED, "", 0, HTTP_PROTOCOL, "the request could not be carried out" },
	{ CURLE_WEIRD_SERVER_REPLY, "a\nb\x01\xff", 0, HTTP_PROTOCOL,
		"that is no HTTP response: a b  " },
};

START_TEST(test_failure)
{
	char sentence[200];

	ck_assert_int_eq(http_failure_of(failures[_i].code, failures[_i].detail,
				 failures[_i].os_error, sentence, sizeof(sentence)),
		failures[_i].failure);
	ck_assert_str_eq(sentence, failures[_i].sentence);
}
END_TEST

START_TEST(test_failure_cut)
{
	char sentence[12];

	ck_assert_int_eq(http_failure_of(CURLE_OUT_OF_MEMORY, "", 0, sentence, sizeof(sentence)),
		HTTP_NO_MEMORY);
	ck_assert_str_eq(sentence, "out of memo");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("http");
	TCase *tc = tcase_create("http");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, test_load_twice);
	tcase_add_loop_test(tc, test_retry_after, 0, ARRAY_SIZE(retries));
	tcase_add_test(tc, test_retry_after_both);
	tcase_add_loop_test(tc, test_status, 0, ARRAY_SIZE(statuses));
	tcase_add_test(tc, test_status_begins_anew);
	tcase_add_test(tc, test_texts);
	tcase_add_loop_test(tc, test_failure, 0, ARRAY_SIZE(failures));
	tcase_add_test(tc, test_failure_cut);
	suite_add_tcase(s, tc);
	return s;
}
