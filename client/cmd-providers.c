#include <inttypes.h>
#include <string.h>

#include "client/command.h"
#include "client/provider-list.h"
#include "client/render-text.h"
#include "client/text.h"
#include "common/clock.h"
#include "common/jsonx.h"

enum {
	OPT_LONG,
};

static const Option options[] = {
	[OPT_LONG] = { .name = "long",
		.letter = 'l',
		.help = "their addresses, too, and whole errors" },
	{ 0 },
};

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

static bool get_time(json_object *o, const char *key, uint64_t *ret_us)
{
	size_t len;
	const char *text = jsonx_get_string(o, key, &len);

	return text && clock_parse_rfc3339(text, len, ret_us) == 0;
}

static int cell_held(json_object *row, Buf *b)
{
	uint64_t now = clock_realtime_us(), until;
	char age[TEXT_AGE_MAX];

	if (!get_time(row, "held_until", &until) || until <= now)
		return 0;
	text_format_age((until - now) / USEC_PER_MSEC, age);
	return buf_append_str(b, age);
}

/* "3m ago: rate_limited (HTTP 429): slow down" */
static int cell_last_error(json_object *row, Buf *b)
{
	json_object *error = jsonx_get(row, "last_error", json_type_object);
	uint64_t now = clock_realtime_us(), time;
	char age[TEXT_AGE_MAX];
	int r = 0;

	if (!error)
		return 0;
	if (get_time(error, "time", &time)) {
		text_format_age(now > time ? (now - time) / USEC_PER_MSEC : 0, age);
		r = buf_printf(b, "%s ago: ", age);
	}
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

static const TextColumn short_columns[] = {
	{ .title = "NAME", .key = "name" },
	{ .title = "KIND", .key = "kind" },
	{ .title = "MODEL", .key = "model" },
	COLUMNS_OF_STATE{ 0 },
};
static const TextColumn long_columns[] = {
	{ .title = "NAME", .key = "name" },
	{ .title = "KIND", .key = "kind" },
	{ .title = "MODEL", .key = "model" },
	{ .title = "ADDRESS", .key = "base_url" },
	COLUMNS_OF_STATE{ 0 },
};

static void view(Output *o, json_object *list)
{
	render_text_table(o, short_columns, jsonx_get(list, "providers", json_type_array), false);
}

static void view_long(Output *o, json_object *list)
{
	render_text_table(o, long_columns, jsonx_get(list, "providers", json_type_array), true);
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *list = NULL;
	int r;

	r = provider_list_fetch(ctx, &list);
	if (r == 0)
		output_result(&ctx->out, args->values[OPT_LONG].set ? view_long : view, list);
	return r;
}

const Command command_providers = {
	.name = "providers",
	.summary = "Show whom the daemon can ask, and how they fare",
	.details =
		"RUNNING is how many agents ask it now, of how many at most; WAITING how many\n"
		"more would; HELD for how long it has asked to be left alone. Providers stand in\n"
		"the daemon's configuration, in sections [provider NAME].\n",
	.example = "  liongatectl providers\n"
		   "  liongatectl providers --json | jq -r '.providers[].name'\n",
	.options = options,
	.run = run,
};
