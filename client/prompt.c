#include "client/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "client/interrupt.h"
#include "common/fd.h"
#include "common/utf8.h"

/* No daemon takes a longer one unless it is configured to; then it is it that says so. */
#define MAX_PROMPT_BYTES (256U * 1024 * 1024)
#define PIECE_BYTES      (64U * 1024)

int prompt_read_stdin(Buf *b)
{
	for (;;) {
		struct pollfd p[] = {
			{ .fd = STDIN_FILENO, .events = POLLIN },
			{ .fd = interrupt_fd(), .events = POLLIN },
		};
		ssize_t n;
		int r;

		(void)poll(p, ARRAY_SIZE(p), -1);
		if (interrupt_take() != 0)
			return -EINTR;
		r = buf_reserve(b, PIECE_BYTES);
		if (r < 0)
			return r;
		n = read(STDIN_FILENO, b->data + b->len, PIECE_BYTES);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0)
			b->len += (size_t)n;
		if (b->len > MAX_PROMPT_BYTES)
			return -EFBIG;
	}
}

int prompt_read_file(const char *file, Buf *b)
{
	if (strcmp(file, "-") == 0)
		return prompt_read_stdin(b);
	return file_read(AT_FDCWD, file, MAX_PROMPT_BYTES, b);
}

static int read_source(const PromptSource *source, Buf *b)
{
	if (source->from_stdin)
		return prompt_read_stdin(b);
	if (source->file)
		return prompt_read_file(source->file, b);
	return source->text ? buf_append_str(b, source->text) : 0;
}

int prompt_get(Context *ctx, const PromptSource *source, Buf *b)
{
	int r;

	if ((source->text != NULL) + (source->file != NULL) + source->from_stdin > 1)
		return context_fail(ctx, EXIT_CODE_USAGE, "one prompt is enough");
	r = read_source(source, b);
	if (r == -ENOMEM || r == -EINTR)
		return r;
	if (r < 0)
		return context_fail(ctx, EXIT_CODE_USAGE, "the prompt cannot be read%s%s: %s",
			source->file ? " from " : "", source->file ? source->file : "",
			strerror(-r));
	if (!utf8_valid(b->data ? b->data : "", b->len))
		return context_fail(ctx, EXIT_CODE_USAGE, "the prompt is not valid UTF-8");
	return 0;
}
