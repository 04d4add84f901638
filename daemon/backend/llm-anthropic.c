/* Anthropic's messages. */
#include <errno.h>
#include <string.h>

#include "daemon/backend/llm-decode.h"
#include "daemon/backend/llm-request.h"

/* ---- The request ---- */

static bool is_system(json_object *message)
{
	const char *role = jsonx_get_string(message, "role", NULL);

	return strcmp(role, "system") == 0 || strcmp(role, "developer") == 0;
}

static int check(json_object *options, RpcError *reterr)
{
	static const char *const roles[] = { "system", "developer", "user", "assistant", NULL };

	return llm_request_check(options, roles, true, reterr);
}

static void write_block(JsonWriter *w, const char *text, size_t len)
{
	if (len == 0) /* the API refuses it */
		return;
	jw_object_begin(w);
	jw_key_cstring(w, "type", "text");
	jw_key_string(w, "text", text, len);
	jw_object_end(w);
}

static void write_system_message(JsonWriter *w, json_object *message)
{
	json_object *blocks = jsonx_get(message, "content", json_type_array);
	size_t n = blocks ? json_object_array_length(blocks) : 0, len;
	const char *text = jsonx_get_string(message, "content", &len);

	if (text)
		write_block(w, text, len);
	for (size_t i = 0; i < n; i++)
		jsonx_write(w, json_object_array_get_idx(blocks, i));
}

static size_t count_system(json_object *messages)
{
	size_t n = messages ? json_object_array_length(messages) : 0, found = 0;

	for (size_t i = 0; i < n; i++)
		found += is_system(json_object_array_get_idx(messages, i));
	return found;
}

/* It stands beside the messages, not among them. */
static void write_system(JsonWriter *w, const LlmRequest *request)
{
	json_object *messages = llm_request_messages(request);
	size_t n = messages ? json_object_array_length(messages) : 0, len = 0;
	const char *system = jsonx_get_string(request->options, "system", &len);
	bool among = count_system(messages) > 0;

	if ((len == 0 && !among) || !llm_request_key(w, request, "system"))
		return;
	if (!among) {
		jw_string(w, system, len);
		return;
	}
	jw_array_begin(w);
	write_block(w, system, len);
	for (size_t i = 0; i < n; i++) {
		json_object *message = json_object_array_get_idx(messages, i);

		if (is_system(message))
			write_system_message(w, message);
	}
	jw_array_end(w);
}

static void write_messages(JsonWriter *w, const LlmRequest *request)
{
	json_object *messages = llm_request_messages(request);
	size_t n = messages ? json_object_array_length(messages) : 0;

	jw_array_begin(w);
	for (size_t i = 0; i < n; i++) {
		json_object *message = json_object_array_get_idx(messages, i);

		if (!is_system(message))
			jsonx_write(w, message);
	}
	llm_request_prompt(w, request);
	jw_array_end(w);
}

static int write_request(const LlmRequest *request, Buf *b)
{
	JsonWriter w;

	jw_init(&w, b);
	llm_request_begin(&w, request);
	if (!llm_request_option(&w, request, "max_tokens"))
		jw_key_uint(&w, "max_tokens", LLM_DEFAULT_MAX_TOKENS);
	write_system(&w, request);
	if (llm_request_key(&w, request, "messages"))
		write_messages(&w, request);
	(void)llm_request_option(&w, request, "temperature");
	llm_request_end(&w, request);
	return jw_finish(&w);
}

/* ---- The answer ---- */

/* What comes later counts all that came before. */
static void on_usage(LlmDecoder *d, JsonxText usage)
{
	llm_keep_usage(d, usage, "input_tokens", "output_tokens");
}

enum { MEMBER_INDEX, MEMBER_MESSAGE, MEMBER_BLOCK, MEMBER_DELTA, MEMBER_USAGE, N_MEMBERS };

/* Of all events. */
static const char *const members[N_MEMBERS] = {
	[MEMBER_INDEX] = "index",
	[MEMBER_MESSAGE] = "message",
	[MEMBER_BLOCK] = "content_block",
	[MEMBER_DELTA] = "delta",
	[MEMBER_USAGE] = "usage",
};

enum {
	PART_TYPE,
	PART_TEXT,
	PART_THINKING,
	PART_JSON,
	PART_ID,
	PART_NAME,
	PART_INPUT,
	PART_MODEL,
	PART_USAGE,
	PART_STOP_REASON,
	PART_CONTENT,
	N_PARTS
};

/* Of what an event has inside. */
static const char *const parts[N_PARTS] = {
	[PART_TYPE] = "type",
	[PART_TEXT] = "text",
	[PART_THINKING] = "thinking",
	[PART_JSON] = "partial_json",
	[PART_ID] = "id",
	[PART_NAME] = "name",
	[PART_INPUT] = "input",
	[PART_MODEL] = "model",
	[PART_USAGE] = "usage",
	[PART_STOP_REASON] = "stop_reason",
	[PART_CONTENT] = "content",
};

/* Of a message, without its content. */
static int on_head(LlmDecoder *d, const JsonxText *message)
{
	int r = llm_keep(d, &d->answer.model, message[PART_MODEL]);

	if (message[PART_USAGE].text)
		on_usage(d, message[PART_USAGE]);
	return r < 0 ? r : llm_keep(d, &d->answer.finish_reason, message[PART_STOP_REASON]);
}

static int on_message_start(LlmDecoder *d, const JsonxText *event)
{
	JsonxText message[N_PARTS];
	int r = jsonx_pick(event[MEMBER_MESSAGE], parts, message, N_PARTS);

	return r < 0 ? r : on_head(d, message);
}

static int on_tool_start(LlmDecoder *d, uint64_t index, const JsonxText *block)
{
	LlmToolCall *call;
	int r = llm_tools_begin(&d->tools, index, &call);

	if (r == 0 && block[PART_ID].text)
		r = llm_keep_tool(d, &call->id, block[PART_ID]);
	if (r == 0 && block[PART_NAME].text)
		r = llm_keep_tool(d, &call->name, block[PART_NAME]);
	/* Empty, unless a server says it all at once. */
	if (r == 0 && block[PART_INPUT].text) {
		call->preset = true;
		r = llm_keep_arguments(d, call, block[PART_INPUT]);
	}
	return r;
}

static int on_block(LlmDecoder *d, uint64_t index, JsonxText text)
{
	JsonxText block[N_PARTS];
	int r = jsonx_pick(text, parts, block, N_PARTS);

	if (r < 0)
		return r;
	if (jsonx_text_is(block[PART_TYPE], "\"tool_use\""))
		return on_tool_start(d, index, block);
	if (jsonx_text_is(block[PART_TYPE], "\"text\""))
		return llm_give(d, CHANNEL_OUTPUT, block[PART_TEXT]);
	if (jsonx_text_is(block[PART_TYPE], "\"thinking\""))
		return llm_give(d, CHANNEL_REASONING, block[PART_THINKING]);
	return 0;
}

static int on_block_start(LlmDecoder *d, const JsonxText *event)
{
	uint64_t index = 0;

	(void)jsonx_text_uint(event[MEMBER_INDEX], &index);
	return on_block(d, index, event[MEMBER_BLOCK]);
}

static int on_tool_delta(LlmDecoder *d, JsonxText index_text, JsonxText json)
{
	uint64_t index = 0;
	LlmToolCall *call;

	(void)jsonx_text_uint(index_text, &index);
	call = llm_tools_find(&d->tools, index);
	if (!call ||
		json.len <= strlen("\"\"")) /* it may be of a tool that the server runs itself */
		return 0;
	if (call->preset)
		llm_tools_clear(&d->tools, &call->arguments);
	call->preset = false;
	return llm_keep_arguments(d, call, json);
}

static int on_block_delta(LlmDecoder *d, const JsonxText *event)
{
	JsonxText delta[N_PARTS];
	int r = jsonx_pick(event[MEMBER_DELTA], parts, delta, N_PARTS);

	if (r < 0)
		return r;
	if (jsonx_text_is(delta[PART_TYPE], "\"text_delta\""))
		return llm_give(d, CHANNEL_OUTPUT, delta[PART_TEXT]);
	if (jsonx_text_is(delta[PART_TYPE], "\"thinking_delta\""))
		return llm_give(d, CHANNEL_REASONING, delta[PART_THINKING]);
	if (jsonx_text_is(delta[PART_TYPE], "\"input_json_delta\""))
		return on_tool_delta(d, event[MEMBER_INDEX], delta[PART_JSON]);
	return 0;
}

static int on_block_stop(LlmDecoder *d, const JsonxText *event)
{
	uint64_t index = 0;
	LlmToolCall *call;

	(void)jsonx_text_uint(event[MEMBER_INDEX], &index);
	call = llm_tools_find(&d->tools, index);
	return call ? llm_give_tool(d, call) : 0;
}

static int on_message_delta(LlmDecoder *d, const JsonxText *event)
{
	JsonxText delta[N_PARTS];

	if (event[MEMBER_USAGE].text)
		on_usage(d, event[MEMBER_USAGE]);
	/* There may be no more than that. */
	if (jsonx_pick(event[MEMBER_DELTA], parts, delta, N_PARTS) < 0)
		return 0;
	return llm_keep(d, &d->answer.finish_reason, delta[PART_STOP_REASON]);
}

static int on_message_stop(LlmDecoder *d, const JsonxText *event)
{
	(void)event;
	d->answer.finished = true;
	return llm_give_rest(d);
}

static const struct {
	const char *name;
	int (*handle)(LlmDecoder *d, const JsonxText *event);
} events[] = {
	{ "content_block_delta", on_block_delta },
	{ "content_block_start", on_block_start },
	{ "content_block_stop", on_block_stop },
	{ "message_start", on_message_start },
	{ "message_delta", on_message_delta },
	{ "message_stop", on_message_stop },
};

/* Of a name that was given, or else is in the data. */
static int on_named(LlmDecoder *d, const SseEvent *event)
{
	JsonxText found[N_MEMBERS];
	JsonxText data = { event->data, event->data_len };

	if (llm_event_is(event, "error"))
		return llm_fail(d, data);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (!llm_event_is(event, events[i].name))
			continue;
		if (!jsonx_valid_lax(data.text, data.len) ||
			jsonx_pick(data, members, found, N_MEMBERS) < 0)
			return -EBADMSG;
		d->went_on = true;
		return events[i].handle(d, found);
	}
	return 0;
}

static int on_event(LlmDecoder *d, const SseEvent *event)
{
	static const char *const type_key[] = { "type" };
	SseEvent named = *event;
	JsonxText type;

	if (d->answer.finished || event->data_len == 0)
		return 0;
	if (event->name_len > 0 && !llm_event_is(event, "message"))
		return on_named(d, event);
	if (!jsonx_valid_lax(event->data, event->data_len) ||
		jsonx_pick((JsonxText){ event->data, event->data_len }, type_key, &type, 1) < 0)
		return -EBADMSG;
	if (jsonx_text_string(type, &d->scratch, &named.name, &named.name_len) < 0)
		return -EBADMSG;
	return on_named(d, &named);
}

static int on_content(LlmDecoder *d, JsonxText content)
{
	JsonxWalk w;
	int r = jsonx_walk(&w, content.text, content.len);

	while (r == 0 && (r = jsonx_walk_next(&w)) > 0) {
		r = on_block(d, 0, w.value);
		if (r == 0)
			r = llm_give_rest(d);
	}
	return r;
}

static int on_whole(LlmDecoder *d, const char *body, size_t len)
{
	JsonxText message[N_PARTS], text = { body, len };
	int r;

	if (!jsonx_valid_lax(body, len))
		return -EBADMSG;
	if (jsonx_pick(text, parts, message, N_PARTS) < 0 ||
		!jsonx_text_is(message[PART_TYPE], "\"message\"") || !message[PART_CONTENT].text)
		return llm_fail_whole(d, text);
	r = on_head(d, message);
	if (r == 0)
		r = on_content(d, message[PART_CONTENT]);
	return r < 0 ? r : on_message_stop(d, message);
}

static const char *const headers[] = { "anthropic-version: 2023-06-01", NULL };

const LlmDialect llm_anthropic = {
	.name = "anthropic",
	.path = "/v1/messages",
	.key_header = "x-api-key: ",
	.headers = headers,
	.write_request = write_request,
	.check = check,
	.on_event = on_event,
	.on_whole = on_whole,
	.on_end = llm_end,
};
