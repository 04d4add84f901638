/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD: a character that cannot be told */

/* Is it one of the bytes that follow the first one of a character? */
static inline bool utf8_is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Fast on ASCII. */
bool utf8_valid(const char *text, size_t len);

/* The length (1 to 4) of the valid character that the text begins with; 0 if it begins with none.
 */
size_t utf8_char_len(const char *text, size_t len);

/* How many bytes (0 to 3) at the end begin a character that is valid so far but not complete: what
 * is to be held back for the next read, so that no chunk border cuts a character in two. 0 if the
 * end is complete, or invalid whatever follows. */
size_t utf8_incomplete_tail(const char *text, size_t len);

/* The length of the longest prefix of at most `max` bytes that does not cut a character in two
 * (of text that is valid up to there). */
size_t utf8_cut(const char *text, size_t len, size_t max);
