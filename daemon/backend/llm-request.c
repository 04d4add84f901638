#include "daemon/backend/llm-request.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx.h"

static int refuse(RpcError *reterr, size_t message, const char *member, const char *what)
{
	_cleanup_buf_ Buf param = { 0 };
	int r = buf_printf(&param, "options.messages[%zu]%s", message, member);

	if (r == 0)
		r = buf_terminate(&param);
	return r < 0 ? r : rpc_error_refuse(reterr, param.data, what);
}

static bool is_one_of(const char *const *names, const char *name)
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static int check_message(json_object *message, size_t i, const char *const *roles,
	bool needs_content, RpcError *reterr)
{
	const char *role = jsonx_get_string(message, "role", NULL);
	json_object *content = NULL;
	bool some;

	if (!json_object_is_type(message, json_type_object))
		return refuse(reterr, i, "", "must be an object");
	if (!role || role[0] == '\0')
		return refuse(reterr, i, ".role", "must be a string");
	if (roles && !is_one_of(roles, role))
		return refuse(reterr, i, ".role", "is no role that there is");
	(void)json_object_object_get_ex(message, "content", &content);
	some = json_object_is_type(content, json_type_string) ||
	       json_object_is_type(content, json_type_array);
	if (!some && (content || needs_content))
		return refuse(reterr, i, ".content", "must be a string or an array");
	return 0;
}

int llm_request_check(
	json_object *options, const char *const *roles, bool needs_content, RpcError *reterr)
{
	json_object *extra = jsonx_get(options, "extra", json_type_object);
	json_object *messages = jsonx_get(options, "messages", json_type_array);
	size_t n = messages ? json_object_array_length(messages) : 0;
	json_object *stream;

	for (size_t i = 0; i < n; i++) {
		int r = check_message(
			json_object_array_get_idx(messages, i), i, roles, needs_content, reterr);

		if (r < 0)
			return r;
	}
	if (json_object_object_get_ex(extra, "stream", &stream) && !json_object_get_boolean(stream))
		return rpc_error_refuse(reterr, "options.extra.stream",
			"must be true: an answer is always streamed");
	return 0;
}

static json_object *extra_of(const LlmRequest *request)
{
	return jsonx_get(request->options, "extra", json_type_object);
}

void llm_request_begin(JsonWriter *w, const LlmRequest *request)
{
	jw_object_begin(w);
	if (llm_request_key(w, request, "model"))
		jw_cstring(w, request->model);
	if (llm_request_key(w, request, "stream"))
		jw_bool(w, true);
}

bool llm_request_key(JsonWriter *w, const LlmRequest *request, const char *key)
{
	if (json_object_object_get_ex(extra_of(request), key, NULL))
		return false;
	jw_key(w, key);
	return true;
}

bool llm_request_option(JsonWriter *w, const LlmRequest *request, const char *name)
{
	json_object *value;

	if (!json_object_object_get_ex(request->options, name, &value))
		return json_object_object_get_ex(extra_of(request), name, NULL);
	if (llm_request_key(w, request, name))
		jsonx_write(w, value);
	return true;
}

json_object *llm_request_messages(const LlmRequest *request)
{
	return jsonx_get(request->options, "messages", json_type_array);
}

void llm_request_turn(JsonWriter *w, const char *role, const char *text, size_t len)
{
	jw_object_begin(w);
	jw_key_cstring(w, "role", role);
	jw_key_string(w, "content", text, len);
	jw_object_end(w);
}

void llm_request_prompt(JsonWriter *w, const LlmRequest *request)
{
	json_object *messages = llm_request_messages(request);

	if (request->prompt_len > 0 || !messages || json_object_array_length(messages) == 0)
		llm_request_turn(w, "user", request->prompt, request->prompt_len);
}

void llm_request_end(JsonWriter *w, const LlmRequest *request)
{
	json_object *extra = extra_of(request);

	if (extra) {
		json_object_object_foreach(extra, key, value)
		{
			jw_key_escaped(w, key, strlen(key));
			jsonx_write(w, value);
		}
	}
	jw_object_end(w);
}
