/* The last line of what an agent has written, as far as it has come; of a long one, the end.
 *
 * Bytes as they are: whoever shows them makes them harmless. Embedded; all zero is an empty one.
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define TOP_LINE_BYTES 240

typedef struct TopLine {
	char text[TOP_LINE_BYTES];
	size_t len;
	bool ended; /* what comes next is another line */
} TopLine;

/* Empty lines are passed over, a tab is a blank; a carriage return begins a line anew, as a
 * terminal has it. */
void top_line_feed(TopLine *l, const char *bytes, size_t len);
/* A whole line; of a long one, the beginning. */
void top_line_set(TopLine *l, const char *text, size_t len);
