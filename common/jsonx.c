#include "common/jsonx.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "common/json-writer.h"
#include "common/jsonx-build.h"
#include "common/jsonx-scan.h"

#define FEW_MEMBERS 8

static void set_error(JsonxError *reterr, const char *why, size_t offset)
{
	if (reterr)
		*reterr = (JsonxError){ .why = why, .offset = offset };
}

bool jsonx_valid(const char *text, size_t len, JsonxError *reterr)
{
	const char *nul_key;

	return jsonx_scan(text, len, false, reterr, &nul_key);
}

bool jsonx_valid_lax(const char *text, size_t len)
{
	const char *nul_key;

	return jsonx_scan(text, len, true, NULL, &nul_key);
}

int jsonx_parse(const char *text, size_t len, json_object **ret, JsonxError *reterr)
{
	const char *nul_key;

	if (len > INT32_MAX) {
		set_error(reterr, "a text that is too long", INT32_MAX);
		return -EBADMSG;
	}
	if (!jsonx_scan(text, len, false, reterr, &nul_key))
		return -EBADMSG;
	/* json-c would cut the name short there, and take it for another one. */
	if (nul_key) {
		set_error(reterr, "U+0000 in a member's name", (size_t)(nul_key - text));
		return -EBADMSG;
	}
	return jsonx_build(text, len, ret);
}

static void write_object(JsonWriter *w, json_object *o)
{
	struct lh_entry *entry;

	jw_object_begin(w);
	lh_foreach(json_object_get_object(o), entry)
	{
		const char *key = lh_entry_k(entry);

		jw_key_escaped(w, key, strlen(key));
		jsonx_write(w, lh_entry_v(entry));
	}
	jw_object_end(w);
}

static void write_array(JsonWriter *w, json_object *o)
{
	size_t n = json_object_array_length(o);

	jw_array_begin(w);
	for (size_t i = 0; i < n; i++)
		jsonx_write(w, json_object_array_get_idx(o, i));
	jw_array_end(w);
}

static void write_int(JsonWriter *w, json_object *o)
{
	int64_t value = json_object_get_int64(o);

	/* What is greater is cut to it. */
	if (value == INT64_MAX)
		jw_uint(w, json_object_get_uint64(o));
	else
		jw_int(w, value);
}

/* By json-c, which knows the text that the number came as. */
static void write_double(JsonWriter *w, json_object *o)
{
	size_t len;
	const char *text = json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN, &len);

	if (!text)
		w->error = w->error ? w->error : -ENOMEM;
	else if (isfinite(json_object_get_double(o)))
		jw_raw(w, text, len);
	else
		jw_null(w);
}

void jsonx_write(JsonWriter *w, json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_boolean:
		jw_bool(w, json_object_get_boolean(o));
		break;
	case json_type_double:
		write_double(w, o);
		break;
	case json_type_int:
		write_int(w, o);
		break;
	case json_type_object:
		write_object(w, o);
		break;
	case json_type_array:
		write_array(w, o);
		break;
	case json_type_string:
		jw_string(w, json_object_get_string(o), (size_t)json_object_get_string_len(o));
		break;
	case json_type_null:
	default:
		jw_null(w);
		break;
	}
}

int jsonx_append(Buf *b, json_object *o)
{
	size_t old_len = b->len;
	JsonWriter w;

	jw_init(&w, b);
	jsonx_write(&w, o);

	int r = jw_finish(&w);

	if (r < 0)
		b->len = old_len;
	return r;
}

/* Without rounding: from 2^53 on, several integers have the same nearest double. */
static bool int_equals_double(json_object *integer, double d)
{
	int64_t i = json_object_get_int64(integer);

	if (i < 0 || d < 0) /* beyond 63 bits json-c gives the greatest int64_t */
		return d >= -0x1p63 && d < 0 && (int64_t)d == i && (double)i == d;
	return d < 0x1p64 && (uint64_t)d == json_object_get_uint64(integer) &&
	       (double)(uint64_t)d == d;
}

static bool objects_equal(json_object *a, json_object *b)
{
	json_object *other;

	if (json_object_object_length(a) != json_object_object_length(b))
		return false;
	json_object_object_foreach(a, name, value)
	{
		if (!json_object_object_get_ex(b, name, &other) || !jsonx_equal(value, other))
			return false;
	}
	return true;
}

static bool arrays_equal(json_object *a, json_object *b)
{
	size_t n = json_object_array_length(a);

	if (json_object_array_length(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!jsonx_equal(json_object_array_get_idx(a, i), json_object_array_get_idx(b, i)))
			return false;
	return true;
}

bool jsonx_equal(json_object *a, json_object *b)
{
	json_type type = json_object_get_type(a), other = json_object_get_type(b);

	if (type == json_type_int && other == json_type_double)
		return int_equals_double(a, json_object_get_double(b));
	if (type == json_type_double && other == json_type_int)
		return int_equals_double(b, json_object_get_double(a));
	if (type == json_type_object && other == json_type_object)
		return objects_equal(a, b);
	if (type == json_type_array && other == json_type_array)
		return arrays_equal(a, b);
	return json_object_equal(a, b) != 0;
}

/* In one with few members, and most objects of a request have few, it is quicker to look at each
 * than to hash the key. */
bool jsonx_member(json_object *o, const char *key, json_object **ret)
{
	const struct lh_table *members;

	if (ret)
		*ret = NULL;
	if (!json_object_is_type(o, json_type_object))
		return false;
	members = json_object_get_object(o);
	if (members->count > FEW_MEMBERS)
		return json_object_object_get_ex(o, key, ret);
	for (const struct lh_entry *e = lh_table_head(members); e; e = lh_entry_next(e)) {
		const char *name = lh_entry_k(e);

		if (name[0] != key[0] || strcmp(name, key) != 0)
			continue;
		if (ret)
			*ret = lh_entry_v(e);
		return true;
	}
	return false;
}

json_object *jsonx_get(json_object *o, const char *key, json_type type)
{
	json_object *member;

	return jsonx_member(o, key, &member) && json_object_is_type(member, type) ? member : NULL;
}

const char *jsonx_get_string(json_object *o, const char *key, size_t *ret_len)
{
	json_object *member = jsonx_get(o, key, json_type_string);

	if (!member)
		return NULL;
	if (ret_len)
		*ret_len = (size_t)json_object_get_string_len(member);
	return json_object_get_string(member);
}

int64_t jsonx_get_int(json_object *o, const char *key, int64_t fallback)
{
	json_object *member = jsonx_get(o, key, json_type_int);

	/* json-c cuts what is out of range to the nearest that is not. */
	if (!member || json_object_get_uint64(member) > INT64_MAX)
		return fallback;
	return json_object_get_int64(member);
}

uint64_t jsonx_get_uint(json_object *o, const char *key, uint64_t fallback)
{
	json_object *member = jsonx_get(o, key, json_type_int);

	if (!member || json_object_get_int64(member) < 0)
		return fallback;
	return json_object_get_uint64(member);
}

bool jsonx_get_bool(json_object *o, const char *key, bool fallback)
{
	json_object *member = jsonx_get(o, key, json_type_boolean);

	return member ? json_object_get_boolean(member) : fallback;
}

size_t jsonx_text_bytes(json_object *o)
{
	size_t bytes = 0;

	switch (json_object_get_type(o)) {
	case json_type_string:
		bytes = (size_t)json_object_get_string_len(o);
		break;
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(o); i++)
			bytes += jsonx_text_bytes(json_object_array_get_idx(o, i));
		break;
	case json_type_object: {
		json_object_object_foreach(o, key, value)
		{
			(void)key;
			bytes += jsonx_text_bytes(value);
		}
		break;
	}
	default:
		break;
	}
	return bytes;
}
