#include "client/top-model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/describe.h"
#include "common/clock.h"
#include "common/jsonx.h"
#include "common/str.h"
#include "common/utf8.h"

#define FIRST_BUCKETS 256U

/* What is told of a rate is half what it is now, half what was told before: it neither jumps nor
 * lags. Below a twentieth it is nothing. */
#define RATE_WEIGHT 0.5
#define RATE_LEAST  0.05

int top_model_init(TopModel *m, const char *only_group)
{
	*m = (TopModel){ .only_group = only_group, .n_buckets = FIRST_BUCKETS };
	list_init(&m->live);
	list_init(&m->ended);
	m->buckets = calloc(m->n_buckets, sizeof(*m->buckets));
	return m->buckets ? 0 : -ENOMEM;
}

static void agent_free(TopAgent *a)
{
	if (!a)
		return;
	free(a->group);
	free(a->about);
	free(a->prompt);
	free(a);
}
DEFINE_CLEANUP(TopAgent *, agent_free)

static void free_all(ListNode *list)
{
	list_foreach_safe (node, list)
		agent_free(container_of(node, TopAgent, node));
	list_init(list);
}

void top_model_clear(TopModel *m)
{
	free_all(&m->live);
	free_all(&m->ended);
	memset(m->buckets, 0, m->n_buckets * sizeof(*m->buckets));
	memset(m->n_by_state, 0, sizeof(m->n_by_state));
	m->n = 0;
	m->newest_seq = 0;
}

void top_model_done(TopModel *m)
{
	if (m->buckets)
		top_model_clear(m);
	free(m->buckets);
	free(m->view);
	buf_done(&m->scratch);
	*m = (TopModel){ 0 };
}

/* ---- Agents ---- */

static TopAgent **bucket(const TopModel *m, const char *id)
{
	size_t hash = 5381;

	for (const char *p = id; *p; p++)
		hash = hash * 33 + (unsigned char)*p;
	return &m->buckets[hash & (m->n_buckets - 1)];
}

TopAgent *top_model_find(const TopModel *m, const char *id)
{
	TopAgent *a = *bucket(m, id);

	while (a && strcmp(a->id, id) != 0)
		a = a->hash_next;
	return a;
}

static void rehash(TopModel *m, ListNode *list)
{
	list_foreach (node, list) {
		TopAgent *a = container_of(node, TopAgent, node);
		TopAgent **head = bucket(m, a->id);

		a->hash_next = *head;
		*head = a;
	}
}

static int make_room(TopModel *m)
{
	size_t n = m->n_buckets * 2;
	TopAgent **grown;

	if (m->n < m->n_buckets)
		return 0;
	grown = calloc(n, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	free(m->buckets);
	m->buckets = grown;
	m->n_buckets = n;
	rehash(m, &m->live);
	rehash(m, &m->ended);
	return 0;
}

static void add(TopModel *m, TopAgent *a)
{
	TopAgent **head = bucket(m, a->id);

	a->hash_next = *head;
	*head = a;
	list_append(agent_state_is_final(a->state) ? &m->ended : &m->live, &a->node);
	m->n++;
	m->n_by_state[a->state]++;
}

static void drop(TopModel *m, TopAgent *a)
{
	TopAgent **at = bucket(m, a->id);

	while (*at != a)
		at = &(*at)->hash_next;
	*at = a->hash_next;
	list_remove(&a->node);
	m->n--;
	if (!agent_state_is_final(a->state))
		m->n_by_state[a->state]--;
	agent_free(a);
}

static size_t n_live(const TopModel *m)
{
	return m->n_by_state[AGENT_STATE_QUEUED] + m->n_by_state[AGENT_STATE_RUNNING];
}

static void drop_oldest(TopModel *m)
{
	while (m->n - n_live(m) > TOP_MAX_ENDED)
		drop(m, container_of(m->ended.next, TopAgent, node));
}

static void set_state(TopModel *m, TopAgent *a, AgentState state)
{
	if (agent_state_is_final(state) && !agent_state_is_final(a->state)) {
		list_remove(&a->node);
		list_append(&m->ended, &a->node);
		a->rate = 0;
	}
	m->n_by_state[a->state]--;
	a->state = state;
	m->n_by_state[state]++;
	a->waiting = false;
}

static int append_word(Buf *b, const char *word)
{
	int r = b->len > 0 ? buf_append_char(b, ' ') : 0;

	return r < 0 ? r : buf_append_str(b, word);
}

/* Every word that it may be looked for by. */
static int write_about(const TopAgent *a, json_object *spec, Buf *b)
{
	const char *correlation_id = jsonx_get_string(spec, "correlation_id", NULL);
	json_object *labels = jsonx_get(spec, "labels", json_type_object);
	int r = buf_printf(b, "%s %s %s", a->id, a->backend, a->group);

	if (r == 0 && correlation_id)
		r = append_word(b, correlation_id);
	if (!labels)
		return r;
	json_object_object_foreach(labels, key, value)
	{
		const char *text = json_object_get_string(value);

		if (r < 0 || b->len >= TOP_ABOUT_BYTES)
			break;
		r = append_word(b, key);
		if (r == 0)
			r = buf_printf(b, "=%s", text ? text : "");
	}
	return r;
}

static const char *backend_name(json_object *spec)
{
	const char *name = jsonx_get_string(spec, "backend", NULL);
	const ProtocolBackend *backend = name ? protocol_backend_find(name) : NULL;

	return backend ? backend->name : "?";
}

/* Out of what agent.list and an AgentSpawned have in common. */
static int agent_new(TopModel *m, const char *id, json_object *spec, TopAgent **ret)
{
	_cleanup_(agent_free_p) TopAgent *a = calloc(1, sizeof(*a));
	const char *group = jsonx_get_string(spec, "group", NULL);
	size_t len = 0;
	const char *prompt = jsonx_get_string(spec, "prompt", &len);
	int r;

	if (!a)
		return -ENOMEM;
	a->round = m->round;
	memcpy(a->id, id, strlen(id) + 1);
	a->backend = backend_name(spec);
	a->group = strdup(group ? group : "");
	a->prompt = buf_string(prompt ? prompt : "", utf8_cut(prompt, len, TOP_PROMPT_BYTES));
	if (!a->group || !a->prompt)
		return -ENOMEM;
	buf_clear(&m->scratch, SIZE_MAX);
	r = write_about(a, spec, &m->scratch);
	if (r < 0)
		return r;
	a->about = buf_string(
		m->scratch.data, utf8_cut(m->scratch.data, m->scratch.len, TOP_ABOUT_BYTES));
	if (!a->about)
		return -ENOMEM;
	*ret = TAKE_PTR(a);
	return 0;
}

/* Is it one of those that are shown, and not known yet? Its id has to be one. */
static bool is_new(const TopModel *m, const char *id, json_object *spec)
{
	const char *group = jsonx_get_string(spec, "group", NULL);
	size_t len = strlen(id);

	if (len == 0 || len >= TOP_ID_BYTES || top_model_find(m, id))
		return false;
	return !m->only_group || (group && strcmp(group, m->only_group) == 0);
}

static AgentState state_of(json_object *entry)
{
	const char *name = jsonx_get_string(entry, "state", NULL);
	int state = name ? agent_state_from_string(name) : -EINVAL;

	return state < 0 ? AGENT_STATE_QUEUED : (AgentState)state;
}

/* Its last line is how it has ended. */
static int take_ending(TopModel *m, TopAgent *a, json_object *event)
{
	int r;

	buf_clear(&m->scratch, SIZE_MAX);
	r = describe_event(event, &m->scratch);
	if (r == 0)
		top_line_set(&a->line, m->scratch.data, m->scratch.len);
	return r;
}

/* How far the entry says that it has come. */
static int take_progress(TopModel *m, TopAgent *a, json_object *entry)
{
	uint64_t last_seq = jsonx_get_uint(entry, "last_seq", 0);
	json_object *ending = jsonx_get(entry, "ending", json_type_object);

	if (last_seq < a->last_seq)
		return 0;
	set_state(m, a, state_of(entry));
	a->waiting = jsonx_get(entry, "waiting", json_type_object) != NULL;
	a->chunks = a->ticked_chunks = jsonx_get_uint(entry, "chunks", 0);
	a->bytes = jsonx_get_uint(entry, "bytes", 0);
	a->last_seq = last_seq;
	return ending && a->state != AGENT_STATE_COMPLETED ? take_ending(m, a, ending) : 0;
}

int top_model_add(TopModel *m, json_object *entry)
{
	const char *id = describe_agent_id(entry);
	TopAgent *a = NULL;
	int r = 0;

	if (is_new(m, id, entry)) {
		r = make_room(m);
		if (r == 0)
			r = agent_new(m, id, entry, &a);
		if (r != 0)
			return r;
		a->first_seq = jsonx_get_uint(entry, "first_seq", 0);
		(void)describe_time(entry, "spawned_at", &a->spawned_us);
		add(m, a);
	}
	a = top_model_find(m, id);
	if (a) {
		a->round = m->round;
		r = take_progress(m, a, entry);
	}
	drop_oldest(m);
	return r;
}

void top_model_begin_round(TopModel *m)
{
	m->round++;
}

void top_model_end_round(TopModel *m, uint64_t to)
{
	list_foreach_safe (node, &m->live) {
		TopAgent *a = container_of(node, TopAgent, node);

		if (a->round != m->round && a->last_seq <= to)
			drop(m, a);
	}
}

/* ---- Events ---- */

static int on_spawned(TopModel *m, json_object *event, const char *id)
{
	TopAgent *a = NULL;
	int r;

	if (!is_new(m, id, event))
		return 0;
	r = make_room(m);
	if (r == 0)
		r = agent_new(m, id, event, &a);
	if (r != 0)
		return r;
	a->first_seq = a->last_seq = jsonx_get_uint(event, "seq", 0);
	(void)describe_time(event, "time", &a->spawned_us);
	add(m, a);
	return 0;
}

static int on_output(TopModel *m, TopAgent *a, json_object *event)
{
	const char *bytes;
	size_t len;
	int r = describe_chunk(event, &m->scratch, &bytes, &len);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	a->chunks++;
	a->bytes += len;
	m->new_bytes += len;
	top_line_feed(&a->line, bytes, len);
	return 0;
}

/* What its last event says counts: it counts all attempts. */
static int on_ended(TopModel *m, TopAgent *a, json_object *event, bool completed)
{
	const char *code = jsonx_get_string(event, "code", NULL);

	a->chunks = jsonx_get_uint(event, "chunks", a->chunks);
	a->bytes = jsonx_get_uint(event, "bytes", a->bytes);
	if (completed) {
		set_state(m, a, AGENT_STATE_COMPLETED);
		return 0;
	}
	set_state(m, a,
		code && strcmp(code, "cancelled") == 0 ? AGENT_STATE_CANCELLED
						       : AGENT_STATE_FAILED);
	return take_ending(m, a, event);
}

static int on_agent_event(TopModel *m, TopAgent *a, json_object *event, EventType type)
{
	switch (type) {
	case EVENT_TYPE_AGENT_STARTED:
		set_state(m, a, AGENT_STATE_RUNNING);
		return 0;
	case EVENT_TYPE_AGENT_WAITING:
		a->waiting = true;
		return 0;
	case EVENT_TYPE_AGENT_RETRYING:
		set_state(m, a, AGENT_STATE_QUEUED);
		return 0;
	case EVENT_TYPE_AGENT_PARTIAL_OUTPUT:
		return on_output(m, a, event);
	case EVENT_TYPE_AGENT_COMPLETED:
	case EVENT_TYPE_AGENT_ERROR:
		return on_ended(m, a, event, type == EVENT_TYPE_AGENT_COMPLETED);
	default:
		return 0;
	}
}

int top_model_event(TopModel *m, json_object *event)
{
	EventType type = describe_type(event);
	const char *id = describe_agent_id(event);
	uint64_t seq = jsonx_get_uint(event, "seq", 0);
	TopAgent *a;
	int r;

	if (seq > m->newest_seq)
		m->newest_seq = seq;
	r = type == EVENT_TYPE_AGENT_SPAWNED ? on_spawned(m, event, id) : 0;
	if (r < 0)
		return r;
	a = top_model_find(m, id);
	if (a || !m->only_group)
		m->new_events++;
	/* What the snapshot knew already. */
	if (!a || seq <= a->last_seq || agent_state_is_final(a->state))
		return 0;
	a->last_seq = seq;
	r = on_agent_event(m, a, event, type);
	drop_oldest(m);
	return r;
}

/* ---- Rates ---- */

static double smooth(double before, uint64_t n, double seconds)
{
	double rate = before * (1 - RATE_WEIGHT) + (double)n / seconds * RATE_WEIGHT;

	return rate < RATE_LEAST ? 0 : rate;
}

bool top_model_tick(TopModel *m, uint64_t now_us)
{
	double seconds = (double)(now_us - m->ticked_us) / (double)USEC_PER_SEC;
	bool first = m->ticked_us == 0;

	if (!first && now_us - m->ticked_us < USEC_PER_SEC)
		return false;
	m->ticked_us = now_us;
	if (!first) {
		m->events_rate = (double)m->new_events / seconds;
		m->bytes_rate = (double)m->new_bytes / seconds;
		/* Less than one in a second is more than none. */
		top_spark_add(&m->spark,
			m->new_events > 0 && m->events_rate < 1 ? 1 : (uint64_t)m->events_rate);
	}
	m->new_events = m->new_bytes = 0;
	list_foreach (node, &m->live) {
		TopAgent *a = container_of(node, TopAgent, node);

		if (!first)
			a->rate = smooth(a->rate, a->chunks - a->ticked_chunks, seconds);
		a->ticked_chunks = a->chunks;
	}
	return true;
}

/* ---- What is shown ---- */

const char *const top_order_names[] = {
	[TOP_ORDER_STATE] = "state",
	[TOP_ORDER_AGE] = "age",
	[TOP_ORDER_RATE] = "rate",
	[TOP_ORDER_BYTES] = "bytes",
	[TOP_ORDER_BACKEND] = "backend",
	[TOP_ORDER_GROUP] = "group",
	[TOP_ORDER_ID] = "id",
	[_TOP_ORDER_MAX] = NULL,
};

int top_order_from_string(const char *name)
{
	return str_find(top_order_names, _TOP_ORDER_MAX, name);
}

/* < 0: `a` stands above. Of numbers the greater one does. */
static int compare_numbers(double a, double b)
{
	return a > b ? -1 : a < b;
}

/* Those that run first. */
static int state_rank(const TopAgent *a)
{
	return a->state == AGENT_STATE_RUNNING ? -1 : (int)a->state;
}

static int compare(const TopAgent *a, const TopAgent *b, TopOrder order)
{
	switch (order) {
	case TOP_ORDER_STATE:
		return state_rank(a) - state_rank(b);
	case TOP_ORDER_RATE:
		return compare_numbers(a->rate, b->rate);
	case TOP_ORDER_BYTES:
		return compare_numbers((double)a->bytes, (double)b->bytes);
	case TOP_ORDER_BACKEND:
		return strcmp(a->backend, b->backend);
	case TOP_ORDER_GROUP:
		return strcmp(a->group, b->group);
	case TOP_ORDER_ID:
		return strcmp(a->id, b->id);
	default:
		return 0;
	}
}

typedef struct Sorting {
	TopOrder order;
	int sign;
} Sorting;

/* Of equal ones the newest stands above. */
static int compare_entries(const void *x, const void *y, void *userdata)
{
	const TopAgent *a = *(TopAgent *const *)x, *b = *(TopAgent *const *)y;
	const Sorting *s = userdata;
	int order = compare(a, b, s->order);

	if (order == 0)
		order = a->first_seq > b->first_seq ? -1 : a->first_seq < b->first_seq;
	return order * s->sign;
}

static bool passes(const TopAgent *a, const char *filter)
{
	return *filter == '\0' || strcasestr(a->about, filter) ||
	       strcasestr(agent_state_to_string(a->state), filter);
}

static size_t collect(TopModel *m, ListNode *list, const char *filter, size_t n)
{
	list_foreach (node, list) {
		TopAgent *a = container_of(node, TopAgent, node);

		if (passes(a, filter))
			m->view[n++] = a;
	}
	return n;
}

ssize_t top_model_view(
	TopModel *m, TopOrder order, bool reversed, const char *filter, TopAgent *const **ret)
{
	Sorting sorting = { .order = order, .sign = reversed ? -1 : 1 };
	size_t n;

	if (m->n > m->view_cap) {
		TopAgent **grown = reallocarray(m->view, m->n, sizeof(TopAgent *));

		if (!grown)
			return -ENOMEM;
		m->view = grown;
		m->view_cap = m->n;
	}
	n = collect(m, &m->live, filter, 0);
	n = collect(m, &m->ended, filter, n);
	if (n > 1)
		qsort_r(m->view, n, sizeof(TopAgent *), compare_entries, &sorting);
	*ret = m->view;
	return (ssize_t)n;
}
