#include "client/provider-list.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx.h"

int provider_list_fetch(Context *ctx, json_object **ret)
{
	_cleanup_json_ json_object *list = NULL;
	int r;

	r = context_call(ctx, "provider.list", NULL, &list);
	if (r != 0)
		return r;
	if (!jsonx_get(list, "providers", json_type_array))
		return context_lost(ctx, -EBADMSG);
	*ret = TAKE_PTR(list);
	return 0;
}

static bool is(json_object *provider, const char *key, const char *wanted)
{
	const char *value = jsonx_get_string(provider, key, NULL);

	return value && (!wanted || strcmp(value, wanted) == 0);
}

json_object *provider_list_find(json_object *list, const char *name, const char *kind)
{
	json_object *providers = jsonx_get(list, "providers", json_type_array);

	for (size_t i = 0; providers && i < json_object_array_length(providers); i++) {
		json_object *p = json_object_array_get_idx(providers, i);

		if (is(p, "name", name) && is(p, "kind", kind))
			return p;
	}
	return NULL;
}

/* "a (openai), b (anthropic)" */
static int append_names(json_object *list, Buf *b)
{
	json_object *providers = jsonx_get(list, "providers", json_type_array);
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_object_array_length(providers); i++) {
		json_object *p = json_object_array_get_idx(providers, i);
		const char *name = jsonx_get_string(p, "name", NULL);
		const char *kind = jsonx_get_string(p, "kind", NULL);

		r = buf_printf(
			b, "%s%s (%s)", i > 0 ? ", " : "", name ? name : "?", kind ? kind : "?");
	}
	return r;
}

static int none(Context *ctx, json_object *list, const char *name, const char *kind)
{
	_cleanup_buf_ Buf names = { 0 };
	int r = append_names(list, &names);

	if (r < 0)
		return r;
	if (names.len == 0)
		return context_fail(ctx, EXIT_CODE_NOT_FOUND,
			"the daemon has no provider to ask: a section [provider NAME] of its "
			"configuration makes one");
	return context_fail(ctx, EXIT_CODE_NOT_FOUND, "there is no provider%s%s%s%s; there is %.*s",
		name ? " " : "", name ? name : "", kind ? " of the kind " : "", kind ? kind : "",
		(int)names.len, names.data);
}

int provider_list_choose(Context *ctx, const char *name, const char *kind, json_object **ret)
{
	_cleanup_json_ json_object *list = NULL;
	json_object *found;
	int r;

	r = provider_list_fetch(ctx, &list);
	if (r != 0)
		return r;
	found = provider_list_find(list, name, kind);
	if (!found)
		return none(ctx, list, name, kind);
	*ret = json_object_get(found);
	return 0;
}
