#include "client/follow.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/interrupt.h"
#include "common/clock.h"
#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/uuid.h"

#define FIRST_PAUSE_MS 50
#define LAST_PAUSE_MS  2000

typedef enum FollowState {
	FOLLOWING,
	DISCONNECTED, /* the reader knows */
	REPLACED,     /* the reader knows; to be subscribed anew */
	ENDED,
} FollowState;

struct Follow {
	Context *ctx;
	const FollowRequest *request;
	FollowState state;
	Call *call;                     /* NULL unless FOLLOWING or ENDED */
	char log_id[UUID_TEXT_LEN + 1]; /* "" until the first reply */
	bool has_cursor;
	uint64_t cursor; /* with has_cursor */
	uint64_t pause_ms;
	uint64_t asked;    /* follow_poll(): the request to be subscribed again; 0: none is out */
	uint64_t retry_us; /* follow_poll(): no attempt before */
	FollowItem beginning; /* FOLLOW_GAP: what is missing there, which the reader does not know
				 yet */
	json_object *message; /* what the last item lends from */
};

static int write_params(const Follow *f, Buf *b)
{
	JsonWriter w;
	int r;

	jw_init(&w, b);
	jw_object_begin(&w);
	if (f->has_cursor)
		jw_key_uint(&w, "after", f->cursor);
	else if (f->request->last > 0)
		jw_key_uint(&w, "last", f->request->last);
	if (f->has_cursor && f->log_id[0])
		jw_key_cstring(&w, "log_id", f->log_id);
	r = filter_write(f->request->filter, &w);
	if (f->request->until_idle)
		jw_key_cstring(&w, "until", "idle");
	jw_object_end(&w);
	return r < 0 ? r : jw_finish(&w);
}

/* From the oldest there is: the daemon counts nothing as missing then, but the reader may. */
static void note_beginning(Follow *f, uint64_t oldest)
{
	uint64_t first = filter_first_seq(f->request->filter);

	if (f->has_cursor && f->cursor == 0 && oldest > first)
		f->beginning = (FollowItem){ .kind = FOLLOW_GAP, .from = first, .to = oldest - 1 };
}

static int subscribed(Follow *f, json_object *result)
{
	size_t len;
	const char *log_id = jsonx_get_string(result, "log_id", &len);

	if (!log_id || len > UUID_TEXT_LEN || strlen(log_id) != len ||
		!jsonx_get(result, "newest_seq", json_type_int))
		return -EBADMSG;
	memcpy(f->log_id, log_id, len + 1);
	/* "From now on" becomes a place to come back to before anything has been seen. */
	if (!f->has_cursor && f->request->last == 0) {
		f->cursor = jsonx_get_uint(result, "newest_seq", 0);
		f->has_cursor = true;
	}
	note_beginning(f, jsonx_get_uint(result, "oldest_seq", 0));
	f->state = FOLLOWING;
	f->pause_ms = FIRST_PAUSE_MS;
	return 0;
}

/* Of a connection that is to be subscribed. */
static int prepare(const Follow *f, Buf *params)
{
	call_watch_stdout(f->call);
	return write_params(f, params);
}

/* Asks to be subscribed; the reply is still to come. */
static int ask(Follow *f, uint64_t *ret_id)
{
	_cleanup_buf_ Buf params = { 0 };
	int r = prepare(f, &params);

	return r < 0 ? r : call_send(f->call, "events.subscribe", &params, ret_id);
}

/* 0: subscribed; 1: refused, with *ret_error; -errno. */
static int subscribe(Follow *f, json_object **ret_error)
{
	_cleanup_buf_ Buf params = { 0 };
	_cleanup_json_ json_object *result = NULL;
	int r = prepare(f, &params);

	if (r == 0)
		r = call_request(f->call, "events.subscribe", &params, &result, ret_error);
	return r == 0 ? subscribed(f, result) : r;
}

/* What the protocol calls `after` has another name for whoever typed it. */
static int refused(const Follow *f, json_object *error)
{
	_cleanup_buf_ Buf text = { 0 };
	json_object *data = jsonx_get(error, "data", json_type_object);
	uint64_t newest = jsonx_get_uint(data, "newest_seq", UINT64_MAX);
	int r;

	if (!f->request->after_option || f->cursor <= newest)
		return context_refused(f->ctx, NULL, error);
	r = buf_printf(&text, "%s %" PRIu64 " is beyond the newest event, which is %" PRIu64,
		f->request->after_option, f->cursor, newest);
	if (r == 0)
		r = buf_terminate(&text);
	if (r < 0)
		return r;
	output_error(&f->ctx->out, text.data, error);
	return EXIT_CODE_REFUSED;
}

int follow_new(Context *ctx, const FollowRequest *request, Follow **ret)
{
	_cleanup_(follow_free_p) Follow *f = calloc(1, sizeof(*f));
	_cleanup_json_ json_object *error = NULL;
	int r;

	if (!f)
		return -ENOMEM;
	f->ctx = ctx;
	f->request = request;
	f->has_cursor = request->has_after;
	f->cursor = request->after;
	r = context_connect(ctx, &f->call);
	if (r != 0)
		return r;
	r = subscribe(f, &error);
	if (r == 1)
		return refused(f, error);
	if (r < 0)
		return context_lost(ctx, r);
	*ret = TAKE_PTR(f);
	return 0;
}

void follow_free(Follow *f)
{
	if (!f)
		return;
	call_free(f->call);
	json_object_put(f->message);
	free(f);
}

static int disconnect(Follow *f, FollowItem *ret)
{
	call_free(f->call);
	f->call = NULL;
	f->state = DISCONNECTED;
	f->asked = 0;
	f->pause_ms = FIRST_PAUSE_MS;
	ret->kind = FOLLOW_LOST;
	return 0;
}

/* The old cursor means nothing in the new log: everything in it is new. */
static int replaced(Follow *f, FollowItem *ret)
{
	call_free(f->call);
	f->call = NULL;
	f->state = REPLACED;
	f->log_id[0] = '\0';
	f->has_cursor = true;
	f->cursor = 0;
	ret->kind = FOLLOW_REPLACED;
	return 0;
}

/* How long to wait before the next attempt. */
static uint64_t next_pause_ms(Follow *f)
{
	uint64_t ms = f->pause_ms;

	f->pause_ms = ms * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS : ms * 2;
	return ms;
}

static bool passes(int r)
{
	return r != -EINTR && r != -EPIPE && r != -ENOMEM;
}

static int refused_again(Follow *f, json_object *error, FollowItem *ret)
{
	json_object *data = jsonx_get(error, "data", json_type_object);
	const char *reason = jsonx_get_string(data, "reason", NULL);

	if (reason && strcmp(reason, "log_replaced") == 0)
		return replaced(f, ret);
	if (jsonx_get_bool(data, "retryable", false))
		return -EAGAIN;
	return context_refused(f->ctx, NULL, error);
}

static int connect_again(Follow *f)
{
	const char *path = NULL;
	int r = context_socket(f->ctx, &path);

	return r != 0 ? r : call_connect(path, &f->call);
}

/* What an attempt has led to, which began in the state `before`: subscribed (0), refused with
 * `error` (1), or -errno. -EAGAIN: not yet. */
static int conclude(Follow *f, FollowState before, int r, json_object *error, FollowItem *ret)
{
	if (r == 0) {
		/* After a replaced log there is nothing to add: the reader knows what follows. */
		ret->kind = before == REPLACED ? FOLLOW_LIVE : FOLLOW_BACK;
		return 0;
	}
	if (r == 1)
		r = refused_again(f, error, ret);
	else if (passes(r))
		r = -EAGAIN;
	if (r != 0) {
		call_free(f->call);
		f->call = NULL;
	}
	return r;
}

/* One attempt. */
static int try_again(Follow *f, FollowItem *ret)
{
	_cleanup_json_ json_object *error = NULL;
	FollowState before = f->state;
	int r;

	r = connect_again(f);
	if (r > 0)
		return r;
	if (r == 0)
		r = subscribe(f, &error);
	return conclude(f, before, r, error, ret);
}

static int reconnect(Follow *f, FollowItem *ret)
{
	int r;

	while ((r = try_again(f, ret)) == -EAGAIN) {
		r = interrupt_sleep_watched(next_pause_ms(f));
		if (r < 0)
			return r;
	}
	return r;
}

static void move_cursor(Follow *f, uint64_t seq)
{
	if (f->has_cursor && seq <= f->cursor)
		return;
	f->cursor = seq;
	f->has_cursor = true;
}

/* 0: *ret is filled in; 1: nothing for the reader. */
static int on_notification(Follow *f, const char *method, json_object *params, FollowItem *ret)
{
	uint64_t seq = jsonx_get_uint(params, "seq", 0);

	if (strcmp(method, "event") == 0) {
		if (seq == 0)
			return -EBADMSG;
		if (f->has_cursor && seq <= f->cursor)
			return 1;
		move_cursor(f, seq);
		*ret = (FollowItem){ .kind = FOLLOW_EVENT, .event = params };
		return 0;
	}
	if (strcmp(method, "live") == 0) {
		move_cursor(f, seq);
		ret->kind = FOLLOW_LIVE;
		return 0;
	}
	if (strcmp(method, "gap") == 0) {
		*ret = (FollowItem){
			.kind = FOLLOW_GAP,
			.from = jsonx_get_uint(params, "from", 0),
			.to = jsonx_get_uint(params, "to", 0),
		};
		move_cursor(f, ret->to);
		return 0;
	}
	if (strcmp(method, "end") == 0) {
		f->state = ENDED;
		ret->kind = FOLLOW_END;
		return 0;
	}
	return 1;
}

/* As on_notification(). */
static int on_reply(
	const Follow *f, CallMessage message, uint64_t id, json_object *payload, FollowItem *ret)
{
	if (!f->request->wants_replies)
		return 1;
	*ret = (FollowItem){ .kind = FOLLOW_REPLY, .id = id };
	if (message == CALL_RESULT)
		ret->result = payload;
	else
		ret->error = payload;
	return 0;
}

static int receive(Follow *f, int idle_ms, FollowItem *ret)
{
	for (;;) {
		const char *method = NULL;
		json_object *payload = NULL;
		uint64_t id = 0;
		int r;

		json_object_put(f->message);
		f->message = NULL;
		r = call_receive(f->call, idle_ms, &f->message);
		if (r == -ETIME) {
			ret->kind = FOLLOW_IDLE;
			return 0;
		}
		if (r == 0)
			r = call_classify(f->message, &id, &method, &payload);
		if (r == CALL_NOTIFICATION && method)
			r = on_notification(f, method, payload, ret);
		else if (r >= 0)
			r = on_reply(f, (CallMessage)r, id, payload, ret);
		if (r <= 0)
			return r;
	}
}

int follow_next(Follow *f, int idle_ms, FollowItem *ret)
{
	int r;

	*ret = (FollowItem){ 0 };
	if (f->state == ENDED) {
		ret->kind = FOLLOW_END;
		return 0;
	}
	if (f->state != FOLLOWING)
		return reconnect(f, ret);
	if (f->beginning.kind == FOLLOW_GAP) {
		*ret = f->beginning;
		f->beginning = (FollowItem){ 0 };
		return 0;
	}
	r = receive(f, idle_ms, ret);
	if (r == -ECONNRESET)
		return disconnect(f, ret);
	return r < 0 ? context_lost(f->ctx, r) : r;
}

/* The reply to what ask() has asked. */
static int hear(Follow *f, FollowItem *ret)
{
	_cleanup_json_ json_object *message = NULL;
	json_object *payload = NULL;
	FollowState before = f->state;
	const char *method = NULL;
	uint64_t id = 0;
	int r;

	r = call_receive(f->call, 0, &message);
	if (r == 0)
		r = call_classify(message, &id, &method, &payload);
	if (r == -EINTR || r == -ENOMEM || r == -EPIPE)
		return r;
	if (r == -ETIME || r == CALL_NOTIFICATION || (r >= 0 && id != 0 && id != f->asked)) {
		ret->kind = FOLLOW_IDLE;
		return 0;
	}
	f->asked = 0;
	if (r == CALL_RESULT)
		r = subscribed(f, payload);
	return conclude(f, before, r, payload, ret);
}

static int begin_again(Follow *f, FollowItem *ret)
{
	int r;

	ret->kind = FOLLOW_IDLE;
	if (clock_monotonic_us() < f->retry_us)
		return 0;
	r = connect_again(f);
	if (r > 0)
		return r;
	if (r == 0)
		r = ask(f, &f->asked);
	return r == 0 ? 0 : conclude(f, f->state, r, NULL, ret);
}

int follow_poll(Follow *f, FollowItem *ret)
{
	int r;

	if (f->state != DISCONNECTED && f->state != REPLACED)
		return follow_next(f, 0, ret);
	*ret = (FollowItem){ 0 };
	r = f->asked > 0 ? hear(f, ret) : begin_again(f, ret);
	if (r != -EAGAIN)
		return r;
	f->retry_us = clock_monotonic_us() + next_pause_ms(f) * USEC_PER_MSEC;
	ret->kind = FOLLOW_IDLE;
	return 0;
}

int follow_fd(const Follow *f)
{
	return f->call ? call_fd(f->call) : -1;
}

int follow_due_ms(const Follow *f)
{
	uint64_t now = clock_monotonic_us();

	if (f->call)
		return CALL_FOREVER;
	return now >= f->retry_us ? 0 : (int)((f->retry_us - now) / USEC_PER_MSEC + 1);
}

int follow_ask(Follow *f, const char *method, const Buf *params, uint64_t *ret_id)
{
	int r;

	*ret_id = 0;
	if (f->state != FOLLOWING)
		return 0;
	r = call_send(f->call, method, params, ret_id);
	return r == -ECONNRESET ? 0 : r;
}

int follow_send(Follow *f, const char *method, const Buf *params)
{
	uint64_t id;

	return follow_ask(f, method, params, &id);
}

bool follow_notice(const FollowItem *item, Notice *ret)
{
	static const NoticeKind kinds[] = {
		[FOLLOW_GAP] = NOTICE_GAP,
		[FOLLOW_LOST] = NOTICE_LOST,
		[FOLLOW_BACK] = NOTICE_BACK,
		[FOLLOW_REPLACED] = NOTICE_REPLACED,
	};

	if (item->kind != FOLLOW_GAP && item->kind != FOLLOW_LOST && item->kind != FOLLOW_BACK &&
		item->kind != FOLLOW_REPLACED)
		return false;
	*ret = (Notice){ .kind = kinds[item->kind], .from = item->from, .to = item->to };
	return true;
}
