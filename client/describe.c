#include "client/describe.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client/text.h"
#include "common/base64.h"
#include "common/clock.h"
#include "common/jsonx.h"

#define PROMPT_CHARS 60

EventType describe_type(json_object *event)
{
	const char *type = jsonx_get_string(event, "type", NULL);
	int t = type ? protocol_event_from_name(type) : -EINVAL;

	return t < 0 ? EVENT_TYPE_NONE : (EventType)t;
}

const char *describe_agent_id(json_object *event)
{
	const char *id = jsonx_get_string(event, "agent_id", NULL);

	return id ? id : "";
}

Channel describe_channel(json_object *event)
{
	const char *name = jsonx_get_string(event, "channel", NULL);
	int channel = name ? channel_from_string(name) : -EINVAL;

	return channel < 0 ? CHANNEL_OUTPUT : (Channel)channel;
}

bool describe_time(json_object *o, const char *key, uint64_t *ret_us)
{
	size_t len;
	const char *text = jsonx_get_string(o, key, &len);

	return text && clock_parse_rfc3339(text, len, ret_us) == 0;
}

int describe_age(json_object *o, const char *key, Buf *b)
{
	uint64_t now = clock_realtime_us(), time;
	char age[TEXT_AGE_MAX];

	if (!describe_time(o, key, &time))
		return 0;
	text_format_age(now > time ? (now - time) / USEC_PER_MSEC : 0, age);
	return buf_append_str(b, age);
}

int describe_chunk(json_object *event, Buf *scratch, const char **ret, size_t *ret_len)
{
	const char *encoding = jsonx_get_string(event, "encoding", NULL);
	size_t len;
	const char *chunk = jsonx_get_string(event, "chunk", &len);
	int r;

	if (!chunk)
		return -EBADMSG;
	if (!encoding) {
		*ret = chunk;
		*ret_len = len;
		return 0;
	}
	if (strcmp(encoding, "base64") != 0)
		return -EBADMSG;
	buf_clear(scratch, PROTOCOL_MAX_CHUNK_BYTES);
	r = base64_decode(chunk, len, scratch);
	if (r < 0)
		return r;
	*ret = scratch->data;
	*ret_len = scratch->len;
	return 0;
}

/* A member's string, made harmless and cut. */
static int add_text(Buf *b, json_object *o, const char *key, size_t max_chars)
{
	size_t len, fit;
	const char *text = jsonx_get_string(o, key, &len);
	int r;

	if (!text)
		return buf_append_char(b, '-');
	fit = text_fit(text, len, max_chars);
	r = text_append_safe(b, text, fit, false);
	return r == 0 && fit < len ? buf_append_str(b, "…") : r;
}

static int add_word(Buf *b, const char *before, json_object *o, const char *key)
{
	int r;

	if (!jsonx_get_string(o, key, NULL))
		return 0;
	r = buf_append_str(b, before);
	return r < 0 ? r : add_text(b, o, key, 200);
}

static int add_number(Buf *b, const char *before, json_object *o, const char *key)
{
	if (!jsonx_get(o, key, json_type_int))
		return 0;
	return buf_printf(b, "%s%" PRId64, before, jsonx_get_int(o, key, 0));
}

static int add_counts(json_object *e, Buf *b)
{
	char age[TEXT_AGE_MAX];
	int r;

	text_format_age(jsonx_get_uint(e, "duration_ms", 0), age);
	r = buf_append_count(b, jsonx_get_uint(e, "chunks", 0), "chunk");
	if (r == 0)
		r = buf_append_str(b, ", ");
	if (r == 0)
		r = buf_append_count(b, jsonx_get_uint(e, "bytes", 0), "byte");
	return r < 0 ? r : buf_printf(b, ", %s", age);
}

static int daemon_started(json_object *e, Buf *b)
{
	int r = buf_append_str(b, "daemon started");

	if (r == 0)
		r = add_word(b, ": version ", e, "version");
	if (r == 0)
		r = add_number(b, ", requeued ", e, "requeued");
	return r < 0 ? r : add_number(b, ", interrupted ", e, "interrupted");
}

static int daemon_stopping(json_object *e, Buf *b)
{
	int r = buf_append_str(b, "daemon stopping");

	return r < 0 ? r : add_word(b, ": ", e, "reason");
}

static int agent_spawned(json_object *e, Buf *b)
{
	int r = buf_append_str(b, "spawned: ");

	if (r == 0)
		r = add_text(b, e, "backend", 40);
	if (r == 0)
		r = buf_append_str(b, " \"");
	if (r == 0)
		r = add_text(b, e, "prompt", PROMPT_CHARS);
	return r < 0 ? r : buf_append_char(b, '"');
}

static int agent_started(json_object *e, Buf *b)
{
	int r = buf_append_str(b, "started");

	if (r == 0)
		r = add_number(b, ": attempt ", e, "attempt");
	if (r == 0)
		r = add_number(b, ", pid ", e, "pid");
	return r;
}

/* How long after `since_us` the member `until` is. */
static int add_until(Buf *b, json_object *o, uint64_t since_us)
{
	char age[TEXT_AGE_MAX];
	uint64_t until;

	if (since_us == 0 || !describe_time(o, "until", &until))
		return add_word(b, ", until ", o, "until");
	if (until <= since_us)
		return buf_append_str(b, ", due");
	text_format_age((until - since_us) / USEC_PER_MSEC, age);
	return buf_printf(b, ", for %s", age);
}

int describe_waiting(json_object *waiting, uint64_t since_us, Buf *b)
{
	int r = add_text(b, waiting, "reason", 40);

	if (r == 0)
		r = add_word(b, ", provider ", waiting, "provider");
	return r < 0 ? r : add_until(b, waiting, since_us);
}

/* In a replay, too, what counts is how long it was then. */
static int agent_waiting(json_object *e, Buf *b)
{
	uint64_t time = 0;
	int r = buf_append_str(b, "waiting: ");

	(void)describe_time(e, "time", &time);
	return r < 0 ? r : describe_waiting(e, time, b);
}

static int agent_retrying(json_object *e, Buf *b)
{
	uint64_t delay_ms = jsonx_get_uint(e, "delay_ms", 0);
	char age[TEXT_AGE_MAX];
	int r = buf_append_str(b, "retrying");

	text_format_age(delay_ms, age);
	if (r == 0)
		r = add_word(b, " after ", e, "code");
	if (r == 0)
		r = add_number(b, ", attempt ", e, "attempt");
	if (r == 0 && delay_ms > 0)
		r = buf_printf(b, " in %s", age);
	return r < 0 ? r : add_word(b, ": ", e, "message");
}

static int agent_partial_output(json_object *e, Buf *b)
{
	_cleanup_buf_ Buf scratch = { 0 };
	const char *bytes = NULL;
	size_t len = 0, fit;
	int r;

	r = describe_chunk(e, &scratch, &bytes, &len);
	if (r == -EBADMSG)
		return buf_append_str(b, "output that cannot be read");
	if (r < 0)
		return r;
	r = buf_printf(b, "%s %" PRIu64 ": ", channel_to_string(describe_channel(e)),
		jsonx_get_uint(e, "index", 0));
	fit = text_fit(bytes, len, PROMPT_CHARS);
	if (r == 0)
		r = text_append_safe(b, bytes, fit, false);
	return r == 0 && fit < len ? buf_append_str(b, "…") : r;
}

/* What is known of the language model that wrote it. */
static int add_model(json_object *e, Buf *b)
{
	json_object *usage = jsonx_get(e, "usage", json_type_object);
	char age[TEXT_AGE_MAX];
	int r = 0;

	if (jsonx_get(e, "first_chunk_ms", json_type_int)) {
		text_format_age(jsonx_get_uint(e, "first_chunk_ms", 0), age);
		r = buf_printf(b, ", first after %s", age);
	}
	if (r == 0)
		r = add_word(b, ", ", e, "finish_reason");
	if (r == 0)
		r = add_word(b, ", model ", e, "model");
	if (r == 0)
		r = add_number(b, ", tokens in ", usage, "input_tokens");
	return r < 0 ? r : add_number(b, ", out ", usage, "output_tokens");
}

static int agent_completed(json_object *e, Buf *b)
{
	int r = buf_append_str(b, "completed: ");

	if (r == 0)
		r = add_counts(e, b);
	if (r == 0)
		r = add_number(b, ", exit code ", e, "exit_code");
	return r < 0 ? r : add_model(e, b);
}

/* How its provider would find the request again. */
static int add_request(json_object *e, Buf *b)
{
	int r = add_number(b, "HTTP ", e, "http_status");

	if (r == 0 && jsonx_get(e, "http_status", json_type_int))
		r = buf_append_str(b, ", ");
	if (r == 0)
		r = add_word(b, "request ", e, "request_id");
	if (r == 0 && jsonx_get_string(e, "request_id", NULL))
		r = buf_append_str(b, ", ");
	return r;
}

static int agent_error(json_object *e, Buf *b)
{
	const char *code = jsonx_get_string(e, "code", NULL);
	bool cancelled = code && strcmp(code, "cancelled") == 0;
	int r = buf_append_str(b, cancelled ? "cancelled" : "failed");

	if (r == 0 && !cancelled)
		r = add_word(b, ": ", e, "code");
	if (r == 0)
		r = add_word(b, ": ", e, "message");
	if (r == 0)
		r = buf_append_str(b, " (");
	if (r == 0)
		r = add_request(e, b);
	if (r == 0)
		r = add_counts(e, b);
	return r < 0 ? r : buf_append_char(b, ')');
}

int describe_event(json_object *event, Buf *b)
{
	static int (*const describers[_EVENT_TYPE_MAX])(json_object * e, Buf * b) = {
		[EVENT_TYPE_DAEMON_STARTED] = daemon_started,
		[EVENT_TYPE_DAEMON_STOPPING] = daemon_stopping,
		[EVENT_TYPE_AGENT_SPAWNED] = agent_spawned,
		[EVENT_TYPE_AGENT_STARTED] = agent_started,
		[EVENT_TYPE_AGENT_WAITING] = agent_waiting,
		[EVENT_TYPE_AGENT_RETRYING] = agent_retrying,
		[EVENT_TYPE_AGENT_PARTIAL_OUTPUT] = agent_partial_output,
		[EVENT_TYPE_AGENT_COMPLETED] = agent_completed,
		[EVENT_TYPE_AGENT_ERROR] = agent_error,
	};
	EventType type = describe_type(event);

	/* The protocol may grow: an unknown event is named, not hidden. */
	return describers[type] ? describers[type](event, b) : add_text(b, event, "type", 40);
}
