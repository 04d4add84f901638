/* One member of an object that is text, without a tree of all the others: json-c takes microseconds for a spec of
 * which only the prompt and the options are wanted.
 *
 * It trusts no text, but it does not validate any: what it finds is to be parsed strictly.
 *
 * Thread: any. */
#pragma once

#include "common/jsonx.h"

/* The text of the value of the outermost object's first member of that name; `key` as it stands there, a name that needs
 * no escapes. -ENOENT: there is none. -EBADMSG: that is no object, or not all of one up to there. */
int jsonx_find(const char *text, size_t len, const char *key, const char **ret,
	size_t *ret_len) _must_check_;
/* And parsed: the caller puts *ret, which is NULL for `null`. As jsonx_find(); -EBADMSG also where it is no JSON; -ENOMEM. */
int jsonx_find_value(const char *text, size_t len, const char *key, json_object **ret) _must_check_;
