#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "tests/lib/check-main.h"

static const struct {
	uint64_t us;
	const char *text;
} times[] = {
	{ 0, "1970-01-01T00:00:00.000000Z" },
	{ 1, "1970-01-01T00:00:00.000001Z" },
	{ 951782399999999, "2000-02-28T23:59:59.999999Z" },
	{ 951782400000000, "2000-02-29T00:00:00.000000Z" },
	{ 951868800000000, "2000-03-01T00:00:00.000000Z" },
	{ 1767323045678901, "2026-01-02T03:04:05.678901Z" },
	{ 4107542400000000, "2100-03-01T00:00:00.000000Z" },
	{ 253402300799999999, "9999-12-31T23:59:59.999999Z" },
};

static const char *const bad[] = {
	"",
	"2026-01-02T03:04:05Z",
	"2026-01-02T03:04:05.678Z",
	"2026-01-02T03:04:05.6789012Z",
	"2026-01-02T03:04:05.678901",
	"2026-01-02T03:04:05.678901z",
	"2026-01-02t03:04:05.678901Z",
	"2026-01-02 03:04:05.678901Z",
	"2026-01-02T03:04:05,678901Z",
	"2026-01-02T03:04:05.67890+Z",
	"2026/01-02T03:04:05.678901Z",
	"2026-00-02T03:04:05.678901Z",
	"2026-13-02T03:04:05.678901Z",
	"2026-01-00T03:04:05.678901Z",
	"2026-01-32T03:04:05.678901Z",
	"2026-04-31T03:04:05.678901Z",
	"2026-02-29T03:04:05.678901Z",
	"2100-02-29T03:04:05.678901Z",
	"2026-01-02T24:04:05.678901Z",
	"2026-01-02T03:60:05.678901Z",
	"2026-01-02T03:04:60.678901Z",
	"1969-12-31T23:59:59.999999Z",
	"0000-01-01T00:00:00.000000Z",
	"-026-01-02T03:04:05.678901Z",
	"2026-01-02T03:04:05.678901ZZ",
};

START_TEST(format_and_parse)
{
	char text[CLOCK_RFC3339_LEN + 1];
	uint64_t us = 1;

	clock_format_rfc3339(times[_i].us, text);
	ck_assert_str_eq(text, times[_i].text);
	ck_assert_int_eq(clock_parse_rfc3339(text, strlen(text), &us), 0);
	ck_assert_uint_eq(us, times[_i].us);
}
END_TEST

START_TEST(refused)
{
	uint64_t us = 42;

	ck_assert_int_eq(clock_parse_rfc3339(bad[_i], strlen(bad[_i]), &us), -EINVAL);
	ck_assert_uint_eq(us, 42);
}
END_TEST

START_TEST(beyond_the_format)
{
	char text[CLOCK_RFC3339_LEN + 1];

	clock_format_rfc3339(UINT64_MAX, text);
	ck_assert_str_eq(text, "9999-12-31T23:59:59.999999Z");
}
END_TEST

/* Against the C library; not by ck_assert_*(), each of which costs a write(2). */
static bool time_is_right(time_t secs)
{
	char text[CLOCK_RFC3339_LEN + 1], expected[64];
	uint64_t us;
	struct tm tm;

	if (!gmtime_r(&secs, &tm))
		return false;
	strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
	clock_format_rfc3339((uint64_t)secs * USEC_PER_SEC, text);
	return strcmp(text, expected) == 0 &&
	       clock_parse_rfc3339(text, CLOCK_RFC3339_LEN, &us) == 0 &&
	       us == (uint64_t)secs * USEC_PER_SEC;
}

/* Of 400 years. */
START_TEST(every_day)
{
	/* Where time_t has 32 bits, libc knows of no more to compare with. */
	time_t end = sizeof(time_t) < 8 ? INT32_MAX / 86400 : 146097;

	for (time_t day = 0; day < end; day++) {
		if (!time_is_right(day * 86400 + day % 86400))
			ck_abort_msg("day %ld", (long)day);
	}
}
END_TEST

START_TEST(clocks)
{
	uint64_t before = clock_monotonic_us(), real = clock_realtime_us();
	uint64_t now = (uint64_t)time(NULL) * USEC_PER_SEC;

	ck_assert_uint_ge(clock_monotonic_us(), before);
	ck_assert_uint_gt(real + 5 * USEC_PER_SEC, now);
	ck_assert_uint_lt(real, now + 5 * USEC_PER_SEC);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("clock");
	TCase *t = tcase_create("clock");

	tcase_add_loop_test(t, format_and_parse, 0, ARRAY_SIZE(times));
	tcase_add_loop_test(t, refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, beyond_the_format);
	tcase_add_test(t, every_day);
	tcase_add_test(t, clocks);
	suite_add_tcase(s, t);
	return s;
}
