#include "client/top-line.h"

#include <string.h>

#include "common/utf8.h"

/* At once, and no character is cut in two for it. */
#define MAX_TAKEN (TOP_LINE_BYTES - 4U)

static bool ends_line(char c)
{
	return c == '\n' || c == '\r';
}

/* Drops so many bytes from its front, and what is left of the character that they end in. */
static void drop_front(TopLine *l, size_t n)
{
	while (n > 0 && n < l->len && utf8_is_continuation(l->text[n]))
		n++;
	memmove(l->text, l->text + n, l->len - n);
	l->len -= n;
}

static void append(TopLine *l, const char *bytes, size_t len)
{
	size_t skip = len > MAX_TAKEN ? utf8_cut(bytes, len, len - MAX_TAKEN) : 0;

	if (l->ended)
		l->len = 0;
	l->ended = false;
	bytes += skip;
	len -= skip;
	if (len > TOP_LINE_BYTES - l->len)
		drop_front(l, len - (TOP_LINE_BYTES - l->len));
	for (size_t i = 0; i < len; i++)
		l->text[l->len++] = bytes[i] == '\t' ? ' ' : bytes[i];
}

void top_line_feed(TopLine *l, const char *bytes, size_t len)
{
	size_t end = len, start;

	while (end > 0 && ends_line(bytes[end - 1]))
		end--;
	if (end == 0) {
		l->ended = l->ended || len > 0;
		return;
	}
	start = end;
	while (start > 0 && !ends_line(bytes[start - 1]))
		start--;
	if (start > 0)
		l->ended = true;
	append(l, bytes + start, end - start);
	l->ended = end < len;
}

void top_line_set(TopLine *l, const char *text, size_t len)
{
	l->ended = true;
	append(l, text, utf8_cut(text, len, MAX_TAKEN));
	l->ended = true;
}
