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
	Buf cells; /* every cell, each ended by a NUL, row by row */
	bool whole;
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

/* Puts one cell; `used` is how far the line has come. Returns how far it is then. */
static size_t put_cell(Output *o, const Table *t, size_t c, const char *text, size_t used)
{
	size_t len = strlen(text), width = text_width(text, len);
	size_t pad = t->widths[c] > width ? t->widths[c] - width : 0;
	bool last = c + 1 == t->n_columns;

	if (t->columns[c].right)
		output_printf(o, "%*s", (int)pad, "");
	if (last && !t->whole && o->width > used && width > o->width - used) {
		len = text_fit(text, len, o->width - used - 1);
		output_put(o, text, len);
		output_printf(o, "…");
	} else {
		output_put(o, text, len);
	}
	if (last)
		return used;
	output_printf(o, "%*s", (int)((t->columns[c].right ? 0 : pad) + GAP), "");
	return used + t->widths[c] + GAP;
}

static void put_rows(Output *o, const Table *t)
{
	const char *cell = t->cells.data;
	const char *end = cell ? cell + t->cells.len : NULL;

	while (cell < end) {
		size_t used = 0;

		for (size_t c = 0; c < t->n_columns; c++) {
			used = put_cell(o, t, c, cell, used);
			cell += strlen(cell) + 1;
		}
		output_put(o, "\n", 1);
	}
}

void render_text_table(Output *o, const TextColumn *columns, json_object *rows, bool whole)
{
	Table t = { .columns = columns, .whole = whole };
	size_t used = 0;
	int r;

	while (columns[t.n_columns].title) {
		t.widths[t.n_columns] = strlen(columns[t.n_columns].title);
		t.n_columns++;
	}
	r = json_object_is_type(rows, json_type_array) ? collect(&t, rows) : -EBADMSG;
	if (r == 0) {
		output_color(o, COLOR_BOLD);
		for (size_t c = 0; c < t.n_columns; c++)
			used = put_cell(o, &t, c, columns[c].title, used);
		output_color(o, COLOR_NONE);
		output_put(o, "\n", 1);
		put_rows(o, &t);
	} else if (o->error == 0) {
		o->error = r;
	}
	buf_done(&t.cells);
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
