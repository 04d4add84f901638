/* `KEY=VALUE` as it stands on a command line, put into a JSON object.
 *
 * The value is JSON where it is valid JSON, else a string; a dot in the key goes one object deeper:
 * `limits.cpu_seconds=5` is {"limits":{"cpu_seconds":5}}. A later one overrides an earlier one.
 *
 * Owns nothing. Thread: main. */
#pragma once

#include <json-c/json.h>

#include "common/cleanup.h"

/* -EINVAL: no `=`, an empty key, or not UTF-8. -EEXIST: a part of the key already holds something
 * that is no object. -ENOMEM. */
int key_value_set(json_object *root, const char *assignment) _must_check_;

/* The same with a flat key and always a string: labels. */
int key_value_set_string(json_object *root, const char *assignment) _must_check_;

/* Adds a string member; takes no ownership of `text`. -EINVAL if it is not UTF-8, -ENOMEM. */
int key_value_add_string(
	json_object *object, const char *key, const char *text, size_t len) _must_check_;
/* Adds the member and takes `value` over, also on failure; NULL counts as out of memory. */
int key_value_add(json_object *object, const char *key, json_object *value) _must_check_;
