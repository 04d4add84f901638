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

/* The call that the piece names by its id; *ret is NULL where there is none. There are servers that
 * give all the same index. */
static int find_by_id(LlmDecoder *d, const JsonxText *piece, LlmToolCall **ret)
{
	const char *text;
	size_t len;
	int r = jsonx_text_string(piece[CALL_ID], &d->scratch, &text, &len);
	uint64_t index;

	*ret = NULL;
	if (r < 0)
		return r == -EINVAL ? 0 : r;
	*ret = len > 0 ? llm_tools_find_id(&d->tools, text, len) : NULL;
	if (*ret && jsonx_text_uint(piece[CALL_INDEX], &index) && index != (*ret)->index)
		*ret = NULL;
	return 0;
}

/* A name that needs no escapes. */
static bool is_same(JsonxText name, const Buf *other)
{
	return name.len == other->len + strlen("\"\"") &&
	       memcmp(name.text + 1, other->data, other->len) == 0;
}

/* Does the piece begin another call than this one, of the same index or before it, which is not
 * known by its id? */
static bool begins_another(
	const JsonxText *piece, const JsonxText *function, LlmToolCall *call, bool indexed)
{
	if (has_text(piece[CALL_ID]) && call->id.len > 0)
		return true;
	if (!has_text(function[FUNCTION_NAME]) || call->name.len == 0)
		return false;
	if (!indexed)
		return true;
	/* Some say the name with each piece. */
	return (has_text(function[FUNCTION_ARGUMENTS]) ||
		       !is_same(function[FUNCTION_NAME], &call->name)) &&
	       llm_tools_is_whole(call);
}

/* The call that a piece belongs to. */
static int find_call(
	LlmDecoder *d, const JsonxText *piece, const JsonxText *function, LlmToolCall **ret)
{
	LlmTools *tools = &d->tools;
	uint64_t index = 0;
	bool indexed = jsonx_text_uint(piece[CALL_INDEX], &index);
	LlmToolCall *call;
	int r = find_by_id(d, piece, ret);

	if (r < 0 || *ret)
		return r;
	if (indexed)
		call = llm_tools_find(tools, index);
	else
		call = tools->n > 0 ? &tools->calls[tools->n - 1] : NULL;
	if (!call || begins_another(piece, function, call, indexed))
		return llm_tools_begin(tools, indexed ? index : tools->n, ret);
	*ret = call;
	return 0;
}

static int on_piece(LlmDecoder *d, const JsonxText *piece)
{
	JsonxText function[N_FUNCTION_KEYS] = { 0 };
	LlmToolCall *call;
	int r = 0;

	if (piece[CALL_FUNCTION].text)
		r = jsonx_pick(piece[CALL_FUNCTION], function_keys, function, N_FUNCTION_KEYS);
	if (r == 0)
		r = find_call(d, piece, function, &call);
	/* Some say id and name with each piece. */
	if (r == 0 && call->id.len == 0 && has_text(piece[CALL_ID]))
		r = llm_keep_tool(d, &call->id, piece[CALL_ID]);
	if (r == 0 && call->name.len == 0 && has_text(function[FUNCTION_NAME]))
		r = llm_keep_tool(d, &call->name, function[FUNCTION_NAME]);
	if (r == 0 && function[FUNCTION_ARGUMENTS].text)
		r = llm_keep_arguments(d, call, function[FUNCTION_ARGUMENTS]);
	return r;
}

static int on_call(LlmDecoder *d, JsonxText item)
{
	JsonxText piece[N_CALL_KEYS];
	int r = jsonx_pick(item, call_keys, piece, N_CALL_KEYS);

	return r < 0 ? r : on_piece(d, piece);
}

/* As it was before there could be several. */
static int on_function_call(LlmDecoder *d, JsonxText function)
{
	const JsonxText piece[N_CALL_KEYS] = {
		[CALL_INDEX] = { "0", 1 },
		[CALL_FUNCTION] = function,
	};

	return on_piece(d, piece);
}

static int on_calls(LlmDecoder *d, JsonxText calls)
{
	JsonxWalk w;
	int r = jsonx_walk(&w, calls.text, calls.len);

	while (r == 0 && (r = jsonx_walk_next(&w)) > 0)
		r = on_call(d, w.value);
	return r;
}

enum { PART_TYPE, PART_TEXT, PART_THINKING, N_PART_KEYS };

static const char *const part_keys[N_PART_KEYS] = {
	[PART_TYPE] = "type",
	[PART_TEXT] = "text",
	[PART_THINKING] = "thinking",
};

typedef int (*OnThinking)(LlmDecoder *d, JsonxText thinking);

/* One of several that text is made of; what it is else is ignored. */
static int on_part(LlmDecoder *d, Channel channel, JsonxText part, OnThinking on_thinking)
{
	JsonxText found[N_PART_KEYS];

	if (*part.text == '"')
		return llm_give(d, channel, part);
	if (jsonx_pick(part, part_keys, found, N_PART_KEYS) < 0)
		return 0;
	if (jsonx_text_is(found[PART_TYPE], "\"text\"") && has_text(found[PART_TEXT]))
		return llm_give(d, channel, found[PART_TEXT]);
	if (on_thinking && jsonx_text_is(found[PART_TYPE], "\"thinking\"") &&
		found[PART_THINKING].text)
		return on_thinking(d, found[PART_THINKING]);
	return 0;
}

/* A string, or an array of parts. */
static int on_parts(LlmDecoder *d, Channel channel, JsonxText value, OnThinking on_thinking)
{
	JsonxWalk w;
	int r;

	if (!value.text || *value.text != '[')
		return llm_give(d, channel, value);
	r = jsonx_walk(&w, value.text, value.len);
	while (r == 0 && (r = jsonx_walk_next(&w)) > 0)
		r = on_part(d, channel, w.value, on_thinking);
	return r;
}

/* Text again, but thoughts hold no thoughts. */
static int on_thoughts(LlmDecoder *d, JsonxText thinking)
{
	return on_parts(d, CHANNEL_REASONING, thinking, NULL);
}

static int on_text(LlmDecoder *d, Channel channel, JsonxText value)
{
	return on_parts(d, channel, value, on_thoughts);
}

static bool has_some(JsonxText value)
{
	return has_text(value) || (value.text && *value.text == '[');
}

enum {
	DELTA_CONTENT,
	DELTA_REASONING_CONTENT,
	DELTA_REASONING,
	DELTA_REFUSAL,
	DELTA_TOOL_CALLS,
	DELTA_FUNCTION_CALL,
	N_DELTA_KEYS
};

static const char *const delta_keys[N_DELTA_KEYS] = {
	[DELTA_CONTENT] = "content",
	[DELTA_REASONING_CONTENT] = "reasoning_content",
	[DELTA_REASONING] = "reasoning",
	[DELTA_REFUSAL] = "refusal",
	[DELTA_TOOL_CALLS] = "tool_calls",
	[DELTA_FUNCTION_CALL] = "function_call",
};

static int on_delta(LlmDecoder *d, JsonxText delta)
{
	JsonxText found[N_DELTA_KEYS];
	int r = jsonx_pick(delta, delta_keys, found, N_DELTA_KEYS);

	/* Where both are said, they are the same. */
	if (r == 0 && has_some(found[DELTA_REASONING_CONTENT]))
		r = on_text(d, CHANNEL_REASONING, found[DELTA_REASONING_CONTENT]);
	else if (r == 0 && has_some(found[DELTA_REASONING]))
		r = on_text(d, CHANNEL_REASONING, found[DELTA_REASONING]);
	if (r == 0)
		r = on_text(d, CHANNEL_OUTPUT, found[DELTA_CONTENT]);
	if (r == 0)
		r = llm_give(d, CHANNEL_OUTPUT, found[DELTA_REFUSAL]);
	if (r == 0 && found[DELTA_TOOL_CALLS].text)
		r = on_calls(d, found[DELTA_TOOL_CALLS]);
	else if (r == 0 && found[DELTA_FUNCTION_CALL].text)
		r = on_function_call(d, found[DELTA_FUNCTION_CALL]);
	return r;
}

/* What a language takes for false is no error. */
static bool is_error(JsonxText error)
{
	return has_text(error) || (error.text && *error.text == '{' && !jsonx_text_is(error, "{}"));
}

enum {
	CHOICE_INDEX,
	CHOICE_DELTA,
	CHOICE_MESSAGE,
	CHOICE_TEXT,
	CHOICE_ERROR,
	CHOICE_FINISH_REASON,
	N_CHOICE_KEYS
};

static const char *const choice_keys[N_CHOICE_KEYS] = {
	[CHOICE_INDEX] = "index",
	[CHOICE_DELTA] = "delta",
	[CHOICE_MESSAGE] = "message",
	[CHOICE_TEXT] = "text",
	[CHOICE_ERROR] = "error",
	[CHOICE_FINISH_REASON] = "finish_reason",
};

static bool is_object(JsonxText value)
{
	return value.text && *value.text == '{';
}

/* What a choice says, in whichever member; a message is all of it where the server does not stream,
 * or a piece. */
static int on_content(LlmDecoder *d, const JsonxText *choice)
{
	if (is_object(choice[CHOICE_DELTA])) {
		d->has_delta = true;
		return on_delta(d, choice[CHOICE_DELTA]);
	}
	if (d->has_delta)
		return 0;
	if (is_object(choice[CHOICE_MESSAGE]))
		return on_delta(d, choice[CHOICE_MESSAGE]);
	return llm_give(d, CHANNEL_OUTPUT, choice[CHOICE_TEXT]);
}

static int on_choice(LlmDecoder *d, JsonxText choice, bool first)
{
	JsonxText found[N_CHOICE_KEYS];
	uint64_t index;
	int r = jsonx_pick(choice, choice_keys, found, N_CHOICE_KEYS);

	if (r < 0)
		return r;
	if (jsonx_text_uint(found[CHOICE_INDEX], &index) ? index > 0 : !first)
		return 0;
	if (is_error(found[CHOICE_ERROR]))
		return llm_fail(d, choice);
	r = on_content(d, found);
	if (r < 0 || !has_text(found[CHOICE_FINISH_REASON]) ||
		jsonx_text_is(found[CHOICE_FINISH_REASON], "\"null\""))
		return r;
	/* OpenRouter's, where what it had the answer from broke off. */
	if (jsonx_text_is(found[CHOICE_FINISH_REASON], "\"error\""))
		return -EREMOTEIO;
	r = llm_keep(d, &d->answer.finish_reason, found[CHOICE_FINISH_REASON]);
	return r < 0 ? r : llm_give_rest(d);
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

static int on_chunk(LlmDecoder *d, JsonxText chunk)
{
	JsonxText found[N_CHUNK_KEYS];
	int r = jsonx_pick(chunk, chunk_keys, found, N_CHUNK_KEYS);

	if (r < 0)
		return r;
	if (is_error(found[CHUNK_ERROR]) || jsonx_text_is(found[CHUNK_OBJECT], "\"error\""))
		return llm_fail(d, chunk);
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
	return llm_give_rest(d);
}

static int on_event(LlmDecoder *d, const SseEvent *event)
{
	JsonxText data = { event->data, event->data_len };

	if (d->answer.finished || data.len == 0)
		return 0;
	if (llm_event_is(event, "error"))
		return llm_fail(d, data);
	while (data.len > 0 && *data.text == ' ') {
		data.text++;
		data.len--;
	}
	if (data.len >= strlen("[DONE]") && memcmp(data.text, "[DONE]", strlen("[DONE]")) == 0)
		return on_done(d);
	if (jsonx_valid_lax(data.text, data.len)) {
		d->went_on = true;
		return on_chunk(d, data);
	}
	/* Most name no event; of one that is not known, anything may be the data. */
	return event->name_len > 0 && !llm_event_is(event, "message") ? 0 : -EBADMSG;
}

static int on_whole(LlmDecoder *d, const char *body, size_t len)
{
	JsonxText found[N_CHUNK_KEYS] = { 0 }, text = { body, len };
	JsonxWalk choices;
	int r;

	if (!jsonx_valid_lax(body, len))
		return -EBADMSG;
	r = jsonx_pick(text, chunk_keys, found, N_CHUNK_KEYS);
	if (r < 0 || !found[CHUNK_CHOICES].text ||
		jsonx_walk(&choices, found[CHUNK_CHOICES].text, found[CHUNK_CHOICES].len) < 0 ||
		jsonx_walk_next(&choices) <= 0)
		return llm_fail_whole(d, text);
	r = on_chunk(d, text);
	return r < 0 ? r : on_done(d);
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
	.on_whole = on_whole,
	.on_end = llm_end,
};
