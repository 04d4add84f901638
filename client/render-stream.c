#include "client/render-stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/describe.h"
#include "client/interleave.h"
#include "client/text.h"
#include "common/clock.h"
#include "common/jsonx.h"

#define MAX_LINE_BYTES   (16U * 1024)
#define MAX_HELD_BYTES   (16U * 1024 * 1024)
/* As long as a reader takes for at once, and longer than a program takes between two halves of a
 * line. */
#define HOLD_US          (200 * USEC_PER_MSEC)
#define SHORT_ID_CHARS   8
#define MAX_PREFIX_CHARS 24

struct RenderStream {
	Interleave *interleave;
	Buf scratch;
	Buf prefix;
	size_t prefix_width; /* the widest so far */
	bool in_line;        /* SINGLE, RAW: the cursor does not stand at the start of a line */
	bool has_written;    /* RAW: something, to standard output */
	bool in_reasoning;   /* RAW: standard error is within a line of it */
	char time[CLOCK_RFC3339_LEN + 1]; /* of the event in hand */
};

static void put_text(Output *o, const char *text, size_t len, bool keep_lines)
{
	if (!o->terminal) {
		output_put(o, text, len);
		return;
	}
	if (o->error == 0)
		o->error = text_append_safe(&o->out, text, len, keep_lines);
}

static Color channel_color(Channel channel)
{
	static const Color colors[_CHANNEL_MAX] = {
		[CHANNEL_OUTPUT] = COLOR_NONE,
		[CHANNEL_ERROR] = COLOR_RED,
		[CHANNEL_REASONING] = COLOR_DIM,
		[CHANNEL_TOOL_CALL] = COLOR_CYAN,
	};

	return colors[channel];
}

static char channel_mark(Channel channel)
{
	static const char marks[_CHANNEL_MAX] = {
		[CHANNEL_OUTPUT] = '|',
		[CHANNEL_ERROR] = '!',
		[CHANNEL_REASONING] = '~',
		[CHANNEL_TOOL_CALL] = '+',
	};

	return marks[channel];
}

/* A colour that stays with the agent, from the ones that are legible on light and dark alike. */
static Color agent_color(const char *agent_id)
{
	static const Color colors[] = { 32, 33, 34, 35, 36, 92, 94, 95, 96 };
	uint32_t hash = 5381;

	for (const char *p = agent_id; *p; p++)
		hash = hash * 33 + (unsigned char)*p;
	return colors[hash % ARRAY_SIZE(colors)];
}

static int make_prefix(Output *o, const char *agent_id)
{
	Buf *b = &o->stream->prefix;
	int r;

	buf_clear(b, SIZE_MAX);
	if (o->style.prefix) {
		r = o->style.prefix(agent_id, b, o->style.userdata);
		if (r < 0)
			return r;
	}
	if (b->len > 0)
		return 0;
	if (*agent_id == '\0')
		return buf_append_str(b, "daemon");
	return text_append_safe(b, agent_id, strnlen(agent_id, SHORT_ID_CHARS), false);
}

static void put_time(Output *o)
{
	if (!o->style.timestamps)
		return;
	output_color(o, COLOR_DIM);
	output_safe(o, o->stream->time, strlen(o->stream->time));
	output_color(o, COLOR_NONE);
	output_put(o, " ", 1);
}

/* "12ab34cd | " */
static int put_prefix(Output *o, const char *agent_id, char mark)
{
	RenderStream *s = o->stream;
	size_t fit, width;
	int r;

	r = make_prefix(o, agent_id);
	if (r < 0)
		return r;
	fit = text_fit(s->prefix.data, s->prefix.len, MAX_PREFIX_CHARS);
	width = text_width(s->prefix.data, fit);
	if (width > s->prefix_width)
		s->prefix_width = width;
	put_time(o);
	output_color(o, *agent_id ? agent_color(agent_id) : COLOR_BOLD);
	output_put(o, s->prefix.data, fit);
	output_printf(o, "%*s %c", (int)(s->prefix_width - width), "", mark);
	output_color(o, COLOR_NONE);
	output_put(o, " ", 1);
	return 0;
}

static int on_line(const InterleaveLine *line, void *userdata)
{
	Output *o = userdata;
	Color color = channel_color(line->channel);
	size_t len = line->len;
	int r;

	/* What ends its lines as DOS does should not show that on a terminal. */
	if (o->terminal && len > 0 && line->text[len - 1] == '\r')
		len--;
	r = put_prefix(o, line->agent_id, channel_mark(line->channel));
	if (r < 0)
		return r;
	if (color != COLOR_NONE)
		output_color(o, color);
	put_text(o, line->text, len, true);
	if (color != COLOR_NONE)
		output_color(o, COLOR_NONE);
	output_put(o, "\n", 1);
	return 0;
}

void render_stream_free(RenderStream *s)
{
	if (!s)
		return;
	interleave_free(s->interleave);
	buf_done(&s->scratch);
	buf_done(&s->prefix);
	free(s);
}
DEFINE_CLEANUP(RenderStream *, render_stream_free)

int render_stream_begin(Output *o, const StreamStyle *style _unused_)
{
	_cleanup_(render_stream_free_p) RenderStream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = interleave_new(MAX_LINE_BYTES, MAX_HELD_BYTES, on_line, o, &s->interleave);
	if (r < 0)
		return r;
	s->prefix_width = SHORT_ID_CHARS;
	render_stream_free(o->stream);
	o->stream = TAKE_PTR(s);
	return 0;
}

static bool shown(const Output *o, EventType type)
{
	return o->style.types == 0 || (o->style.types & (1U << type)) != 0;
}

/* SINGLE, RAW: a line of its own, wherever the agent's output has left the cursor. */
static void leave_line(Output *o)
{
	if (o->stream->in_line)
		output_put(o, "\n", 1);
	o->stream->in_line = false;
}

/* A line about an agent's life (or the daemon's). */
static int put_life(Output *o, json_object *event, EventType type)
{
	_cleanup_buf_ Buf words = { 0 };
	const char *agent_id = describe_agent_id(event);
	int r;

	if (!shown(o, type))
		return 0;
	r = describe_event(event, &words);
	if (r < 0)
		return r;
	if (o->style.mode == STREAM_SINGLE) {
		leave_line(o);
		output_put(o, "-- ", 3);
	} else {
		r = put_prefix(o, agent_id, '*');
		if (r < 0)
			return r;
	}
	output_color(o, type == EVENT_TYPE_AGENT_ERROR ? COLOR_RED : COLOR_DIM);
	output_put(o, words.data, words.len);
	output_color(o, COLOR_NONE);
	output_put(o, "\n", 1);
	return 0;
}

static void put_single(Output *o, Channel channel, const char *bytes, size_t len)
{
	Color color = channel_color(channel);

	if (len == 0)
		return;
	if (color != COLOR_NONE)
		output_color(o, color);
	put_text(o, bytes, len, true);
	if (color != COLOR_NONE)
		output_color(o, COLOR_NONE);
	o->stream->in_line = bytes[len - 1] != '\n';
}

static int put_output(Output *o, json_object *event)
{
	RenderStream *s = o->stream;
	Channel channel = describe_channel(event);
	const char *agent_id = describe_agent_id(event);
	const char *bytes;
	size_t len;
	int r;

	if (!shown(o, EVENT_TYPE_AGENT_PARTIAL_OUTPUT))
		return 0;
	r = describe_chunk(event, &s->scratch, &bytes, &len);
	if (r < 0)
		return r == -EBADMSG ? put_life(o, event, EVENT_TYPE_AGENT_PARTIAL_OUTPUT) : r;
	if (o->style.mode == STREAM_SINGLE) {
		put_single(o, channel, bytes, len);
		return 0;
	}
	r = interleave_feed(s->interleave, agent_id, channel, bytes, len);
	return r == 0 && o->style.each_chunk ? interleave_flush(s->interleave, agent_id) : r;
}

/* What follows on either is no part of the reasoning. */
static void leave_reasoning(RenderStream *s)
{
	if (s->in_reasoning)
		output_stderr("\n", 1);
	s->in_reasoning = false;
}

/* Dimmed chunk by chunk: whatever comes between them is not. */
static int put_reasoning(Output *o, const char *bytes, size_t len)
{
	_cleanup_buf_ Buf text = { 0 };
	int r = o->stderr_color ? buf_printf(&text, "\033[%dm", (int)COLOR_DIM) : 0;

	if (len == 0)
		return 0;
	if (r == 0)
		r = o->stderr_terminal ? text_append_safe(&text, bytes, len, true)
				       : buf_append(&text, bytes, len);
	if (r == 0 && o->stderr_color)
		r = buf_printf(&text, "\033[%dm", (int)COLOR_NONE);
	if (r < 0)
		return r;
	output_stderr(text.data, text.len);
	o->stream->in_reasoning = bytes[len - 1] != '\n';
	return 0;
}

static int raw_output(Output *o, json_object *event)
{
	RenderStream *s = o->stream;
	Channel channel = describe_channel(event);
	const char *bytes;
	size_t len;
	int r;

	r = describe_chunk(event, &s->scratch, &bytes, &len);
	if (r < 0 || len == 0)
		return r;
	if (channel == CHANNEL_REASONING)
		return o->style.reasoning ? put_reasoning(o, bytes, len) : 0;
	if (channel != CHANNEL_OUTPUT && channel != CHANNEL_ERROR)
		return 0;
	leave_reasoning(s);
	if (channel == CHANNEL_ERROR) {
		output_stderr(bytes, len);
		return 0;
	}
	if (o->style.harmless)
		put_text(o, bytes, len, true);
	else
		output_put(o, bytes, len);
	s->in_line = bytes[len - 1] != '\n';
	s->has_written = true;
	return 0;
}

/* A later attempt begins its output anew, behind what the one before has written. Why nothing comes
 * yet is of interest to those who look on. */
static bool raw_tells(const Output *o, json_object *event, EventType type)
{
	switch (type) {
	case EVENT_TYPE_AGENT_ERROR:
		return true;
	case EVENT_TYPE_AGENT_STARTED:
		return o->stream->has_written && jsonx_get_uint(event, "attempt", 1) > 1;
	case EVENT_TYPE_AGENT_WAITING:
	case EVENT_TYPE_AGENT_RETRYING:
		return o->stderr_terminal;
	default:
		return false;
	}
}

/* The foreground's rule: output to standard output, the error channel and what goes wrong to
 * standard error, nothing else anywhere. */
static int raw_event(Output *o, json_object *event, EventType type)
{
	_cleanup_buf_ Buf words = { 0 };
	int r;

	if (type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		return raw_output(o, event);
	if (!raw_tells(o, event, type))
		return 0;
	r = describe_event(event, &words);
	if (r < 0)
		return r;
	leave_reasoning(o->stream);
	if (o->terminal)
		leave_line(o);
	r = output_flush(o);
	if (r == 0)
		output_say("agent %.*s %.*s", SHORT_ID_CHARS, describe_agent_id(event),
			(int)words.len, words.data);
	return r;
}

static int record_event(Output *o, json_object *event, EventType type)
{
	_cleanup_buf_ Buf words = { 0 };
	const char *agent_id = describe_agent_id(event);
	const char *name = jsonx_get_string(event, "type", NULL);
	int r;

	if (!shown(o, type))
		return 0;
	r = describe_event(event, &words);
	if (r < 0)
		return r;
	output_printf(o, "%7" PRIu64 "  ", jsonx_get_uint(event, "seq", 0));
	output_safe(o, o->stream->time, strlen(o->stream->time));
	output_printf(o, "  ");
	output_color(o, *agent_id ? agent_color(agent_id) : COLOR_BOLD);
	if (*agent_id)
		output_safe(o, agent_id, strnlen(agent_id, SHORT_ID_CHARS));
	else
		output_printf(o, "%-*s", SHORT_ID_CHARS, "-");
	output_color(o, COLOR_NONE);
	output_printf(o, "  %-18s  ", type == EVENT_TYPE_NONE || !name ? "?" : name);
	output_put(o, words.data, words.len);
	output_put(o, "\n", 1);
	return 0;
}

/* SINGLE, LINES. */
static int watched_event(Output *o, json_object *event, EventType type)
{
	RenderStream *s = o->stream;
	int r = 0;

	if (type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		return put_output(o, event);
	/* An agent's last words stand before its end; those of one attempt before the next. */
	if (type == EVENT_TYPE_AGENT_COMPLETED || type == EVENT_TYPE_AGENT_ERROR ||
		type == EVENT_TYPE_AGENT_RETRYING || type == EVENT_TYPE_AGENT_STARTED)
		r = interleave_flush(s->interleave, describe_agent_id(event));
	return r < 0 ? r : put_life(o, event, type);
}

int render_stream_event(Output *o, json_object *event)
{
	RenderStream *s = o->stream;
	EventType type = describe_type(event);
	const char *time = jsonx_get_string(event, "time", NULL);
	int r;

	snprintf(s->time, sizeof(s->time), "%s", time ? time : "?");
	if (o->style.mode == STREAM_RAW)
		return raw_event(o, event, type);
	if (o->style.mode == STREAM_RECORDS)
		return record_event(o, event, type);
	r = watched_event(o, event, type);
	/* Others may write so much that there is never a quiet moment. */
	return r < 0 ? r : render_stream_idle(o);
}

int render_stream_due_ms(const Output *o)
{
	uint64_t now = clock_monotonic_us();
	uint64_t since = o->stream ? interleave_waiting_since(o->stream->interleave) : UINT64_MAX;

	if (since == UINT64_MAX)
		return -1;
	return now >= since + HOLD_US ? 0 : (int)((since + HOLD_US - now) / USEC_PER_MSEC + 1);
}

int render_stream_idle(Output *o)
{
	uint64_t now = clock_monotonic_us();

	return o->stream && now > HOLD_US
		       ? interleave_flush_waiting(o->stream->interleave, now - HOLD_US)
		       : 0;
}

static void notice_words(const Notice *n, char *words, size_t size)
{
	switch (n->kind) {
	case NOTICE_GAP:
		snprintf(words, size, "gap: events %" PRIu64 " to %" PRIu64 " are gone", n->from,
			n->to);
		break;
	case NOTICE_LOST:
		snprintf(words, size, "the connection is lost; waiting for the daemon");
		break;
	case NOTICE_BACK:
		snprintf(words, size, "the daemon is back");
		break;
	case NOTICE_REPLACED:
		snprintf(words, size, "the log was replaced; starting anew");
		break;
	}
}

int render_stream_notice(Output *o, const Notice *n)
{
	char words[128];
	int r;

	notice_words(n, words, sizeof(words));
	/* Until the daemon is back nothing more comes to a line. */
	r = n->kind == NOTICE_LOST || n->kind == NOTICE_BACK
		    ? interleave_flush_waiting(o->stream->interleave, UINT64_MAX)
		    : interleave_flush(o->stream->interleave, NULL);
	if (r < 0)
		return r;
	if (n->kind == NOTICE_LOST || n->kind == NOTICE_BACK || o->style.mode == STREAM_RAW) {
		output_say("%s", words);
		return 0;
	}
	leave_line(o);
	output_color(o, COLOR_YELLOW);
	output_printf(o, "-- %s", words);
	output_color(o, COLOR_NONE);
	output_put(o, "\n", 1);
	return 0;
}

int render_stream_end(Output *o)
{
	int r;

	if (!o->stream)
		return 0;
	leave_reasoning(o->stream);
	r = interleave_flush(o->stream->interleave, NULL);
	/* On a terminal the prompt follows. */
	if (o->style.mode == STREAM_SINGLE || (o->style.mode == STREAM_RAW && o->terminal))
		leave_line(o);
	render_stream_free(o->stream);
	o->stream = NULL;
	return r;
}
