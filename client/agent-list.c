#include "client/agent-list.h"

#include <errno.h>

#include "client/key-value.h"
#include "common/json-writer.h"
#include "common/jsonx.h"

#define PAGE 1000

int agent_list_write_params(const AgentListQuery *q, uint64_t limit, uint64_t before, Buf *b)
{
	JsonWriter w;
	int r;

	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key_uint(&w, "limit", limit);
	if (before > 0)
		jw_key_uint(&w, "before", before);
	filter_write_strings(&w, "state", q->states, q->n_states);
	if (q->backend)
		jw_key_cstring(&w, "backend", q->backend);
	if (q->group)
		jw_key_cstring(&w, "group", q->group);
	if (q->filter.correlation_id)
		jw_key_cstring(&w, "correlation_id", q->filter.correlation_id);
	r = filter_write_labels(&q->filter, &w);
	jw_object_end(&w);
	return r < 0 ? r : jw_finish(&w);
}

static int append_all(json_object *to, json_object *from)
{
	for (size_t i = 0; i < json_object_array_length(from); i++) {
		json_object *item = json_object_array_get_idx(from, i);

		if (json_object_array_add(to, json_object_get(item)) < 0) {
			json_object_put(item);
			return -ENOMEM;
		}
	}
	return 0;
}

/* One page to the end of `agents`; *before moves on to where the next one begins, 0 after the last.
 */
static int fetch_page(Context *ctx, const AgentListQuery *q, json_object *agents, uint64_t *before)
{
	_cleanup_buf_ Buf params = { 0 };
	_cleanup_json_ json_object *page = NULL;
	size_t have = json_object_array_length(agents);
	uint64_t limit = PAGE, next;
	json_object *items;
	int r;

	if (q->limit > 0 && q->limit - have < limit)
		limit = q->limit - have;
	r = agent_list_write_params(q, limit, *before, &params);
	if (r == 0)
		r = context_call(ctx, "agent.list", &params, &page);
	if (r != 0)
		return r;
	items = jsonx_get(page, "agents", json_type_array);
	next = jsonx_get_uint(page, "next", 0);
	/* Newest first: a next page that does not lie further back would never end. */
	if (!items || (*before > 0 && next >= *before))
		return context_lost(ctx, -EBADMSG);
	*before = next;
	return append_all(agents, items);
}

int agent_list_fetch(Context *ctx, const AgentListQuery *query, json_object **ret)
{
	_cleanup_json_ json_object *list = json_object_new_object();
	json_object *agents = json_object_new_array();
	uint64_t before = 0;
	int r;

	if (!list) {
		json_object_put(agents);
		return -ENOMEM;
	}
	r = key_value_add(list, "agents", agents);
	if (r < 0)
		return r;
	do {
		r = fetch_page(ctx, query, agents, &before);
	} while (r == 0 && before > 0 &&
		 (query->limit == 0 || json_object_array_length(agents) < query->limit));
	if (r == 0 && before > 0)
		r = key_value_add(list, "next", json_object_new_uint64(before));
	if (r == 0)
		*ret = TAKE_PTR(list);
	return r;
}
