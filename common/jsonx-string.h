/* The contents of a string of a text that jsonx_scan() has found good, strictly or not. Private to
 * jsonx.
 *
 * Thread: any. */
#pragma once

#include "common/buf.h"

/* Appends them to `b`, with U+FFFD in place of half a surrogate pair. *p is behind the opening
 * quote; behind the closing one afterwards. -ENOMEM, -EOVERFLOW. */
int jsonx_unescape(const char **p, Buf *b) _must_check_;
