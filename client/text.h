/* Text for and from people: what agents wrote made harmless for a terminal, durations, ages.
 *
 * Owns nothing. Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/* Appends the bytes with everything made visible that a terminal would act upon: control characters
 * (C0, DEL, C1), bidirectional overrides and what is not UTF-8, as \xNN or \u00NN. Newlines and
 * tabs stay where `keep_lines` says so. -ENOMEM. */
int text_append_safe(Buf *b, const char *bytes, size_t len, bool keep_lines) _must_check_;

/* The number of characters. */
size_t text_width(const char *text, size_t len);
/* The length in bytes of its first `width` characters. */
size_t text_fit(const char *text, size_t len, size_t width);

/* "500ms", "30s", "2min" or "2m", "1h", "1d"; a number alone is seconds. -EINVAL, -ERANGE. */
int text_parse_duration(const char *text, uint64_t *ret_ms) _must_check_;
/* "1x", "10x", "0.5x"; "max" is 0. -EINVAL. */
int text_parse_speed(const char *text, double *ret_factor) _must_check_;

/* "850ms", "12s", "3m", "5h", "2d": short and rough. */
#define TEXT_AGE_MAX 24
void text_format_age(uint64_t ms, char out[TEXT_AGE_MAX]);
/* "0.4", "87", "1.5k", "12M": in at most 5 characters, up to 1e18. */
#define TEXT_AMOUNT_MAX 32
void text_format_amount(double amount, char out[TEXT_AMOUNT_MAX]);
