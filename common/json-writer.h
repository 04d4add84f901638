/* Writes JSON text straight into a Buf, without a tree: for events and replies, where json-c costs
 * forty times as much. Escapes as RFC 8259 asks, and no more: `"`, `\`, and the control characters
 * below 0x20 (\b \f \n \r \t, else \u00xx); other bytes go out as they are, so strings must be
 * UTF-8.
 *
 * Commas are set by the writer. Errors stick: after the first (-ENOMEM, -EOVERFLOW) every call does
 * nothing, and jw_finish() returns it. Owns nothing: the Buf lends itself.
 *
 * The prefix is jw_ because json_ belongs to json-c.
 *
 * Thread: any (one at a time). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

typedef struct JsonWriter {
	Buf *buf;
	int error;
	bool comma; /* the next value or key needs a comma before it */
} JsonWriter;

void jw_init(JsonWriter *w, Buf *buf);
/* 0, or the first error that happened. */
int jw_finish(const JsonWriter *w) _must_check_;

void jw_object_begin(JsonWriter *w);
void jw_object_end(JsonWriter *w);
void jw_array_begin(JsonWriter *w);
void jw_array_end(JsonWriter *w);

/* `key` is written as it is: a literal without anything to escape. */
void jw_key(JsonWriter *w, const char *key);
/* A key that came from outside, escaped. */
void jw_key_escaped(JsonWriter *w, const char *key, size_t len);

void jw_string(JsonWriter *w, const char *text, size_t len);
/* The same if it is UTF-8, which is looked at in passing; else false, and nothing is written. True
 * where there has been an error. */
bool jw_utf8(JsonWriter *w, const char *text, size_t len);
void jw_cstring(JsonWriter *w, const char *text); /* NULL is written as null */
void jw_uint(JsonWriter *w, uint64_t value);
void jw_int(JsonWriter *w, int64_t value);
void jw_bool(JsonWriter *w, bool value);
void jw_null(JsonWriter *w);
/* A whole JSON value that is text already. */
void jw_raw(JsonWriter *w, const char *text, size_t len);
/* The base64 of the bytes, as a string. */
void jw_base64(JsonWriter *w, const void *bytes, size_t len);

/* Key and value in one call. */
void jw_key_string(JsonWriter *w, const char *key, const char *text, size_t len);
void jw_key_cstring(JsonWriter *w, const char *key, const char *text);
void jw_key_uint(JsonWriter *w, const char *key, uint64_t value);
void jw_key_int(JsonWriter *w, const char *key, int64_t value);
void jw_key_bool(JsonWriter *w, const char *key, bool value);
/* A string that is written as it is, as the key is: a name without anything to escape. */
void jw_key_name(JsonWriter *w, const char *key, const char *name);
void jw_key_raw(JsonWriter *w, const char *key, const char *text, size_t len);

/* Decimal digits of `value` to `out` (at least 20 bytes, no NUL); returns how many. */
size_t jw_format_uint(char *out, uint64_t value);
