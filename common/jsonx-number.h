/* Which numbers are let in. Private to jsonx.
 *
 * Thread: any. */
#pragma once

/* Where the number at `p` (< end), a '-' or a digit, ends. NULL, with *ret_why, if it is
 * malformed, an integer outside INT64_MIN..UINT64_MAX, or not finite as a double. */
const char *jsonx_number_end(const char *p, const char *end, const char **ret_why);
/* The same for a number of any size. NULL if it is malformed. */
const char *jsonx_any_number_end(const char *p, const char *end);
