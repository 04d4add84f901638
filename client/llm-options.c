#include "client/llm-options.h"

#include <errno.h>
#include <string.h>

#include "client/key-value.h"
#include "client/messages.h"
#include "common/protocol.h"

/* One that this version does not know may have anything. */
static bool backend_has(const char *backend, const char *key)
{
	const ProtocolBackend *b = protocol_backend_find(backend);

	for (const SchemaField *f = b ? b->options : NULL; f && f->name; f++) {
		if (strcmp(f->name, key) == 0)
			return true;
	}
	return !b;
}

/* `option` is what it is called on the command line, `key` what the backend calls it. */
static int check(Context *ctx, const char *option, const char *key, const char *backend,
	json_object *options)
{
	if (!backend)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"--%s is for a language model: say which kind with --backend", option);
	if (!backend_has(backend, key))
		return context_fail(ctx, EXIT_CODE_USAGE, "--%s is nothing for the backend %s",
			option, backend);
	if (json_object_object_get_ex(options, key, NULL))
		return context_fail(ctx, EXIT_CODE_USAGE, "--%s and --option %s exclude each other",
			option, key);
	return 0;
}

static int set_string(
	Context *ctx, const char *key, const char *value, const char *backend, json_object *options)
{
	int r;

	if (!value)
		return 0;
	r = check(ctx, key, key, backend, options);
	if (r == 0)
		r = key_value_add_string(options, key, value, strlen(value));
	return r == -EINVAL ? context_fail(ctx, EXIT_CODE_USAGE, "--%s is not valid UTF-8", key)
			    : r;
}

static int set_messages(Context *ctx, const char *file, const char *backend, json_object *options)
{
	json_object *messages = NULL;
	int r;

	if (!file)
		return 0;
	r = check(ctx, "messages-file", "messages", backend, options);
	if (r == 0)
		r = messages_read(ctx, file, &messages);
	return r == 0 ? key_value_add(options, "messages", messages) : r;
}

int llm_options_set(
	Context *ctx, const LlmOptions *given, const char *backend, json_object *options)
{
	int r;

	r = set_string(ctx, "provider", given->provider, backend, options);
	if (r == 0)
		r = set_string(ctx, "model", given->model, backend, options);
	if (r == 0)
		r = set_string(ctx, "system", given->system, backend, options);
	return r == 0 ? set_messages(ctx, given->messages_file, backend, options) : r;
}
