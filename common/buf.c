#include "common/buf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN_CAP 128

void buf_done(Buf *b)
{
	free(b->data);
	*b = (Buf){ 0 };
}

void buf_clear(Buf *b, size_t keep_bytes)
{
	b->len = 0;
	if (b->cap > keep_bytes)
		buf_done(b);
}

int buf_reserve(Buf *b, size_t extra)
{
	if (LIKELY(extra <= b->cap - b->len))
		return 0;
	if (extra > PTRDIFF_MAX - b->len)
		return -EOVERFLOW;

	size_t cap = b->cap > PTRDIFF_MAX / 2 ? PTRDIFF_MAX : b->cap * 2;

	if (cap < b->len + extra)
		cap = b->len + extra;
	if (cap < BUF_MIN_CAP)
		cap = BUF_MIN_CAP;

	char *data = realloc(b->data, cap);

	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

int buf_append(Buf *b, const void *bytes, size_t n)
{
	int r = buf_reserve(b, n);

	if (r < 0)
		return r;
	if (n > 0)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	return 0;
}

int buf_append_str(Buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

int buf_append_char(Buf *b, char c)
{
	int r = buf_reserve(b, 1);

	if (r < 0)
		return r;
	b->data[b->len++] = c;
	return 0;
}

int buf_printf(Buf *b, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	int r = buf_vprintf(b, format, ap);
	va_end(ap);
	return r;
}

int buf_vprintf(Buf *b, const char *format, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	int n = vsnprintf(b->data ? b->data + b->len : NULL, b->cap - b->len, format, ap);
	int r = n < 0 ? -errno : 0;

	if (r == 0 && (size_t)n >= b->cap - b->len) {
		r = buf_reserve(b, (size_t)n + 1);
		if (r == 0) {
			n = vsnprintf(b->data + b->len, b->cap - b->len, format, again);
			r = n < 0 ? -errno : 0;
		}
	}
	va_end(again);
	if (r == 0)
		b->len += (size_t)n;
	return r;
}

int buf_append_count(Buf *b, uint64_t n, const char *noun)
{
	return buf_printf(b, "%" PRIu64 " %s%s", n, noun, n == 1 ? "" : "s");
}

int buf_terminate(Buf *b)
{
	int r = buf_reserve(b, 1);

	if (r < 0)
		return r;
	b->data[b->len] = '\0';
	return 0;
}

char *buf_string(const char *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return NULL;
	if (len > 0)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

void buf_consume(Buf *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
}

char *buf_take(Buf *b, size_t *ret_len)
{
	char *data = b->data;

	if (ret_len)
		*ret_len = b->len;
	*b = (Buf){ 0 };
	return data;
}
