/* Members of an object that is text, without a tree of all the others: json-c takes microseconds
 * for a spec of which only the prompt and the options are wanted.
 *
 * It trusts no text, but it does not validate any: what it finds is to be parsed strictly, or the
 * whole is to be validated before. Names are compared as they stand there: one with escapes is not
 * found.
 *
 * Thread: any. */
#pragma once

#include "common/jsonx.h"

/* A value as it stands in the text. Lends; `text` is NULL where there is none. */
typedef struct JsonxText {
	const char *text;
	size_t len;
} JsonxText;

/* A walk over the members of an object, or over the items of an array. */
typedef struct JsonxWalk {
	JsonxText name; /* with its quotes; none for an item */
	JsonxText value;
	const char *p, *end; /* where it is */
	char close;
	bool begun;
} JsonxWalk;

/* -EBADMSG: that is neither of both. */
int jsonx_walk(JsonxWalk *w, const char *text, size_t len) _must_check_;
/* 1: `name` and `value` are the next one's; 0: there is none; -EBADMSG. */
int jsonx_walk_next(JsonxWalk *w) _must_check_;

/* The text of the value of the outermost object's first member of that name; `key` as it stands
 * there, a name that needs no escapes. -ENOENT: there is none. -EBADMSG: that is no object, or not
 * all of one up to there. */
int jsonx_find(const char *text, size_t len, const char *key, const char **ret,
	size_t *ret_len) _must_check_;
/* And parsed: the caller puts *ret, which is NULL for `null`. As jsonx_find(); -EBADMSG also where
 * it is no JSON; -ENOMEM. */
int jsonx_find_value(const char *text, size_t len, const char *key, json_object **ret) _must_check_;

/* Several in one pass: ret[i] is the value of keys[i], and none where that is absent or `null`; of
 * equal names, the last counts. -EBADMSG: that is no object, or none at all. */
int jsonx_pick(JsonxText object, const char *const *keys, JsonxText *ret, size_t n) _must_check_;

/* The contents of a string of a text that was validated, be it laxly: its own bytes, or, where it
 * has escapes, what it puts into `scratch`, which it empties before. -EINVAL: that is no string (or
 * nothing); -ENOMEM. */
int jsonx_text_string(
	JsonxText value, Buf *scratch, const char **ret, size_t *ret_len) _must_check_;
/* Does it stand there like that, a string with its quotes? */
bool jsonx_text_is(JsonxText value, const char *text);
/* False: that is no integer, or none from 0 to UINT64_MAX. */
bool jsonx_text_uint(JsonxText value, uint64_t *ret);
