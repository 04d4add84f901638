#include "client/messages.h"

#include <errno.h>
#include <string.h>

#include "client/prompt.h"
#include "common/jsonx.h"

static int wrong(Buf *why, size_t message, const char *what)
{
	int r = buf_printf(why, "message %zu %s", message + 1, what);

	return r < 0 ? r : -EINVAL;
}

static int check_parts(json_object *parts, size_t message, Buf *why)
{
	for (size_t i = 0; i < json_object_array_length(parts); i++) {
		if (!json_object_is_type(json_object_array_get_idx(parts, i), json_type_object))
			return wrong(why, message, "has a part that is no object");
	}
	return 0;
}

/* One that calls tools, or refuses, need not say anything else. */
static bool may_be_silent(json_object *m)
{
	static const char *const instead[] = { "tool_calls", "function_call", "refusal", "audio" };
	json_object *value = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(instead); i++) {
		if (json_object_object_get_ex(m, instead[i], &value) && value)
			return true;
	}
	return false;
}

static int check_content(json_object *m, size_t i, Buf *why)
{
	json_object *content = NULL;

	if (!json_object_object_get_ex(m, "content", &content) || !content)
		return may_be_silent(m) ? 0 : wrong(why, i, "has no content");
	if (json_object_is_type(content, json_type_array))
		return check_parts(content, i, why);
	if (!json_object_is_type(content, json_type_string))
		return wrong(why, i, "has a content that is neither text nor an array of parts");
	return 0;
}

static int check_message(json_object *m, size_t i, Buf *why)
{
	size_t len = 0;

	if (!json_object_is_type(m, json_type_object))
		return wrong(why, i, "is no object");
	if (!jsonx_get_string(m, "role", &len) || len == 0)
		return wrong(why, i, "has no role");
	return check_content(m, i, why);
}

int messages_check(json_object *messages, Buf *why)
{
	if (!json_object_is_type(messages, json_type_array) ||
		json_object_array_length(messages) == 0) {
		int r = buf_append_str(why, "it is no array of messages");

		return r < 0 ? r : -EINVAL;
	}
	for (size_t i = 0; i < json_object_array_length(messages); i++) {
		int r = check_message(json_object_array_get_idx(messages, i), i, why);

		if (r < 0)
			return r;
	}
	return 0;
}

static int parse(const Buf *text, json_object **ret, Buf *why)
{
	_cleanup_json_ json_object *messages = NULL;
	JsonxError error;
	int r;

	r = jsonx_parse(text->data ? text->data : "", text->len, &messages, &error);
	if (r == -EBADMSG) {
		r = buf_printf(why, "it is not JSON: %s at byte %zu", error.why, error.offset);
		return r < 0 ? r : -EINVAL;
	}
	if (r == 0)
		r = messages_check(messages, why);
	if (r == 0)
		*ret = TAKE_PTR(messages);
	return r;
}

int messages_read(Context *ctx, const char *file, json_object **ret)
{
	_cleanup_buf_ Buf text = { 0 }, why = { 0 };
	int r;

	r = prompt_read_file(file, &text);
	if (r == -ENOMEM || r == -EINTR)
		return r;
	if (r < 0)
		return context_fail(ctx, EXIT_CODE_USAGE, "the messages cannot be read from %s: %s",
			strcmp(file, "-") == 0 ? "standard input" : file, strerror(-r));
	r = parse(&text, ret, &why);
	if (r != -EINVAL)
		return r;
	return context_fail(
		ctx, EXIT_CODE_USAGE, "--messages-file %s: %.*s", file, (int)why.len, why.data);
}
