#include <limits.h>
#include <string.h>

#include "client/screen.h"
#include "client/top.h"
#include "common/utf8.h"

/* Keys are looked up in tables, one for what is on the screen: help and footer name the same. */
typedef struct TopKey {
	int key;
	int (*press)(Top *t);
} TopKey;

static int leave(Top *t)
{
	t->leaving = true;
	return 0;
}

static int help(Top *t)
{
	t->mode = TOP_MODE_HELP;
	return 0;
}

/* ---- Which page ---- */

static int show_page(Top *t, TopPage page)
{
	t->page = page;
	t->scroll = 0;
	t->due_us[TOP_ASK_PROVIDERS] = t->due_us[TOP_ASK_SUBSCRIBERS] = 0;
	return 0;
}

static int show_agents(Top *t)
{
	return show_page(t, TOP_PAGE_AGENTS);
}

static int show_providers(Top *t)
{
	return show_page(t, TOP_PAGE_PROVIDERS);
}

static int show_subscribers(Top *t)
{
	return show_page(t, TOP_PAGE_SUBSCRIBERS);
}

static int show_next(Top *t)
{
	return show_page(t, (t->page + 1) % _TOP_PAGE_MAX);
}

/* ---- Which agent ---- */

void top_find_selected(Top *t, TopAgent *const *view, size_t n)
{
	size_t at = t->picked ? 0 : n;

	while (at < n && strcmp(view[at]->id, t->selected) != 0)
		at++;
	if (at < n)
		t->selected_at = at;
	else if (!t->picked)
		t->selected_at = 0;
	else if (t->selected_at >= n)
		t->selected_at = n > 0 ? n - 1 : 0;
	if (n > 0)
		memcpy(t->selected, view[t->selected_at]->id, sizeof(t->selected));
	else
		t->selected[0] = '\0';
}

/* By so many rows; the ends of the list are as far as it goes. */
static int select_by(Top *t, ssize_t rows)
{
	TopAgent *const *view;
	ssize_t n = top_model_view(&t->model, t->order, t->reversed, t->filter, &view);
	ssize_t at;

	if (n <= 0)
		return (int)n;
	top_find_selected(t, view, (size_t)n);
	at = (ssize_t)t->selected_at + rows;
	if (at >= n)
		at = n - 1;
	if (at < 0)
		at = 0;
	memcpy(t->selected, view[at]->id, sizeof(t->selected));
	t->selected_at = (size_t)at;
	t->picked = at > 0;
	return 0;
}

/* Of a page, or of a stream, whose end is below. */
static int scroll_by(Top *t, ssize_t rows)
{
	bool stream = top_stream_is_open(&t->stream);
	size_t *scroll = stream ? &t->stream.scroll : &t->scroll;
	size_t distance = (size_t)(rows < 0 ? -rows : rows);
	bool further = stream ? rows < 0 : rows > 0;

	if (further)
		*scroll = distance > SIZE_MAX - *scroll ? SIZE_MAX : *scroll + distance;
	else
		*scroll = distance > *scroll ? 0 : *scroll - distance;
	return 0;
}

static int move(Top *t, ssize_t rows)
{
	if (t->page == TOP_PAGE_AGENTS && !top_stream_is_open(&t->stream))
		return select_by(t, rows);
	return scroll_by(t, rows);
}

static int up(Top *t)
{
	return move(t, -1);
}

static int down(Top *t)
{
	return move(t, 1);
}

static int page_up(Top *t)
{
	return move(t, -(ssize_t)t->body_rows);
}

static int page_down(Top *t)
{
	return move(t, (ssize_t)t->body_rows);
}

/* Further than any list reaches, and half as far as a ssize_t does. */
#define FAR (SSIZE_MAX / 2)

static int home(Top *t)
{
	return move(t, -FAR);
}

static int end(Top *t)
{
	return move(t, FAR);
}

/* ---- What is done with it ---- */

static int open_stream(Top *t)
{
	const TopAgent *a = top_model_find(&t->model, t->selected);

	if (t->page != TOP_PAGE_AGENTS || !a)
		return 0;
	t->due_us[TOP_ASK_STREAM] = 0;
	return top_stream_open(&t->stream, a->id, a->first_seq, a->last_seq);
}

static int close_stream(Top *t)
{
	t->asked[TOP_ASK_STREAM] = 0;
	top_stream_close(&t->stream);
	return 0;
}

static int ask_whether_to_cancel(Top *t)
{
	const char *id = top_stream_is_open(&t->stream) ? t->stream.agent_id : t->selected;
	const TopAgent *a = top_model_find(&t->model, id);

	if (t->page != TOP_PAGE_AGENTS || !a)
		return 0;
	if (agent_state_is_final(a->state)) {
		top_say(t, "%.8s has ended", a->id);
		return 0;
	}
	memcpy(t->target, a->id, sizeof(t->target));
	t->mode = TOP_MODE_CONFIRM;
	return 0;
}

static int sort_by_next(Top *t)
{
	t->order = (t->order + 1) % _TOP_ORDER_MAX;
	return 0;
}

static int sort_reversed(Top *t)
{
	t->reversed = !t->reversed;
	return 0;
}

static int begin_filter(Top *t)
{
	t->page = TOP_PAGE_AGENTS;
	t->mode = TOP_MODE_FILTER;
	return 0;
}

/* One step back: from a page to the agents, from a filter to all of them. */
static int step_back(Top *t)
{
	if (t->page != TOP_PAGE_AGENTS)
		return show_agents(t);
	t->filter[0] = '\0';
	return 0;
}

#define MOVES                                                                                    \
	{ SCREEN_KEY_UP, up }, { 'k', up }, { SCREEN_KEY_DOWN, down }, { 'j', down },            \
		{ SCREEN_KEY_PAGE_UP, page_up }, { SCREEN_KEY_PAGE_DOWN, page_down },            \
		{ SCREEN_KEY_HOME, home }, { 'g', home }, { SCREEN_KEY_END, end }, { 'G', end }, \
		{ 'x', ask_whether_to_cancel }, { 'c', ask_whether_to_cancel }, { 'h', help },   \
	{                                                                                        \
		'?', help                                                                        \
	}

static const TopKey list_keys[] = {
	MOVES,
	{ 'q', leave },
	{ SCREEN_KEY_ESCAPE, step_back },
	{ SCREEN_KEY_ENTER, open_stream },
	{ SCREEN_KEY_TAB, show_next },
	{ '1', show_agents },
	{ '2', show_providers },
	{ '3', show_subscribers },
	{ 's', sort_by_next },
	{ 'S', sort_reversed },
	{ '/', begin_filter },
	{ 0 },
};

static const TopKey stream_keys[] = {
	MOVES,
	{ 'q', close_stream },
	{ SCREEN_KEY_ESCAPE, close_stream },
	{ 0 },
};

static int look_up(Top *t, const TopKey *keys, int key)
{
	for (; keys->press; keys++)
		if (keys->key == key)
			return keys->press(t);
	return 0;
}

/* ---- The other modes ---- */

static void filter_key(Top *t, int key)
{
	size_t len = strlen(t->filter);

	if (key == SCREEN_KEY_ENTER || key == SCREEN_KEY_ESCAPE) {
		t->mode = TOP_MODE_BROWSE;
		if (key == SCREEN_KEY_ESCAPE)
			len = 0;
	} else if (key == SCREEN_KEY_BACKSPACE) {
		while (len > 0 && utf8_is_continuation(t->filter[len - 1]))
			len--;
		len -= len > 0;
	} else if (key >= ' ' && key <= 0xff && len < TOP_FILTER_BYTES) {
		t->filter[len++] = (char)key;
	}
	t->filter[len] = '\0';
}

static int confirm_key(Top *t, int key)
{
	t->mode = TOP_MODE_BROWSE;
	if (key == 'y' || key == 'Y')
		return top_ask_cancel(t, t->target);
	top_say(t, "%.8s goes on", t->target);
	return 0;
}

int top_on_key(Top *t, int key)
{
	t->dirty = true;
	switch (t->mode) {
	case TOP_MODE_FILTER:
		filter_key(t, key);
		return 0;
	case TOP_MODE_CONFIRM:
		return key == SCREEN_KEY_OTHER ? 0 : confirm_key(t, key);
	case TOP_MODE_HELP:
		if (key != SCREEN_KEY_OTHER)
			t->mode = TOP_MODE_BROWSE;
		return 0;
	default:
		return look_up(t, top_stream_is_open(&t->stream) ? stream_keys : list_keys, key);
	}
}
