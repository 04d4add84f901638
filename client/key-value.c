#include "client/key-value.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/utf8.h"

int key_value_add(json_object *object, const char *key, json_object *value)
{
	if (!value)
		return -ENOMEM;
	if (json_object_object_add(object, key, value) < 0) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

int key_value_add_string(json_object *object, const char *key, const char *text, size_t len)
{
	if (len > INT32_MAX || !utf8_valid(text, len))
		return -EINVAL;
	return key_value_add(object, key, json_object_new_string_len(text, (int)len));
}

/* The object that is member `key` of `parent`, made if there is none. */
static int descend(json_object *parent, const char *key, json_object **ret)
{
	json_object *child;
	int r;

	if (*key == '\0')
		return -EINVAL;
	if (json_object_object_get_ex(parent, key, &child)) {
		if (!json_object_is_type(child, json_type_object))
			return -EEXIST;
		*ret = child;
		return 0;
	}
	child = json_object_new_object();
	r = key_value_add(parent, key, child);
	if (r < 0)
		return r;
	*ret = child;
	return 0;
}

static int set_value(json_object *object, const char *key, const char *value)
{
	size_t len = strlen(value);
	json_object *parsed = NULL;
	JsonxError error;
	int r;

	r = jsonx_parse(value, len, &parsed, &error);
	if (r == -EBADMSG)
		return key_value_add_string(object, key, value, len);
	if (r < 0)
		return r;
	if (!parsed) /* json-c has no object for null */
		return json_object_object_add(object, key, NULL) < 0 ? -ENOMEM : 0;
	return key_value_add(object, key, parsed);
}

/* Splits into key and value; *ret_key is the caller's to free, *ret_value points into it. */
static int split(const char *assignment, char **ret_key, const char **ret_value)
{
	const char *equals = strchr(assignment, '=');
	char *copy;

	if (!equals || equals == assignment || !utf8_valid(assignment, strlen(assignment)))
		return -EINVAL;
	copy = strdup(assignment);
	if (!copy)
		return -ENOMEM;
	copy[equals - assignment] = '\0';
	*ret_key = copy;
	*ret_value = copy + (equals - assignment) + 1;
	return 0;
}

int key_value_set(json_object *root, const char *assignment)
{
	_cleanup_free_ char *copy = NULL;
	const char *value;
	char *key;
	int r;

	r = split(assignment, &copy, &value);
	if (r < 0)
		return r;
	key = copy;
	for (char *dot = strchr(key, '.'); dot; dot = strchr(key, '.')) {
		*dot = '\0';
		r = descend(root, key, &root);
		if (r < 0)
			return r;
		key = dot + 1;
	}
	return *key == '\0' ? -EINVAL : set_value(root, key, value);
}

int key_value_set_string(json_object *root, const char *assignment)
{
	_cleanup_free_ char *key = NULL;
	const char *value;
	int r;

	r = split(assignment, &key, &value);
	return r < 0 ? r : key_value_add_string(root, key, value, strlen(value));
}
