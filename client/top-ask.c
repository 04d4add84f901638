#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/top.h"
#include "common/clock.h"
#include "common/json-writer.h"
#include "common/jsonx.h"

#define LIST_EVERY_US  USEC_PER_SEC
/* After a page that had nothing more to come, though something has come by now. */
#define CATCH_UP_US    (100 * USEC_PER_MSEC)
#define RETRY_US       USEC_PER_SEC
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

static bool is_wanted(const Top *t, TopAsk what)
{
	if (!t->connected || t->asked[what] > 0)
		return false;
	switch (what) {
	case TOP_ASK_PROVIDERS:
		return t->page == TOP_PAGE_PROVIDERS;
	case TOP_ASK_SUBSCRIBERS:
		return t->page == TOP_PAGE_SUBSCRIBERS;
	case TOP_ASK_STREAM:
		return top_stream_is_open(&t->stream) && t->stream.reading;
	case TOP_ASK_SNAPSHOT:
		return t->snapshot.owed;
	default:
		return false;
	}
}

static int ask(Top *t, TopAsk what, uint64_t now_us)
{
	static const char *const methods[_TOP_ASK_MAX] = {
		[TOP_ASK_PROVIDERS] = "provider.list",
		[TOP_ASK_SUBSCRIBERS] = "subscriber.list",
		[TOP_ASK_STREAM] = "events.read",
		[TOP_ASK_SNAPSHOT] = "agent.list",
	};
	_cleanup_buf_ Buf params = { 0 };
	int r = 0;

	if (what == TOP_ASK_STREAM)
		r = top_stream_write_page(&t->stream, &params);
	else if (what == TOP_ASK_SNAPSHOT)
		r = top_snapshot_write_page(t, now_us, &params);
	else
		t->due_us[what] = now_us + LIST_EVERY_US;
	return r < 0 ? r : follow_ask(t->follow, methods[what], &params, &t->asked[what]);
}

int top_ask_wanted(Top *t, uint64_t now_us)
{
	int r = 0;

	for (TopAsk what = 0; r == 0 && what < _TOP_ASK_MAX; what++)
		if (is_wanted(t, what) && now_us >= t->due_us[what])
			r = ask(t, what, now_us);
	return r;
}

uint64_t top_ask_due_us(const Top *t)
{
	uint64_t due_us = UINT64_MAX;

	for (TopAsk what = 0; what < _TOP_ASK_MAX; what++)
		if (is_wanted(t, what) && t->due_us[what] < due_us)
			due_us = t->due_us[what];
	return due_us;
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

void top_forget_asked(Top *t)
{
	memset(t->asked, 0, sizeof(t->asked));
	memset(t->due_us, 0, sizeof(t->due_us));
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

	t->due_us[TOP_ASK_STREAM] = r > 0 ? 0 : clock_monotonic_us() + CATCH_UP_US;
	return r < 0 ? r : 0;
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
	case TOP_ASK_SNAPSHOT:
		t->due_us[what] = 0;
		return top_snapshot_add_page(t, result);
	default:
		return take_page(t, result);
	}
}

/* What is not to be had is passed over, and that is said where it is missing. */
static int on_page_refused(Top *t, json_object *error, const char *message)
{
	_cleanup_buf_ Buf what = { 0 };
	json_object *data = jsonx_get(error, "data", json_type_object);
	uint64_t oldest = jsonx_get_uint(data, "oldest_seq", 0);
	int r;

	/* Retention has taken what the page was to begin with: it begins later. */
	if (oldest > 0 && oldest - 1 > t->stream.seq)
		return top_stream_skip(&t->stream, oldest - 1, "are gone");
	t->stream.reading = false;
	r = buf_printf(&what, "cannot be read: %s", message);
	if (r == 0)
		r = buf_terminate(&what);
	return r < 0 ? r : top_stream_skip(&t->stream, t->model.newest_seq, what.data);
}

static int on_error(Top *t, TopAsk what, json_object *error)
{
	json_object *data = jsonx_get(error, "data", json_type_object);
	const char *message = jsonx_get_string(error, "message", NULL);

	if (!message)
		message = "the daemon refused it";
	if (what == TOP_ASK_CANCEL) {
		top_say(t, "not cancelled: %s", message);
		return 0;
	}
	if (jsonx_get_bool(data, "retryable", false))
		t->due_us[what] = clock_monotonic_us() + RETRY_US;
	else if (what == TOP_ASK_STREAM)
		return on_page_refused(t, error, message);
	else if (what == TOP_ASK_SNAPSHOT)
		return context_refused(t->ctx, NULL, error);
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
