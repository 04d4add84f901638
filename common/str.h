/* Strings that may be missing.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <string.h>

/* NULL equals only NULL. */
static inline bool str_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}
