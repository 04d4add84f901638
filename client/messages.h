/* A conversation with a language model, as a file has it: a JSON array of messages,
 * [{"role": "user", "content": "..."}, ...].
 *
 * Owns nothing. Thread: main. */
#pragma once

#include <json-c/json.h>

#include "client/context.h"

/* Reads and checks it, "-" being standard input; the caller puts *ret. An exit code, or -errno. */
int messages_read(Context *ctx, const char *file, json_object **ret) _must_check_;

/* Whether each message has a role and a content of the right form; what else it holds is the
 * provider's business. -EINVAL with what is wrong in `why`, -ENOMEM. */
int messages_check(json_object *messages, Buf *why) _must_check_;
