#include "common/jsonx-scan.h"

#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/jsonx-number.h"
#include "common/swar.h"
#include "common/utf8.h"

typedef enum Expect {
	EXPECT_VALUE,
	EXPECT_VALUE_OR_END, /* behind '[' */
	EXPECT_KEY,
	EXPECT_KEY_OR_END, /* behind '{' */
	EXPECT_COMMA_OR_END,
} Expect;

typedef struct Scan {
	const char *p, *end;
	const char *why;
	Expect expect;
	bool lax;
	unsigned depth;
	uint64_t objects;    /* bit n: the bracket at depth n is a '{' */
	const char *nul_key; /* a key with U+0000 in it, if there is any */
} Scan;

_Static_assert(JSONX_MAX_DEPTH <= 64, "Scan.objects has a bit for each level");

static bool fail(Scan *s, const char *why)
{
	s->why = why;
	return false;
}

static inline bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The first byte that is the string's end, a backslash, a control character, or not ASCII. */
static inline const char *skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* Signed: what is not ASCII is below zero, so below a space too. */
		__m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
		__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
		__m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
		unsigned mask = (unsigned)_mm_movemask_epi8(
			_mm_or_si128(low, _mm_or_si128(quote, backslash)));

		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	for (; end - p >= 8; p += 8) {
		uint64_t v = swar_load(p);

		if (swar_any_not_ascii(v) || swar_any_below(v, 0x20) || swar_any_equal(v, '"') ||
			swar_any_equal(v, '\\'))
			break;
	}
	while (p < end && is_plain((unsigned char)*p))
		p++;
	return p;
}

/* The value of four hexadecimal digits at `p`, or -EINVAL. */
static int hex4(const char *p, const char *end)
{
	int value = 0;

	if (end - p < 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (c - 'A' + 10);
		else
			return -EINVAL;
	}
	return value;
}

static inline bool is_high_surrogate(int code)
{
	return code >= 0xd800 && code <= 0xdbff;
}

static inline bool is_low_surrogate(int code)
{
	return code >= 0xdc00 && code <= 0xdfff;
}

/* At the 'u' of an escape. */
static bool scan_unicode_escape(Scan *s, bool *has_nul)
{
	int code = hex4(s->p + 1, s->end);

	if (code < 0)
		return fail(s, "an incomplete \\u escape");
	if (!s->lax && is_low_surrogate(code))
		return fail(s, "a lone surrogate");
	if (!s->lax && is_high_surrogate(code)) {
		const char *second = s->p + 5;

		if (s->end - second < 2 || second[0] != '\\' || second[1] != 'u' ||
			!is_low_surrogate(hex4(second + 2, s->end)))
			return fail(s, "a lone surrogate");
		s->p += 6;
	}
	if (code == 0)
		*has_nul = true;
	s->p += 5;
	return true;
}

/* At the backslash. */
static bool scan_escape(Scan *s, bool *has_nul)
{
	static const char simple[] = { '"', '\\', '/', 'b', 'f', 'n', 'r', 't' };

	s->p++;
	if (s->p == s->end)
		return fail(s, "an unterminated string");
	if (*s->p == 'u')
		return scan_unicode_escape(s, has_nul);
	if (!memchr(simple, *s->p, sizeof(simple)))
		return fail(s, "an unknown escape");
	s->p++;
	return true;
}

/* At the opening quote. */
static bool scan_string(Scan *s, bool *has_nul)
{
	s->p++;
	for (;;) {
		s->p = skip_plain(s->p, s->end);
		if (s->p == s->end)
			return fail(s, "an unterminated string");

		unsigned char c = (unsigned char)*s->p;

		if (c == '"') {
			s->p++;
			return true;
		}
		if (c == '\\') {
			if (!scan_escape(s, has_nul))
				return false;
			continue;
		}
		if (c < 0x20)
			return fail(s, "a control character in a string");

		size_t n = utf8_char_len(s->p, (size_t)(s->end - s->p));

		if (n == 0)
			return fail(s, "invalid UTF-8");
		s->p += n;
	}
}

static bool scan_literal(Scan *s, const char *literal)
{
	size_t n = strlen(literal);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, literal, n) != 0)
		return fail(s, "an unexpected character");
	s->p += n;
	return true;
}

static bool scan_number(Scan *s)
{
	const char *number_end;

	if (s->lax && s->end - s->p >= 2 && s->p[1] == 'I')
		return scan_literal(s, "-Infinity");
	s->why = "a malformed number";
	number_end = s->lax ? jsonx_any_number_end(s->p, s->end)
			    : jsonx_number_end(s->p, s->end, &s->why);
	if (!number_end)
		return false;
	s->p = number_end;
	return true;
}

static inline bool in_object(const Scan *s)
{
	return s->depth > 0 && s->objects >> (s->depth - 1) & 1;
}

static bool open_bracket(Scan *s, bool object)
{
	if (s->depth == JSONX_MAX_DEPTH)
		return fail(s, "nesting that is too deep");

	uint64_t bit = (uint64_t)1 << s->depth;

	s->objects = object ? s->objects | bit : s->objects & ~bit;
	s->depth++;
	s->p++;
	s->expect = object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
	return true;
}

static bool close_bracket(Scan *s)
{
	s->depth--;
	s->p++;
	s->expect = EXPECT_COMMA_OR_END;
	return true;
}

static bool scan_value(Scan *s)
{
	bool has_nul;

	s->expect = EXPECT_COMMA_OR_END;
	switch (*s->p) {
	case '"':
		return scan_string(s, &has_nul);
	case '{':
		return open_bracket(s, true);
	case '[':
		return open_bracket(s, false);
	case 't':
		return scan_literal(s, "true");
	case 'f':
		return scan_literal(s, "false");
	case 'n':
		return scan_literal(s, "null");
	default:
		if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
			return scan_number(s);
		if (s->lax && (*s->p == 'N' || *s->p == 'I'))
			return scan_literal(s, *s->p == 'N' ? "NaN" : "Infinity");
		return fail(s, "an unexpected character");
	}
}

static void skip_space(Scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
}

static bool scan_key(Scan *s)
{
	const char *begin = s->p;
	bool has_nul = false;

	if (*s->p != '"')
		return fail(s, "an unexpected character");
	if (!scan_string(s, &has_nul))
		return false;
	if (has_nul)
		s->nul_key = begin;
	skip_space(s);
	if (s->p == s->end)
		return fail(s, "an unexpected end");
	if (*s->p != ':')
		return fail(s, "an unexpected character");
	s->p++;
	s->expect = EXPECT_VALUE;
	return true;
}

static bool scan_comma_or_end(Scan *s)
{
	bool object = in_object(s);

	if (s->depth == 0)
		return fail(s, "something behind the value");
	if (*s->p == (object ? '}' : ']'))
		return close_bracket(s);
	if (*s->p != ',')
		return fail(s, "an unexpected character");
	s->p++;
	s->expect = object ? EXPECT_KEY : EXPECT_VALUE;
	return true;
}

static bool scan_next(Scan *s)
{
	switch (s->expect) {
	case EXPECT_VALUE_OR_END:
		return *s->p == ']' ? close_bracket(s) : scan_value(s);
	case EXPECT_VALUE:
		return scan_value(s);
	case EXPECT_KEY_OR_END:
		return *s->p == '}' ? close_bracket(s) : scan_key(s);
	case EXPECT_KEY:
		return scan_key(s);
	case EXPECT_COMMA_OR_END:
	default:
		return scan_comma_or_end(s);
	}
}

static bool scan_text(Scan *s)
{
	for (;;) {
		skip_space(s);
		if (s->p == s->end)
			break;
		if (!scan_next(s))
			return false;
	}
	if (s->depth > 0 || s->expect != EXPECT_COMMA_OR_END)
		return fail(s, "an unexpected end");
	return true;
}

bool jsonx_scan(
	const char *text, size_t len, bool lax, JsonxError *reterr, const char **ret_nul_key)
{
	Scan s = { .p = text, .end = text + len, .lax = lax };

	if (!scan_text(&s)) {
		if (reterr)
			*reterr = (JsonxError){ .why = s.why, .offset = (size_t)(s.p - text) };
		return false;
	}
	*ret_nul_key = s.nul_key;
	return true;
}
