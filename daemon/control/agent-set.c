#include "daemon/control/agent-set.h"

#include <errno.h>

#include "common/jsonx.h"
#include "daemon/control/agent-call.h"

typedef struct AgentSet {
	Control *control;
	Request *request; /* NULL once it is answered */
	json_object *params;
	AgentSetFound on_found;
	uint64_t *seqs;
	size_t n, n_missing;
} AgentSet;

static void finish(AgentSet *set)
{
	if (set->n_missing > 0)
		return;
	if (set->request)
		set->on_found(
			set->control, set->request, set->params, true, TAKE_PTR(set->seqs), set->n);
	free(set->seqs);
	json_object_put(set->params);
	free(set);
}

static void on_agent(AgentCall *call, Agent *a, uint64_t seq)
{
	AgentSet *set = call->userdata;

	(void)a;
	agent_call_free(call);
	set->seqs[set->n++] = seq;
	set->n_missing--;
	finish(set);
}

static void on_failed(AgentCall *call, const RpcError *error)
{
	AgentSet *set = call->userdata;

	agent_call_free(call);
	if (set->request)
		request_error(TAKE_PTR(set->request), error);
	set->n_missing--;
	finish(set);
}

static void look_for(AgentSet *set, const char *id)
{
	AgentCall *call;
	int r = agent_call_new(set->control, id, on_agent, &call);

	if (r < 0) {
		if (set->request)
			request_fail(TAKE_PTR(set->request), r);
		set->n_missing--;
		return;
	}
	call->userdata = set;
	call->on_failed = on_failed;
	agent_call_start(call);
}

void agent_set_find(Control *control, Request *req, json_object *params, AgentSetFound on_found)
{
	json_object *ids = jsonx_get(params, "agents", json_type_array);
	size_t n = ids ? json_object_array_length(ids) : 0;
	AgentSet *set;

	if (!ids) {
		on_found(control, req, params, false, NULL, 0);
		return;
	}
	set = calloc(1, sizeof(*set));
	if (set)
		set->seqs = malloc(n * sizeof(*set->seqs));
	if (!set || !set->seqs) {
		free(set);
		request_fail(req, -ENOMEM);
		return;
	}
	set->control = control;
	set->request = req;
	set->params = json_object_get(params);
	set->on_found = on_found;
	/* One more, so that none of them finishes the set while others are still to be begun. */
	set->n_missing = n + 1;
	for (size_t i = 0; i < n; i++)
		look_for(set, json_object_get_string(json_object_array_get_idx(ids, i)));
	set->n_missing--;
	finish(set);
}
