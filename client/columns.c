#include "client/columns.h"

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

#include "common/utf8.h"

/* A character of the text, and what is shown of it. */
typedef struct Character {
	size_t len;
	size_t columns;
	const char *shown;
	size_t shown_len;
} Character;

static uint32_t code_point(const char *text, size_t n)
{
	static const unsigned char first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t code = (unsigned char)text[0] & first_bits[n];

	for (size_t i = 1; i < n; i++)
		code = code << 6 | ((unsigned char)text[i] & 0x3f);
	return code;
}

static bool is_accent(uint32_t code)
{
	return code >= 0x300 && code <= 0x36f;
}

static Character next(const char *text, size_t len)
{
	size_t n = utf8_char_len(text, len);
	uint32_t code = n > 0 ? code_point(text, n) : 0;
	int columns = n > 0 ? wcwidth((wchar_t)code) : -1;

	if (columns > 0)
		return (Character){ n, (size_t)columns, text, n };
	if (columns == 0)
		return (Character){ n, 0, text, is_accent(code) ? n : 0 };
	return (Character){ n > 0 ? n : 1, 1, "?", 1 };
}

size_t columns_fit(const char *text, size_t len, size_t width, size_t *ret_columns)
{
	size_t at = 0, used = 0;

	while (at < len) {
		Character c = next(text + at, len - at);

		if (at > 0 && used + c.columns > width)
			break;
		at += c.len;
		used += c.columns;
	}
	*ret_columns = used;
	return at;
}

size_t columns_tail(const char *text, size_t len, size_t width)
{
	size_t columns = 0, at = 0;

	for (size_t i = 0; i < len;) {
		Character c = next(text + i, len - i);

		i += c.len;
		columns += c.columns;
	}
	while (columns > width) {
		Character c = next(text + at, len - at);

		at += c.len;
		columns -= c.columns;
	}
	return at;
}

int columns_append(Buf *b, const char *text, size_t len, size_t width, size_t *ret_columns)
{
	size_t old_len = b->len, used = 0;

	while (len > 0) {
		Character c = next(text, len);
		int r;

		if (used + c.columns > width)
			break;
		r = buf_append(b, c.shown, c.shown_len);
		if (r < 0) {
			b->len = old_len;
			return r;
		}
		text += c.len;
		len -= c.len;
		used += c.columns;
	}
	*ret_columns = used;
	return 0;
}
