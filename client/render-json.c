/* Results as one JSON text, streams as one event a line; what is no event in a stream is an object
 * with one member that says what it is. */
#include <string.h>

#include "client/describe.h"
#include "client/output.h"
#include "common/json-writer.h"
#include "common/jsonx.h"

/* The C1 controls and DEL are valid inside a JSON string, and still something a terminal acts upon:
 * they are written as escapes, which means the same. */
static int append_armoured(Buf *b, const char *text, size_t len)
{
	size_t plain = 0;

	for (size_t i = 0; i < len; i++) {
		const unsigned char *p = (const unsigned char *)text + i;
		bool c1 = i + 1 < len && p[0] == 0xc2 && p[1] < 0xa0;
		int r;

		if (p[0] != 0x7f && !c1)
			continue;
		r = buf_append(b, text + plain, i - plain);
		if (r == 0)
			r = buf_printf(b, "\\u%04x", c1 ? p[1] : p[0]);
		if (r < 0)
			return r;
		i += c1;
		plain = i + 1;
	}
	return buf_append(b, text + plain, len - plain);
}

static int append_line(Buf *b, json_object *o)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	r = jsonx_append(&text, o);
	if (r == 0)
		r = append_armoured(b, text.data, text.len);
	return r < 0 ? r : buf_append_char(b, '\n');
}

static void json_result(Output *o, OutputView view _unused_, json_object *result)
{
	if (o->error == 0)
		o->error = append_line(&o->out, result);
}

static int json_stream_begin(Output *o _unused_, const StreamStyle *style _unused_)
{
	return 0;
}

static int json_event(Output *o, json_object *event)
{
	uint32_t types = o->style.types;

	if (types != 0 && (types & (1U << describe_type(event))) == 0)
		return 0;
	return append_line(&o->out, event);
}

static int json_notice(Output *o, const Notice *n)
{
	switch (n->kind) {
	case NOTICE_GAP:
		output_printf(o, "{\"gap\":{\"from\":%llu,\"to\":%llu}}\n",
			(unsigned long long)n->from, (unsigned long long)n->to);
		break;
	case NOTICE_REPLACED:
		output_printf(o, "{\"log_replaced\":{}}\n");
		break;
	case NOTICE_LOST:
		output_say("the connection is lost; waiting for the daemon");
		break;
	case NOTICE_BACK:
		output_say("the daemon is back");
		break;
	}
	return 0;
}

static int json_due_ms(const Output *o _unused_)
{
	return -1;
}

static int json_idle(Output *o _unused_)
{
	return 0;
}

static int json_stream_end(Output *o _unused_)
{
	return 0;
}

static void json_error(Output *o _unused_, const char *message, json_object *error)
{
	_cleanup_buf_ Buf text = { 0 }, line = { 0 };
	JsonWriter w;
	int r = 0;

	jw_init(&w, &text);
	jw_object_begin(&w);
	jw_key(&w, "error");
	if (error) {
		_cleanup_buf_ Buf raw = { 0 };

		r = jsonx_append(&raw, error);
		if (r == 0)
			jw_raw(&w, raw.data, raw.len);
	} else {
		jw_object_begin(&w);
		jw_key_cstring(&w, "message", message);
		jw_object_end(&w);
	}
	jw_object_end(&w);
	if (r == 0)
		r = jw_finish(&w);
	if (r == 0)
		r = append_armoured(&line, text.data, text.len);
	if (r == 0)
		r = buf_append_char(&line, '\n');
	if (r == 0)
		output_stderr(line.data, line.len);
}

const OutputOps output_json_ops = {
	.result = json_result,
	.stream_begin = json_stream_begin,
	.event = json_event,
	.notice = json_notice,
	.due_ms = json_due_ms,
	.idle = json_idle,
	.stream_end = json_stream_end,
	.error = json_error,
};
