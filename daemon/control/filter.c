#include "daemon/control/filter.h"

#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "daemon/agent/spec-job.h"

/* Answers that are remembered at first, and at most; then it begins anew. */
#define MEMORY_MIN (128U)
#define MEMORY_MAX (64U * 1024)

/* What the largest spec took is not kept above this. */
#define SCRATCH_KEEP_BYTES (64U * 1024)

static int read_types(Filter *f, json_object *types)
{
	for (size_t i = 0; types && i < json_object_array_length(types); i++) {
		int type = protocol_event_from_name(
			json_object_get_string(json_object_array_get_idx(types, i)));

		if (type < 0)
			return type;
		f->types |= 1U << type;
	}
	return 0;
}

static int read_labels(Filter *f, json_object *labels)
{
	int n = labels ? json_object_object_length(labels) : 0;

	if (n == 0)
		return 0;
	f->labels = calloc((size_t)n, sizeof(*f->labels));
	if (!f->labels)
		return -ENOMEM;
	json_object_object_foreach(labels, name, value)
	{
		FilterLabel *label = &f->labels[f->n_labels++];

		label->name = strdup(name);
		label->value = strdup(json_object_get_string(value));
		if (!label->name || !label->value)
			return -ENOMEM;
	}
	return 0;
}

int filter_new(json_object *params, Filter **ret)
{
	const char *correlation_id = jsonx_get_string(params, "correlation_id", NULL);
	Filter *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	r = read_types(f, jsonx_get(params, "types", json_type_array));
	if (r == 0)
		r = read_labels(f, jsonx_get(params, "labels", json_type_object));
	if (r == 0 && correlation_id) {
		f->correlation_id = strdup(correlation_id);
		r = f->correlation_id ? 0 : -ENOMEM;
	}
	if (r < 0) {
		filter_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void filter_free(Filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_labels; i++) {
		free(f->labels[i].name);
		free(f->labels[i].value);
	}
	free(f->labels);
	free(f->correlation_id);
	free(f->agents);
	free(f);
}

static int compare_seqs(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void filter_set_agents(Filter *f, uint64_t *seqs, size_t n)
{
	free(f->agents);
	f->agents = seqs;
	f->n_agents = n;
	f->by_agents = true;
	if (n > 1)
		qsort(seqs, n, sizeof(*seqs), compare_seqs);
}

bool filter_is_open(const Filter *f)
{
	return f->types == 0 && !filter_asks_agent(f);
}

bool filter_asks_agent(const Filter *f)
{
	return f->by_agents || f->correlation_id || f->n_labels > 0;
}

bool filter_wants_type(const Filter *f, uint8_t type)
{
	return f->types == 0 || (f->types & (1U << type)) != 0;
}

static bool is_listed(const Filter *f, uint64_t seq)
{
	return !f->by_agents ||
	       bsearch(&seq, f->agents, f->n_agents, sizeof(seq), compare_seqs) != NULL;
}

bool filter_wants_agent(const Filter *f, const Agent *a)
{
	if (!is_listed(f, a->seq))
		return false;
	if (f->correlation_id &&
		(!a->correlation_id || strcmp(a->correlation_id, f->correlation_id) != 0))
		return false;
	for (size_t i = 0; i < f->n_labels; i++) {
		const char *value = agent_label(a, f->labels[i].name);

		if (!value || strcmp(value, f->labels[i].value) != 0)
			return false;
	}
	return true;
}

/* ---- On the reader's thread ---- */

static bool wants_spec(const Filter *f, json_object *spec)
{
	const char *correlation_id = jsonx_get_string(spec, "correlation_id", NULL);
	json_object *labels = jsonx_get(spec, "labels", json_type_object);

	if (f->correlation_id &&
		(!correlation_id || strcmp(correlation_id, f->correlation_id) != 0))
		return false;
	for (size_t i = 0; i < f->n_labels; i++) {
		const char *value = jsonx_get_string(labels, f->labels[i].name, NULL);

		if (!value || strcmp(value, f->labels[i].value) != 0)
			return false;
	}
	return true;
}

static size_t slot(const FilterMemory *m, uint64_t seq)
{
	size_t i = (size_t)(seq * 0x9e3779b97f4a7c15ULL >> 32) & (m->cap - 1);

	while (m->agents[i] != 0 && m->agents[i] >> 1 != seq)
		i = (i + 1) & (m->cap - 1);
	return i;
}

/* Room for one answer more: half of the table stays free. */
static int make_room(FilterMemory *m)
{
	FilterMemory grown = { .cap = m->cap > 0 ? m->cap * 2 : 2UL * MEMORY_MIN };

	if (m->n < m->cap / 2)
		return 0;
	if (m->n >= MEMORY_MAX) {
		memset(m->agents, 0, m->cap * sizeof(*m->agents));
		m->n = 0;
		return 0;
	}
	grown.agents = calloc(grown.cap, sizeof(*grown.agents));
	if (!grown.agents)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->agents[i] != 0)
			grown.agents[slot(&grown, m->agents[i] >> 1)] = m->agents[i];
	free(m->agents);
	m->agents = grown.agents;
	m->cap = grown.cap;
	return 0;
}

static int remember(FilterMemory *m, uint64_t seq, bool answer)
{
	int r = make_room(m);

	if (r < 0)
		return r;
	m->agents[slot(m, seq)] = seq << 1 | answer;
	m->n++;
	return 0;
}

static int ask(const Filter *f, FilterMemory *m, Reader *reader, const LogView *view, uint64_t seq)
{
	_cleanup_json_ json_object *spec = NULL;
	JsonxError why;
	int r;

	if (m->agents) {
		uint64_t known = m->agents[slot(m, seq)];

		if (known != 0)
			return known & 1;
	}
	r = spec_read(reader, view, seq, &m->scratch);
	if (r == 0)
		r = jsonx_parse(m->scratch.data, m->scratch.len, &spec, &why);
	buf_clear(&m->scratch, SCRATCH_KEEP_BYTES);
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return r;
	bool answer = r == 0 && wants_spec(f, spec);

	r = remember(m, seq, answer);
	return r < 0 ? r : answer;
}

int filter_wants_event(const Filter *f, FilterMemory *m, Reader *reader, const LogView *view,
	const IndexRecord *record)
{
	if (!filter_wants_type(f, record->type))
		return 0;
	if (!filter_asks_agent(f))
		return 1;
	if (record->agent == 0 || !is_listed(f, record->agent))
		return 0;
	if (!f->correlation_id && f->n_labels == 0)
		return 1;
	return ask(f, m, reader, view, record->agent);
}

static Places *places_of(const Filter *f, FilterMemory *m)
{
	m->places.agents = f->agents;
	m->places.n_agents = f->n_agents;
	return &m->places;
}

int filter_skip(const Filter *f, FilterMemory *m, Scan *s)
{
	return f->by_agents ? scan_skip(s, places_of(f, m)) : 0;
}

int filter_skip_back(const Filter *f, FilterMemory *m, Scan *s)
{
	return f->by_agents ? scan_skip_back(s, places_of(f, m)) : 0;
}

void filter_memory_done(FilterMemory *m)
{
	free(m->agents);
	buf_done(&m->scratch);
	places_clear(&m->places);
	*m = (FilterMemory){ 0 };
}
