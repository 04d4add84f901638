/* UUIDs, RFC 4122.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

#define UUID_TEXT_LEN 36

typedef struct Uuid {
	uint8_t bytes[16];
} Uuid;

/* A version 4 one from getrandom(2), which is asked for some at a time: so not in a process and in
 * a child that was forked off it both, unless that executes another program. -errno. */
int uuid_generate(Uuid *ret) _must_check_;
/* A whole UUID with its hyphens, upper or lower case. -EINVAL. */
int uuid_parse(const char *text, size_t len, Uuid *ret) _must_check_;
/* Lower case, with a NUL. */
void uuid_format(const Uuid *u, char out[UUID_TEXT_LEN + 1]);
bool uuid_equal(const Uuid *a, const Uuid *b);
