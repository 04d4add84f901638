#include "common/jsonx-find.h"

#include <errno.h>
#include <string.h>

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	return p;
}

/* Where a string ends, its closing quote included, of which `p` is the opening one. NULL: nowhere. */
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

int jsonx_find(const char *text, size_t len, const char *key, const char **ret, size_t *ret_len)
{
	const char *end = text + len, *p = skip_space(text, end);
	size_t key_len = strlen(key), name_len;

	if (p == end || *p != '{')
		return -EBADMSG;
	p = skip_space(p + 1, end);
	if (p < end && *p == '}')
		return -ENOENT;
	for (;;) {
		const char *name = p, *value = skip_name(p, end, &name_len);

		p = value ? skip_value(value, end) : NULL;
		if (!p)
			return -EBADMSG;
		if (name_len == key_len + 2 && memcmp(name + 1, key, key_len) == 0) {
			*ret = value;
			*ret_len = (size_t)(p - value);
			return 0;
		}
		p = skip_space(p, end);
		if (p == end || *p != ',')
			return p < end && *p == '}' ? -ENOENT : -EBADMSG;
		p = skip_space(p + 1, end);
	}
}

int jsonx_find_value(const char *text, size_t len, const char *key, json_object **ret)
{
	const char *value;
	size_t value_len;
	JsonxError why;
	int r = jsonx_find(text, len, key, &value, &value_len);

	return r < 0 ? r : jsonx_parse(value, value_len, ret, &why);
}
