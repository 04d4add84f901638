/* The screen of `top`: a head of three rows, titles, a body, and the keys below. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/columns.h"
#include "client/provider-view.h"
#include "client/screen.h"
#include "client/subscriber-view.h"
#include "client/text.h"
#include "client/top.h"
#include "common/clock.h"
#include "common/jsonx.h"

#define ROW_TOTALS 0
#define ROW_RATES  1
#define ROW_PAGE   2
#define ROW_TITLES 3
#define ROW_BODY   4

#define SHORT_ID_CHARS 8

/* From this width on there is room for more than the columns that everybody needs. */
#define WIDE 100

static size_t put(size_t row, size_t column, ScreenStyle style, const char *text)
{
	return column + screen_put(row, column, SIZE_MAX, style, text, strlen(text));
}

_printf_(4, 5) static size_t
	put_printf(size_t row, size_t column, ScreenStyle style, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return put(row, column, style, text);
}

/* ---- The head ---- */

static void draw_totals(const Top *t)
{
	size_t column = put(ROW_TOTALS, 0, SCREEN_BOLD, "liongatectl top");
	size_t columns = screen_columns();
	const char *away = " waiting for the daemon ";
	size_t total = 0;

	for (AgentState state = 0; state < _AGENT_STATE_MAX; state++)
		total += t->model.n_by_state[state];
	column = put_printf(ROW_TOTALS, column + 2, SCREEN_PLAIN, "agents: %zu", total);
	for (AgentState state = 0; state < _AGENT_STATE_MAX; state++)
		if (t->model.n_by_state[state] > 0)
			column = put_printf(ROW_TOTALS, column, SCREEN_PLAIN, ", %zu %s",
				t->model.n_by_state[state], agent_state_to_string(state));
	if (!t->connected && columns > strlen(away))
		(void)put(ROW_TOTALS, columns - strlen(away), SCREEN_REVERSE, away);
}

static int draw_rates(const Top *t)
{
	_cleanup_buf_ Buf bars = { 0 };
	char events[TEXT_AMOUNT_MAX], bytes[TEXT_AMOUNT_MAX];
	size_t column;
	int r;

	text_format_amount(t->model.events_rate, events);
	text_format_amount(t->model.bytes_rate, bytes);
	column = put_printf(
		ROW_RATES, 0, SCREEN_PLAIN, "events/s %-5s  bytes/s %-5s  ", events, bytes);
	if (column >= screen_columns())
		return 0;
	r = top_spark_append(&t->model.spark, screen_columns() - column, &bars);
	if (r == 0)
		(void)screen_put(ROW_RATES, column, SIZE_MAX, SCREEN_CYAN, bars.data, bars.len);
	return r;
}

static void draw_pages(const Top *t)
{
	static const char *const names[_TOP_PAGE_MAX] = { " 1 agents ", " 2 providers ",
		" 3 subscribers " };
	size_t column = 0;

	for (TopPage page = 0; page < _TOP_PAGE_MAX; page++)
		column = put(ROW_PAGE, column, page == t->page ? SCREEN_REVERSE : SCREEN_PLAIN,
			names[page]);
	if (t->page != TOP_PAGE_AGENTS)
		return;
	column = put_printf(ROW_PAGE, column + 1, SCREEN_DIM, "sort: %s%s",
		top_order_names[t->order], t->reversed ? " reversed" : "");
	if (t->filter[0])
		(void)put_printf(ROW_PAGE, column + 2, SCREEN_YELLOW, "filter: %s", t->filter);
}

static int draw_head(const Top *t)
{
	draw_totals(t);
	draw_pages(t);
	return draw_rates(t);
}

/* ---- Agents ---- */

static int cell_id(const TopAgent *a, Buf *b)
{
	return text_append_safe(b, a->id, strnlen(a->id, SHORT_ID_CHARS), false);
}

static int cell_state(const TopAgent *a, Buf *b)
{
	return buf_append_str(b, a->waiting ? "waiting" : agent_state_to_string(a->state));
}

static int cell_backend(const TopAgent *a, Buf *b)
{
	return buf_append_str(b, a->backend);
}

static int cell_group(const TopAgent *a, Buf *b)
{
	return text_append_safe(b, a->group, strlen(a->group), false);
}

static int cell_age(const TopAgent *a, Buf *b)
{
	uint64_t now = clock_realtime_us();
	char age[TEXT_AGE_MAX];

	text_format_age(now > a->spawned_us ? (now - a->spawned_us) / USEC_PER_MSEC : 0, age);
	return buf_append_str(b, age);
}

static int append_amount(double amount, Buf *b)
{
	char text[TEXT_AMOUNT_MAX];

	text_format_amount(amount, text);
	return buf_append_str(b, text);
}

static int cell_rate(const TopAgent *a, Buf *b)
{
	return append_amount(a->rate, b);
}

static int cell_bytes(const TopAgent *a, Buf *b)
{
	return append_amount((double)a->bytes, b);
}

/* Until it has written anything, what it was asked. */
static int cell_line(const TopAgent *a, Buf *b)
{
	if (a->line.len > 0)
		return text_append_safe(b, a->line.text, a->line.len, false);
	return text_append_safe(b, a->prompt, strlen(a->prompt), false);
}

static const struct {
	const char *title;
	size_t width; /* 0: the rest */
	bool right, wide_only;
	int (*cell)(const TopAgent *a, Buf *b);
} agent_columns[] = {
	{ "ID", SHORT_ID_CHARS, false, false, cell_id },
	{ "STATE", 9, false, false, cell_state },
	{ "BACKEND", 9, false, false, cell_backend },
	{ "GROUP", 12, false, true, cell_group },
	{ "AGE", 5, true, false, cell_age },
	{ "CHUNK/S", 7, true, false, cell_rate },
	{ "BYTES", 5, true, false, cell_bytes },
	{ "LAST LINE", 0, false, false, cell_line },
};

static ScreenStyle state_style(const TopAgent *a)
{
	static const ScreenStyle styles[_AGENT_STATE_MAX] = {
		[AGENT_STATE_QUEUED] = SCREEN_CYAN,
		[AGENT_STATE_RUNNING] = SCREEN_GREEN,
		[AGENT_STATE_COMPLETED] = SCREEN_PLAIN,
		[AGENT_STATE_FAILED] = SCREEN_RED,
		[AGENT_STATE_CANCELLED] = SCREEN_YELLOW,
	};

	return a->waiting ? SCREEN_YELLOW : styles[a->state];
}

/* `a` NULL: the titles. What is selected is of one style. */
static int draw_agent(const TopAgent *a, size_t row, ScreenStyle style)
{
	_cleanup_buf_ Buf cell = { 0 };
	size_t column = 0;

	for (size_t i = 0; i < ARRAY_SIZE(agent_columns); i++) {
		size_t width = agent_columns[i].width, len, pad = 0, skip = 0;
		ScreenStyle own = style;
		int r;

		if (agent_columns[i].wide_only && screen_columns() < WIDE)
			continue;
		buf_clear(&cell, SIZE_MAX);
		r = a ? agent_columns[i].cell(a, &cell)
		      : buf_append_str(&cell, agent_columns[i].title);
		if (r < 0)
			return r;
		len = text_width(cell.data, cell.len);
		if (agent_columns[i].right && len < width)
			pad = width - len;
		if (a && style == SCREEN_PLAIN && agent_columns[i].cell == cell_state)
			own = state_style(a);
		/* Of a line that still grows, the end moves. */
		if (width == 0 && a && a->line.len > 0 && !a->line.ended &&
			screen_columns() > column)
			skip = columns_tail(cell.data, cell.len, screen_columns() - column);
		(void)screen_put(row, column + pad, width > 0 ? width - pad : SIZE_MAX, own,
			cell.data + skip, cell.len - skip);
		column += width + 1;
	}
	return 0;
}

static void keep_in_sight(Top *t, size_t n)
{
	if (t->selected_at < t->first)
		t->first = t->selected_at;
	if (t->body_rows > 0 && t->selected_at >= t->first + t->body_rows)
		t->first = t->selected_at + 1 - t->body_rows;
	if (t->first + t->body_rows > n)
		t->first = n > t->body_rows ? n - t->body_rows : 0;
}

static int draw_agents(Top *t)
{
	TopAgent *const *view;
	ssize_t n = top_model_view(&t->model, t->order, t->reversed, t->filter, &view);
	int r;

	if (n < 0)
		return (int)n;
	top_find_selected(t, view, (size_t)n);
	keep_in_sight(t, (size_t)n);
	screen_bar(ROW_TITLES, SCREEN_REVERSE);
	r = draw_agent(NULL, ROW_TITLES, SCREEN_REVERSE);
	for (size_t i = 0; r == 0 && i < t->body_rows && t->first + i < (size_t)n; i++) {
		bool selected = t->first + i == t->selected_at;

		if (selected)
			screen_bar(ROW_BODY + i, SCREEN_REVERSE);
		r = draw_agent(
			view[t->first + i], ROW_BODY + i, selected ? SCREEN_REVERSE : SCREEN_PLAIN);
	}
	if (n == 0)
		(void)put(ROW_BODY, 0, SCREEN_DIM,
			t->snapshot.owed ? "asking the daemon"
			: t->filter[0]   ? "no agent matches the filter; Esc shows all"
					 : "no agents");
	return r;
}

/* ---- An opened stream ---- */

static int make_safe(const TopStreamLine *line, Buf *b)
{
	int r;

	buf_clear(b, SIZE_MAX);
	r = line->kind == TOP_STREAM_LIFE ? buf_append_str(b, "-- ") : 0;
	return r < 0 ? r : text_append_safe(b, line->text, line->len, false);
}

/* How many rows of the screen it takes. */
static size_t count_rows(const Buf *text)
{
	size_t at = 0, n = 0, used;

	while (at < text->len) {
		at += columns_fit(text->data + at, text->len - at, screen_columns(), &used);
		n++;
	}
	return n > 0 ? n : 1;
}

/* Its first row is `row` of the body, which may be above it. */
static void draw_rows(const Top *t, const Buf *text, ssize_t row, ScreenStyle style)
{
	size_t at = 0, used;

	for (; at < text->len && row < (ssize_t)t->body_rows; row++) {
		size_t n = columns_fit(text->data + at, text->len - at, screen_columns(), &used);

		if (row >= 0)
			(void)screen_put(
				ROW_BODY + (size_t)row, 0, SIZE_MAX, style, text->data + at, n);
		at += n;
	}
}

/* How many rows the `n` newest lines take, counted until `enough`. */
static ssize_t measure(const TopStream *s, size_t n, size_t enough, Buf *scratch)
{
	const TopStreamLine *line;
	size_t rows = 0;

	for (size_t age = 0; age < n && rows < enough && (line = top_stream_line(s, age)); age++) {
		int r = make_safe(line, scratch);

		if (r < 0)
			return r;
		rows += count_rows(scratch);
	}
	return (ssize_t)rows;
}

static int draw_lines(Top *t, size_t rows)
{
	static const ScreenStyle styles[] = {
		[TOP_STREAM_OUTPUT] = SCREEN_PLAIN,
		[TOP_STREAM_ERROR] = SCREEN_RED,
		[TOP_STREAM_REASONING] = SCREEN_DIM,
		[TOP_STREAM_TOOL_CALL] = SCREEN_CYAN,
		[TOP_STREAM_LIFE] = SCREEN_YELLOW,
	};
	_cleanup_buf_ Buf text = { 0 };
	const TopStreamLine *line;
	/* What does not fill the body stands at its top. */
	size_t below = rows < t->body_rows ? rows : t->body_rows + t->stream.scroll;
	ssize_t row = (ssize_t)below;

	for (size_t age = 0; row > 0 && (line = top_stream_line(&t->stream, age)); age++) {
		int r = make_safe(line, &text);

		if (r < 0)
			return r;
		row -= (ssize_t)count_rows(&text);
		draw_rows(t, &text, row, styles[line->kind]);
	}
	return 0;
}

/* What is scrolled back stays where it is, whatever has come below it since it was drawn. */
static int stay(TopStream *s, Buf *scratch)
{
	size_t n = (size_t)(s->begun - s->drawn_begun) + 1;
	ssize_t rows = s->scroll > 0 ? measure(s, n, SIZE_MAX, scratch) : 0;

	if (rows < 0)
		return (int)rows;
	if ((size_t)rows > s->drawn_rows && s->scroll < SIZE_MAX - (size_t)rows)
		s->scroll += (size_t)rows - s->drawn_rows;
	rows = measure(s, 1, SIZE_MAX, scratch);
	if (rows < 0)
		return (int)rows;
	s->drawn_begun = s->begun;
	s->drawn_rows = (size_t)rows;
	return 0;
}

static int draw_stream(Top *t)
{
	_cleanup_buf_ Buf scratch = { 0 };
	TopStream *s = &t->stream;
	const TopAgent *a = top_model_find(&t->model, s->agent_id);
	size_t enough;
	ssize_t rows = stay(s, &scratch);

	if (rows < 0)
		return (int)rows;
	enough = SIZE_MAX - t->body_rows > s->scroll ? s->scroll + t->body_rows : SIZE_MAX;
	rows = measure(s, TOP_STREAM_LINES, enough, &scratch);
	if (rows < 0)
		return (int)rows;
	if ((size_t)rows < enough)
		s->scroll = (size_t)rows > t->body_rows ? (size_t)rows - t->body_rows : 0;
	screen_bar(ROW_TITLES, SCREEN_REVERSE);
	(void)put_printf(ROW_TITLES, 0, SCREEN_REVERSE, "%s  %s%s%s", s->agent_id,
		a ? agent_state_to_string(a->state) : "", s->reading ? "  reading" : "",
		s->scroll > 0 ? "  scrolled: End goes on" : "");
	return draw_lines(t, (size_t)rows);
}

/* ---- The other pages ---- */

/* Lines of which the first is the title; `t->scroll` of the others are passed over. */
static void draw_table(Top *t, const Buf *lines)
{
	const char *p = lines->data, *end = p + lines->len;
	size_t n = 0, row = 0;

	for (const char *q = p; q < end; q++)
		n += *q == '\n';
	if (t->scroll + 1 + t->body_rows > n || t->scroll > n)
		t->scroll = n > t->body_rows + 1 ? n - t->body_rows - 1 : 0;
	screen_bar(ROW_TITLES, SCREEN_REVERSE);
	for (; p < end && row < 1 + t->scroll + t->body_rows; row++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((newline ? newline : end) - p);

		if (row == 0)
			(void)screen_put(ROW_TITLES, 0, SIZE_MAX, SCREEN_REVERSE, p, len);
		else if (row > t->scroll)
			(void)screen_put(
				ROW_BODY + row - 1 - t->scroll, 0, SIZE_MAX, SCREEN_PLAIN, p, len);
		p += len + 1;
	}
}

static int draw_list(Top *t)
{
	_cleanup_buf_ Buf lines = { 0 };
	bool providers = t->page == TOP_PAGE_PROVIDERS;
	json_object *rows = jsonx_get(
		t->lists[t->page], providers ? "providers" : "subscribers", json_type_array);
	int r;

	if (!rows) {
		(void)put(ROW_BODY, 0, SCREEN_DIM, "asking the daemon");
		return 0;
	}
	r = render_text_lines(providers ? provider_columns : subscriber_columns, rows, 0, &lines);
	if (r == 0)
		draw_table(t, &lines);
	if (r == 0 && json_object_array_length(rows) == 0)
		(void)put(ROW_BODY, 0, SCREEN_DIM, "none");
	if (r == 0 && jsonx_member(t->lists[t->page], "next", NULL))
		(void)put(ROW_PAGE, 40, SCREEN_DIM, "there are more");
	return r;
}

/* ---- Help, and the keys ---- */

static void draw_help(void)
{
	static const char *const lines[] = {
		"j k, arrows, PgUp PgDn, Home End   move; in a stream and a list, scroll",
		"Enter      open the agent's stream",
		"Esc, q     back; q in the list of agents leaves",
		"s, S       sort by the next column; the other way round",
		"/          show only agents that have this in their id, backend, group,",
		"           correlation id, labels or state; Esc shows all",
		"x, c       cancel the agent, after a question",
		"Tab, 1 2 3 agents, providers, subscribers",
		"h, ?       this help",
		"",
		"CHUNK/S is an average of the last seconds. AGE counts from the spawn. LAST LINE",
		"is the prompt until it writes while top runs; the error if it has failed.",
		"Totals count all that were listed: 200 of those that ended before, all since.",
		"The bars are events a second, the greatest as high as there is room.",
	};
	size_t last = screen_rows() - 1;

	for (size_t i = 0; i < ARRAY_SIZE(lines) && i < last; i++)
		(void)put(i, 0, SCREEN_PLAIN, lines[i]);
	(void)put(last, 0, SCREEN_DIM, "any key goes back");
}

static void draw_foot(const Top *t, uint64_t now_us)
{
	size_t row = screen_rows() - 1;

	if (t->mode == TOP_MODE_CONFIRM) {
		(void)put_printf(row, 0, SCREEN_BOLD, "cancel %.8s? y/n", t->target);
		return;
	}
	if (t->mode == TOP_MODE_FILTER) {
		(void)put_printf(row, 0, SCREEN_BOLD, "filter: %s_   Enter keeps it, Esc drops it",
			t->filter);
		return;
	}
	if (now_us < t->message_until_us) {
		(void)put(row, 0, SCREEN_YELLOW, t->message);
		return;
	}
	(void)put(row, 0, SCREEN_DIM,
		top_stream_is_open(&t->stream)
			? "arrows PgUp PgDn scroll  x cancel  Esc back  h help"
			: "q quit  Enter open  / filter  s sort  x cancel  Tab pages  h help");
}

int top_draw(Top *t, uint64_t now_us)
{
	size_t rows = screen_rows();
	int r;

	t->body_rows = rows > ROW_BODY + 1 ? rows - ROW_BODY - 1 : 0;
	screen_erase();
	if (t->mode == TOP_MODE_HELP) {
		draw_help();
		screen_refresh();
		return 0;
	}
	r = draw_head(t);
	if (r == 0 && t->page != TOP_PAGE_AGENTS)
		r = draw_list(t);
	else if (r == 0)
		r = top_stream_is_open(&t->stream) ? draw_stream(t) : draw_agents(t);
	draw_foot(t, now_us);
	screen_refresh();
	return r;
}
