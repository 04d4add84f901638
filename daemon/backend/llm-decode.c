#include "daemon/backend/llm-decode.h"

#include <errno.h>
#include <string.h>

#include "common/utf8.h"
#include "daemon/backend/llm-error.h"

/* So much of the scratch is kept from one event to the next. */
#define KEEP_BYTES 1024U

static int give(LlmDecoder *d, Channel channel, const char *text, size_t len)
{
	int r = 0;

	while (r >= 0 && len > 0) {
		size_t n = utf8_cut(text, len, PROTOCOL_MAX_CHUNK_BYTES);

		r = d->out.on_chunk(channel, text, n, d->out.userdata);
		text += n;
		len -= n;
	}
	return r < 0 ? r : 0;
}

int llm_give(LlmDecoder *d, Channel channel, JsonxText value)
{
	const char *text;
	size_t len;
	int r;

	if (!value.text)
		return 0;
	r = jsonx_text_string(value, &d->scratch, &text, &len);
	if (r == -EINVAL)
		return -EBADMSG;
	if (r == 0)
		r = give(d, channel, text, len);
	buf_clear(&d->scratch, KEEP_BYTES);
	return r;
}

int llm_give_tool(LlmDecoder *d, LlmToolCall *call)
{
	int r;

	d->scratch.len = 0;
	r = llm_tools_write(call, &d->scratch);
	llm_tools_end(&d->tools, call);
	if (r == 0)
		r = give(d, CHANNEL_TOOL_CALL, d->scratch.data, d->scratch.len);
	buf_clear(&d->scratch, KEEP_BYTES);
	return r;
}

int llm_give_tools(LlmDecoder *d)
{
	int r = 0;

	while (r == 0 && d->tools.n > 0)
		r = llm_give_tool(d, d->tools.calls);
	return r;
}

static int keep(char **field, const char *text, size_t len, size_t max)
{
	char *copy = buf_string(text, utf8_cut(text, len, max));

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

int llm_keep(LlmDecoder *d, char **field, JsonxText value)
{
	const char *text;
	size_t len;
	int r = jsonx_text_string(value, &d->scratch, &text, &len);

	if (r == -EINVAL || (r == 0 && len == 0))
		return 0;
	return r < 0 ? r : keep(field, text, len, LLM_MAX_NAME_BYTES);
}

void llm_keep_usage(LlmDecoder *d, JsonxText usage, const char *input, const char *output)
{
	const char *const keys[] = { input, output };
	uint64_t *const fields[] = { &d->answer.input_tokens, &d->answer.output_tokens };
	JsonxText found[ARRAY_SIZE(keys)];

	if (jsonx_pick(usage, keys, found, ARRAY_SIZE(keys)) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (jsonx_text_uint(found[i], fields[i]))
			d->answer.has_usage = true;
}

int llm_keep_tool(LlmDecoder *d, Buf *to, JsonxText value)
{
	const char *text = value.text;
	size_t len = value.len;
	int r = jsonx_text_string(value, &d->scratch, &text, &len);

	return r < 0 && r != -EINVAL ? r : llm_tools_append(&d->tools, to, text, len);
}

int llm_end(LlmDecoder *d)
{
	return d->answer.finished ? 0 : -EBADMSG;
}

bool llm_event_is(const SseEvent *event, const char *name)
{
	return event->name_len == strlen(name) && memcmp(event->name, name, event->name_len) == 0;
}

int llm_fail(LlmDecoder *d, const SseEvent *event)
{
	_cleanup_buf_ Buf message = { 0 };
	LlmError error;
	int r = llm_error_message(event->data, event->data_len, &message);

	if (r == 0 && message.len > 0)
		r = keep(&d->answer.error_message, message.data, message.len, LLM_MAX_ERROR_BYTES);
	if (r == 0 && jsonx_valid(event->data, event->data_len, NULL) &&
		llm_error_find(event->data, event->data_len, &error))
		r = llm_keep(d, &d->answer.error_type, error.type);
	return r < 0 ? r : -EREMOTEIO;
}
