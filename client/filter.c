#include "client/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/key-value.h"
#include "common/jsonx.h"

void filter_done(Filter *f)
{
	for (size_t i = 0; i < f->n_agents; i++)
		free(f->agents[i]);
	free(f->agents);
	json_object_put(f->labels);
	*f = (Filter){ 0 };
}

static int add_agent(Context *ctx, Filter *f, const char *id)
{
	_cleanup_buf_ Buf params = { 0 };
	_cleanup_json_ json_object *agent = NULL;
	const char *whole;
	uint64_t first;
	JsonWriter w;
	int r;

	jw_init(&w, &params);
	jw_object_begin(&w);
	jw_key_cstring(&w, "agent_id", id);
	jw_object_end(&w);
	r = jw_finish(&w);
	if (r == 0)
		r = context_call(ctx, "agent.get", &params, &agent);
	if (r != 0)
		return r;
	whole = jsonx_get_string(agent, "agent_id", NULL);
	if (!whole)
		return context_lost(ctx, -EBADMSG);
	f->agents[f->n_agents] = strdup(whole);
	if (!f->agents[f->n_agents])
		return -ENOMEM;
	f->n_agents++;
	first = jsonx_get_uint(agent, "first_seq", 1);
	if (f->first_seq == 0 || first < f->first_seq)
		f->first_seq = first;
	if (f->on_agent)
		f->on_agent(agent, f->userdata);
	return 0;
}

int filter_add_agents(Context *ctx, Filter *f, const char *const *ids, size_t n)
{
	char **grown;
	int r;

	if (n == 0)
		return 0;
	r = context_check_ids(ctx, ids, n);
	if (r != 0)
		return r;
	grown = reallocarray(f->agents, f->n_agents + n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	f->agents = grown;
	for (size_t i = 0; i < n; i++) {
		r = add_agent(ctx, f, ids[i]);
		if (r != 0)
			return r;
	}
	return 0;
}

int filter_set_labels(Context *ctx, Filter *f, const OptionValue *labels)
{
	if (labels->n_list == 0)
		return 0;
	f->labels = json_object_new_object();
	if (!f->labels)
		return -ENOMEM;
	for (size_t i = 0; i < labels->n_list; i++) {
		int r = key_value_set_string(f->labels, labels->list[i]);

		if (r == -EINVAL)
			return context_fail(ctx, EXIT_CODE_USAGE, "--label wants KEY=VALUE, not %s",
				labels->list[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

void filter_write_strings(JsonWriter *w, const char *key, const char *const *items, size_t n)
{
	if (n == 0)
		return;
	jw_key(w, key);
	jw_array_begin(w);
	for (size_t i = 0; i < n; i++)
		jw_cstring(w, items[i]);
	jw_array_end(w);
}

int filter_write_labels(const Filter *f, JsonWriter *w)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	if (!f->labels)
		return 0;
	r = jsonx_append(&text, f->labels);
	if (r == 0)
		jw_key_raw(w, "labels", text.data, text.len);
	return r;
}

int filter_write(const Filter *f, JsonWriter *w)
{
	filter_write_strings(w, "agents", (const char *const *)f->agents, f->n_agents);
	filter_write_strings(w, "types", f->types, f->n_types);
	if (f->correlation_id)
		jw_key_cstring(w, "correlation_id", f->correlation_id);
	return filter_write_labels(f, w);
}
