/* events.read, page by page.
 *
 * Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdint.h>

#include "client/context.h"
#include "client/filter.h"

typedef struct EventsPages {
	const Filter *filter;
	uint64_t after;
	uint64_t limit; /* events in all; 0: no limit */
	/* Each event, lent. An exit code, or -errno, which ends it all. */
	int (*on_event)(json_object *event, void *userdata);
	void *userdata;
} EventsPages;

/* To the end of the log as it is then. What is missing at its beginning is shown as a gap: a stream
 * has been begun. */
int events_page_all(Context *ctx, const EventsPages *pages) _must_check_;
