#include "common/jsonx-find.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx-string.h"

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* Where a string ends, its closing quote included, of which `p` is the opening one. NULL: nowhere.
 */
static const char *skip_string(const char *p, const char *end)
{
	const char *from = p + 1, *quote;

	while ((quote = memchr(from, '"', (size_t)(end - from)))) {
		const char *backslash = quote;

		while (backslash > from && backslash[-1] == '\\')
			backslash--;
		if ((quote - backslash) % 2 == 0)
			return quote + 1;
		from = quote + 1;
	}
	return NULL;
}

/* An array or an object. */
static const char *skip_brackets(const char *p, const char *end)
{
	size_t depth = 0;

	while (p && p < end) {
		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && --depth == 0)
			return p + 1;
		p++;
	}
	return NULL;
}

/* NULL: there is no value there, or no end of it. */
static const char *skip_value(const char *p, const char *end)
{
	const char *begin = p;

	if (p == end)
		return NULL;
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '{' || *p == '[')
		return skip_brackets(p, end);
	while (p < end && !memchr(",}] \n\t\r", *p, 7))
		p++;
	return p > begin ? p : NULL;
}

/* A member begins at `p`, with its name. Where its value begins; NULL: it does not. */
static const char *skip_name(const char *p, const char *end, size_t *ret_len)
{
	const char *after = p < end && *p == '"' ? skip_string(p, end) : NULL;

	if (!after)
		return NULL;
	*ret_len = (size_t)(after - p);
	p = skip_space(after, end);
	return p < end && *p == ':' ? skip_space(p + 1, end) : NULL;
}

int jsonx_walk(JsonxWalk *w, const char *text, size_t len)
{
	const char *end = text + len, *p = skip_space(text, end);

	if (p == end || (*p != '{' && *p != '['))
		return -EBADMSG;
	*w = (JsonxWalk){ .p = p + 1, .end = end, .close = *p == '{' ? '}' : ']' };
	return 0;
}

/* Where the next member or item begins; NULL: nowhere. */
static const char *skip_comma(const JsonxWalk *w, const char *p)
{
	if (!w->begun)
		return p;
	return *p == ',' ? skip_space(p + 1, w->end) : NULL;
}

int jsonx_walk_next(JsonxWalk *w)
{
	const char *p = skip_space(w->p, w->end);

	if (p == w->end)
		return -EBADMSG;
	if (*p == w->close)
		return 0;
	p = skip_comma(w, p);
	if (p && w->close == '}') {
		w->name.text = p;
		p = skip_name(p, w->end, &w->name.len);
	}
	w->value.text = p;
	p = p ? skip_value(p, w->end) : NULL;
	if (!p)
		return -EBADMSG;
	w->value.len = (size_t)(p - w->value.text);
	w->p = p;
	w->begun = true;
	return 1;
}

/* Is that the name, in its quotes? */
static inline bool is_key(JsonxText name, const char *key)
{
	/* Most differ in the first byte. */
	return name.text[1] == key[0] && strncmp(name.text + 1, key, name.len - 2) == 0 &&
	       key[name.len - 2] == '\0';
}

int jsonx_find(const char *text, size_t len, const char *key, const char **ret, size_t *ret_len)
{
	JsonxWalk w;
	int r = jsonx_walk(&w, text, len);

	if (r < 0 || w.close != '}')
		return -EBADMSG;
	while ((r = jsonx_walk_next(&w)) > 0) {
		if (is_key(w.name, key)) {
			*ret = w.value.text;
			*ret_len = w.value.len;
			return 0;
		}
	}
	return r < 0 ? r : -ENOENT;
}

int jsonx_find_value(const char *text, size_t len, const char *key, json_object **ret)
{
	const char *value;
	size_t value_len;
	JsonxError why;
	int r = jsonx_find(text, len, key, &value, &value_len);

	return r < 0 ? r : jsonx_parse(value, value_len, ret, &why);
}

int jsonx_pick(JsonxText object, const char *const *keys, JsonxText *ret, size_t n)
{
	JsonxWalk w;
	int r;

	if (!object.text || jsonx_walk(&w, object.text, object.len) < 0 || w.close != '}')
		return -EBADMSG;
	for (size_t i = 0; i < n; i++)
		ret[i] = (JsonxText){ 0 };
	while ((r = jsonx_walk_next(&w)) > 0) {
		for (size_t i = 0; i < n; i++)
			if (is_key(w.name, keys[i]))
				ret[i] = *w.value.text == 'n' ? (JsonxText){ 0 } : w.value;
	}
	return r;
}

int jsonx_text_string(JsonxText value, Buf *scratch, const char **ret, size_t *ret_len)
{
	if (value.len < 2 || *value.text != '"')
		return -EINVAL;

	const char *p = value.text + 1;

	if (!memchr(p, '\\', value.len - 2)) {
		*ret = p;
		*ret_len = value.len - 2;
		return 0;
	}
	scratch->len = 0;

	int r = jsonx_unescape(&p, scratch);

	if (r < 0)
		return r;
	*ret = scratch->data;
	*ret_len = scratch->len;
	return 0;
}

bool jsonx_text_is(JsonxText value, const char *text)
{
	return value.text && value.len == strlen(text) && memcmp(value.text, text, value.len) == 0;
}

bool jsonx_text_uint(JsonxText value, uint64_t *ret)
{
	uint64_t n = 0;

	if (value.len == 0)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.text[i];

		if (c < '0' || c > '9' || __builtin_mul_overflow(n, 10U, &n) ||
			__builtin_add_overflow(n, (uint64_t)(c - '0'), &n))
			return false;
	}
	*ret = n;
	return true;
}
