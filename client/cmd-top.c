#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client/command.h"
#include "client/filter.h"
#include "client/interrupt.h"
#include "client/screen.h"
#include "client/top.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* No more than ten pictures a second: more cannot be told apart, and a slow line would lag behind.
 */
#define DRAW_EVERY_US (100 * USEC_PER_MSEC)
/* Events are taken for so long before keys have their turn. */
#define SLICE_US      (50 * USEC_PER_MSEC)
/* Who presses Ctrl-C again and again wants out, but with a terminal that works. */
#define PATIENCE      5

enum {
	OPT_SORT,
	OPT_GROUP,
	OPT_CORRELATION_ID,
	OPT_LABEL,
};

static const Option options[] = {
	[OPT_SORT] = { .name = "sort",
		.letter = 's',
		.kind = OPTION_STRING,
		.arg = "COLUMN",
		.help = "begin with this order: state, age, rate, bytes, backend, group or id",
		.choices = top_order_names },
	[OPT_GROUP] = FILTER_OPTION_GROUP,
	[OPT_CORRELATION_ID] = FILTER_OPTION_CORRELATION_ID,
	[OPT_LABEL] = FILTER_OPTION_LABEL,
	{ 0 },
};

/* ---- Events ---- */

/* Where the subscription is to begin: before the snapshot, which knows what it has from before. */
static int find_newest_seq(Top *t)
{
	_cleanup_json_ json_object *status = NULL;
	json_object *log;
	int r;

	r = context_call(t->ctx, "daemon.status", NULL, &status);
	if (r != 0)
		return r;
	log = jsonx_get(status, "log", json_type_object);
	if (!jsonx_get(log, "newest_seq", json_type_int))
		return context_lost(t->ctx, -EBADMSG);
	t->model.newest_seq = jsonx_get_uint(log, "newest_seq", 0);
	/* From here on everything goes over the subscription's connection. */
	call_free(t->ctx->call);
	t->ctx->call = NULL;
	return 0;
}

static int on_event(Top *t, json_object *event)
{
	int r = top_model_event(&t->model, event);

	return r < 0 ? r : top_stream_event(&t->stream, event);
}

/* What became of agents within the gap is not known: they are asked for anew. */
static int on_gap(Top *t, const FollowItem *item)
{
	top_say(t, "gap: events %" PRIu64 " to %" PRIu64 " are gone", item->from, item->to);
	top_snapshot_want(t, item->to);
	if (item->to > t->model.newest_seq)
		t->model.newest_seq = item->to;
	/* Pages that are still to come say it themselves. */
	if (!top_stream_is_open(&t->stream) || t->stream.reading)
		return 0;
	return top_stream_skip(&t->stream, item->to, "are gone");
}

/* What was known of the old log is worth nothing; the new one is told from its beginning. */
static void on_replaced(Top *t)
{
	top_model_clear(&t->model);
	top_stream_close(&t->stream);
	t->snapshot = (TopSnapshot){ 0 };
}

static int on_item(Top *t, const FollowItem *item)
{
	t->dirty = true;
	switch (item->kind) {
	case FOLLOW_EVENT:
		return on_event(t, item->event);
	case FOLLOW_REPLY:
		return top_on_reply(t, item);
	case FOLLOW_GAP:
		return on_gap(t, item);
	case FOLLOW_LOST:
		t->connected = false;
		top_forget_asked(t);
		return 0;
	case FOLLOW_REPLACED:
		on_replaced(t);
		return 0;
	case FOLLOW_BACK:
	case FOLLOW_LIVE:
		t->connected = true;
		return 0;
	default:
		return 0;
	}
}

static int take_events(Top *t, bool *ret_more)
{
	uint64_t until_us = clock_monotonic_us() + SLICE_US;

	*ret_more = false;
	do {
		FollowItem item;
		int r = follow_poll(t->follow, &item);

		if (r != 0)
			return r;
		if (item.kind == FOLLOW_IDLE)
			return 0;
		r = on_item(t, &item);
		if (r != 0)
			return r;
	} while (clock_monotonic_us() < until_us);
	*ret_more = true;
	return 0;
}

/* ---- The loop ---- */

static uint64_t time_until(uint64_t due_us, uint64_t now_us)
{
	return due_us > now_us ? due_us - now_us : 0;
}

/* How long there is nothing to do unless something comes. */
static int idle_ms(const Top *t, uint64_t drawn_us, uint64_t now_us)
{
	uint64_t due_us = t->model.ticked_us + USEC_PER_SEC, wait_us;
	int ms, due_ms = follow_due_ms(t->follow);

	if (t->dirty && drawn_us + DRAW_EVERY_US < due_us)
		due_us = drawn_us + DRAW_EVERY_US;
	if (top_ask_due_us(t) < due_us)
		due_us = top_ask_due_us(t);
	wait_us = time_until(due_us, now_us);
	ms = (int)((wait_us + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
	return due_ms != CALL_FOREVER && due_ms < ms ? due_ms : ms;
}

static int wait_for_something(Top *t, int timeout_ms)
{
	struct pollfd p[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = follow_fd(t->follow), .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN },
	};
	int r = screen_wait(p, ARRAY_SIZE(p), timeout_ms);

	if (interrupt_take() != 0)
		return -EINTR;
	if (r < 0)
		return r == -EINTR ? 0 : r;
	return p[0].revents & (POLLHUP | POLLERR | POLLNVAL) ? -EPIPE : 0;
}

static int take_keys(Top *t)
{
	int key, r = 0;

	while (r == 0 && !t->leaving && (key = screen_key()) != SCREEN_KEY_NONE)
		r = top_on_key(t, key);
	return r;
}

static int draw_if_due(Top *t, uint64_t *drawn_us)
{
	uint64_t now_us = clock_monotonic_us();

	/* Ages go on, and a message goes away. */
	if (top_model_tick(&t->model, now_us))
		t->dirty = true;
	if (screen_resize())
		t->dirty = true;
	if (!t->dirty || now_us - *drawn_us < DRAW_EVERY_US)
		return 0;
	*drawn_us = now_us;
	t->dirty = false;
	return top_draw(t, now_us);
}

static int loop(Top *t)
{
	uint64_t drawn_us = 0;

	while (!t->leaving) {
		bool more;
		int r = take_events(t, &more);

		if (r == 0)
			r = take_keys(t);
		if (r == 0)
			r = top_ask_wanted(t, clock_monotonic_us());
		if (r == 0)
			r = draw_if_due(t, &drawn_us);
		if (r == 0 && !t->leaving)
			r = wait_for_something(
				t, more ? 0 : idle_ms(t, drawn_us, clock_monotonic_us()));
		if (r != 0)
			return r;
	}
	return 0;
}

/* What is to be said has to be read: the screen goes first. */
static void tell_error(Output *o, const char *message, json_object *error)
{
	screen_close();
	output_text_ops.error(o, message, error);
}

static int show(Top *t)
{
	static const OutputOps ops = { .error = tell_error };
	const OutputOps *before = t->ctx->out.ops;
	_cleanup_buf_ Buf why = { 0 };
	int r;

	r = interrupt_catch_quit();
	if (r == 0)
		r = screen_open(t->ctx->out.color, &why);
	if (r == -ENOENT)
		return context_fail(t->ctx, EXIT_CODE_FAILED, "%.*s", (int)why.len, why.data);
	if (r < 0)
		return r;
	interrupt_set_patience(PATIENCE);
	t->ctx->out.ops = &ops;
	r = loop(t);
	screen_close();
	t->ctx->out.ops = before;
	return r;
}

static int run_top(Top *t, const Filter *filter)
{
	FollowRequest request = { .filter = filter, .has_after = true, .wants_replies = true };
	int r;

	t->filter_asked = filter;
	top_snapshot_want(t, 0);
	r = find_newest_seq(t);
	request.after = t->model.newest_seq;
	if (r == 0)
		r = follow_new(t->ctx, &request, &t->follow);
	if (r == 0) {
		t->connected = true;
		r = show(t);
	}
	follow_free(t->follow);
	return r;
}

static void done(Top *t)
{
	top_stream_close(&t->stream);
	top_model_done(&t->model);
	for (size_t i = 0; i < ARRAY_SIZE(t->lists); i++)
		json_object_put(t->lists[i]);
	free(t);
}
DEFINE_CLEANUP(Top *, done)

static int run(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	_cleanup_(done_p) Top *t = NULL;
	_cleanup_filter_ Filter filter = { .correlation_id = v[OPT_CORRELATION_ID].string };
	int r;

	if (ctx->out.json || !ctx->out.terminal || isatty(STDIN_FILENO) != 1)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"top draws on a terminal, and this is none; `liongatectl watch` and "
			"`liongatectl list` say the same as text, or with --json");
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->ctx = ctx;
	r = top_model_init(&t->model, v[OPT_GROUP].string);
	/* The table of options has let nothing through that is no order. */
	if (r == 0 && v[OPT_SORT].set)
		t->order = (TopOrder)top_order_from_string(v[OPT_SORT].string);
	if (r == 0)
		r = filter_set_labels(ctx, &filter, &v[OPT_LABEL]);
	return r != 0 ? r : run_top(t, &filter);
}

const Command command_top = {
	.name = "top",
	.summary = "Show agents at work on the whole screen, live",
	.details =
		"Each agent with its state, its age, how fast it writes, how much it has written,\n"
		"and its last line; totals, and a line of bars for events a second. Keys sort and\n"
		"filter, open an agent to watch what it writes, and cancel it after a question;\n"
		"further pages have providers and subscribers. `h` shows the keys, `q` leaves.\n"
		"Of the agents that have ended, the newest 200 are listed at first, and the last\n"
		"1000 stay; totals count all that were listed.\n"
		"It needs the library ncurses and a terminal, of 80 columns and 24 lines or any\n"
		"other size. When the daemon is restarted it waits, and goes on.\n",
	.example = "  liongatectl top\n"
		   "  liongatectl top --sort rate --group nightly\n",
	.options = options,
	.run = run,
};
