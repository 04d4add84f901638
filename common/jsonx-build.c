#include "common/jsonx-build.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx-string.h"

typedef struct Build {
	const char *p, *end;
	Buf scratch; /* for a string with escapes, a name, a number that is no integer */
} Build;

static void skip_space(Build *b)
{
	while (b->p < b->end && (*b->p == ' ' || *b->p == '\n' || *b->p == '\t' || *b->p == '\r'))
		b->p++;
}

/* True if `c` is next, which is stepped over then, and the space around it. */
static bool take(Build *b, char c)
{
	skip_space(b);
	if (*b->p != c)
		return false;
	b->p++;
	skip_space(b);
	return true;
}

/* ---- Strings ---- */

/* At the opening quote; behind the closing one afterwards. What is lent is the text's own, or the
 * scratch's. */
static int read_string(Build *b, const char **ret, size_t *ret_len)
{
	const char *begin = ++b->p;
	const char *quote = memchr(begin, '"', (size_t)(b->end - begin));
	int r;

	if (!memchr(begin, '\\', (size_t)(quote - begin))) {
		b->p = quote + 1;
		*ret = begin;
		*ret_len = (size_t)(quote - begin);
		return 0;
	}
	b->scratch.len = 0;
	r = jsonx_unescape(&b->p, &b->scratch);
	if (r < 0)
		return r;
	*ret = b->scratch.data;
	*ret_len = b->scratch.len;
	return 0;
}

static json_object *build_string(Build *b)
{
	const char *text;
	size_t len;

	return read_string(b, &text, &len) < 0 ? NULL : json_object_new_string_len(text, (int)len);
}

/* The same as a string with a NUL, in the scratch. */
static int read_name(Build *b)
{
	const char *text;
	size_t len;
	int r = read_string(b, &text, &len);

	if (r == 0 && text != b->scratch.data) {
		b->scratch.len = 0;
		r = buf_append(&b->scratch, text, len);
	}
	return r < 0 ? r : buf_terminate(&b->scratch);
}

/* ---- Numbers ---- */

static json_object *build_double(Build *b, const char *begin)
{
	b->scratch.len = 0;
	if (buf_append(&b->scratch, begin, (size_t)(b->p - begin)) < 0 ||
		buf_terminate(&b->scratch) < 0)
		return NULL;
	/* With its text, so that it is written as it came. */
	return json_object_new_double_s(strtod(b->scratch.data, NULL), b->scratch.data);
}

static json_object *build_number(Build *b)
{
	const char *begin = b->p;
	bool negative = *begin == '-';
	uint64_t value = 0;

	b->p += negative;
	for (; b->p < b->end && *b->p >= '0' && *b->p <= '9'; b->p++)
		value = value * 10 + (uint64_t)(*b->p - '0');
	if (b->p < b->end && (*b->p == '.' || *b->p == 'e' || *b->p == 'E')) {
		while (b->p < b->end && memchr("0123456789.eE+-", *b->p, 15))
			b->p++;
		return build_double(b, begin);
	}
	if (negative)
		return json_object_new_int64((int64_t)(0 - value));
	return value > INT64_MAX ? json_object_new_uint64(value)
				 : json_object_new_int64((int64_t)value);
}

/* ---- All of it ---- */

static int build_value(Build *b, json_object **ret);

/* Behind the bracket. */
static int build_members(Build *b, json_object *object)
{
	if (take(b, '}'))
		return 0;
	do {
		/* Its name is wanted last, and what is between may use the scratch. */
		const char *name = b->p, *after, *text;
		json_object *value;
		size_t len;
		int r = read_string(b, &text, &len);

		if (r < 0)
			return r;
		(void)take(b, ':');
		r = build_value(b, &value);
		if (r < 0)
			return r;
		after = b->p;
		b->p = name;
		r = read_name(b);
		b->p = after;
		if (r == 0 && json_object_object_add(object, b->scratch.data, value) < 0)
			r = -ENOMEM;
		if (r < 0) {
			json_object_put(value);
			return r;
		}
	} while (take(b, ','));
	(void)take(b, '}');
	return 0;
}

static int build_items(Build *b, json_object *array)
{
	if (take(b, ']'))
		return 0;
	do {
		json_object *item = NULL;
		int r = build_value(b, &item);

		if (r < 0)
			return r;
		if (json_object_array_add(array, item) < 0) {
			json_object_put(item);
			return -ENOMEM;
		}
	} while (take(b, ','));
	(void)take(b, ']');
	return 0;
}

static int build_compound(Build *b, json_object **ret)
{
	bool is_object = *b->p == '{';
	_cleanup_json_ json_object *o =
		is_object ? json_object_new_object() : json_object_new_array();
	int r;

	if (!o)
		return -ENOMEM;
	(void)take(b, *b->p);
	r = is_object ? build_members(b, o) : build_items(b, o);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(o);
	return 0;
}

static int build_literal(Build *b, json_object **ret)
{
	bool is_false = *b->p == 'f';

	if (*b->p == 'n') {
		b->p += strlen("null");
		*ret = NULL;
		return 0;
	}
	b->p += is_false ? strlen("false") : strlen("true");
	*ret = json_object_new_boolean(!is_false);
	return *ret ? 0 : -ENOMEM;
}

/* At its first byte; behind it afterwards. No deeper than JSONX_MAX_DEPTH. */
static int build_value(Build *b, json_object **ret)
{
	switch (*b->p) {
	case '{':
	case '[':
		return build_compound(b, ret);
	case 't':
	case 'f':
	case 'n':
		return build_literal(b, ret);
	case '"':
		*ret = build_string(b);
		break;
	default:
		*ret = build_number(b);
		break;
	}
	return *ret ? 0 : -ENOMEM;
}

int jsonx_build(const char *text, size_t len, json_object **ret)
{
	Build b = { .p = text, .end = text + len };
	int r;

	skip_space(&b);
	r = build_value(&b, ret);
	buf_done(&b.scratch);
	return r;
}
