#include <errno.h>

#include "client/agent-list.h"
#include "client/top.h"
#include "common/clock.h"
#include "common/jsonx.h"

/* Gaps may come one after another. */
#define NOT_SOONER_US USEC_PER_SEC

/* Those that live before those that have ended: whoever ends in between is in the second, too. */
static const struct {
	const char *states[3];
	size_t n_states;
	uint64_t limit; /* of a page */
	bool whole;     /* page by page to the end; else the first page is all */
} steps[] = {
	{ { "queued", "running" }, 2, 1000, true },
	{ { "completed", "failed", "cancelled" }, 3, 200, false },
};

void top_snapshot_want(Top *t, uint64_t gap_to)
{
	TopSnapshot *s = &t->snapshot;

	s->gap_to = gap_to;
	if (s->owed)
		return;
	s->owed = true;
	t->due_us[TOP_ASK_SNAPSHOT] = s->begun_us > 0 ? s->begun_us + NOT_SOONER_US : 0;
}

int top_snapshot_write_page(Top *t, uint64_t now_us, Buf *params)
{
	TopSnapshot *s = &t->snapshot;
	AgentListQuery query = {
		.filter = *t->filter_asked,
		.states = steps[s->step].states,
		.n_states = steps[s->step].n_states,
		.group = t->model.only_group,
	};

	if (s->step == 0 && s->before == 0) {
		s->begun_us = now_us;
		s->to = s->gap_to;
		top_model_begin_round(&t->model);
	}
	return agent_list_write_params(&query, steps[s->step].limit, s->before, params);
}

/* Newest first as they come, so that of those that have ended the oldest are the first to go. */
static int add_agents(Top *t, json_object *agents)
{
	int r = 0;

	for (size_t i = json_object_array_length(agents); r == 0 && i-- > 0;)
		r = top_model_add(&t->model, json_object_array_get_idx(agents, i));
	return r;
}

static void complete(Top *t)
{
	TopSnapshot *s = &t->snapshot;

	top_model_end_round(&t->model, s->to);
	s->owed = false;
	s->step = 0;
	if (s->gap_to > s->to)
		top_snapshot_want(t, s->gap_to);
}

int top_snapshot_add_page(Top *t, json_object *page)
{
	TopSnapshot *s = &t->snapshot;
	json_object *agents = jsonx_get(page, "agents", json_type_array);
	uint64_t next = jsonx_get_uint(page, "next", 0);
	int r;

	/* A next page that does not lie further back would never end. */
	if (!agents || (s->before > 0 && next >= s->before))
		return context_lost(t->ctx, -EBADMSG);
	r = add_agents(t, agents);
	if (r < 0)
		return r;
	s->before = steps[s->step].whole ? next : 0;
	if (s->before == 0 && ++s->step == ARRAY_SIZE(steps))
		complete(t);
	return 0;
}
