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

static bool ends_in_half(JsonxText string)
{
	size_t backslashes = 0;
	const char *escape;

	if (string.len < sizeof("\"\\ud800\"") - 1)
		return false;
	escape = string.text + string.len - (sizeof("\\ud800\"") - 1);
	if (escape[0] != '\\' || escape[1] != 'u' || (escape[2] | 0x20) != 'd' ||
		!memchr("89abAB", escape[3], strlen("89abAB")))
		return false;
	/* The one that begins it may be what another one stands for. */
	while (escape[-1 - (ptrdiff_t)backslashes] == '\\')
		backslashes++;
	return backslashes % 2 == 0;
}

/* The string with the half that is held before it, and without the one that it ends in. */
static int join(LlmDecoder *d, LlmHalf *half, JsonxText string, bool ends)
{
	size_t len = string.len - strlen("\"\"") - (ends ? sizeof(half->escape) : 0);
	Buf *b = &d->joined;
	int r;

	b->len = 0;
	r = buf_append_char(b, '"');
	if (r == 0 && half->held)
		r = buf_append(b, half->escape, sizeof(half->escape));
	if (r == 0)
		r = buf_append(b, string.text + 1, len);
	if (r == 0)
		r = buf_append_char(b, '"');
	if (ends)
		memcpy(half->escape, string.text + 1 + len, sizeof(half->escape));
	half->held = ends;
	return r;
}

/* As jsonx_text_string(), of a string that goes on where the one before it ended. */
static int read_string(
	LlmDecoder *d, LlmHalf *half, JsonxText value, const char **ret, size_t *ret_len)
{
	bool ends;
	int r = 0;

	if (value.len < 2 || *value.text != '"')
		return -EINVAL;
	ends = ends_in_half(value);
	if (ends || (half->held && value.len > strlen("\"\""))) {
		r = join(d, half, value, ends);
		value = (JsonxText){ d->joined.data, d->joined.len };
	}
	return r < 0 ? r : jsonx_text_string(value, &d->scratch, ret, ret_len);
}

int llm_give(LlmDecoder *d, Channel channel, JsonxText value)
{
	const char *text;
	size_t len;
	int r;

	if (!value.text)
		return 0;
	r = read_string(d, &d->halves[channel], value, &text, &len);
	if (r == -EINVAL)
		return -EBADMSG;
	if (r == 0)
		r = give(d, channel, text, len);
	buf_clear(&d->scratch, KEEP_BYTES);
	buf_clear(&d->joined, KEEP_BYTES);
	return r;
}

int llm_give_tool(LlmDecoder *d, LlmToolCall *call)
{
	int r = 0;

	if (call->half.held)
		r = llm_tools_append(
			&d->tools, &call->arguments, UTF8_REPLACEMENT, strlen(UTF8_REPLACEMENT));
	d->scratch.len = 0;
	if (r == 0)
		r = llm_tools_write(call, &d->scratch);
	llm_tools_end(&d->tools, call);
	if (r == 0)
		r = give(d, CHANNEL_TOOL_CALL, d->scratch.data, d->scratch.len);
	buf_clear(&d->scratch, KEEP_BYTES);
	return r;
}

int llm_give_rest(LlmDecoder *d)
{
	int r = 0;

	for (Channel channel = 0; channel < _CHANNEL_MAX && r == 0; channel++) {
		if (d->halves[channel].held)
			r = give(d, channel, UTF8_REPLACEMENT, strlen(UTF8_REPLACEMENT));
		d->halves[channel].held = false;
	}
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
	uint64_t n;

	if (jsonx_pick(usage, keys, found, ARRAY_SIZE(keys)) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (jsonx_text_uint(found[i], &n)) {
			d->answer.has_usage = true;
			/* There are servers that count the input at first, and say 0 at the end. */
			if (n > 0 || i > 0)
				*fields[i] = n;
		}
}

int llm_keep_tool(LlmDecoder *d, Buf *to, JsonxText value)
{
	const char *text = value.text;
	size_t len = value.len;
	int r = jsonx_text_string(value, &d->scratch, &text, &len);

	return r < 0 && r != -EINVAL ? r : llm_tools_append(&d->tools, to, text, len);
}

int llm_keep_arguments(LlmDecoder *d, LlmToolCall *call, JsonxText value)
{
	const char *text = value.text;
	size_t len = value.len;
	int r = read_string(d, &call->half, value, &text, &len);

	return r < 0 && r != -EINVAL ? r : llm_tools_append(&d->tools, &call->arguments, text, len);
}

int llm_end(LlmDecoder *d)
{
	return d->answer.finished ? 0 : -EBADMSG;
}

bool llm_event_is(const SseEvent *event, const char *name)
{
	return event->name_len == strlen(name) && memcmp(event->name, name, event->name_len) == 0;
}

int llm_fail(LlmDecoder *d, JsonxText data)
{
	_cleanup_buf_ Buf message = { 0 };
	LlmError error;
	int r = llm_error_message(data.text, data.len, &message);

	if (r == 0 && message.len > 0)
		r = keep(&d->answer.error_message, message.data, message.len, LLM_MAX_ERROR_BYTES);
	if (r == 0 && jsonx_valid_lax(data.text, data.len) &&
		llm_error_find(data.text, data.len, &error)) {
		d->answer.error_status = llm_error_status(&error);
		/* LiteLLM's way to say that there is none. */
		if (!jsonx_text_is(error.type, "\"None\""))
			r = llm_keep(d, &d->answer.error_type, error.type);
	}
	return r < 0 ? r : -EREMOTEIO;
}

int llm_fail_whole(LlmDecoder *d, JsonxText body)
{
	LlmError error;

	return llm_error_find(body.text, body.len, &error) ? llm_fail(d, body) : -EBADMSG;
}
