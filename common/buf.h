/* A growable byte buffer: the one that lines are read into, JSON is written into and replies wait
 * in.
 *
 * Owns its memory. Embedded: `Buf b = {0}` is a valid empty one. `data` is not NUL-terminated.
 * No function changes the buffer when it fails.
 *
 * Thread: any (one at a time). */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

typedef struct Buf {
	char *data;
	size_t len; /* bytes in use */
	size_t cap; /* bytes allocated */
} Buf;

#define _cleanup_buf_ _cleanup_(buf_done)

/* Frees the memory and leaves an empty buffer. */
void buf_done(Buf *b);
/* Forgets the contents and keeps the memory, unless it is above `keep_bytes`: then that is freed
 * too. */
void buf_clear(Buf *b, size_t keep_bytes);

/* Makes room for `extra` bytes behind `len`. Grows geometrically. -ENOMEM, -EOVERFLOW. */
int buf_reserve(Buf *b, size_t extra) _must_check_;
int buf_append(Buf *b, const void *bytes, size_t n) _must_check_;
int buf_append_str(Buf *b, const char *text) _must_check_;
int buf_append_char(Buf *b, char c) _must_check_;
int buf_printf(Buf *b, const char *format, ...) _printf_(2, 3) _must_check_;
int buf_vprintf(Buf *b, const char *format, va_list ap) _printf_(2, 0) _must_check_;
/* "1 chunk", "3 chunks". */
int buf_append_count(Buf *b, uint64_t n, const char *noun) _must_check_;
/* Puts a NUL behind the contents, which `len` does not count, so that `data` can serve as a string.
 */
int buf_terminate(Buf *b) _must_check_;

/* A string of its own out of bytes that are no string: strndup() would look for a NUL among them.
 * NULL without memory. */
char *buf_string(const char *bytes, size_t len);

/* Drops `n` (<= len) bytes from the front; what follows moves down. */
void buf_consume(Buf *b, size_t n);

/* Hands the memory over to the caller, to be freed with free(); the buffer is empty afterwards. */
char *buf_take(Buf *b, size_t *ret_len);
