#include "client/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client/agent-list.h"
#include "client/key-value.h"
#include "client/render-text.h"
#include "common/json-writer.h"
#include "common/jsonx.h"

static int fetch_stats(Context *ctx, const char *correlation_id, json_object **ret)
{
	_cleanup_buf_ Buf params = { 0 };
	JsonWriter w;
	int r;

	jw_init(&w, &params);
	jw_object_begin(&w);
	if (correlation_id)
		jw_key_cstring(&w, "correlation_id", correlation_id);
	jw_object_end(&w);
	r = jw_finish(&w);
	if (r == 0)
		r = context_call(ctx, "events.stats", &params, ret);
	if (r == 0 && !json_object_is_type(*ret, json_type_object))
		r = context_lost(ctx, -EBADMSG);
	return r;
}

/* Only what the summary is about, oldest first. */
static int trim(json_object *agents, json_object **ret)
{
	static const char *const keys[] = { "agent_id", "state", "backend", "chunks", "bytes" };
	_cleanup_json_ json_object *trimmed = json_object_new_array();

	for (size_t i = json_object_array_length(agents); trimmed && i > 0; i--) {
		json_object *agent = json_object_array_get_idx(agents, i - 1);
		json_object *entry = json_object_new_object();

		if (!entry || json_object_array_add(trimmed, entry) < 0) {
			json_object_put(entry);
			return -ENOMEM;
		}
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
			json_object *value;
			int r;

			if (!json_object_object_get_ex(agent, keys[k], &value) || !value)
				continue;
			r = key_value_add(entry, keys[k], json_object_get(value));
			if (r < 0)
				return r;
		}
	}
	*ret = TAKE_PTR(trimmed);
	return *ret ? 0 : -ENOMEM;
}

int summary_fetch(Context *ctx, const char *correlation_id, uint64_t limit, json_object **ret)
{
	_cleanup_json_ json_object *stats = NULL, *list = NULL;
	AgentListQuery query = {
		.filter = { .correlation_id = correlation_id },
		.limit = limit,
	};
	json_object *by_agent = NULL;
	int r;

	r = fetch_stats(ctx, correlation_id, &stats);
	if (r == 0)
		r = agent_list_fetch(ctx, &query, &list);
	if (r == 0)
		r = trim(jsonx_get(list, "agents", json_type_array), &by_agent);
	if (r == 0)
		r = key_value_add(stats, "by_agent", by_agent);
	if (r == 0)
		*ret = TAKE_PTR(stats);
	return r;
}

static void put_count(Output *o, const char *title, json_object *object, const char *key)
{
	output_printf(o, "  %-17s %" PRIu64 "\n", title, jsonx_get_uint(object, key, 0));
}

void summary_view(Output *o, json_object *summary)
{
	static const TextColumn columns[] = {
		{ .title = "AGENT", .key = "agent_id" },
		{ .title = "CHUNKS", .key = "chunks", .right = true },
		{ .title = "BYTES", .key = "bytes", .right = true },
		{ .title = "STATE", .key = "state" },
		{ 0 },
	};
	json_object *agents = jsonx_get(summary, "agents", json_type_object);
	json_object *by_type = jsonx_get(summary, "by_type", json_type_object);
	json_object *by_agent = jsonx_get(summary, "by_agent", json_type_array);

	output_color(o, COLOR_BOLD);
	output_printf(o, "Event summary\n");
	output_color(o, COLOR_NONE);
	put_count(o, "Total Events:", summary, "events");
	put_count(o, "Agents Spawned:", agents, "spawned");
	put_count(o, "Agents Completed:", agents, "completed");
	put_count(o, "Agents Failed:", agents, "failed");
	put_count(o, "Agents Cancelled:", agents, "cancelled");
	put_count(o, "Chunks:", summary, "chunks");
	put_count(o, "Bytes:", summary, "bytes");
	if (by_type && json_object_object_length(by_type) > 0) {
		output_printf(o, "\n");
		render_text_fields(o, by_type);
	}
	if (by_agent && json_object_array_length(by_agent) > 0) {
		output_printf(o, "\n");
		render_text_table(o, columns, by_agent, true);
	}
}
