#include "common/jsonx-string.h"

#include <stdbool.h>
#include <string.h>

/* What a character takes as UTF-8, at the most. */
#define CHAR_BYTES 4

#define REPLACEMENT_CHARACTER 0xfffdU

static unsigned hex4(const char *p)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++) {
		unsigned c = (unsigned char)p[i];

		value = value << 4 |
			(c <= '9' ? c - (unsigned)'0' : (c | 0x20) - (unsigned)'a' + 10);
	}
	return value;
}

static char *put_utf8(char *out, unsigned code)
{
	if (code < 0x80) {
		*out++ = (char)code;
		return out;
	}
	if (code < 0x800) {
		*out++ = (char)(0xc0 | code >> 6);
	} else {
		if (code < 0x10000) {
			*out++ = (char)(0xe0 | code >> 12);
		} else {
			*out++ = (char)(0xf0 | code >> 18);
			*out++ = (char)(0x80 | (code >> 12 & 0x3f));
		}
		*out++ = (char)(0x80 | (code >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (code & 0x3f));
	return out;
}

/* At the 'u'; behind its digits, and those of the second half of a pair, afterwards. */
static char *put_unicode(const char **p, char *out)
{
	unsigned code = hex4(*p + 1), low;

	*p += 5;
	if (code < 0xd800 || code > 0xdfff)
		return put_utf8(out, code);
	/* There is a quote at the least. */
	low = **p == '\\' && (*p)[1] == 'u' ? hex4(*p + 2) : 0;
	if (code >= 0xdc00 || low < 0xdc00 || low > 0xdfff)
		return put_utf8(out, REPLACEMENT_CHARACTER);
	*p += 6;
	return put_utf8(out, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
}

/* Behind the backslash. */
static char *put_escape(const char **p, char *out)
{
	static const char names[] = "bfnrt", meant[] = "\b\f\n\r\t";
	const char *name = strchr(names, **p);

	if (**p == 'u')
		return put_unicode(p, out);
	*out++ = name ? meant[name - names] : **p;
	++*p;
	return out;
}

int jsonx_unescape(const char **p, Buf *b)
{
	bool more = true;

	while (more) {
		const char *begin = *p;
		int r;

		while (**p != '"' && **p != '\\')
			++*p;
		r = buf_append(b, begin, (size_t)(*p - begin));
		if (r == 0)
			r = buf_reserve(b, CHAR_BYTES);
		if (r < 0)
			return r;
		more = *(*p)++ == '\\';
		if (more)
			b->len = (size_t)(put_escape(p, b->data + b->len) - b->data);
	}
	return 0;
}
