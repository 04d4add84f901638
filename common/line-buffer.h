/* Cuts a stream of bytes into lines that end in '\n', with a bound on the length of a line.
 *
 * Read straight into line_buffer_space(), say how much came with line_buffer_commit(), then call
 * line_buffer_next() until it returns 0. Each byte is searched for its newline once, however it
 * arrives. Memory grows only as far as the longest line needs, and is given back when the buffer
 * runs empty.
 *
 * Thread: any (one at a time). */
#pragma once

#include "common/buf.h"

typedef struct LineBuffer {
	Buf buf;
	size_t start;    /* where the next line begins */
	size_t searched; /* no newline in [start, searched) */
	size_t max_line_bytes;
} LineBuffer;

void line_buffer_init(LineBuffer *lb, size_t max_line_bytes);
void line_buffer_done(LineBuffer *lb);

/* Room for at least one byte, usually 4 KiB or more; *ret_n says how much. NULL: out of memory. */
char *line_buffer_space(LineBuffer *lb, size_t *ret_n) _must_check_;
void line_buffer_commit(LineBuffer *lb, size_t n);

/* 1: a line, without its newline, lent until the next call of anything here. 0: none is complete.
 * -EMSGSIZE: the line that has begun is longer than max_line_bytes (newline not counted). */
int line_buffer_next(LineBuffer *lb, const char **ret_line, size_t *ret_len) _must_check_;

/* Bytes of a line that is not complete (what an end of file leaves over). */
size_t line_buffer_pending(const LineBuffer *lb);
