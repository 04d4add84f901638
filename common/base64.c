#include "common/base64.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t len, char *out)
{
	const uint8_t *in = bytes;

	for (; len >= 3; len -= 3, in += 3) {
		uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

		*out++ = alphabet[v >> 18];
		*out++ = alphabet[v >> 12 & 63];
		*out++ = alphabet[v >> 6 & 63];
		*out++ = alphabet[v & 63];
	}
	if (len == 0)
		return;

	uint32_t v = (uint32_t)in[0] << 16 | (len == 2 ? (uint32_t)in[1] << 8 : 0);

	*out++ = alphabet[v >> 18];
	*out++ = alphabet[v >> 12 & 63];
	*out++ = len == 2 ? alphabet[v >> 6 & 63] : '=';
	*out = '=';
}

/* 0 to 63; above that for what is not in the alphabet. */
static inline uint32_t digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : 64;
}

/* Decodes a group of `digits` (2 to 4) digits into `digits` - 1 bytes. */
static bool decode_group(const char *text, size_t digits, char *out)
{
	uint32_t v = 0, bad = 0;

	for (size_t i = 0; i < 4; i++) {
		uint32_t d = i < digits ? digit_value(text[i]) : 0;

		bad |= d & 64;
		v = v << 6 | d;
	}
	for (size_t i = 0; i < 3; i++) {
		uint8_t byte = (uint8_t)(v >> (16 - 8 * i));

		if (i < digits - 1)
			out[i] = (char)byte;
		else
			bad |= byte; /* the bits that are left over must be zero */
	}
	return !bad;
}

int base64_decode(const char *text, size_t len, Buf *b)
{
	if (len == 0)
		return 0;
	if (len % 4 != 0)
		return -EBADMSG;

	int r = buf_reserve(b, len / 4 * 3);

	if (r < 0)
		return r;

	char *out = b->data + b->len;
	size_t padding = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;

	for (size_t i = 0; i + 4 < len; i += 4, out += 3) {
		if (!decode_group(text + i, 4, out))
			return -EBADMSG;
	}
	if (!decode_group(text + len - 4, 4 - padding, out))
		return -EBADMSG;
	b->len += len / 4 * 3 - padding;
	return 0;
}
