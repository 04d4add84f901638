#include "daemon/agent/agent.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "common/utf8.h"
#include "daemon/agent/providers.h"

/* From row to column. An agent that is on its way to the log counts as queued. */
static const bool legal[_AGENT_STATE_MAX][_AGENT_STATE_MAX] = {
	[AGENT_STATE_QUEUED] = {
		[AGENT_STATE_RUNNING] = true,
		[AGENT_STATE_FAILED] = true,
		[AGENT_STATE_CANCELLED] = true,
	},
	[AGENT_STATE_RUNNING] = {
		[AGENT_STATE_QUEUED] = true, /* another attempt */
		[AGENT_STATE_COMPLETED] = true,
		[AGENT_STATE_FAILED] = true,
		[AGENT_STATE_CANCELLED] = true,
	},
};

bool agent_move(Agent *a, AgentState to)
{
	if (!legal[a->state][to]) {
		char id[UUID_TEXT_LEN + 1];

		uuid_format(&a->id, id);
		log_agent(LOG_LEVEL_ERROR, id, "agent %s: no move from %s to %s", id,
			agent_state_to_string(a->state), agent_state_to_string(to));
		return false;
	}
	a->state = to;
	return true;
}

bool agent_is_live(const Agent *a)
{
	return !agent_state_is_final(a->state);
}

/* Of the provider that it calls; NULL: it calls none. */
static const char *provider_of(const Agent *a, json_object *spec)
{
	if (!a->backend || !a->backend->calls_provider)
		return NULL;
	return jsonx_get_string(jsonx_get(spec, "options", json_type_object), "provider", NULL);
}

/* correlation_id, group, provider and labels, in one piece of memory. */
static int copy_strings(Agent *a, json_object *spec)
{
	_cleanup_buf_ Buf b = { 0 };
	const char *provider = provider_of(a, spec);
	const char *correlation_id = jsonx_get_string(spec, "correlation_id", NULL);
	json_object *labels = jsonx_get(spec, "labels", json_type_object);
	const char *group = jsonx_get_string(spec, "group", NULL);
	size_t group_at, provider_at, labels_at;
	int r = 0;

	if (!group)
		return -EINVAL;
	if (correlation_id)
		r = buf_append(&b, correlation_id, strlen(correlation_id) + 1);
	group_at = b.len;
	if (r == 0)
		r = buf_append(&b, group, strlen(group) + 1);
	provider_at = b.len;
	if (r == 0 && provider)
		r = buf_append(&b, provider, strlen(provider) + 1);
	labels_at = b.len;
	if (labels) {
		json_object_object_foreach(labels, name, value)
		{
			if (r == 0 && !json_object_is_type(value, json_type_string))
				r = -EINVAL;
			if (r == 0)
				r = buf_append(&b, name, strlen(name) + 1);
			if (r == 0)
				r = buf_append_str(&b, json_object_get_string(value));
			if (r == 0)
				r = buf_append_char(&b, '\0');
		}
	}
	if (r == 0)
		r = buf_append_char(&b, '\0');
	if (r < 0)
		return r;
	a->strings = realloc(b.data, b.len);
	if (!a->strings)
		return -ENOMEM;
	b.data = NULL;
	a->correlation_id = correlation_id ? a->strings : NULL;
	a->group_name = a->strings + group_at;
	a->provider = provider ? a->strings + provider_at : NULL;
	a->labels = a->strings + labels_at;
	return 0;
}

static int make(
	const Uuid *id, json_object *spec, uint32_t uid, const Backend *backend, Agent **ret)
{
	const char *on_restart = jsonx_get_string(spec, "on_restart", NULL);
	json_object *timeouts = jsonx_get(spec, "timeouts", json_type_object);
	Agent *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->id = *id;
	a->uid = uid;
	a->backend = backend;
	a->priority = (int32_t)jsonx_get_int(spec, "priority", 0);
	a->total_ms = jsonx_get_uint(timeouts, "total_ms", 0);
	a->idle_ms = jsonx_get_uint(timeouts, "idle_ms", 0);
	(void)jsonx_get_string(spec, "prompt", &a->prompt_bytes);
	if (a->backend && a->backend->takes_input)
		a->takes_input =
			a->backend->takes_input(jsonx_get(spec, "options", json_type_object));
	a->rerun = on_restart && strcmp(on_restart, "rerun") == 0;
	a->queued_us = clock_monotonic_us();
	heap_node_init(&a->queue_node);
	list_init(&a->by_seq);
	list_init(&a->ended);
	list_init(&a->waiters);
	list_init(&a->watchers);
	list_init(&a->dirty);
	list_init(&a->urgent);
	r = copy_strings(a, spec);
	if (r < 0) {
		agent_free(a);
		return r;
	}
	if (a->provider)
		a->text_bytes = a->prompt_bytes +
				jsonx_text_bytes(jsonx_get(spec, "options", json_type_object));
	*ret = a;
	return 0;
}

int agent_new(const Uuid *id, json_object *spec, uint32_t uid, Agent **ret)
{
	const char *name = jsonx_get_string(spec, "backend", NULL);
	const Backend *backend = name ? backend_find(name) : NULL;

	return backend ? make(id, spec, uid, backend, ret) : -EINVAL;
}

static int refuse_run(const BackendSpec *spec, BackendRun **ret)
{
	(void)spec;
	(void)ret;
	return -EOPNOTSUPP;
}

int agent_new_unknown(const Uuid *id, json_object *spec, uint32_t uid, Agent **ret)
{
	static const Backend unknown = { .name = "unknown", .run_new = refuse_run };
	_cleanup_json_ json_object *bare = NULL;
	json_object *group;
	int r = spec ? make(id, spec, uid, &unknown, ret) : -EINVAL;

	if (r != -EINVAL)
		return r;
	bare = json_object_new_object();
	group = json_object_new_string("default");
	if (!bare || !group || json_object_object_add(bare, "group", group) < 0) {
		json_object_put(group);
		return -ENOMEM;
	}
	return make(id, bare, uid, &unknown, ret);
}

void agent_free(Agent *a)
{
	if (!a)
		return;
	ticket_free(a->ticket);
	free(a->strings);
	free(a->spec);
	free(a->list_spec);
	free(a->ending);
	buf_done(&a->input);
	free(a);
}

static int copy_text(const char *text, size_t len, char **ret, size_t *ret_len)
{
	char *copy = buf_string(text, len);

	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	*ret_len = len;
	return 0;
}

/* What agent.list shows of a spec: no options, no context, the prompt cut. */
static int cut_spec(Agent *a, const char *spec, size_t len)
{
	_cleanup_buf_ Buf b = { 0 };
	_cleanup_json_ json_object *o = NULL;
	json_object *cut;
	const char *prompt;
	size_t prompt_len;
	JsonxError why;
	int r = jsonx_parse(spec, len, &o, &why);

	if (r < 0)
		return r;
	prompt = jsonx_get_string(o, "prompt", &prompt_len);
	if (!prompt) {
		prompt = "";
		prompt_len = 0;
	}
	/* Four bytes a character at the most; who shows it counts them. */
	prompt_len = utf8_cut(prompt, prompt_len, 4UL * PROTOCOL_LIST_PROMPT_CHARS);
	cut = json_object_new_string_len(prompt, (int)prompt_len);
	if (!cut || json_object_object_add(o, "prompt", cut) < 0) {
		json_object_put(cut);
		return -ENOMEM;
	}
	json_object_object_del(o, "options");
	json_object_object_del(o, "context");
	r = jsonx_append(&b, o);
	return r < 0 ? r : copy_text(b.data, b.len, &a->list_spec, &a->list_spec_len);
}

int agent_set_spec(Agent *a, const char *spec, size_t len)
{
	if (len > AGENT_SPEC_KEPT_BYTES)
		return cut_spec(a, spec, len);
	return copy_text(spec, len, &a->spec, &a->spec_len);
}

int agent_set_ending(Agent *a, const char *ending, size_t len)
{
	return copy_text(ending, len, &a->ending, &a->ending_len);
}

const char *agent_label(const Agent *a, const char *name)
{
	const char *p = a->labels;

	while (*p) {
		const char *value = p + strlen(p) + 1;

		if (strcmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

void agent_add_waiter(Agent *a, AgentWaiter *w)
{
	list_append(&a->waiters, &w->node);
}

void agent_notify(Agent *a, AgentChange change)
{
	ListNode due;

	list_init(&due);
	list_foreach_safe (node, &a->waiters) {
		AgentWaiter *w = container_of(node, AgentWaiter, node);

		if (w->changes & (1U << change)) {
			list_remove(node);
			list_append(&due, node);
		}
	}
	/* A callback may add waiters, and may take others off. */
	while (!list_empty(&due)) {
		AgentWaiter *w = container_of(due.next, AgentWaiter, node);

		list_remove(&w->node);
		w->on_change(w, a, change);
	}
}

CatalogRow agent_row(const Agent *a)
{
	return (CatalogRow){
		.seq = a->seq,
		.agent_id = a->id,
		.state = a->state,
		.attempt = a->attempt,
		.backend = a->backend->name,
		.group = a->group_name,
		.correlation_id = a->correlation_id,
		.uid = a->uid,
		.priority = a->priority,
		.spawned_us = a->spawned_us,
		.started_us = a->started_us,
		.ended_us = a->ended_us,
		.chunks = a->chunks,
		.bytes = a->bytes,
		.last_seq = a->last_seq,
		.output_seq = a->output_seq,
		.spec = a->spec,
		.spec_len = a->spec ? a->spec_len : 0,
		.ending = a->ending,
		.ending_len = a->ending_len,
	};
}
