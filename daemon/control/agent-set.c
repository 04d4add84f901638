#include "daemon/control/agent-set.h"

#include <errno.h>

#include "common/jsonx.h"
#include "common/uuid.h"
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

static void look_for(AgentSet *set, const char *id, size_t index)
{
	AgentCall *call;
	int r = agent_call_new(set->control, id, index, on_agent, &call);

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

static const char *id_at(json_object *ids, size_t i, size_t *ret_len)
{
	json_object *id = json_object_array_get_idx(ids, i);

	*ret_len = (size_t)json_object_get_string_len(id);
	return json_object_get_string(id);
}

/* False: answered. */
static bool check_prefixes(Request *req, json_object *ids)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	size_t n = json_object_array_length(ids), n_prefixes = 0, len;
	Uuid uuid;

	for (size_t i = 0; i < n; i++) {
		const char *id = id_at(ids, i, &len);

		n_prefixes += uuid_parse(id, len, &uuid) < 0;
	}
	if (n_prefixes <= AGENT_SET_MAX_PREFIXES)
		return true;
	rpc_error_set(&error, RPC_TOO_LARGE, "only %u of the agents may be prefixes of ids",
		AGENT_SET_MAX_PREFIXES);
	rpc_error_add_string(&error, "param", "agents");
	rpc_error_add_uint(&error, "limit", AGENT_SET_MAX_PREFIXES);
	request_error(req, &error);
	return false;
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
	if (!check_prefixes(req, ids))
		return;
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
	for (size_t i = 0; i < n; i++) {
		size_t len;

		look_for(set, id_at(ids, i, &len), i);
	}
	set->n_missing--;
	finish(set);
}
