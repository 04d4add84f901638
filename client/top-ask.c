#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/top.h"
#include "common/clock.h"
#include "common/json-writer.h"
#include "common/jsonx.h"

#define LIST_EVERY_US  USEC_PER_SEC
#define MESSAGE_FOR_US (5 * USEC_PER_SEC)

void top_say(Top *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(t->message, sizeof(t->message), format, ap);
	va_end(ap);
	t->message_until_us = clock_monotonic_us() + MESSAGE_FOR_US;
	t->dirty = true;
}

int top_ask_list(Top *t, uint64_t now_us)
{
	TopAsk what = t->page == TOP_PAGE_PROVIDERS ? TOP_ASK_PROVIDERS : TOP_ASK_SUBSCRIBERS;

	if (t->page == TOP_PAGE_AGENTS || t->asked[what] > 0 ||
		(t->listed_us > 0 && now_us - t->listed_us < LIST_EVERY_US))
		return 0;
	t->listed_us = now_us;
	return follow_ask(t->follow,
		what == TOP_ASK_PROVIDERS ? "provider.list" : "subscriber.list", NULL,
		&t->asked[what]);
}

int top_ask_cancel(Top *t, const char *agent_id)
{
	_cleanup_buf_ Buf params = { 0 };
	JsonWriter w;
	int r;

	jw_init(&w, &params);
	jw_object_begin(&w);
	jw_key_cstring(&w, "agent_id", agent_id);
	jw_object_end(&w);
	r = jw_finish(&w);
	if (r == 0)
		r = follow_ask(t->follow, "agent.cancel", &params, &t->asked[TOP_ASK_CANCEL]);
	if (r == 0 && t->asked[TOP_ASK_CANCEL] == 0)
		top_say(t, "not cancelled: the daemon is away");
	return r;
}

int top_ask_stream(Top *t)
{
	_cleanup_buf_ Buf params = { 0 };
	int r;

	if (!top_stream_is_open(&t->stream) || !t->stream.reading)
		return 0;
	r = top_stream_write_page(&t->stream, &params);
	return r < 0 ? r : follow_ask(t->follow, "events.read", &params, &t->asked[TOP_ASK_STREAM]);
}

void top_forget_asked(Top *t)
{
	memset(t->asked, 0, sizeof(t->asked));
}

/* ---- Replies ---- */

static void take_list(Top *t, TopPage page, json_object *result)
{
	json_object_put(t->lists[page]);
	t->lists[page] = json_object_get(result);
}

static int take_page(Top *t, json_object *page)
{
	int r = top_stream_add_page(&t->stream, page, t->model.newest_seq);

	return r < 0 ? r : top_ask_stream(t);
}

static int on_result(Top *t, TopAsk what, json_object *result)
{
	const char *id, *state;

	switch (what) {
	case TOP_ASK_PROVIDERS:
		take_list(t, TOP_PAGE_PROVIDERS, result);
		return 0;
	case TOP_ASK_SUBSCRIBERS:
		take_list(t, TOP_PAGE_SUBSCRIBERS, result);
		return 0;
	case TOP_ASK_CANCEL:
		id = jsonx_get_string(result, "agent_id", NULL);
		state = jsonx_get_string(result, "state", NULL);
		top_say(t, "%.8s: %s", id ? id : "?", state ? state : "?");
		return 0;
	default:
		return take_page(t, result);
	}
}

/* Retention has taken what the page was to begin with: it begins later. */
static bool was_pruned(Top *t, json_object *error)
{
	json_object *data = jsonx_get(error, "data", json_type_object);
	uint64_t oldest = jsonx_get_uint(data, "oldest_seq", 0);

	if (oldest == 0 || oldest - 1 <= t->stream.seq)
		return false;
	t->stream.seq = oldest - 1;
	return true;
}

static int on_error(Top *t, TopAsk what, json_object *error)
{
	const char *message = jsonx_get_string(error, "message", NULL);

	if (what == TOP_ASK_STREAM && was_pruned(t, error))
		return top_ask_stream(t);
	if (what == TOP_ASK_STREAM)
		t->stream.reading = false;
	if (!message)
		message = "the daemon refused it";
	if (what == TOP_ASK_CANCEL)
		top_say(t, "not cancelled: %s", message);
	else
		top_say(t, "%s", message);
	return 0;
}

int top_on_reply(Top *t, const FollowItem *item)
{
	for (TopAsk what = 0; what < _TOP_ASK_MAX; what++) {
		if (item->id == 0 || t->asked[what] != item->id)
			continue;
		t->asked[what] = 0;
		t->dirty = true;
		return item->error ? on_error(t, what, item->error)
				   : on_result(t, what, item->result);
	}
	return 0;
}
