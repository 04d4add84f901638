#include "common/utf8.h"

#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/swar.h"

/* How a character goes on after its first byte. The bounds of the second byte are what keeps out
 * overlong forms, surrogates, and what lies above U+10FFFF. */
typedef struct Lead {
	uint8_t len; /* 0: begins no character */
	uint8_t second_min, second_max;
} Lead;

static inline Lead lead_of(uint8_t c)
{
	if (c < 0x80)
		return (Lead){ 1, 0, 0 };
	if (c < 0xc2)
		return (Lead){ 0, 0, 0 };
	if (c < 0xe0)
		return (Lead){ 2, 0x80, 0xbf };
	if (c < 0xf0)
		return (Lead){ 3, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf };
	if (c < 0xf5)
		return (Lead){ 4, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf };
	return (Lead){ 0, 0, 0 };
}

/* Do the `n` (>= 1) bytes begin a character with that lead, as far as they go? */
static inline bool begins_well(Lead lead, const char *text, size_t n)
{
	if (n >= 2 && ((uint8_t)text[1] < lead.second_min || (uint8_t)text[1] > lead.second_max))
		return false;
	for (size_t i = 2; i < n; i++) {
		if (!utf8_is_continuation(text[i]))
			return false;
	}
	return true;
}

size_t utf8_char_len(const char *text, size_t len)
{
	if (len == 0)
		return 0;

	Lead lead = lead_of((uint8_t)*text);

	if (lead.len > len || !begins_well(lead, text, lead.len))
		return 0;
	return lead.len;
}

/* The length of the ASCII at the front, or a little less. */
static inline size_t skip_ascii(const char *text, size_t len)
{
	size_t i = 0;

#ifdef __SSE2__
	for (; len - i >= 16; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(text + i));

		if (_mm_movemask_epi8(v))
			break;
	}
#endif
	for (; len - i >= 8; i += 8) {
		if (swar_any_not_ascii(swar_load(text + i)))
			break;
	}
	return i;
}

bool utf8_valid(const char *text, size_t len)
{
	/* An empty Buf has no memory, and NULL has no bytes to step over. */
	while (len > 0) {
		size_t n = skip_ascii(text, len);

		text += n;
		len -= n;
		if (len == 0)
			return true;
		/* Text that is not English stays out of the fast lane for as long as it lasts. */
		do {
			n = utf8_char_len(text, len);
			if (n == 0)
				return false;
			text += n;
			len -= n;
		} while (len > 0 && (n > 1 || len < 8));
	}
	return true;
}

size_t utf8_incomplete_tail(const char *text, size_t len)
{
	for (size_t n = 1; n <= 3 && n <= len; n++) {
		const char *p = text + len - n;

		if (utf8_is_continuation(*p))
			continue;

		Lead lead = lead_of((uint8_t)*p);

		return lead.len > n && begins_well(lead, p, n) ? n : 0;
	}
	return 0;
}

size_t utf8_cut(const char *text, size_t len, size_t max)
{
	if (len <= max)
		return len;
	for (size_t back = 0; back <= 3 && back <= max; back++) {
		if (!utf8_is_continuation(text[max - back]))
			return max - back;
	}
	return max;
}
