#include "client/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"

/* The length of the character at `p` if it is a whole and valid one, else 0. */
static size_t character_length(const unsigned char *p, size_t len)
{
	size_t n;

	if (p[0] < 0x80)
		n = 1;
	else if (p[0] < 0xe0)
		n = 2;
	else
		n = p[0] < 0xf0 ? 3 : 4;
	return n <= len && utf8_valid((const char *)p, n) ? n : 0;
}

/* Would a terminal act on this character rather than show it? */
static bool acts(const unsigned char *p, size_t n)
{
	if (n == 1)
		return p[0] < 0x20 || p[0] == 0x7f;
	if (n == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	/* U+202A to U+202E and U+2066 to U+2069 turn the direction of what follows. */
	return n == 3 && p[0] == 0xe2 &&
	       ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
		       (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

static int append_visible(Buf *b, const unsigned char *p, size_t n)
{
	if (n == 0 || n == 1) {
		if (n == 1 && p[0] == '\n')
			return buf_append_str(b, "\\n");
		if (n == 1 && p[0] == '\t')
			return buf_append_str(b, "\\t");
		return buf_printf(b, "\\x%02x", p[0]);
	}
	if (n == 2)
		return buf_printf(b, "\\u%04x", (unsigned int)((p[0] & 0x1f) << 6 | (p[1] & 0x3f)));
	return buf_printf(b, "\\u%04x",
		(unsigned int)((p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f)));
}

int text_append_safe(Buf *b, const char *bytes, size_t len, bool keep_lines)
{
	const unsigned char *p = (const unsigned char *)bytes;
	size_t plain = 0, i = 0;
	int r;

	while (i < len) {
		size_t n = character_length(p + i, len - i);
		bool keep = keep_lines && (p[i] == '\n' || p[i] == '\t');

		if (n > 0 && (keep || !acts(p + i, n))) {
			i += n;
			continue;
		}
		r = buf_append(b, bytes + plain, i - plain);
		if (r == 0)
			r = append_visible(b, p + i, n);
		if (r < 0)
			return r;
		i += n > 0 ? n : 1;
		plain = i;
	}
	return buf_append(b, bytes + plain, len - plain);
}

size_t text_width(const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += !utf8_is_continuation(text[i]);
	return n;
}

size_t text_fit(const char *text, size_t len, size_t width)
{
	size_t i = 0;

	for (; i < len; i++) {
		if (utf8_is_continuation(text[i]))
			continue;
		if (width == 0)
			break;
		width--;
	}
	return i;
}

int text_parse_duration(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} units[] = {
		{ "ms", 1 },
		{ "s", 1000 },
		{ "", 1000 },
		{ "min", 60ULL * 1000 },
		{ "m", 60ULL * 1000 },
		{ "h", 3600ULL * 1000 },
		{ "d", 86400ULL * 1000 },
	};
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0)
		return -ERANGE;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].suffix) != 0)
			continue;
		if (n > (uint64_t)INT64_MAX / units[i].ms)
			return -ERANGE;
		*ret_ms = n * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

int text_parse_speed(const char *text, double *ret_factor)
{
	double factor;
	char *end;

	if (strcmp(text, "max") == 0) {
		*ret_factor = 0;
		return 0;
	}
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	factor = strtod(text, &end);
	if ((strcmp(end, "x") != 0 && *end != '\0') || !isfinite(factor) || factor <= 0)
		return -EINVAL;
	*ret_factor = factor;
	return 0;
}

void text_format_age(uint64_t ms, char out[TEXT_AGE_MAX])
{
	static const struct {
		uint64_t below_ms;
		uint64_t unit_ms;
		const char *suffix;
	} steps[] = {
		{ 1000ULL, 1, "ms" },
		{ 120ULL * 1000, 1000, "s" },
		{ 120ULL * 60 * 1000, 60ULL * 1000, "m" },
		{ 48ULL * 3600 * 1000, 3600ULL * 1000, "h" },
		{ UINT64_MAX, 86400ULL * 1000, "d" },
	};
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(steps) && ms >= steps[i].below_ms)
		i++;
	snprintf(out, TEXT_AGE_MAX, "%" PRIu64 "%s", ms / steps[i].unit_ms, steps[i].suffix);
}

void text_format_amount(double amount, char out[TEXT_AMOUNT_MAX])
{
	static const char *const units[] = { "", "k", "M", "G", "T", "P" };
	size_t i = 0;

	/* What rounds up to the next unit belongs there. */
	while (i + 1 < ARRAY_SIZE(units) && amount >= 999.5) {
		amount /= 1000;
		i++;
	}
	snprintf(out, TEXT_AMOUNT_MAX, "%.*f%s",
		amount > 0 && amount < 9.95 && amount != (double)(uint64_t)amount, amount,
		units[i]);
}
