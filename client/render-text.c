#include "client/render-text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/render-stream.h"
#include "client/text.h"
#include "common/jsonx.h"

#define GAP           2
#define MAX_KEY_WIDTH 40

typedef struct Table {
	const TextColumn *columns;
	size_t n_columns;
	size_t widths[TEXT_COLUMNS_MAX];
	Buf cells;    /* every cell, each ended by a NUL, row by row */
	size_t width; /* where the last column is cut; 0: nowhere */
} Table;

int render_text_cell(json_object *row, const char *key, Buf *b)
{
	_cleanup_buf_ Buf raw = { 0 };
	json_object *value;
	size_t len;
	const char *text = jsonx_get_string(row, key, &len);
	int r;

	if (text)
		return text_append_safe(b, text, len, false);
	if (!json_object_object_get_ex(row, key, &value) || !value)
		return 0;
	r = jsonx_append(&raw, value);
	return r < 0 ? r : text_append_safe(b, raw.data, raw.len, false);
}

static int add_cell(Table *t, size_t column, json_object *row)
{
	const TextColumn *c = &t->columns[column];
	size_t start = t->cells.len, width;
	int r;

	r = c->cell ? c->cell(row, &t->cells) : render_text_cell(row, c->key, &t->cells);
	if (r == 0 && t->cells.len == start)
		r = buf_append_char(&t->cells, '-');
	if (r < 0)
		return r;
	width = text_width(t->cells.data + start, t->cells.len - start);
	if (width > t->widths[column])
		t->widths[column] = width;
	return buf_append_char(&t->cells, '\0');
}

static int collect(Table *t, json_object *rows)
{
	size_t n = json_object_array_length(rows);

	for (size_t i = 0; i < n; i++) {
		for (size_t c = 0; c < t->n_columns; c++) {
			int r = add_cell(t, c, json_object_array_get_idx(rows, i));

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* One cell; *used is how far the line has come. */
static int append_cell(Buf *b, const Table *t, size_t c, const char *text, size_t *used)
{
	size_t len = strlen(text), width = text_width(text, len);
	size_t pad = t->widths[c] > width ? t->widths[c] - width : 0;
	bool last = c + 1 == t->n_columns, right = t->columns[c].right;
	bool cut = last && t->width > *used && width > t->width - *used;
	int r = right ? buf_printf(b, "%*s", (int)pad, "") : 0;

	if (cut)
		len = text_fit(text, len, t->width - *used - 1);
	if (r == 0)
		r = buf_append(b, text, len);
	if (r == 0 && cut)
		r = buf_append_str(b, "…");
	if (r < 0 || last)
		return r;
	*used += t->widths[c] + GAP;
	return buf_printf(b, "%*s", (int)((right ? 0 : pad) + GAP), "");
}

static int append_titles(const Table *t, Buf *b)
{
	size_t used = 0;
	int r = 0;

	for (size_t c = 0; r == 0 && c < t->n_columns; c++)
		r = append_cell(b, t, c, t->columns[c].title, &used);
	return r < 0 ? r : buf_append_char(b, '\n');
}

static int append_rows(const Table *t, Buf *b)
{
	const char *cell = t->cells.data;
	const char *end = cell ? cell + t->cells.len : NULL;
	int r = 0;

	while (r == 0 && cell < end) {
		size_t used = 0;

		for (size_t c = 0; r == 0 && c < t->n_columns; c++) {
			r = append_cell(b, t, c, cell, &used);
			cell += strlen(cell) + 1;
		}
		if (r == 0)
			r = buf_append_char(b, '\n');
	}
	return r;
}

int render_text_lines(const TextColumn *columns, json_object *rows, size_t width, Buf *b)
{
	Table t = { .columns = columns, .width = width };
	int r;

	while (columns[t.n_columns].title) {
		t.widths[t.n_columns] = strlen(columns[t.n_columns].title);
		t.n_columns++;
	}
	r = json_object_is_type(rows, json_type_array) ? collect(&t, rows) : -EBADMSG;
	if (r == 0)
		r = append_titles(&t, b);
	if (r == 0)
		r = append_rows(&t, b);
	buf_done(&t.cells);
	return r;
}

void render_text_table(Output *o, const TextColumn *columns, json_object *rows, bool whole)
{
	_cleanup_buf_ Buf lines = { 0 };
	int r = render_text_lines(columns, rows, whole ? 0 : o->width, &lines);
	const char *newline = r == 0 && lines.data ? memchr(lines.data, '\n', lines.len) : NULL;
	size_t titles;

	if (!newline) {
		if (o->error == 0)
			o->error = r;
		return;
	}
	titles = (size_t)(newline - lines.data);
	output_color(o, COLOR_BOLD);
	output_put(o, lines.data, titles);
	output_color(o, COLOR_NONE);
	output_put(o, lines.data + titles, lines.len - titles);
}

static size_t widest_key(json_object *object)
{
	struct json_object_iterator it = json_object_iter_begin(object);
	struct json_object_iterator end = json_object_iter_end(object);
	size_t widest = 0;

	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it)) {
		const char *key = json_object_iter_peek_name(&it);
		size_t width = text_width(key, strlen(key));

		if (width > widest && width < MAX_KEY_WIDTH)
			widest = width;
	}
	return widest;
}

static void put_field(Output *o, json_object *object, const char *key, size_t widest)
{
	_cleanup_buf_ Buf cell = { 0 };
	size_t width = text_width(key, strlen(key));

	if (render_text_cell(object, key, &cell) < 0)
		return;
	output_color(o, COLOR_BOLD);
	output_safe(o, key, strlen(key));
	output_color(o, COLOR_NONE);
	output_printf(o, "%*s", (int)((widest > width ? widest - width : 0) + GAP), "");
	output_put(o, cell.data ? cell.data : "", cell.len);
	output_put(o, "\n", 1);
}

void render_text_fields(Output *o, json_object *object)
{
	struct json_object_iterator it, end;
	size_t widest;

	if (!json_object_is_type(object, json_type_object))
		return;
	widest = widest_key(object);
	it = json_object_iter_begin(object);
	end = json_object_iter_end(object);
	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it))
		put_field(o, object, json_object_iter_peek_name(&it), widest);
}

static void text_result(Output *o, OutputView view, json_object *result)
{
	view(o, result);
}

static void text_error(Output *o _unused_, const char *message, json_object *error _unused_)
{
	output_say("%s", message);
}

const OutputOps output_text_ops = {
	.result = text_result,
	.stream_begin = render_stream_begin,
	.event = render_stream_event,
	.notice = render_stream_notice,
	.due_ms = render_stream_due_ms,
	.idle = render_stream_idle,
	.stream_end = render_stream_end,
	.error = text_error,
};
