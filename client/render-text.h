/* Tables and lists of fields, for the views of the commands.
 *
 * Everything from the daemon is made harmless and stays on its line.
 *
 * Thread: main. */
#pragma once

#include "client/output.h"

typedef struct TextColumn {
	const char *title; /* NULL ends the table's columns */
	const char *key;   /* the member of the row that stands there, */
	/* or what appends the cell instead. Nothing appended: "-". */
	int (*cell)(json_object *row, Buf *b);
	bool right; /* numbers */
} TextColumn;

#define TEXT_COLUMNS_MAX 12

/* Rows of a JSON array. The last column is cut at the edge of a terminal unless `whole`. */
void render_text_table(Output *o, const TextColumn *columns, json_object *rows, bool whole);

/* The same as lines, the titles first, each with its newline; `width` 0: nothing is cut. -EBADMSG:
 * `rows` is no array; -ENOMEM. */
int render_text_lines(
	const TextColumn *columns, json_object *rows, size_t width, Buf *b) _must_check_;

/* One line a member: strings as they are, the rest as JSON. */
void render_text_fields(Output *o, json_object *object);

/* A cell that is a member as it is. */
int render_text_cell(json_object *row, const char *key, Buf *b) _must_check_;
