#include "common/schema.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/utf8.h"

/* The path of what is being looked at, as a chain on the stack: nothing is spelled out until
 * something is wrong. */
typedef struct Path {
	const struct Path *parent;
	const char *name; /* NULL: an array element */
	size_t index;
} Path;

static void path_append(const Path *p, Buf *b)
{
	int r;

	if (!p)
		return;
	path_append(p->parent, b);
	if (!p->name)
		r = buf_printf(b, "[%zu]", p->index);
	else
		r = buf_printf(b, "%s%s", b->len > 0 ? "." : "", p->name);
	if (r < 0) /* best effort: the path is for a person */
		return;
}

static int fail(RpcError *e, RpcReason reason, const Path *p, const char *what)
{
	_cleanup_buf_ Buf path = { 0 };

	path_append(p, &path);
	if (buf_terminate(&path) < 0)
		return -ENOMEM;
	rpc_error_set(
		e, reason, "%.*s %s", (int)utf8_cut(path.data, path.len, 120), path.data, what);
	rpc_error_add_string(e, "param", path.data);
	return -EINVAL;
}

static int fail_large(RpcError *e, const Path *p, uint64_t limit, const char *unit)
{
	char what[64];
	int r;

	snprintf(what, sizeof(what), "is over its limit of %" PRIu64 " %s", limit, unit);
	r = fail(e, RPC_TOO_LARGE, p, what);
	rpc_error_add_uint(e, "limit", limit);
	return r;
}

/* How a check is made, as it was asked for. */
typedef struct Check {
	RpcError *e;
	bool fill; /* defaults, in place */
} Check;

static int check_fields(const SchemaField *fields, json_object *o, const Path *p, const Check *c);

static int check_choice(const SchemaField *f, const char *text, const Path *p, RpcError *e)
{
	char what[200] = "must be one of";
	size_t len = strlen(what);

	for (size_t i = 0; f->choices[i]; i++)
		if (strcmp(f->choices[i], text) == 0)
			return 0;
	for (size_t i = 0; f->choices[i] && len < sizeof(what); i++)
		len += (size_t)snprintf(
			what + len, sizeof(what) - len, "%s %s", i > 0 ? "," : "", f->choices[i]);
	return fail(e, RPC_INVALID_PARAMS, p, what);
}

static int check_string(const SchemaField *f, json_object *o, const Path *p, RpcError *e)
{
	const char *text = json_object_get_string(o);
	size_t len = (size_t)json_object_get_string_len(o);

	if (f->max_bytes > 0 && len > f->max_bytes)
		return fail_large(e, p, f->max_bytes, "bytes");
	if (f->not_empty && len == 0)
		return fail(e, RPC_INVALID_PARAMS, p, "must not be empty");
	if ((f->no_nul || f->choices) && memchr(text, '\0', len))
		return fail(e, RPC_INVALID_PARAMS, p, "must not contain U+0000");
	return f->choices ? check_choice(f, text, p, e) : 0;
}

static int check_integer(const SchemaField *f, json_object *o, const Path *p, RpcError *e)
{
	char what[96];
	int64_t value = json_object_get_int64(o);

	if (f->min == 0 && f->max == 0)
		return 0;
	/* Above INT64_MAX json-c clamps, which is out of every range that we have. */
	if (value >= f->min && value <= f->max &&
		!(value == INT64_MAX && json_object_get_uint64(o) > INT64_MAX))
		return 0;
	snprintf(what, sizeof(what), "must be from %" PRId64 " to %" PRId64, f->min, f->max);
	return fail(e, RPC_INVALID_PARAMS, p, what);
}

static int check_string_map(const SchemaField *f, json_object *o, const Path *p, RpcError *e)
{
	if (f->max_items > 0 && (uint32_t)json_object_object_length(o) > f->max_items)
		return fail_large(e, p, f->max_items, "entries");

	json_object_object_foreach(o, key, value)
	{
		Path member = { .parent = p, .name = key };
		size_t key_len = strlen(key);

		if (f->no_nul && key_len == 0)
			return fail(e, RPC_INVALID_PARAMS, p, "must not have an empty name");
		if (f->max_key_bytes > 0 && key_len > f->max_key_bytes)
			return fail_large(e, &member, f->max_key_bytes, "bytes in a name");
		if (!json_object_is_type(value, json_type_string))
			return fail(e, RPC_INVALID_PARAMS, &member, "must be a string");
		if (f->max_bytes > 0 && (size_t)json_object_get_string_len(value) > f->max_bytes)
			return fail_large(e, &member, f->max_bytes, "bytes");
		if (f->no_nul && memchr(json_object_get_string(value), '\0',
					 (size_t)json_object_get_string_len(value)))
			return fail(e, RPC_INVALID_PARAMS, &member, "must not contain U+0000");
	}
	return 0;
}

static int check_text_size(const SchemaField *f, json_object *o, const Path *p, RpcError *e)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	if (f->max_bytes == 0)
		return 0;
	r = jsonx_append(&text, o);
	if (r < 0)
		return r;
	return text.len > f->max_bytes ? fail_large(e, p, f->max_bytes, "bytes") : 0;
}

static int check_value(const SchemaField *f, json_object *o, const Path *p, const Check *c);

static int check_array(const SchemaField *f, json_object *o, const Path *p, const Check *c)
{
	size_t n = json_object_array_length(o);

	if (f->max_items > 0 && n > f->max_items)
		return fail_large(c->e, p, f->max_items, "entries");
	if (n < f->min_items)
		return fail(c->e, RPC_INVALID_PARAMS, p, "must not be empty");
	for (size_t i = 0; i < n; i++) {
		Path item = { .parent = p, .index = i };
		int r = check_value(f->items, json_object_array_get_idx(o, i), &item, c);

		if (r < 0)
			return r;
	}
	return 0;
}

static const struct {
	json_type type;
	const char *must;
	const char *name;
} types[_SCHEMA_TYPE_MAX] = {
	[SCHEMA_STRING] = { json_type_string, "must be a string", "string" },
	[SCHEMA_INTEGER] = { json_type_int, "must be an integer", "integer" },
	[SCHEMA_NUMBER] = { json_type_double, "must be a number", "number" },
	[SCHEMA_BOOLEAN] = { json_type_boolean, "must be true or false", "boolean" },
	[SCHEMA_OBJECT] = { json_type_object, "must be an object", "object" },
	[SCHEMA_STRING_MAP] = { json_type_object, "must be an object of strings", "object" },
	[SCHEMA_ANY_OBJECT] = { json_type_object, "must be an object", "object" },
	[SCHEMA_ARRAY] = { json_type_array, "must be an array", "array" },
};

static int check_value(const SchemaField *f, json_object *o, const Path *p, const Check *c)
{
	bool fits = json_object_is_type(o, types[f->type].type) ||
		    (f->type == SCHEMA_NUMBER && json_object_is_type(o, json_type_int));
	int r;

	if (!fits)
		return fail(c->e, RPC_INVALID_PARAMS, p, types[f->type].must);

	switch (f->type) {
	case SCHEMA_STRING:
		return check_string(f, o, p, c->e);
	case SCHEMA_INTEGER:
		return check_integer(f, o, p, c->e);
	case SCHEMA_STRING_MAP:
		return check_string_map(f, o, p, c->e);
	case SCHEMA_ARRAY:
		return check_array(f, o, p, c);
	case SCHEMA_OBJECT:
		r = check_text_size(f, o, p, c->e);
		return r < 0 ? r : check_fields(f->fields, o, p, c);
	case SCHEMA_ANY_OBJECT:
		return check_text_size(f, o, p, c->e);
	case SCHEMA_NUMBER:
	case SCHEMA_BOOLEAN:
	case _SCHEMA_TYPE_MAX:
		break;
	}
	return 0;
}

static const SchemaField *find_field(const SchemaField *fields, const char *name)
{
	for (const SchemaField *f = fields; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* The parser is for defaults that are more than a word: every spawn has a dozen of them filled in.
 */
static int make_default(const SchemaField *f, json_object **ret)
{
	const char *text = f->default_json;
	size_t len = strlen(text);
	JsonxError why;

	switch (f->type) {
	case SCHEMA_STRING:
		*ret = json_object_new_string_len(text + 1, (int)len - 2);
		break;
	case SCHEMA_INTEGER:
		*ret = json_object_new_int64(strtoll(text, NULL, 10));
		break;
	case SCHEMA_BOOLEAN:
		*ret = json_object_new_boolean(text[0] == 't');
		break;
	default:
		if (strcmp(text, "{}") != 0)
			return jsonx_parse(text, len, ret, &why);
		*ret = json_object_new_object();
		break;
	}
	return *ret ? 0 : -ENOMEM;
}

static int fill_default(const SchemaField *f, json_object *o)
{
	json_object *value = NULL;
	int r;

	if (!f->default_json)
		return 0;
	r = make_default(f, &value);
	if (r == 0 && json_object_object_add(o, f->name, value) < 0) {
		json_object_put(value);
		r = -ENOMEM;
	}
	return r;
}

/* `given` has a bit for each member that is there. */
static int check_absent(
	const SchemaField *fields, json_object *o, uint64_t given, const Path *p, const Check *c)
{
	for (const SchemaField *f = fields; f->name; f++) {
		Path member = { .parent = p, .name = f->name };
		int r = 0;

		if (given >> (f - fields) & 1)
			continue;
		if (f->required)
			return fail(c->e, RPC_INVALID_PARAMS, &member, "is missing");
		if (c->fill)
			r = fill_default(f, o);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_fields(const SchemaField *fields, json_object *o, const Path *p, const Check *c)
{
	uint64_t given = 0; /* a table has fewer fields than this has bits */

	if (!o)
		return check_absent(fields, o, given, p, c);
	json_object_object_foreach(o, key, value)
	{
		Path member = { .parent = p, .name = key };
		const SchemaField *f = find_field(fields, key);
		int r;

		if (!f)
			return fail(c->e, RPC_INVALID_PARAMS, &member,
				"is no parameter of this method");
		r = check_value(f, value, &member, c);
		if (r < 0)
			return r;
		given |= (uint64_t)1 << (f - fields);
	}
	return check_absent(fields, o, given, p, c);
}

static int check(const SchemaField *fields, json_object *o, const char *prefix, const Check *c)
{
	Path top = { .name = prefix };

	return check_fields(fields, o, *prefix ? &top : NULL, c);
}

int schema_check(
	const SchemaField *fields, json_object *object, const char *prefix, RpcError *reterr)
{
	return check(fields, object, prefix, &(Check){ .e = reterr, .fill = true });
}

int schema_check_given(
	const SchemaField *fields, json_object *object, const char *prefix, RpcError *reterr)
{
	return check(fields, object, prefix, &(Check){ .e = reterr });
}

int schema_fill(const SchemaField *fields, json_object *object, const char *name)
{
	if (jsonx_member(object, name, NULL))
		return 0;
	return fill_default(find_field(fields, name), object);
}

/* ---- Writing ---- */

void schema_write_value(const SchemaField *f, json_object *value, JsonWriter *w)
{
	if (f->type == SCHEMA_OBJECT) {
		schema_write(f->fields, value, w);
	} else if (f->type == SCHEMA_ARRAY) {
		size_t n = json_object_array_length(value);

		jw_array_begin(w);
		for (size_t i = 0; i < n; i++)
			schema_write_value(f->items, json_object_array_get_idx(value, i), w);
		jw_array_end(w);
	} else {
		jsonx_write(w, value);
	}
}

void schema_write(const SchemaField *fields, json_object *object, JsonWriter *w)
{
	uint64_t given = 0;

	jw_object_begin(w);
	if (object) {
		json_object_object_foreach(object, key, value)
		{
			const SchemaField *f = find_field(fields, key);

			jw_key(w, f->name);
			schema_write_value(f, value, w);
			given |= (uint64_t)1 << (f - fields);
		}
	}
	for (const SchemaField *f = fields; f->name; f++)
		if (f->default_json && !(given >> (f - fields) & 1))
			jw_key_raw(w, f->name, f->default_json, strlen(f->default_json));
	jw_object_end(w);
}

/* ---- JSON Schema ---- */

/* Adds a member and gives up its reference. */
static int add(json_object *o, const char *key, json_object *value)
{
	if (!value || json_object_object_add(o, key, value) < 0) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

static int add_choices(json_object *o, const char *const *choices)
{
	json_object *list = json_object_new_array();

	if (add(o, "enum", list) < 0)
		return -ENOMEM;
	for (size_t i = 0; choices[i]; i++)
		if (json_object_array_add(list, json_object_new_string(choices[i])) < 0)
			return -ENOMEM;
	return 0;
}

static int add_members(json_object *o, const SchemaField *fields)
{
	json_object *properties = json_object_new_object();
	json_object *required = NULL;

	if (add(o, "properties", properties) < 0)
		return -ENOMEM;
	for (const SchemaField *f = fields; f->name; f++) {
		if (add(properties, f->name, schema_to_json(f)) < 0)
			return -ENOMEM;
		if (!f->required)
			continue;
		if (!required) {
			required = json_object_new_array();
			if (add(o, "required", required) < 0)
				return -ENOMEM;
		}
		if (json_object_array_add(required, json_object_new_string(f->name)) < 0)
			return -ENOMEM;
	}
	return add(o, "additionalProperties", json_object_new_boolean(false));
}

static int add_default(json_object *o, const SchemaField *f)
{
	json_object *value = NULL;
	int r;

	if (!f->default_json)
		return 0;
	r = make_default(f, &value);
	return r < 0 ? r : add(o, "default", value);
}

static int add_bounds(json_object *o, const SchemaField *f)
{
	int r = 0;

	if (f->type == SCHEMA_INTEGER && (f->min != 0 || f->max != 0)) {
		r = add(o, "minimum", json_object_new_int64(f->min));
		if (r == 0)
			r = add(o, "maximum", json_object_new_int64(f->max));
	}
	if (r == 0 && f->not_empty)
		r = add(o, "minLength", json_object_new_int(1));
	if (r == 0 && f->type == SCHEMA_ARRAY && f->min_items > 0)
		r = add(o, "minItems", json_object_new_int64(f->min_items));
	if (r == 0 && f->max_items > 0)
		r = add(o, f->type == SCHEMA_ARRAY ? "maxItems" : "maxProperties",
			json_object_new_int64(f->max_items));
	return r;
}

static int add_contents(json_object *o, const SchemaField *f)
{
	if (f->type == SCHEMA_ARRAY)
		return add(o, "items", schema_to_json(f->items));
	if (f->type == SCHEMA_OBJECT)
		return add_members(o, f->fields);
	if (f->type == SCHEMA_STRING_MAP) {
		json_object *values = json_object_new_object();

		if (add(o, "additionalProperties", values) < 0)
			return -ENOMEM;
		return add(values, "type", json_object_new_string("string"));
	}
	return 0;
}

json_object *schema_to_json(const SchemaField *f)
{
	_cleanup_json_ json_object *o = json_object_new_object();

	if (!o || add(o, "type", json_object_new_string(types[f->type].name)) < 0)
		return NULL;
	if (f->doc && add(o, "description", json_object_new_string(f->doc)) < 0)
		return NULL;
	if (f->choices && add_choices(o, f->choices) < 0)
		return NULL;
	if (add_default(o, f) < 0 || add_bounds(o, f) < 0 || add_contents(o, f) < 0)
		return NULL;
	return TAKE_PTR(o);
}
