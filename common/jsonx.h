/* What json-c lacks: strictness, and short ways to typed members.
 *
 * json-c alone accepts NaN, single quotes, raw control characters, lone surrogates, overlong
 * numbers and trailing garbage, and what it lets in would be written to the log. So every text from
 * outside is validated against RFC 8259 and RFC 3629 (UTF-8) here, in one pass, and the tree of
 * json-c's objects is made in another: faster than json-c's parser makes it.
 *
 * Thread: any. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/json-writer.h"

/* Deepest nesting of arrays and objects that is accepted (RFC 8259, section 9 lets us set one). */
#define JSONX_MAX_DEPTH 64

typedef struct JsonxError {
	const char *why; /* static text, fit for an error message: "a lone surrogate" */
	size_t offset;   /* byte at which it was found */
} JsonxError;

static inline void jsonx_put_p(json_object **o)
{
	if (*o)
		json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(jsonx_put_p)

/* True if `text` is exactly one JSON value with optional white space around it: RFC 8259 to the
 * letter, valid UTF-8, no lone surrogate in an escape, integers within INT64_MIN..UINT64_MAX, other
 * numbers finite as a double, at most JSONX_MAX_DEPTH deep. *reterr (may be NULL) is set if not. */
bool jsonx_valid(const char *text, size_t len, JsonxError *reterr);
/* The same of what is only looked into (jsonx-find.h) and goes nowhere as it is: some that make
 * JSON write more than there is. Numbers of any size, NaN, Infinity and -Infinity; and halves of
 * surrogate pairs, which read as U+FFFD. */
bool jsonx_valid_lax(const char *text, size_t len);

/* Validates and parses. -EBADMSG with *reterr filled in, -ENOMEM. The caller puts *ret; the JSON
 * value `null` gives NULL and 0. A member's name with U+0000 in it is -EBADMSG too, because json-c
 * would cut it short; of equal names, the last counts. */
int jsonx_parse(const char *text, size_t len, json_object **ret, JsonxError *reterr) _must_check_;

/* Appends `o` as compact text: no white space, no escaped slashes. `o` may be NULL (null). */
int jsonx_append(Buf *b, json_object *o) _must_check_;

/* The same through a writer, in its place among others. */
void jsonx_write(JsonWriter *w, json_object *o);

/* As JSON values: the order of an object's members does not count, and 1 is 1.0. Numbers are
 * compared exactly. */
bool jsonx_equal(json_object *a, json_object *b);

/* False: `o` is no object that has such a member. *ret may be NULL (null), and `ret` too. Lends. */
bool jsonx_member(json_object *o, const char *key, json_object **ret);
/* The member if `o` is an object that has it with this type, else NULL. Lends. */
json_object *jsonx_get(json_object *o, const char *key, json_type type);
/* The string's bytes; NULL if there is no such string. *ret_len may be NULL. Lends. */
const char *jsonx_get_string(json_object *o, const char *key, size_t *ret_len);
/* The number, or `fallback` where there is no such integer. */
int64_t jsonx_get_int(json_object *o, const char *key, int64_t fallback);
uint64_t jsonx_get_uint(json_object *o, const char *key, uint64_t fallback);
bool jsonx_get_bool(json_object *o, const char *key, bool fallback);

/* The bytes of all strings in it, however deep, without the members' names. */
size_t jsonx_text_bytes(json_object *o);
