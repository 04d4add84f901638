/* Base64 with padding, RFC 4648 section 4.
 *
 * Thread: any. */
#pragma once

#include <stddef.h>

#include "common/buf.h"

#define BASE64_ENCODED_LEN(n) ((((n) + 2) / 3) * 4)

/* Writes BASE64_ENCODED_LEN(len) characters to `out`, without a NUL. */
void base64_encode(const void *bytes, size_t len, char *out);
/* Appends the decoded bytes. -EBADMSG for anything but canonical, padded base64 without white
 * space; -ENOMEM. */
int base64_decode(const char *text, size_t len, Buf *b) _must_check_;
