/* What an error of a provider says, wherever its JSON has that.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>

#include "common/jsonx-find.h"

/* Values as they stand in the text; none where there is none. */
typedef struct LlmError {
	JsonxText message, type, code;
} LlmError;

/* Of a text that jsonx_valid_lax() has found good. False: it tells of no error. */
bool llm_error_find(const char *text, size_t len, LlmError *ret);
/* The HTTP status that its code or its type stands for: 400 to 599; 0 where they tell of none. */
unsigned llm_error_status(const LlmError *error);
