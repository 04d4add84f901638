#include "common/json-writer.h"

#include <errno.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "common/base64.h"
#include "common/swar.h"
#include "common/utf8.h"

/* What escape() wants beyond the text itself: the longest escape, or a comma and two quotes, and
 * then some, so that small overruns need no check of their own. */
#define SLACK 16

/* 0: goes out as it is; 'u': \u00xx; else the character behind the backslash. */
static const char escape_of[256] = {
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'b',
	't',
	'n',
	'u',
	'f',
	'r',
	'u',
	'u', /* 0x0f */
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u',
	'u', /* 0x1f */
	['"'] = '"',
	['\\'] = '\\',
};

static const char two_digits[] = "00010203040506070809"
				 "10111213141516171819"
				 "20212223242526272829"
				 "30313233343536373839"
				 "40414243444546474849"
				 "50515253545556575859"
				 "60616263646566676869"
				 "70717273747576777879"
				 "80818283848586878889"
				 "90919293949596979899";

void jw_init(JsonWriter *w, Buf *buf)
{
	*w = (JsonWriter){ .buf = buf };
}

int jw_finish(const JsonWriter *w)
{
	return w->error;
}

/* Where to write `n` bytes; NULL once there has been an error. */
static inline char *room(JsonWriter *w, size_t n)
{
	Buf *b = w->buf;

	if (UNLIKELY(w->error))
		return NULL;
	if (UNLIKELY(n > b->cap - b->len)) {
		w->error = buf_reserve(b, n);
		if (w->error < 0)
			return NULL;
	}
	return b->data + b->len;
}

static inline void written(JsonWriter *w, const char *end)
{
	w->buf->len = (size_t)(end - w->buf->data);
}

/* Room for a value (or key) of `n` bytes, behind the comma that may be due before it. */
static inline char *value_room(JsonWriter *w, size_t n)
{
	char *out = room(w, n + 1);

	if (out && w->comma)
		*out++ = ',';
	w->comma = true;
	return out;
}

static inline char *put(char *out, const void *bytes, size_t n)
{
	memcpy(out, bytes, n);
	return out + n;
}

#ifdef __SSE2__
/* A bit for each byte that has to be escaped. */
static inline unsigned escape_mask(__m128i v)
{
	__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));

	return (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, backslash)));
}
#endif

static inline bool is_plain(uint64_t v)
{
	return !swar_any_below(v, 0x20) && !swar_any_equal(v, '"') && !swar_any_equal(v, '\\');
}

/* Copies what stands before the first byte that has to be escaped; returns how much that is. May
 * write the rest of `n` bytes too. *high: gets bits if any byte is not ASCII. */
static inline size_t copy_plain(char *out, const char *text, size_t n, uint64_t *high)
{
	size_t i = 0;

#ifdef __SSE2__
	for (; n - i >= 16; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
		unsigned mask = escape_mask(v);

		*high |= (unsigned)_mm_movemask_epi8(v);
		_mm_storeu_si128((__m128i *)(void *)(out + i), v);
		if (mask)
			return i + (unsigned)__builtin_ctz(mask);
	}
#endif
	for (; n - i >= 8; i += 8) {
		uint64_t v = swar_load(text + i);

		if (!is_plain(v))
			break;
		*high |= v & SWAR_ALL(0x80);
		memcpy(out + i, &v, 8);
	}
	for (; i < n && !escape_of[(unsigned char)text[i]]; i++) {
		*high |= (unsigned char)text[i] & 0x80;
		out[i] = text[i];
	}
	return i;
}

static inline char *put_escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	*out++ = '\\';
	*out++ = escape_of[c];
	if (escape_of[c] == 'u') {
		*out++ = '0';
		*out++ = '0';
		*out++ = hex[c >> 4];
		*out++ = hex[c & 15];
	}
	return out;
}

/* Expects room for len + SLACK bytes behind *out, and leaves room for SLACK bytes there. */
static inline int escape(Buf *b, char **out, const char *text, size_t len, uint64_t *high)
{
	char *o = *out;

	if (len == 0) /* and text may be NULL */
		return 0;
	for (;;) {
		size_t n = copy_plain(o, text, len, high);

		o += n;
		text += n;
		len -= n;
		if (LIKELY(len == 0))
			break;
		o = put_escape(o, (unsigned char)*text);
		text++;
		len--;

		size_t used = (size_t)(o - b->data);

		if (UNLIKELY(b->cap - used < len + SLACK)) {
			size_t old_len = b->len;

			b->len = used;
			int r = buf_reserve(b, len + SLACK);
			b->len = old_len;
			if (r < 0)
				return r;
			o = b->data + used;
		}
	}
	*out = o;
	return 0;
}

static bool too_long(JsonWriter *w, size_t len)
{
	if (LIKELY(len <= PTRDIFF_MAX / 2))
		return false;
	if (!w->error)
		w->error = -EOVERFLOW;
	return true;
}

void jw_object_begin(JsonWriter *w)
{
	char *out = value_room(w, 1);

	if (!out)
		return;
	*out++ = '{';
	w->comma = false;
	written(w, out);
}

void jw_array_begin(JsonWriter *w)
{
	char *out = value_room(w, 1);

	if (!out)
		return;
	*out++ = '[';
	w->comma = false;
	written(w, out);
}

static void end(JsonWriter *w, char bracket)
{
	char *out = room(w, 1);

	if (!out)
		return;
	*out++ = bracket;
	w->comma = true;
	written(w, out);
}

void jw_object_end(JsonWriter *w)
{
	end(w, '}');
}

void jw_array_end(JsonWriter *w)
{
	end(w, ']');
}

void jw_key(JsonWriter *w, const char *key)
{
	size_t len = strlen(key);
	char *out = value_room(w, len + 3);

	if (!out)
		return;
	*out++ = '"';
	out = put(out, key, len);
	*out++ = '"';
	*out++ = ':';
	w->comma = false;
	written(w, out);
}

void jw_key_escaped(JsonWriter *w, const char *key, size_t len)
{
	jw_string(w, key, len);

	char *out = room(w, 1);

	if (!out)
		return;
	*out++ = ':';
	w->comma = false;
	written(w, out);
}

/* Returns false if some of it is not ASCII. */
static inline bool write_string(JsonWriter *w, const char *text, size_t len)
{
	uint64_t high = 0;

	if (too_long(w, len))
		return true;

	/* SLACK is there twice: for the opening quote, and for what escape() asks. */
	char *out = value_room(w, len + 2 * SLACK);

	if (!out)
		return true;
	*out++ = '"';
	w->error = escape(w->buf, &out, text, len, &high);
	if (w->error < 0)
		return true;
	*out++ = '"';
	written(w, out);
	return high == 0;
}

void jw_string(JsonWriter *w, const char *text, size_t len)
{
	(void)write_string(w, text, len);
}

bool jw_utf8(JsonWriter *w, const char *text, size_t len)
{
	JsonWriter before = *w;
	size_t begin = w->buf->len;

	if (write_string(w, text, len) || utf8_valid(text, len))
		return true;
	*w = before;
	w->buf->len = begin;
	return false;
}

void jw_cstring(JsonWriter *w, const char *text)
{
	if (text)
		jw_string(w, text, strlen(text));
	else
		jw_null(w);
}

size_t jw_format_uint(char *out, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	while (value >= 100) {
		at -= 2;
		memcpy(digits + at, two_digits + 2 * (value % 100), 2);
		value /= 100;
	}
	if (value >= 10) {
		at -= 2;
		memcpy(digits + at, two_digits + 2 * value, 2);
	} else {
		digits[--at] = (char)('0' + value);
	}

	size_t n = sizeof(digits) - at;

	memcpy(out, digits + at, n);
	return n;
}

void jw_uint(JsonWriter *w, uint64_t value)
{
	char *out = value_room(w, 20);

	if (!out)
		return;
	written(w, out + jw_format_uint(out, value));
}

void jw_int(JsonWriter *w, int64_t value)
{
	char *out = value_room(w, 21);

	if (!out)
		return;
	if (value < 0)
		*out++ = '-';

	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	written(w, out + jw_format_uint(out, magnitude));
}

void jw_bool(JsonWriter *w, bool value)
{
	if (value)
		jw_raw(w, "true", 4);
	else
		jw_raw(w, "false", 5);
}

void jw_null(JsonWriter *w)
{
	jw_raw(w, "null", 4);
}

void jw_raw(JsonWriter *w, const char *text, size_t len)
{
	if (too_long(w, len))
		return;

	char *out = value_room(w, len);

	if (out)
		written(w, put(out, text, len));
}

void jw_base64(JsonWriter *w, const void *bytes, size_t len)
{
	if (too_long(w, len))
		return;

	size_t encoded_len = BASE64_ENCODED_LEN(len);
	char *out = value_room(w, encoded_len + 2);

	if (!out)
		return;
	*out++ = '"';
	base64_encode(bytes, len, out);
	out += encoded_len;
	*out++ = '"';
	written(w, out);
}

void jw_key_string(JsonWriter *w, const char *key, const char *text, size_t len)
{
	jw_key(w, key);
	jw_string(w, text, len);
}

void jw_key_cstring(JsonWriter *w, const char *key, const char *text)
{
	jw_key(w, key);
	jw_cstring(w, text);
}

void jw_key_uint(JsonWriter *w, const char *key, uint64_t value)
{
	jw_key(w, key);
	jw_uint(w, value);
}

void jw_key_int(JsonWriter *w, const char *key, int64_t value)
{
	jw_key(w, key);
	jw_int(w, value);
}

void jw_key_bool(JsonWriter *w, const char *key, bool value)
{
	jw_key(w, key);
	jw_bool(w, value);
}

void jw_key_name(JsonWriter *w, const char *key, const char *name)
{
	size_t key_len = strlen(key), len = strlen(name);
	char *out = value_room(w, key_len + len + 5);

	if (!out)
		return;
	*out++ = '"';
	out = put(out, key, key_len);
	out = put(out, "\":\"", 3);
	out = put(out, name, len);
	*out++ = '"';
	written(w, out);
}

void jw_key_raw(JsonWriter *w, const char *key, const char *text, size_t len)
{
	jw_key(w, key);
	jw_raw(w, text, len);
}
