/* agent.list: what is in memory and what the catalog has, as one list; where both know an agent,
 * memory wins. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "daemon/control/agent-view.h"
#include "daemon/control/control.h"
#include "daemon/control/filter.h"

#define FINAL_STATES \
	(1U << AGENT_STATE_COMPLETED | 1U << AGENT_STATE_FAILED | 1U << AGENT_STATE_CANCELLED)

/* How long the reader looks before others have their turn. */
#define SLICE_US 4000U

/* An entry of the list, as text in ListJob.text. */
typedef struct Entry {
	uint64_t seq;
	size_t offset, len;
} Entry;

/* One that is in memory, as it was when main looked. */
typedef struct Found {
	Agent *agent; /* held */
	CatalogRow row;
	AgentNow now;
} Found;

typedef struct ListJob {
	ReaderJob job;
	Request *request;
	json_object *params; /* one reference: strings of the query are lent from it */
	Filter *filter;      /* correlation_id and labels */
	CatalogQuery query; /* what is left of it; states: only final ones, once memory was asked */
	CatalogLabel *labels;
	uint32_t limit;
	Found *found;            /* newest first; room for limit + 1 */
	size_t n_found, n_shown; /* of them have an entry */
	Buf text;
	Entry *entries; /* newest first, those from memory before the others; room for twice limit +
			   1 */
	size_t n;
	Buf result;
} ListJob;

static void job_free(ListJob *j)
{
	for (size_t i = 0; i < j->n_found; i++)
		j->found[i].agent->holds--;
	free(j->found);
	filter_free(j->filter);
	json_object_put(j->params);
	free(j->labels);
	free(j->entries);
	buf_done(&j->text);
	buf_done(&j->result);
	free(j);
}

static uint32_t read_states(json_object *params)
{
	json_object *states = jsonx_get(params, "state", json_type_array);
	uint32_t mask = 0;

	for (size_t i = 0; states && i < json_object_array_length(states); i++) {
		int state = agent_state_from_string(
			json_object_get_string(json_object_array_get_idx(states, i)));

		if (state >= 0)
			mask |= 1U << state;
	}
	return mask;
}

static int read_query(ListJob *j)
{
	CatalogQuery *q = &j->query;

	j->limit = (uint32_t)jsonx_get_uint(j->params, "limit", 0);
	q->before = jsonx_get_uint(j->params, "before", UINT64_MAX);
	q->limit = j->limit + 1;
	q->states = read_states(j->params);
	q->correlation_id = jsonx_get_string(j->params, "correlation_id", NULL);
	q->backend = jsonx_get_string(j->params, "backend", NULL);
	q->group = jsonx_get_string(j->params, "group", NULL);
	j->entries = malloc(2 * ((size_t)j->limit + 1) * sizeof(*j->entries));
	j->found = malloc(((size_t)j->limit + 1) * sizeof(*j->found));
	j->labels = calloc(j->filter->n_labels + 1, sizeof(*j->labels));
	if (!j->entries || !j->found || !j->labels)
		return -ENOMEM;
	for (size_t i = 0; i < j->filter->n_labels; i++)
		j->labels[i] = (CatalogLabel){
			.key = j->filter->labels[i].name,
			.value = j->filter->labels[i].value,
		};
	q->labels = j->labels;
	q->n_labels = j->filter->n_labels;
	return 0;
}

static int add_entry(ListJob *j, const CatalogRow *row, const AgentNow *now)
{
	size_t offset = j->text.len;
	JsonWriter w;
	int r;

	jw_init(&w, &j->text);
	agent_view_write_entry(&w, row, now);
	r = jw_finish(&w);
	if (r < 0) {
		j->text.len = offset;
		return r;
	}
	j->entries[j->n++] = (Entry){
		.seq = row->seq,
		.offset = offset,
		.len = j->text.len - offset,
	};
	return 0;
}

/* ---- Memory ---- */

static bool matches(const ListJob *j, const Agent *a)
{
	const CatalogQuery *q = &j->query;

	if (a->seq >= q->before)
		return false;
	if (q->states != 0 && !(q->states & (1U << a->state)))
		return false;
	if (q->backend && strcmp(q->backend, a->backend->name) != 0)
		return false;
	if (q->group && strcmp(q->group, a->group_name) != 0)
		return false;
	return filter_wants_agent(j->filter, a);
}

/* What was asked of a held agent does not change, and its ending is set once: the reader may look
 * at the row. */
static Found hold(Agent *a)
{
	CatalogRow row = agent_row(a);

	if (!row.spec) {
		row.spec = a->list_spec;
		row.spec_len = a->list_spec_len;
	}
	a->holds++;
	return (Found){ .agent = a, .row = row, .now = agent_view_now(a) };
}

static void find_in_memory(ListJob *j, const Registry *registry)
{
	for (const ListNode *node = registry->by_seq.prev; node != &registry->by_seq;
		node = node->prev) {
		Agent *a = container_of(node, Agent, by_seq);

		if (j->n_found > j->limit)
			return;
		if (matches(j, a))
			j->found[j->n_found++] = hold(a);
	}
}

/* ---- The catalog ---- */

static int on_row(const CatalogRow *row, void *userdata)
{
	ListJob *j = userdata;

	for (size_t i = 0; i < j->n_found; i++)
		if (j->entries[i].seq == row->seq)
			return 0;
	return add_entry(j, row, NULL);
}

static int newest_first(const void *a, const void *b)
{
	const Entry *x = a, *y = b;

	return x->seq > y->seq ? -1 : x->seq < y->seq;
}

/* 1: there may be more. */
static int step(ListJob *j, Reader *reader)
{
	const Found *found;
	int r;

	if (j->n_shown == j->n_found) {
		if (j->query.states == 0)
			return 0;
		return catalog_list_stretch(reader_catalog(reader), &j->query, on_row, j);
	}
	found = &j->found[j->n_shown++];
	r = add_entry(j, &found->row, &found->now);
	return r < 0 ? r : 1;
}

static int write_result(ListJob *j)
{
	size_t n = j->n < j->limit ? j->n : j->limit;
	JsonWriter w;

	qsort(j->entries, j->n, sizeof(*j->entries), newest_first);
	jw_init(&w, &j->result);
	jw_object_begin(&w);
	jw_key(&w, "agents");
	jw_array_begin(&w);
	for (size_t i = 0; i < n; i++)
		jw_raw(&w, j->text.data + j->entries[i].offset, j->entries[i].len);
	jw_array_end(&w);
	if (j->n > n && n > 0)
		jw_key_uint(&w, "next", j->entries[n - 1].seq);
	jw_object_end(&w);
	return jw_finish(&w);
}

static bool list_run(ReaderJob *job, Reader *reader)
{
	ListJob *j = container_of(job, ListJob, job);
	uint64_t until_us = clock_monotonic_us() + SLICE_US;
	int more = 1;

	while (more > 0) {
		more = step(j, reader);
		if (more > 0 && clock_monotonic_us() >= until_us)
			return true;
	}
	job->error = more < 0 ? more : write_result(j);
	return false;
}

/* Whoever lives is in memory, and what the catalog says of them is old. */
static void prepare_job(ListJob *j)
{
	CatalogQuery *q = &j->query;
	bool all = q->states == 0;

	q->states = all ? FINAL_STATES : q->states & FINAL_STATES;
	/* It may have to look at every row there is. */
	if (q->states != 0 && (!all || q->backend || q->group || q->n_labels > 0))
		j->job.kind = READER_JOB_LONG;
}

static void list_done(ReaderJob *job)
{
	ListJob *j = container_of(job, ListJob, job);

	control_reply(j->request, &j->result, job->error);
	job_free(j);
}

void method_agent_list(Request *req, json_object *params, void *userdata)
{
	Control *c = userdata;
	ListJob *j = calloc(1, sizeof(*j));
	int r = -ENOMEM;

	if (j) {
		j->job.run = list_run;
		j->job.done = list_done;
		j->request = req;
		j->params = json_object_get(params);
		r = filter_new(params, &j->filter);
		if (r == 0)
			r = read_query(j);
	}
	if (r < 0) {
		request_fail(req, r);
		if (j)
			job_free(j);
		return;
	}
	find_in_memory(j, orchestrator_registry(c->orchestrator));
	prepare_job(j);
	control_post(c, req, &j->job);
}
