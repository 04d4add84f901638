#include "common/line-buffer.h"

#include <errno.h>
#include <string.h>

#define READ_BYTES 4096

void line_buffer_init(LineBuffer *lb, size_t max_line_bytes)
{
	*lb = (LineBuffer){ .max_line_bytes = max_line_bytes };
}

void line_buffer_done(LineBuffer *lb)
{
	buf_done(&lb->buf);
	lb->start = lb->searched = 0;
}

char *line_buffer_space(LineBuffer *lb, size_t *ret_n)
{
	Buf *b = &lb->buf;

	if (b->cap - b->len < READ_BYTES && lb->start > 0) {
		buf_consume(b, lb->start);
		lb->searched -= lb->start;
		lb->start = 0;
	}
	if (buf_reserve(b, READ_BYTES) < 0 && b->cap == b->len)
		return NULL;
	*ret_n = b->cap - b->len;
	return b->data + b->len;
}

void line_buffer_commit(LineBuffer *lb, size_t n)
{
	lb->buf.len += n;
}

static int no_line(LineBuffer *lb)
{
	if (line_buffer_pending(lb) > lb->max_line_bytes)
		return -EMSGSIZE;
	lb->searched = lb->buf.len;
	if (line_buffer_pending(lb) == 0)
		line_buffer_done(lb);
	return 0;
}

int line_buffer_next(LineBuffer *lb, const char **ret_line, size_t *ret_len)
{
	size_t unsearched = lb->buf.len - lb->searched;
	const char *newline = NULL;

	if (unsearched > 0)
		newline = memchr(lb->buf.data + lb->searched, '\n', unsearched);
	if (!newline)
		return no_line(lb);

	const char *line = lb->buf.data + lb->start;
	size_t len = (size_t)(newline - line);

	if (len > lb->max_line_bytes)
		return -EMSGSIZE;
	lb->start += len + 1;
	lb->searched = lb->start;
	*ret_line = line;
	*ret_len = len;
	return 1;
}

size_t line_buffer_pending(const LineBuffer *lb)
{
	return lb->buf.len - lb->start;
}
