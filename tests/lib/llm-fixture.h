/* A model's answers for tests: decoded, and told as text.
 *
 * Thread: any. */
#pragma once

#include "daemon/backend/llm-dialect.h"

typedef struct LlmCase {
	const char *stream; /* its lines end in '\n', and may come with other ends as well */
	/* A line for each chunk, "CHANNEL: TEXT", and one for the end: "= RESULT FINISH_REASON
	 * MODEL INPUT/OUTPUT", of which "-" is what nothing was said of; and after an error " TYPE:
	 * MESSAGE", and " (STATUS)" if it has one. RESULT is "ok" or the error's name. */
	const char *told;
} LlmCase;

/* The stream in pieces of `piece` bytes, the first one of `first` (0: none). */
void llm_tell(const LlmDialect *dialect, const char *stream, size_t len, size_t first, size_t piece,
	Buf *b);
/* Split anywhere, in small pieces, and whatever its lines end in: that is what is told. */
void llm_check_case(const LlmDialect *dialect, const LlmCase *c);
/* `stream` is a body instead, one JSON text. */
void llm_check_whole(const LlmDialect *dialect, const LlmCase *c);
/* What the body of a request is, as JSON text, with these options. */
void llm_check_request(
	const LlmDialect *dialect, const char *options, const char *prompt, const char *expected);
/* These options are refused because of `param`; NULL: they are not. */
void llm_check_options(const LlmDialect *dialect, const char *options, const char *param);
