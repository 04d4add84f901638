/* The event summary: what happened, in numbers.
 *
 * Thread: main. */
#pragma once

#include <json-c/json.h>

#include "client/context.h"

/* The result of events.stats with `by_agent` added: the newest `limit` agents with their state,
 * chunks and bytes. `correlation_id` may be NULL: all. The caller puts *ret. */
int summary_fetch(
	Context *ctx, const char *correlation_id, uint64_t limit, json_object **ret) _must_check_;

/* An OutputView. */
void summary_view(Output *o, json_object *summary);
