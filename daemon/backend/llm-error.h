/* What an error of a provider says, wherever its JSON has that.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>

#include "common/jsonx-find.h"

/* Values as they stand in the text; none where there is none. */
typedef struct LlmError {
	JsonxText message, type;
} LlmError;

/* Of a text that jsonx_valid() has found good. False: it tells of no error. */
bool llm_error_find(const char *text, size_t len, LlmError *ret);
