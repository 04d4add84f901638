#include "client/provider-view.h"

#include <inttypes.h>

#include "client/describe.h"
#include "client/text.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* "3/8" */
static int cell_running(json_object *row, Buf *b)
{
	uint64_t max = jsonx_get_uint(row, "max_concurrent", 0);
	int r = buf_printf(b, "%" PRIu64, jsonx_get_uint(row, "running", 0));

	return r < 0 || max == 0 ? r : buf_printf(b, "/%" PRIu64, max);
}

/* How much of it in a minute. */
static int cell_limits(json_object *row, Buf *b)
{
	uint64_t requests = jsonx_get_uint(row, "requests_per_minute", 0);
	uint64_t tokens = jsonx_get_uint(row, "tokens_per_minute", 0);
	int r = 0;

	if (requests > 0)
		r = buf_append_count(b, requests, "request");
	if (r == 0 && requests > 0 && tokens > 0)
		r = buf_append_str(b, ", ");
	return r < 0 || tokens == 0 ? r : buf_append_count(b, tokens, "token");
}

static int cell_held(json_object *row, Buf *b)
{
	uint64_t now = clock_realtime_us(), until;
	char age[TEXT_AGE_MAX];

	if (!describe_time(row, "held_until", &until) || until <= now)
		return 0;
	text_format_age((until - now) / USEC_PER_MSEC, age);
	return buf_append_str(b, age);
}

/* "3m ago: rate_limited (HTTP 429): slow down" */
static int cell_last_error(json_object *row, Buf *b)
{
	json_object *error = jsonx_get(row, "last_error", json_type_object);
	size_t start = b->len;
	int r;

	if (!error)
		return 0;
	r = describe_age(error, "time", b);
	if (r == 0 && b->len > start)
		r = buf_append_str(b, " ago: ");
	if (r == 0)
		r = render_text_cell(error, "code", b);
	if (r == 0 && jsonx_get(error, "http_status", json_type_int))
		r = buf_printf(b, " (HTTP %" PRId64 ")", jsonx_get_int(error, "http_status", 0));
	if (r == 0 && jsonx_get_string(error, "message", NULL))
		r = buf_append_str(b, ": ");
	return r < 0 ? r : render_text_cell(error, "message", b);
}

#define COLUMNS_OF_STATE                                                 \
	{ .title = "RUNNING", .cell = cell_running, .right = true },     \
		{ .title = "WAITING", .key = "waiting", .right = true }, \
		{ .title = "HELD", .cell = cell_held, .right = true },   \
		{ .title = "A MINUTE", .cell = cell_limits },            \
		{ .title = "LAST ERROR", .cell = cell_last_error },

const TextColumn provider_columns[] = {
	{ .title = "NAME", .key = "name" },
	{ .title = "KIND", .key = "kind" },
	{ .title = "MODEL", .key = "model" },
	COLUMNS_OF_STATE{ 0 },
};
const TextColumn provider_columns_long[] = {
	{ .title = "NAME", .key = "name" },
	{ .title = "KIND", .key = "kind" },
	{ .title = "MODEL", .key = "model" },
	{ .title = "ADDRESS", .key = "base_url" },
	COLUMNS_OF_STATE{ 0 },
};
