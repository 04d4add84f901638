/* provider.list, and which of them it is to be.
 *
 * Thread: main. */
#pragma once

#include <json-c/json.h>

#include "client/context.h"

/* {"providers": [...]}; the caller puts *ret. */
int provider_list_fetch(Context *ctx, json_object **ret) _must_check_;

/* The first one of that name and that kind (NULL: any). Lends; NULL if there is none. */
json_object *provider_list_find(json_object *list, const char *name, const char *kind);

/* Asks the daemon, and says what there is where there is none such. The caller puts *ret, which has
 * a name and a kind. */
int provider_list_choose(
	Context *ctx, const char *name, const char *kind, json_object **ret) _must_check_;
