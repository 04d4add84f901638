#include "daemon/backend/llm-tools.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx.h"

static void call_done(LlmToolCall *call)
{
	buf_done(&call->id);
	buf_done(&call->name);
	buf_done(&call->arguments);
}

void llm_tools_done(LlmTools *t)
{
	for (size_t i = 0; i < t->n; i++)
		call_done(&t->calls[i]);
	free(t->calls);
	*t = (LlmTools){ 0 };
}

static bool begins_object(const Buf *text)
{
	const char *p = text->data, *end = p + text->len;

	while (p < end && memchr(" \t\r\n", *p, 4))
		p++;
	return p < end && *p == '{';
}

LlmToolCall *llm_tools_find(const LlmTools *t, uint64_t index)
{
	for (size_t i = t->n; i > 0; i--)
		if (t->calls[i - 1].index == index)
			return &t->calls[i - 1];
	return NULL;
}

LlmToolCall *llm_tools_find_id(const LlmTools *t, const char *id, size_t len)
{
	for (size_t i = t->n; i > 0; i--) {
		const Buf *other = &t->calls[i - 1].id;

		if (other->len == len && memcmp(other->data, id, len) == 0)
			return &t->calls[i - 1];
	}
	return NULL;
}

static void scan_string(LlmToolCall *call, char c)
{
	if (call->scan.escaped)
		call->scan.escaped = false;
	else if (c == '\\')
		call->scan.escaped = true;
	else if (c == '"')
		call->scan.in_string = false;
}

bool llm_tools_is_whole(LlmToolCall *call)
{
	const Buf *b = &call->arguments;

	while (call->scan.seen < b->len) {
		char c = b->data[call->scan.seen++];

		if (call->scan.first == 0 && !memchr(" \t\r\n", c, 4))
			call->scan.first = c;
		if (call->scan.in_string)
			scan_string(call, c);
		else if (c == '"')
			call->scan.in_string = true;
		else if (c == '{' || c == '[')
			call->scan.depth++;
		else if ((c == '}' || c == ']') && call->scan.depth > 0)
			call->scan.depth--;
	}
	return call->scan.first == '{' && !call->scan.in_string && call->scan.depth == 0;
}

int llm_tools_begin(LlmTools *t, uint64_t index, LlmToolCall **ret)
{
	if (t->n == LLM_MAX_TOOL_CALLS)
		return -EMSGSIZE;
	if (t->n == t->cap) {
		size_t cap = t->cap > 0 ? t->cap * 2 : 4;
		LlmToolCall *calls = realloc(t->calls, cap * sizeof(*calls));

		if (!calls)
			return -ENOMEM;
		t->calls = calls;
		t->cap = cap;
	}
	*ret = &t->calls[t->n++];
	**ret = (LlmToolCall){ .index = index };
	return 0;
}

int llm_tools_append(LlmTools *t, Buf *to, const char *text, size_t len)
{
	int r;

	if (len > LLM_MAX_TOOL_BYTES - t->bytes)
		return -EMSGSIZE;
	r = buf_append(to, text, len);
	if (r == 0)
		t->bytes += len;
	return r;
}

void llm_tools_clear(LlmTools *t, Buf *part)
{
	t->bytes -= part->len;
	part->len = 0;
}

/* Lets the reader tell what is an object from all else that the model may have written. */
static bool is_object(const Buf *text)
{
	return begins_object(text) && jsonx_valid(text->data, text->len, NULL);
}

int llm_tools_write(const LlmToolCall *call, Buf *b)
{
	const Buf *arguments = &call->arguments;
	JsonWriter w;

	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key(&w, "id");
	if (call->id.len > 0)
		jw_string(&w, call->id.data, call->id.len);
	else
		jw_null(&w);
	jw_key_string(&w, "name", call->name.data, call->name.len);
	if (arguments->len == 0) /* of a tool that takes none */
		jw_key_raw(&w, "arguments", "{}", 2);
	else if (is_object(arguments))
		jw_key_raw(&w, "arguments", arguments->data, arguments->len);
	else
		jw_key_string(&w, "arguments", arguments->data, arguments->len);
	jw_object_end(&w);
	return jw_finish(&w);
}

void llm_tools_end(LlmTools *t, LlmToolCall *call)
{
	size_t behind = (size_t)(t->calls + t->n - (call + 1));

	t->bytes -= call->id.len + call->name.len + call->arguments.len;
	call_done(call);
	memmove(call, call + 1, behind * sizeof(*call));
	if (--t->n == 0)
		llm_tools_done(t);
}
