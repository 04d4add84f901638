#include "common/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#define SECS_PER_DAY  86400ULL
#define DAYS_PER_ERA  146097 /* 400 years, after which the calendar repeats */
#define DAYS_TO_EPOCH 719468 /* from 0000-03-01 to 1970-01-01 */
/* 9999-12-31T23:59:59.999999Z, the last time that the format can hold */
#define LAST_US       253402300799999999ULL

typedef struct Date {
	unsigned year, month, day;
} Date;

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_monotonic_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_us(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* Both of these count years from the first of March, so that the leap day is the last of a year. */
static Date date_from_days(unsigned days_since_epoch)
{
	unsigned days = days_since_epoch + DAYS_TO_EPOCH;
	unsigned era = days / DAYS_PER_ERA;
	unsigned of_era = days % DAYS_PER_ERA;
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153;
	Date d = {
		.year = era * 400 + year + (month >= 10),
		.month = month < 10 ? month + 3 : month - 9,
		.day = of_year - (153 * month + 2) / 5 + 1,
	};

	return d;
}

static unsigned date_to_days(Date d)
{
	unsigned year = d.year - (d.month <= 2);
	unsigned month = d.month > 2 ? d.month - 3 : d.month + 9;
	unsigned of_era = year % 400;
	unsigned of_year = (153 * month + 2) / 5 + d.day - 1;

	return year / 400 * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
	       DAYS_TO_EPOCH;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

static char *put_digits(char *out, unsigned value, unsigned width, char after)
{
	for (unsigned i = width; i-- > 0; value /= 10)
		out[i] = (char)('0' + value % 10);
	out[width] = after;
	return out + width + 1;
}

void clock_format_rfc3339(uint64_t realtime_us, char out[CLOCK_RFC3339_LEN + 1])
{
	if (realtime_us > LAST_US)
		realtime_us = LAST_US;

	uint64_t secs = realtime_us / USEC_PER_SEC;
	unsigned of_day = (unsigned)(secs % SECS_PER_DAY);
	Date d = date_from_days((unsigned)(secs / SECS_PER_DAY));

	out = put_digits(out, d.year, 4, '-');
	out = put_digits(out, d.month, 2, '-');
	out = put_digits(out, d.day, 2, 'T');
	out = put_digits(out, of_day / 3600, 2, ':');
	out = put_digits(out, of_day / 60 % 60, 2, ':');
	out = put_digits(out, of_day % 60, 2, '.');
	out = put_digits(out, (unsigned)(realtime_us % USEC_PER_SEC), 6, 'Z');
	*out = '\0';
}

static bool get_digits(const char **text, unsigned width, char after, unsigned *ret)
{
	const char *p = *text;
	unsigned value = 0;

	for (unsigned i = 0; i < width; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		value = value * 10 + (unsigned)(p[i] - '0');
	}
	if (p[width] != after)
		return false;
	*text = p + width + 1;
	*ret = value;
	return true;
}

int clock_parse_rfc3339(const char *text, size_t len, uint64_t *ret_us)
{
	Date d;
	unsigned hour, minute, second, us;

	if (len != CLOCK_RFC3339_LEN || !get_digits(&text, 4, '-', &d.year) ||
		!get_digits(&text, 2, '-', &d.month) || !get_digits(&text, 2, 'T', &d.day) ||
		!get_digits(&text, 2, ':', &hour) || !get_digits(&text, 2, ':', &minute) ||
		!get_digits(&text, 2, '.', &second) || !get_digits(&text, 6, 'Z', &us))
		return -EINVAL;
	if (d.year < 1970 || d.month < 1 || d.month > 12 || d.day < 1 ||
		d.day > days_in_month(d.year, d.month) || hour > 23 || minute > 59 || second > 59)
		return -EINVAL;

	uint64_t secs = date_to_days(d) * SECS_PER_DAY + hour * 3600 + minute * 60 + second;

	*ret_us = secs * USEC_PER_SEC + us;
	return 0;
}
