/* Text in the columns of a terminal, where a character may take one, two or none.
 *
 * How wide a character is says the locale (LC_CTYPE); one that it does not know is shown as `?`,
 * and one that takes no room of its own is left out, but for accents: what joins, hides or turns
 * characters would have the terminal show another width than was counted.
 *
 * Owns nothing. Thread: any. */
#pragma once

#include <stddef.h>

#include "common/buf.h"

/* The length in bytes of as much of the text as `width` columns take; *ret_columns is how many of
 * them it takes. At least one character, if there is one: nobody is to wait for more room. */
size_t columns_fit(const char *text, size_t len, size_t width, size_t *ret_columns);

/* Where the rest of the text begins that `width` columns take. */
size_t columns_tail(const char *text, size_t len, size_t width);

/* Appends as much of the text as fits; *ret_columns as above (0 where nothing does). The text must
 * be harmless already (text_append_safe()). -ENOMEM. */
int columns_append(
	Buf *b, const char *text, size_t len, size_t width, size_t *ret_columns) _must_check_;
