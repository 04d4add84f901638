/* Where a prompt comes from: the command line, a file, or standard input.
 *
 * Thread: main. */
#pragma once

#include <stdbool.h>

#include "client/context.h"

typedef struct PromptSource {
	const char *text; /* NULL: not given */
	const char *file;
	bool from_stdin;
} PromptSource;

/* Appends it; nothing if there is no source. A file name of "-" is standard input, too. */
int prompt_get(Context *ctx, const PromptSource *source, Buf *b) _must_check_;

/* Appends all of standard input. -EINTR, -EFBIG, -errno. */
int prompt_read_stdin(Buf *b) _must_check_;
/* Appends all of a file, "-" being standard input. As above. */
int prompt_read_file(const char *file, Buf *b) _must_check_;
