/* One request about each of many agents, all on their way at once, the answers as they come.
 *
 * Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/context.h"

typedef struct EachRequest {
	const char *method; /* takes an `agent_id` */
	const char *const *ids;
	size_t n;
	bool has_timeout;
	uint64_t timeout_ms; /* sent as `timeout_ms` */
	bool patient;        /* wait for a daemon that goes away, and ask again */
	/* Each result; lent. An exit code, or -errno, which ends it all. */
	int (*on_result)(json_object *result, void *userdata);
	void *userdata;
} EachRequest;

/* Refusals are said; the first exit code that is not 0 is returned. */
int each_agent(Context *ctx, const EachRequest *request) _must_check_;
