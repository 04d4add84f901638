#include "client/events-page.h"

#include <errno.h>

#include "common/json-writer.h"
#include "common/jsonx.h"

#define PAGE 1000

typedef struct Place {
	uint64_t after;
	uint64_t given; /* events so far */
	bool more;
} Place;

static int write_params(const EventsPages *pages, const Place *place, Buf *b)
{
	uint64_t limit = PAGE;
	JsonWriter w;
	int r;

	if (pages->limit > 0 && pages->limit - place->given < limit)
		limit = pages->limit - place->given;
	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key_uint(&w, "after", place->after);
	jw_key_uint(&w, "limit", limit);
	r = filter_write(pages->filter, &w);
	jw_object_end(&w);
	return r < 0 ? r : jw_finish(&w);
}

static int give(const EventsPages *pages, json_object *events, Place *place)
{
	for (size_t i = 0; i < json_object_array_length(events); i++) {
		int r = pages->on_event(json_object_array_get_idx(events, i), pages->userdata);

		if (r != 0)
			return r;
		place->given++;
	}
	return 0;
}

static int next_page(Context *ctx, const EventsPages *pages, Place *place)
{
	_cleanup_buf_ Buf params = { 0 };
	_cleanup_json_ json_object *page = NULL;
	json_object *events;
	uint64_t seq;
	int r;

	r = write_params(pages, place, &params);
	if (r == 0)
		r = context_call(ctx, "events.read", &params, &page);
	if (r != 0)
		return r;
	events = jsonx_get(page, "events", json_type_array);
	seq = jsonx_get_uint(page, "seq", 0);
	place->more = jsonx_get_bool(page, "more", false);
	/* What says that it goes on must go on somewhere else. */
	if (!events || (place->more && seq <= place->after))
		return context_lost(ctx, -EBADMSG);
	place->after = seq;
	return give(pages, events, place);
}

/* What retention has taken of it is skipped, and said. */
static int skip_missing(Context *ctx, const EventsPages *pages, Place *place)
{
	_cleanup_json_ json_object *status = NULL;
	uint64_t first = filter_first_seq(pages->filter), oldest;
	Notice gap = { .kind = NOTICE_GAP };
	int r;

	r = context_call(ctx, "daemon.status", NULL, &status);
	if (r != 0)
		return r;
	oldest = jsonx_get_uint(jsonx_get(status, "log", json_type_object), "oldest_seq", 0);
	gap.from = place->after + 1 > first ? place->after + 1 : first;
	if (oldest <= place->after + 1)
		return 0;
	place->after = oldest - 1;
	if (oldest <= gap.from)
		return 0;
	gap.to = oldest - 1;
	return output_notice(&ctx->out, &gap);
}

int events_page_all(Context *ctx, const EventsPages *pages)
{
	Place place = { .after = pages->after, .more = true };
	int r;

	r = skip_missing(ctx, pages, &place);
	while (r == 0 && place.more && (pages->limit == 0 || place.given < pages->limit))
		r = next_page(ctx, pages, &place);
	return r;
}
