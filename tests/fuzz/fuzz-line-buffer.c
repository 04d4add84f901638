/* However a stream is cut into reads, its lines are the same.
 *
 * Input: two bytes the longest line, four bytes the seed of the cuts, the rest the stream. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/line-buffer.h"
#include "tests/fuzz/fuzz.h"

typedef struct Stream {
	const char *next, *end; /* what has not been written yet */
	const char *line;       /* the line that is to come next */
	size_t max_line_bytes;
	uint32_t random;
} Stream;

static uint32_t draw(Stream *s)
{
	s->random = s->random * 1664525 + 1013904223;
	return s->random >> 8;
}

static void write_some(Stream *s, LineBuffer *lb)
{
	size_t left = (size_t)(s->end - s->next), room = 0, n;
	char *space = line_buffer_space(lb, &room);

	FUZZ_CHECK(space && room > 0);
	n = draw(s) % (draw(s) % 4 == 0 ? room + 1 : 16);
	if (n > left)
		n = left;
	if (n > room)
		n = room;
	if (n > 0)
		memcpy(space, s->next, n);
	line_buffer_commit(lb, n);
	s->next += n;
}

/* False once a line is too long. */
static bool read_lines(Stream *s, LineBuffer *lb)
{
	for (;;) {
		const char *line, *newline = memchr(s->line, '\n', (size_t)(s->next - s->line));
		size_t len, expected = (size_t)((newline ? newline : s->next) - s->line);
		int r = line_buffer_next(lb, &line, &len);

		if (expected > s->max_line_bytes) {
			FUZZ_CHECK(r == -EMSGSIZE);
			return false;
		}
		FUZZ_CHECK(r == (newline ? 1 : 0));
		if (r == 0) {
			FUZZ_CHECK(line_buffer_pending(lb) == expected);
			return true;
		}
		FUZZ_CHECK(len == expected && memcmp(line, s->line, len) == 0);
		s->line = newline + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	LineBuffer lb;
	Stream s;
	bool go_on = true;

	if (size < 6)
		return 0;
	s = (Stream){
		.next = (const char *)data + 6,
		.end = (const char *)data + size,
		.line = (const char *)data + 6,
		.max_line_bytes = (size_t)data[0] | (size_t)data[1] << 8,
	};
	memcpy(&s.random, data + 2, sizeof(s.random));
	line_buffer_init(&lb, s.max_line_bytes);
	while (go_on && s.next < s.end) {
		for (uint32_t writes = draw(&s) % 3 + 1; writes > 0; writes--)
			write_some(&s, &lb);
		go_on = read_lines(&s, &lb);
	}
	line_buffer_done(&lb);
	return 0;
}
