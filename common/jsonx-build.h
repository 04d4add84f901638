/* The tree of a text that jsonx_scan() has found good. Private to jsonx.
 *
 * json-c's own parser is not asked: it validates once more, byte by byte, and makes a locale anew
 * for each text, which takes more than all else.
 *
 * Thread: any. */
#pragma once

#include "common/jsonx.h"

/* The caller puts *ret, which is NULL for `null`. -ENOMEM. */
int jsonx_build(const char *text, size_t len, json_object **ret) _must_check_;
