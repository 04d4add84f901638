#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/utf8.h"
#include "tests/lib/check-main.h"

static int pipe_fds[2];
static char line[8192];
static LogRecord last;
static char last_message[8192];
static unsigned calls;

static void setup(void)
{
	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_ge(dup2(pipe_fds[1], STDERR_FILENO), 0);
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_sink(NULL);
	calls = 0;
}

static void teardown(void)
{
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* What has been written so far, which must be one whole line; returns what follows the time. */
static const char *read_line(void)
{
	ssize_t n = read(pipe_fds[0], line, sizeof(line) - 1);
	uint64_t us;

	ck_assert_int_gt(n, CLOCK_RFC3339_LEN + 1);
	line[n] = '\0';
	ck_assert_ptr_eq(strchr(line, '\n'), line + n - 1);
	ck_assert_int_eq(clock_parse_rfc3339(line, CLOCK_RFC3339_LEN, &us), 0);
	ck_assert_int_eq(line[CLOCK_RFC3339_LEN], ' ');
	return line + CLOCK_RFC3339_LEN + 1;
}

static bool nothing_written(void)
{
	char c;

	return read(pipe_fds[0], &c, 1) < 0 && errno == EAGAIN;
}

static void sink(const LogRecord *record)
{
	last = *record;
	snprintf(last_message, sizeof(last_message), "%s", record->message);
	calls++;
}

static const struct {
	const char *message, *expected;
} messages[] = {
	{ "plain", "plain" },
	{ "", "" },
	{ "two\nlines\tand a tab", "two lines and a tab" },
	{ "trailing\n", "trailing " },
	{ "\x1b[31mred\x07\x7f\r", "?[31mred???" },
	{ "z\xc3\xbcrich \xf0\x9f\x92\xa9", "z\xc3\xbcrich \xf0\x9f\x92\xa9" },
	{ "C1: \xc2\x9b"
	  "31m \xc2\x80 \xc2\xa0",
		"C1: ??31m ?? \xc2\xa0" },
	{ "not \xc3\xbc UTF-8: \x9b"
	  "31m \xff",
		"not ?? UTF-8: ?31m ?" },
};

START_TEST(message)
{
	_cleanup_free_ char *expected = NULL;

	ck_assert_int_ge(asprintf(&expected, "ERROR %s\n", messages[_i].expected), 0);
	log_error("%s", messages[_i].message);
	ck_assert_str_eq(read_line(), expected);
}
END_TEST

START_TEST(levels)
{
	static const struct {
		LogLevel level;
		const char *name, *expected;
	} table[] = {
		{ LOG_LEVEL_ERROR, "error", "ERROR x\n" },
		{ LOG_LEVEL_WARNING, "warning", "WARNING x\n" },
		{ LOG_LEVEL_NOTICE, "notice", "NOTICE x\n" },
		{ LOG_LEVEL_INFO, "info", "INFO x\n" },
		{ LOG_LEVEL_DEBUG, "debug", "DEBUG x\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		ck_assert_str_eq(log_level_to_string(table[i].level), table[i].name);
		ck_assert_int_eq(log_level_from_string(table[i].name), (int)table[i].level);
		log_set_level(table[i].level);
		ck_assert_int_eq(log_get_level(), table[i].level);
		log_at(table[i].level, NULL, "x");
		ck_assert_str_eq(read_line(), table[i].expected);
		log_at((LogLevel)(table[i].level + 1), NULL, "x");
		ck_assert(nothing_written());
	}
	ck_assert_int_eq(log_level_from_string("verbose"), -EINVAL);
	ck_assert_int_eq(log_level_from_string(""), -EINVAL);
	ck_assert_ptr_null(log_level_to_string((LogLevel)99));
}
END_TEST

START_TEST(agent)
{
	char id[300];

	log_agent(LOG_LEVEL_INFO, "abc", "%d", 7);
	ck_assert_str_eq(read_line(), "INFO agent abc: 7\n");
	memset(id, '\n', sizeof(id));
	id[sizeof(id) - 1] = '\0';
	log_agent(LOG_LEVEL_INFO, id, "x");
	ck_assert_int_eq(strncmp(read_line(), "INFO agent   ", 13), 0);
}
END_TEST

START_TEST(errno_survives)
{
	errno = ENOENT;
	log_info("%s", "x");
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_str_eq(read_line(), "INFO x\n");
	errno = ENOENT;
	ck_assert_int_eq(close(STDERR_FILENO), 0);
	log_info("nobody reads this");
	ck_assert_int_eq(errno, ENOENT);
}
END_TEST

/* Cut at all offsets within a character, and never within one. */
START_TEST(long_message)
{
	char text[20000] = "aaa";

	for (size_t i = (size_t)_i; i + 4 < sizeof(text); i += 4)
		memcpy(text + i, "\xf0\x9f\x92\xa9", 5);
	log_info("%s", text);

	const char *rest = read_line();

	ck_assert_uint_le(strlen(line), 4096);
	ck_assert_uint_ge(strlen(line), 3000);
	ck_assert(utf8_valid(line, strlen(line)));
	ck_assert_str_eq(rest + strlen(rest) - 8, "\xf0\x9f\x92\xa9\xe2\x80\xa6\n");
	ck_assert(nothing_written());
}
END_TEST

START_TEST(to_a_sink)
{
	log_set_sink(sink);
	log_agent(LOG_LEVEL_NOTICE, "abc", "one\n%s", "two");
	ck_assert_uint_eq(calls, 1);
	ck_assert_int_eq(last.level, LOG_LEVEL_NOTICE);
	ck_assert_str_eq(last_message, "one two");
	ck_assert_str_eq(last.agent_id, "abc");
	ck_assert_str_eq(last.file, __FILE__);
	ck_assert_int_gt(last.line, 0);
	ck_assert_ptr_nonnull(last.function);
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("not for now");
	ck_assert_uint_eq(calls, 1);
	log_error("x");
	ck_assert_uint_eq(calls, 2);
	ck_assert_ptr_null(last.agent_id);
	ck_assert(nothing_written());
	log_set_sink(NULL);
	log_error("x");
	ck_assert_uint_eq(calls, 2);
	ck_assert_str_eq(read_line(), "ERROR x\n");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, message, 0, ARRAY_SIZE(messages));
	tcase_add_test(t, levels);
	tcase_add_test(t, agent);
	tcase_add_test(t, errno_survives);
	tcase_add_loop_test(t, long_message, 0, 4);
	tcase_add_test(t, to_a_sink);
	suite_add_tcase(s, t);
	return s;
}
