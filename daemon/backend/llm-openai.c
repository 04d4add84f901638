/* OpenAI's chat completions, and what the many servers that offer the same make of them. */
#include <errno.h>
#include <string.h>

#include "daemon/backend/llm-decode.h"
#include "daemon/backend/llm-request.h"

/* ---- The request ---- */

static int check(json_object *options, RpcError *reterr)
{
	return llm_request_check(options, NULL, false, reterr);
}

static void write_messages(JsonWriter *w, const LlmRequest *request)
{
	json_object *messages = llm_request_messages(request);
	size_t n = messages ? json_object_array_length(messages) : 0, system_len = 0;
	const char *system = jsonx_get_string(request->options, "system", &system_len);

	jw_array_begin(w);
	if (system)
		llm_request_turn(w, "system", system, system_len);
	for (size_t i = 0; i < n; i++)
		jsonx_write(w, json_object_array_get_idx(messages, i));
	llm_request_prompt(w, request);
	jw_array_end(w);
}

static int write_request(const LlmRequest *request, Buf *b)
{
	JsonWriter w;

	jw_init(&w, b);
	llm_request_begin(&w, request);
	if (llm_request_key(&w, request, "stream_options"))
		jw_raw(&w, "{\"include_usage\":true}", strlen("{\"include_usage\":true}"));
	if (llm_request_key(&w, request, "messages"))
		write_messages(&w, request);
	(void)llm_request_option(&w, request, "temperature");
	(void)llm_request_option(&w, request, "max_tokens");
	llm_request_end(&w, request);
	return jw_finish(&w);
}

/* ---- The answer ---- */

/* A string that is not empty. */
static bool has_text(JsonxText value)
{
	return value.len > 2 && *value.text == '"';
}

enum { CALL_INDEX, CALL_ID, CALL_FUNCTION, N_CALL_KEYS };

static const char *const call_keys[N_CALL_KEYS] = {
	[CALL_INDEX] = "index",
	[CALL_ID] = "id",
	[CALL_FUNCTION] = "function",
};

enum { FUNCTION_NAME, FUNCTION_ARGUMENTS, N_FUNCTION_KEYS };

static const char *const function_keys[N_FUNCTION_KEYS] = {
	[FUNCTION_NAME] = "name",
	[FUNCTION_ARGUMENTS] = "arguments",
};

/* Is that the id of another call? There are servers that give all the same index. */
static int is_other_id(LlmDecoder *d, const LlmToolCall *call, JsonxText id)
{
	const char *text;
	size_t len;

	if (!has_text(id) || call->id.len == 0)
		return false;

	int r = jsonx_text_string(id, &d->scratch, &text, &len);

	return r < 0 ? r : len != call->id.len || memcmp(text, call->id.data, len) != 0;
}

/* The call that a piece belongs to. */
static int find_call(LlmDecoder *d, const JsonxText *piece, JsonxText name, LlmToolCall **ret)
{
	LlmTools *tools = &d->tools;
	uint64_t index = 0;
	bool indexed = jsonx_text_uint(piece[CALL_INDEX], &index);
	LlmToolCall *call = NULL;
	int other;

	if (indexed)
		call = llm_tools_find(tools, index);
	else if (tools->n > 0)
		call = &tools->calls[tools->n - 1];
	other = call ? is_other_id(d, call, piece[CALL_ID]) : true;
	if (other < 0)
		return other;
	/* Without any numbers, a further name begins a further call. */
	if (!other && !indexed && has_text(name) && call->name.len > 0)
		other = true;
	if (other)
		return llm_tools_begin(tools, indexed ? index : tools->n, ret);
	*ret = call;
	return 0;
}

static int on_call(LlmDecoder *d, JsonxText item)
{
	JsonxText piece[N_CALL_KEYS], function[N_FUNCTION_KEYS] = { 0 };
	LlmToolCall *call;
	int r = jsonx_pick(item, call_keys, piece, N_CALL_KEYS);

	if (r == 0 && piece[CALL_FUNCTION].text)
		r = jsonx_pick(piece[CALL_FUNCTION], function_keys, function, N_FUNCTION_KEYS);
	if (r == 0)
		r = find_call(d, piece, function[FUNCTION_NAME], &call);
	/* Some say id and name with each piece. */
	if (r == 0 && call->id.len == 0 && has_text(piece[CALL_ID]))
		r = llm_keep_tool(d, &call->id, piece[CALL_ID]);
	if (r == 0 && call->name.len == 0 && has_text(function[FUNCTION_NAME]))
		r = llm_keep_tool(d, &call->name, function[FUNCTION_NAME]);
	if (r == 0 && function[FUNCTION_ARGUMENTS].text)
		r = llm_keep_tool(d, &call->arguments, function[FUNCTION_ARGUMENTS]);
	return r;
}

static int on_calls(LlmDecoder *d, JsonxText calls)
{
	JsonxWalk w;
	int r = jsonx_walk(&w, calls.text, calls.len);

	while (r == 0 && (r = jsonx_walk_next(&w)) > 0)
		r = on_call(d, w.value);
	return r;
}

enum {
	DELTA_CONTENT,
	DELTA_REASONING_CONTENT,
	DELTA_REASONING,
	DELTA_REFUSAL,
	DELTA_TOOL_CALLS,
	N_DELTA_KEYS
};

static const char *const delta_keys[N_DELTA_KEYS] = {
	[DELTA_CONTENT] = "content",
	[DELTA_REASONING_CONTENT] = "reasoning_content",
	[DELTA_REASONING] = "reasoning",
	[DELTA_REFUSAL] = "refusal",
	[DELTA_TOOL_CALLS] = "tool_calls",
};

static int on_delta(LlmDecoder *d, JsonxText delta)
{
	JsonxText found[N_DELTA_KEYS];
	int r = jsonx_pick(delta, delta_keys, found, N_DELTA_KEYS);

	/* Where both are said, they are the same. */
	if (r == 0 && has_text(found[DELTA_REASONING_CONTENT]))
		r = llm_give(d, CHANNEL_REASONING, found[DELTA_REASONING_CONTENT]);
	else if (r == 0 && has_text(found[DELTA_REASONING]))
		r = llm_give(d, CHANNEL_REASONING, found[DELTA_REASONING]);
	if (r == 0)
		r = llm_give(d, CHANNEL_OUTPUT, found[DELTA_CONTENT]);
	if (r == 0)
		r = llm_give(d, CHANNEL_OUTPUT, found[DELTA_REFUSAL]);
	if (r == 0 && found[DELTA_TOOL_CALLS].text)
		r = on_calls(d, found[DELTA_TOOL_CALLS]);
	return r;
}

enum { CHOICE_INDEX, CHOICE_DELTA, CHOICE_FINISH_REASON, N_CHOICE_KEYS };

static const char *const choice_keys[N_CHOICE_KEYS] = {
	[CHOICE_INDEX] = "index",
	[CHOICE_DELTA] = "delta",
	[CHOICE_FINISH_REASON] = "finish_reason",
};

static int on_choice(LlmDecoder *d, JsonxText choice, bool first)
{
	JsonxText found[N_CHOICE_KEYS];
	uint64_t index;
	int r = jsonx_pick(choice, choice_keys, found, N_CHOICE_KEYS);

	if (r < 0)
		return r;
	if (jsonx_text_uint(found[CHOICE_INDEX], &index) ? index > 0 : !first)
		return 0;
	if (found[CHOICE_DELTA].text)
		r = on_delta(d, found[CHOICE_DELTA]);
	if (r < 0 || !has_text(found[CHOICE_FINISH_REASON]))
		return r;
	r = llm_keep(d, &d->answer.finish_reason, found[CHOICE_FINISH_REASON]);
	return r < 0 ? r : llm_give_tools(d);
}

static int on_choices(LlmDecoder *d, JsonxText choices)
{
	JsonxWalk w;
	int r = jsonx_walk(&w, choices.text, choices.len);

	for (bool first = true; r == 0 && (r = jsonx_walk_next(&w)) > 0; first = false)
		r = on_choice(d, w.value, first);
	return r;
}

enum { CHUNK_CHOICES, CHUNK_USAGE, CHUNK_MODEL, CHUNK_ERROR, CHUNK_OBJECT, N_CHUNK_KEYS };

static const char *const chunk_keys[N_CHUNK_KEYS] = {
	[CHUNK_CHOICES] = "choices",
	[CHUNK_USAGE] = "usage",
	[CHUNK_MODEL] = "model",
	[CHUNK_ERROR] = "error",
	[CHUNK_OBJECT] = "object",
};

static bool is_error(const JsonxText *chunk)
{
	JsonxText error = chunk[CHUNK_ERROR];

	if (has_text(error) || jsonx_text_is(chunk[CHUNK_OBJECT], "\"error\""))
		return true;
	return error.text && *error.text == '{' && !jsonx_text_is(error, "{}");
}

static int on_chunk(LlmDecoder *d, const SseEvent *event)
{
	JsonxText found[N_CHUNK_KEYS];
	int r = jsonx_pick(
		(JsonxText){ event->data, event->data_len }, chunk_keys, found, N_CHUNK_KEYS);

	if (r < 0)
		return r;
	if (is_error(found))
		return llm_fail(d, event);
	if (!d->answer.model)
		r = llm_keep(d, &d->answer.model, found[CHUNK_MODEL]);
	if (found[CHUNK_USAGE].text)
		llm_keep_usage(d, found[CHUNK_USAGE], "prompt_tokens", "completion_tokens");
	if (r == 0 && found[CHUNK_CHOICES].text)
		r = on_choices(d, found[CHUNK_CHOICES]);
	return r;
}

static int on_done(LlmDecoder *d)
{
	d->answer.finished = true;
	return llm_give_tools(d);
}

static int on_event(LlmDecoder *d, const SseEvent *event)
{
	JsonxText data = { event->data, event->data_len };

	if (d->answer.finished || data.len == 0)
		return 0;
	if (llm_event_is(event, "error"))
		return llm_fail(d, event);
	if (data.len >= strlen("[DONE]") && memcmp(data.text, "[DONE]", strlen("[DONE]")) == 0)
		return on_done(d);
	if (jsonx_valid(data.text, data.len, NULL))
		return on_chunk(d, event);
	/* Most name no event; of one that is not known, anything may be the data. */
	return event->name_len > 0 && !llm_event_is(event, "message") ? 0 : -EBADMSG;
}

static const char *const headers[] = { NULL };

const LlmDialect llm_openai = {
	.name = "openai",
	.path = "/chat/completions",
	.key_header = "Authorization: Bearer ",
	.headers = headers,
	.write_request = write_request,
	.check = check,
	.on_event = on_event,
	.on_end = llm_end,
};
