#include "daemon/control/agent-set.h"

#include <errno.h>

#include "common/jsonx.h"
#include "common/uuid.h"
#include "daemon/control/agent-call.h"

typedef struct AgentSet {
	Control *control;
	Request *request; /* NULL once it is answered */
	json_object *params;
	json_object *ids; /* in params */
	AgentSetFound on_found;
	uint64_t *seqs;
	size_t n, n_found;
	bool looking; /* look_on() is at it */
	bool waiting; /* a call has the next id */
} AgentSet;

static const char *id_at(json_object *ids, size_t i, size_t *ret_len)
{
	json_object *id = json_object_array_get_idx(ids, i);

	*ret_len = (size_t)json_object_get_string_len(id);
	return json_object_get_string(id);
}

static void set_free(AgentSet *set)
{
	json_object_put(set->params);
	free(set->seqs);
	free(set);
}

static void look_on(AgentSet *set);

static void on_agent(AgentCall *call, Agent *a, uint64_t seq)
{
	AgentSet *set = call->userdata;

	(void)a;
	agent_call_free(call);
	set->waiting = false;
	set->seqs[set->n_found++] = seq;
	look_on(set);
}

static void on_failed(AgentCall *call, const RpcError *error)
{
	AgentSet *set = call->userdata;

	agent_call_free(call);
	set->waiting = false;
	request_error(TAKE_PTR(set->request), error);
	look_on(set);
}

static void look_for_next(AgentSet *set)
{
	AgentCall *call;
	size_t len;
	int r = agent_call_new(
		set->control, id_at(set->ids, set->n_found, &len), set->n_found, on_agent, &call);

	if (r < 0) {
		request_fail(TAKE_PTR(set->request), r);
		return;
	}
	/* Lent: so it is not looked for once the client has gone. */
	call->request = set->request;
	call->userdata = set;
	call->on_failed = on_failed;
	set->waiting = true;
	agent_call_start(call);
}

/* One after the other, so that a request has no more than one job under way, and the first that
 * fails ends it. */
static void look_on(AgentSet *set)
{
	/* One that is found at once comes back here: the loop goes on then, without going deeper.
	 */
	if (set->looking)
		return;
	set->looking = true;
	while (set->request && !set->waiting && set->n_found < set->n)
		look_for_next(set);
	set->looking = false;
	if (set->waiting)
		return;
	if (set->request)
		set->on_found(
			set->control, set->request, set->params, true, TAKE_PTR(set->seqs), set->n);
	set_free(set);
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
	set->ids = ids;
	set->n = n;
	set->on_found = on_found;
	look_on(set);
}
