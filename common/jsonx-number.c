#include "common/jsonx-number.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Any exponent beyond it is as good as this one. */
#define EXPONENT_MAX 1000000000000000LL

/* 2^1024 - 2^970: what is below it rounds to a finite double. It has MAGNITUDE_LIMIT digits. */
static const char double_limit[] =
	"179769313486231580793728971405303415079934132710037826936173778980444968292764"
	"750946649017977587207096330286416692887910946555547851940402630657488671505820"
	"681908902000708383676273854845817711531764475730270069855571366959622842914819"
	"860834936475292719074168444365510704342711559699508093042880177904174497792";
#define MAGNITUDE_LIMIT ((int64_t)sizeof(double_limit) - 1)

static bool integer_fits(const char *digits, size_t n, bool negative)
{
	uint64_t value = 0;

	for (size_t i = 0; i < n; i++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(digits[i] - '0'), &value))
			return false;
	}
	return !negative || value <= (uint64_t)INT64_MAX + 1;
}

/* Is 0.DIGITS of as many digits as double_limit below that? `p` is at the first digit that is not
 * 0, and a point may stand among them. */
static bool below_limit(const char *p, const char *end)
{
	const char *limit = double_limit;

	for (; p < end && *limit; p++) {
		if (*p == '.')
			continue;
		if (*p != *limit)
			return *p < *limit;
		limit++;
	}
	/* If the number is over first, the rest of the limit is above its zeros. */
	return *limit != '\0';
}

/* Without converting it, which would depend on the locale, and wants a copy that ends in a NUL. */
static bool is_finite(const char *digits, const char *digits_end, int64_t exponent)
{
	const char *point = memchr(digits, '.', (size_t)(digits_end - digits));
	const char *first = digits;

	while (first < digits_end && (*first == '0' || *first == '.'))
		first++;
	if (first == digits_end)
		return true;
	if (!point)
		point = digits_end;

	/* The number is 0.DIGITS times ten to this power. */
	int64_t magnitude = (point - first) + (first > point) + exponent;

	if (magnitude != MAGNITUDE_LIMIT)
		return magnitude < MAGNITUDE_LIMIT;
	return below_limit(first, digits_end);
}

/* Behind the digits at `p`, which may be none. */
static inline const char *skip_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* Behind the digits and the fraction at `p`; NULL if they are malformed. */
static const char *skip_mantissa(const char *p, const char *end)
{
	const char *digits = p;

	p = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
	if (p == digits)
		return NULL;
	if (p == end || *p != '.')
		return p;

	const char *fraction = p + 1;

	p = skip_digits(fraction, end);
	return p > fraction ? p : NULL;
}

/* Behind the 'e' at `p` and what belongs to it; NULL if that is malformed. */
static const char *skip_exponent(const char *p, const char *end, int64_t *ret)
{
	bool negative = false;
	int64_t value = 0;

	p++;
	if (p < end && (*p == '+' || *p == '-'))
		negative = *p++ == '-';

	const char *digits = p;

	p = skip_digits(p, end);
	for (const char *d = digits; d < p && value < EXPONENT_MAX; d++)
		value = value * 10 + (*d - '0');
	*ret = negative ? -value : value;
	return p > digits ? p : NULL;
}

const char *jsonx_any_number_end(const char *p, const char *end)
{
	int64_t exponent;

	p = skip_mantissa(p + (*p == '-'), end);
	return p && p < end && (*p == 'e' || *p == 'E') ? skip_exponent(p, end, &exponent) : p;
}

const char *jsonx_number_end(const char *p, const char *end, const char **ret_why)
{
	bool negative = *p == '-';
	const char *digits = p + negative;
	const char *digits_end = skip_mantissa(digits, end);
	const char *number_end = digits_end;
	int64_t exponent = 0;

	if (digits_end && digits_end < end && (*digits_end == 'e' || *digits_end == 'E'))
		number_end = skip_exponent(digits_end, end, &exponent);
	if (!number_end) {
		*ret_why = "a malformed number";
		return NULL;
	}

	size_t n = (size_t)(digits_end - digits);

	if (number_end == digits_end && !memchr(digits, '.', n)) {
		*ret_why = "an integer beyond 64 bits";
		return integer_fits(digits, n, negative) ? number_end : NULL;
	}
	*ret_why = "a number too large for a double";
	return is_finite(digits, digits_end, exponent) ? number_end : NULL;
}
