#include "client/top-stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/describe.h"
#include "client/text.h"
#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/utf8.h"

#define TAB_COLUMNS 8

void top_stream_close(TopStream *s)
{
	for (size_t i = 0; i < TOP_STREAM_LINES; i++)
		free(s->lines[i].text);
	buf_done(&s->scratch);
	*s = (TopStream){ 0 };
}

/* ---- Lines ---- */

static TopStreamLine *newest(TopStream *s)
{
	return s->n > 0 ? &s->lines[(s->next + TOP_STREAM_LINES - 1) % TOP_STREAM_LINES] : NULL;
}

const TopStreamLine *top_stream_line(const TopStream *s, size_t age)
{
	if (age >= s->n)
		return NULL;
	return &s->lines[(s->next + TOP_STREAM_LINES - 1 - age) % TOP_STREAM_LINES];
}

static TopStreamLine *begin_line(TopStream *s, TopStreamKind kind)
{
	TopStreamLine *line = &s->lines[s->next];

	free(line->text);
	*line = (TopStreamLine){ .kind = kind };
	s->next = (s->next + 1) % TOP_STREAM_LINES;
	s->begun++;
	if (s->n < TOP_STREAM_LINES)
		s->n++;
	return line;
}

static int extend(TopStreamLine *line, const char *bytes, size_t len)
{
	char *grown = realloc(line->text, line->len + len);

	if (!grown)
		return -ENOMEM;
	memcpy(grown + line->len, bytes, len);
	line->text = grown;
	line->len += len;
	line->columns += text_width(bytes, len);
	return 0;
}

/* `len` bytes within one line, of which the newest line takes what it has room for. */
static int add_bytes(TopStream *s, TopStreamKind kind, const char *bytes, size_t len)
{
	while (len > 0) {
		TopStreamLine *line = newest(s);
		size_t n;
		int r;

		if (!line || line->ended || line->kind != kind || line->len >= TOP_STREAM_BYTES)
			line = begin_line(s, kind);
		n = utf8_cut(bytes, len, TOP_STREAM_BYTES - line->len);
		if (n == 0) {
			line->ended = true;
			continue;
		}
		r = extend(line, bytes, n);
		if (r < 0)
			return r;
		bytes += n;
		len -= n;
	}
	return 0;
}

static int add_tab(TopStream *s, TopStreamKind kind)
{
	const TopStreamLine *line = newest(s);
	size_t column = 0;

	if (line && !line->ended && line->kind == kind)
		column = line->columns;
	return add_bytes(s, kind, "        ", TAB_COLUMNS - column % TAB_COLUMNS);
}

static void end_line(TopStream *s, TopStreamKind kind)
{
	TopStreamLine *line = newest(s);

	if (!line || line->ended || line->kind != kind)
		line = begin_line(s, kind);
	line->ended = true;
}

/* A carriage return that ends its line as DOS does is no part of it; any other shows. */
static size_t plain_length(const char *bytes, size_t len)
{
	size_t n = 0;

	while (n < len && bytes[n] != '\n' && bytes[n] != '\t' &&
		!(bytes[n] == '\r' && n + 1 < len && bytes[n + 1] == '\n'))
		n++;
	return n;
}

static int add_text(TopStream *s, TopStreamKind kind, const char *bytes, size_t len)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < len) {
		size_t n = plain_length(bytes + at, len - at);

		r = add_bytes(s, kind, bytes + at, n);
		at += n;
		if (r < 0 || at == len)
			break;
		if (bytes[at] == '\t')
			r = add_tab(s, kind);
		else if (bytes[at] == '\n')
			end_line(s, kind);
		at++;
	}
	return r;
}

/* ---- Events ---- */

/* A line of its own. */
static int add_note(TopStream *s, const char *text, size_t len)
{
	int r;

	if (newest(s))
		newest(s)->ended = true;
	r = add_bytes(s, TOP_STREAM_LIFE, text, len);
	if (r == 0)
		end_line(s, TOP_STREAM_LIFE);
	return r;
}

static int add_life(TopStream *s, json_object *event)
{
	int r;

	buf_clear(&s->scratch, PROTOCOL_MAX_CHUNK_BYTES);
	r = describe_event(event, &s->scratch);
	return r < 0 ? r : add_note(s, s->scratch.data, s->scratch.len);
}

static int add_event(TopStream *s, json_object *event)
{
	static const TopStreamKind kinds[_CHANNEL_MAX] = {
		[CHANNEL_OUTPUT] = TOP_STREAM_OUTPUT,
		[CHANNEL_ERROR] = TOP_STREAM_ERROR,
		[CHANNEL_REASONING] = TOP_STREAM_REASONING,
		[CHANNEL_TOOL_CALL] = TOP_STREAM_TOOL_CALL,
	};
	const char *bytes;
	size_t len;
	int r;

	if (describe_type(event) != EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		return add_life(s, event);
	r = describe_chunk(event, &s->scratch, &bytes, &len);
	if (r == -EBADMSG)
		return 0;
	return r < 0 ? r : add_text(s, kinds[describe_channel(event)], bytes, len);
}

int top_stream_event(TopStream *s, json_object *event)
{
	uint64_t seq = jsonx_get_uint(event, "seq", 0);

	if (!top_stream_is_open(s) || s->reading || seq <= s->seq)
		return 0;
	s->seq = seq;
	if (strcmp(describe_agent_id(event), s->agent_id) != 0)
		return 0;
	return add_event(s, event);
}

int top_stream_open(TopStream *s, const char *agent_id, uint64_t first_seq, uint64_t last_seq)
{
	static const char cut[] = "earlier events are left out";
	size_t len = strnlen(agent_id, sizeof(s->agent_id) - 1);

	top_stream_close(s);
	memcpy(s->agent_id, agent_id, len);
	s->reading = true;
	s->seq = first_seq > 0 ? first_seq - 1 : 0;
	if (last_seq <= TOP_STREAM_BACK || last_seq - TOP_STREAM_BACK <= s->seq)
		return 0;
	s->seq = last_seq - TOP_STREAM_BACK;
	return add_note(s, cut, strlen(cut));
}

int top_stream_write_page(const TopStream *s, Buf *params)
{
	JsonWriter w;

	jw_init(&w, params);
	jw_object_begin(&w);
	jw_key_uint(&w, "after", s->seq);
	jw_key_uint(&w, "limit", TOP_STREAM_PAGE);
	jw_key(&w, "agents");
	jw_array_begin(&w);
	jw_cstring(&w, s->agent_id);
	jw_array_end(&w);
	jw_object_end(&w);
	return jw_finish(&w);
}

int top_stream_add_page(TopStream *s, json_object *page, uint64_t newest_seq)
{
	json_object *events = jsonx_get(page, "events", json_type_array);
	uint64_t seq = jsonx_get_uint(page, "seq", 0);
	bool more = jsonx_get_bool(page, "more", false);

	for (size_t i = 0; events && i < json_object_array_length(events); i++) {
		int r = add_event(s, json_object_array_get_idx(events, i));

		if (r < 0)
			return r;
	}
	if (seq > s->seq)
		s->seq = seq;
	s->reading = more || s->seq < newest_seq;
	return more;
}

int top_stream_skip(TopStream *s, uint64_t to, const char *what)
{
	int r;

	if (to <= s->seq)
		return 0;
	buf_clear(&s->scratch, SIZE_MAX);
	r = buf_printf(&s->scratch, "events %" PRIu64 " to %" PRIu64 " %s", s->seq + 1, to, what);
	s->seq = to;
	return r < 0 ? r : add_note(s, s->scratch.data, s->scratch.len);
}
