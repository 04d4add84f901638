#include "daemon/agent/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/log.h"
#include "daemon/agent/orphans.h"
#include "daemon/eventlog/scan.h"

/* Rows that are written in one transaction while a whole catalog is made anew. */
#define ENDED_AT_ONCE 2000

typedef struct Recovery {
	Catalog *catalog;
	Registry registry;
	ListNode ended; /* agents whose end is not in the catalog yet */
	size_t n_ended;
	Buf numbers; /* Numbered: agents by the seq of their spawn */
	bool recount;
	uint64_t from_seq;  /* where in the log to begin */
	uint64_t first_seq; /* the first event that was seen; 0: none yet */
	uint64_t seq;       /* the last event that was seen */
	bool holes;         /* between events that were seen, some are missing */
	/* The event at hand, taken apart. */
	const char *object;
	size_t object_len;
	uint64_t time_us;
} Recovery;

/* ---- Agents by number ---- */

/* How far a row says that its agent is. */
typedef struct Progress {
	AgentState state;
	uint32_t attempt;
	uint64_t started_us, chunks, bytes, last_seq, output_seq;
} Progress;

typedef struct Numbered {
	uint64_t seq;
	Agent *agent;       /* NULL: it has ended */
	Progress *said;     /* by a row that is in doubt; NULL: none is, or not any more */
	uint64_t chunk_seq; /* the last AgentPartialOutput that the log has; 0: none */
} Numbered;

static size_t n_numbered(const Recovery *r)
{
	return r->numbers.len / sizeof(Numbered);
}

static Numbered *numbered(const Recovery *r)
{
	return (Numbered *)(void *)r->numbers.data;
}

/* Where `seq` is, or would be. */
static size_t number_place(const Recovery *r, uint64_t seq)
{
	size_t low = 0, high = n_numbered(r);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (numbered(r)[middle].seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* They come in order, but for those whose rows were ahead of the catalog's mark. */
static int add_number(Recovery *r, Agent *a)
{
	size_t at = number_place(r, a->seq);
	int error = buf_reserve(&r->numbers, sizeof(Numbered));

	if (error < 0)
		return error;
	memmove(&numbered(r)[at + 1], &numbered(r)[at], (n_numbered(r) - at) * sizeof(Numbered));
	numbered(r)[at] = (Numbered){ .seq = a->seq, .agent = a };
	r->numbers.len += sizeof(Numbered);
	return 0;
}

static Numbered *find_number(const Recovery *r, uint64_t seq)
{
	size_t at = number_place(r, seq);

	return at < n_numbered(r) && numbered(r)[at].seq == seq ? &numbered(r)[at] : NULL;
}

/* ---- Rows in doubt ---- */

/* A running agent's row is written ahead of the sync, so a power cut may have taken the event that
 * it knows as the last one. Until that event is met in the log the row is put by, and the agent
 * counted anew. What retention took of it nobody can count: of that the row is believed. */

static int doubt(Recovery *r, Numbered *n)
{
	Agent *a = n->agent;

	n->said = malloc(sizeof(*n->said));
	if (!n->said)
		return -ENOMEM;
	*n->said = (Progress){
		.state = a->state,
		.attempt = a->attempt,
		.started_us = a->started_us,
		.chunks = a->chunks,
		.bytes = a->bytes,
		.last_seq = a->last_seq,
		.output_seq = a->output_seq,
	};
	a->state = AGENT_STATE_QUEUED;
	a->attempt = 0;
	a->chunks = a->bytes = 0;
	a->started_us = a->output_seq = 0;
	a->last_seq = a->seq;
	if (a->seq < r->from_seq)
		r->from_seq = a->seq;
	return 0;
}

static void doubt_no_more(Numbered *n)
{
	free(n->said);
	n->said = NULL;
}

static void believe(Numbered *n)
{
	Agent *a = n->agent;
	const Progress *said = n->said;

	a->state = said->state;
	a->attempt = said->attempt;
	a->started_us = said->started_us;
	a->chunks = said->chunks;
	a->bytes = said->bytes;
	a->last_seq = said->last_seq;
	a->output_seq = said->output_seq;
	doubt_no_more(n);
}

/* How far it was when the log began, its AgentSpawned being gone. */
static void believe_beginning(Numbered *n, uint64_t first_seq)
{
	Agent *a = n->agent;
	const Progress *said = n->said;

	if (said->output_seq > 0 && said->output_seq < first_seq) {
		a->state = AGENT_STATE_RUNNING;
		a->attempt = said->attempt;
		a->started_us = said->started_us;
		a->output_seq = said->output_seq;
	} else if (said->attempt > 0) {
		a->attempt = said->attempt - 1;
	}
}

/* `seq` is the oldest event there is, of those that matter. */
static void meet_log(Recovery *r, uint64_t seq)
{
	r->first_seq = seq;
	for (size_t i = 0; i < n_numbered(r); i++) {
		Numbered *n = &numbered(r)[i];

		if (!n->said)
			continue;
		if (n->said->last_seq < seq)
			believe(n);
		else if (n->seq < seq)
			believe_beginning(n, seq);
	}
}

static int read_chunk_index(EventLog *log, uint64_t seq, uint64_t *ret)
{
	_cleanup_segment_ Segment *segment = NULL;
	_cleanup_buf_ Buf line = { 0 };
	_cleanup_json_ json_object *event = NULL;
	LogView view = eventlog_view(log);
	size_t at = segment_table_find(view.table, seq);
	ScanEvent e = { .seq = seq };
	JsonxError why;
	size_t len;
	const char *text;
	int r = at < view.table->n ? segment_open_readonly(eventlog_dirfd(log),
					     view.table->infos[at].base, &segment)
				   : -ENOENT;

	log_view_release(&view);
	if (r < 0)
		return r;
	e.segment = segment;
	r = segment_line_start(segment, seq - segment->base, &e.start);
	if (r == 0 && segment_read_index(segment, seq - segment->base, &e.record, 1) != 1)
		r = -EBADMSG;
	if (r == 0)
		r = scan_read_line(&e, &line);
	if (r < 0)
		return r;
	text = line_event(line.data, line.len, &len);
	r = jsonx_parse(text, len, &event, &why);
	if (r == 0)
		*ret = jsonx_get_uint(event, "index", 0);
	return r;
}

/* The log is read, and the event that its row knows as the last one was not there. */
static void settle_doubt(EventLog *log, Numbered *n, uint64_t first_seq)
{
	Agent *a = n->agent;
	const Progress *said = n->said;
	uint64_t index = 0;

	/* Else all of it was counted. */
	if (a && n->seq < first_seq) {
		/* A chunk's index is never given twice. What was lost is among these, too, if there
		 * is nothing better. */
		a->chunks = said->chunks;
		if (n->chunk_seq > 0 && read_chunk_index(log, n->chunk_seq, &index) == 0)
			a->chunks = index + 1;
		if (a->bytes < said->bytes)
			a->bytes = said->bytes;
	}
	doubt_no_more(n);
}

/* Some of its chunks may be lost to damage: those that are left were counted, but the next one has
 * the index that it would have had. */
static void settle_chunks(EventLog *log, const Numbered *n)
{
	uint64_t index = 0;

	if (n->agent && n->chunk_seq > 0 && read_chunk_index(log, n->chunk_seq, &index) == 0 &&
		index >= n->agent->chunks)
		n->agent->chunks = index + 1;
}

static void settle_doubts(Recovery *r, EventLog *log)
{
	if (r->first_seq == 0)
		meet_log(r, eventlog_oldest_seq(log));
	for (size_t i = 0; i < n_numbered(r); i++)
		if (numbered(r)[i].said)
			settle_doubt(log, &numbered(r)[i], r->first_seq);
	for (size_t i = 0; i < n_numbered(r) && r->holes; i++)
		settle_chunks(log, &numbered(r)[i]);
}

/* ---- From the catalog ---- */

/* An agent of which nobody could say any more what it is to do still has to end. */
static int make_live(const CatalogRow *row, Agent **ret)
{
	static const char stand_in[] = "{\"prompt\":\"\"}";
	_cleanup_json_ json_object *spec = NULL;
	JsonxError why;
	Agent *a = NULL;
	int r = jsonx_parse(row->spec, row->spec_len, &spec, &why);

	if (spec && !json_object_is_type(spec, json_type_object)) {
		json_object_put(spec);
		spec = NULL;
	}
	if (r >= 0)
		r = agent_new(&row->agent_id, spec, row->uid, &a);
	if (r < 0 && r != -ENOMEM) {
		log_error("the catalog's row %" PRIu64 " makes no sense: its agent is ended",
			row->seq);
		r = agent_new_unknown(&row->agent_id, spec, row->uid, &a);
	}
	if (r < 0)
		return r;
	/* With another spec the row is written anew. */
	a->in_catalog = spec != NULL;
	r = spec ? agent_set_spec(a, row->spec, row->spec_len)
		 : agent_set_spec(a, stand_in, sizeof(stand_in) - 1);
	if (r < 0)
		agent_free(a);
	else
		*ret = a;
	return r;
}

static int on_live_row(const CatalogRow *row, void *userdata)
{
	Recovery *r = userdata;
	Agent *a;
	int error = make_live(row, &a);

	if (error < 0)
		return error;
	registry_add(&r->registry, a);
	a->seq = row->seq;
	a->state = row->state;
	a->attempt = row->attempt;
	a->spawned_us = row->spawned_us;
	a->started_us = row->started_us;
	a->chunks = row->chunks;
	a->bytes = row->bytes;
	a->last_seq = row->last_seq;
	a->output_seq = row->output_seq;
	registry_accept(&r->registry, a);
	error = add_number(r, a);
	/* Its AgentSpawned was synced before there was a row. */
	if (error == 0 && r->recount && a->last_seq > a->seq)
		error = doubt(r, find_number(r, a->seq));
	return error;
}

/* ---- From the log ---- */

static int flush_ended(Recovery *r)
{
	int error = catalog_begin(r->catalog);

	list_foreach (node, &r->ended) {
		CatalogRow row = agent_row(container_of(node, Agent, ended));

		if (error == 0)
			error = catalog_put(r->catalog, &row);
	}
	/* What lives is not written yet, so the catalog may not claim to have been applied. */
	if (error == 0)
		error = catalog_commit(r->catalog, catalog_applied(r->catalog));
	if (error < 0)
		return error;
	list_foreach_safe (node, &r->ended) {
		Agent *a = container_of(node, Agent, ended);

		list_remove(&a->ended);
		agent_free(a);
	}
	r->n_ended = 0;
	return 0;
}

static int apply_spawned(Recovery *r, json_object *event, uint64_t seq)
{
	const char *text = jsonx_get_string(event, "agent_id", NULL);
	Uuid id;
	Agent *a;
	int error;

	if (!text || uuid_parse(text, strlen(text), &id) < 0) {
		log_error("event %" PRIu64 " spawns no agent that makes sense", seq);
		return 0;
	}
	if (registry_find(&r->registry, &id)) /* its row was ahead of the catalog's mark */
		return 0;
	error = agent_new(&id, event, (uint32_t)jsonx_get_uint(event, "uid", 0), &a);
	if (error == -EINVAL) {
		log_error("event %" PRIu64
			  " spawns an agent that makes no sense: unless it has, it is ended",
			seq);
		error = agent_new_unknown(
			&id, event, (uint32_t)jsonx_get_uint(event, "uid", 0), &a);
	}
	if (error < 0)
		return error;
	a->seq = a->last_seq = seq;
	a->spawned_us = r->time_us;
	registry_add(&r->registry, a);
	registry_accept(&r->registry, a);
	error = add_number(r, a);
	if (error < 0)
		return error;
	if (r->object_len <= AGENT_SPEC_KEPT_BYTES)
		return agent_set_spec(a, r->object, r->object_len);
	/* For the catalog's row, which must have it whole. */
	a->spec = buf_string(r->object, r->object_len);
	a->spec_len = r->object_len;
	return a->spec ? 0 : -ENOMEM;
}

/* Its last event knows better than the chunks that are left, where damage took some. */
static int apply_ended(Recovery *r, Agent *a, const IndexRecord *record, json_object *event)
{
	AgentState to = AGENT_STATE_COMPLETED;
	int error;

	if (record->type == EVENT_TYPE_AGENT_ERROR)
		to = record->code == AGENT_ERROR_CANCELLED ? AGENT_STATE_CANCELLED
							   : AGENT_STATE_FAILED;
	if (!agent_move(a, to))
		return 0;
	a->ended_us = r->time_us;
	a->chunks = jsonx_get_uint(event, "chunks", a->chunks);
	a->bytes = jsonx_get_uint(event, "bytes", a->bytes);
	error = agent_set_ending(a, r->object, r->object_len);
	if (error < 0)
		return error;
	registry_remove(&r->registry, a);
	find_number(r, a->seq)->agent = NULL;
	list_append(&r->ended, &a->ended);
	return ++r->n_ended >= ENDED_AT_ONCE ? flush_ended(r) : 0;
}

static void apply_started(Recovery *r, Agent *a, json_object *event, uint64_t seq)
{
	if (!agent_move(a, AGENT_STATE_RUNNING))
		return;
	a->attempt = (uint32_t)jsonx_get_uint(event, "attempt", a->attempt + 1ULL);
	a->started_us = r->time_us;
	a->output_seq = seq;
}

static int apply_to_agent(
	Recovery *r, Numbered *n, const IndexRecord *record, json_object *event, uint64_t seq)
{
	Agent *a = n->agent;

	if (n->said && seq == n->said->last_seq) {
		believe(n);
		return 0;
	}
	a->last_seq = seq;
	switch (record->type) {
	case EVENT_TYPE_AGENT_PARTIAL_OUTPUT:
		a->chunks++;
		a->bytes += record->raw_bytes;
		n->chunk_seq = seq;
		if (n->said)
			a->state = AGENT_STATE_RUNNING;
		break;
	case EVENT_TYPE_AGENT_STARTED:
		apply_started(r, a, event, seq);
		break;
	case EVENT_TYPE_AGENT_RETRYING:
		if (!n->said && !agent_move(a, AGENT_STATE_QUEUED))
			log_warning("event %" PRIu64 " is out of place", seq);
		a->state = AGENT_STATE_QUEUED;
		break;
	case EVENT_TYPE_AGENT_COMPLETED:
	case EVENT_TYPE_AGENT_ERROR:
		return apply_ended(r, a, record, event);
	default:
		break;
	}
	return 0;
}

static int on_event(
	uint64_t seq, const IndexRecord *record, const char *line, size_t len, void *userdata)
{
	Recovery *r = userdata;
	_cleanup_json_ json_object *event = NULL;
	const char *time;
	Numbered *number;
	JsonxError why;
	int error;

	r->holes |= seq > (r->first_seq == 0 ? r->from_seq : r->seq + 1);
	r->seq = seq;
	if (r->first_seq == 0)
		meet_log(r, seq);
	if (line) {
		r->object = line_event(line, len, &r->object_len);
		error = jsonx_parse(r->object, r->object_len, &event, &why);
		time = error == 0 ? jsonx_get_string(event, "time", NULL) : NULL;
		if (error == -EBADMSG ||
			(error == 0 && (!time || clock_parse_rfc3339(
							 time, strlen(time), &r->time_us) < 0))) {
			log_error("event %" PRIu64 " makes no sense and is passed over", seq);
			return 0;
		}
		if (error < 0)
			return error;
	}
	if (record->type == EVENT_TYPE_AGENT_SPAWNED)
		return apply_spawned(r, event, seq);
	number = find_number(r, record->agent);
	if (!number || !number->agent || seq <= number->agent->last_seq)
		return 0;
	return apply_to_agent(r, number, record, event, seq);
}

static int on_resolved_row(const CatalogRow *row, void *userdata)
{
	*(uint64_t *)userdata = row->seq;
	return 0;
}

static uint64_t resolve(const Uuid *id, void *userdata)
{
	Recovery *r = userdata;
	const Agent *a = registry_find(&r->registry, id);
	uint64_t seq = 0;

	if (a)
		return a->seq;
	list_foreach (node, &r->ended) {
		a = container_of(node, Agent, ended);
		if (uuid_equal(&a->id, id))
			return a->seq;
	}
	return catalog_get_by_id(r->catalog, id, on_resolved_row, &seq) < 0 ? 0 : seq;
}

/* ---- All of it ---- */

static int put_live(Recovery *r)
{
	int error = flush_ended(r);

	if (error == 0)
		error = catalog_begin(r->catalog);
	list_foreach (node, &r->registry.by_seq) {
		Agent *a = container_of(node, Agent, by_seq);
		CatalogRow row = agent_row(a);

		if (a->in_catalog)
			row.spec_len = 0;
		if (error == 0 && r->recount)
			error = catalog_put_back(r->catalog, &row);
		else if (error == 0)
			error = catalog_put(r->catalog, &row);
		a->in_catalog = true;
	}
	return error < 0 ? error : catalog_commit(r->catalog, r->seq);
}

/* Specs that are not to be kept in memory go, now that the catalog has them. */
static int drop_long_specs(Recovery *r)
{
	list_foreach (node, &r->registry.by_seq) {
		Agent *a = container_of(node, Agent, by_seq);
		_cleanup_free_ char *spec = NULL;
		int error;

		if (!a->spec || a->spec_len <= AGENT_SPEC_KEPT_BYTES)
			continue;
		spec = TAKE_PTR(a->spec);
		error = agent_set_spec(a, spec, a->spec_len);
		if (error < 0)
			return error;
	}
	return 0;
}

static int recover(Recovery *r, EventLog *log)
{
	EventLogRecovery hooks = { .on_event = on_event, .resolve = resolve, .userdata = r };
	uint64_t applied = catalog_applied(r->catalog);
	int error;

	r->recount = eventlog_power_cut(log);
	r->seq = applied;
	r->from_seq = applied + 1;
	error = catalog_live(r->catalog, on_live_row, r);
	if (error == -EBADMSG) /* its own damage, told apart from the log's */
		error = -EUCLEAN;
	if (error == 0)
		error = eventlog_recover(log, r->from_seq, &hooks);
	if (error == 0)
		settle_doubts(r, log);
	if (error == 0 && applied >= eventlog_end_seq(log))
		error = -ESTALE;
	/* After a power cut rows may have to be put back, though there is nothing new. */
	if (error == 0 && (r->seq > applied || r->recount)) {
		error = put_live(r);
		if (error == -EBADMSG)
			error = -EUCLEAN;
	}
	return error < 0 ? error : drop_long_specs(r);
}

static int try_once(const char *state_dir, EventLog *log, Recovery *r)
{
	int error = catalog_open(state_dir, eventlog_id(log), &r->catalog);

	list_init(&r->ended);
	if (error == 0)
		error = registry_init(&r->registry);
	if (error == 0)
		error = recover(r, log);
	list_foreach_safe (node, &r->ended)
		agent_free(container_of(node, Agent, ended));
	for (size_t i = 0; i < n_numbered(r); i++)
		doubt_no_more(&numbered(r)[i]);
	buf_done(&r->numbers);
	if (error == -EBUSY)
		log_error("%s/catalog.db is locked by another program", state_dir);
	if (error < 0) {
		registry_done(&r->registry);
		catalog_close(r->catalog);
	}
	return error;
}

int recovery_run(const char *state_dir, EventLog *log, Registry *ret_registry,
	Catalog **ret_catalog, uint64_t *ret_applied, CatalogStats *ret_stats)
{
	Recovery r = { 0 };
	int error = try_once(state_dir, log, &r);

	if (error == -ESTALE || error == -EUCLEAN) {
		error = catalog_set_aside(
			state_dir, error == -ESTALE ? "newer than the log" : "damaged");
		r = (Recovery){ 0 };
		if (error == 0)
			error = try_once(state_dir, log, &r);
	}
	if (error < 0)
		return error;
	/* Before anybody says that they were interrupted, or starts them anew: the reaper may have
	 * been killed, too. */
	if (r.registry.n > 0 && !r.recount)
		orphans_end(&r.registry);
	error = catalog_stats(r.catalog, NULL, ret_stats);
	if (error < 0) {
		registry_done(&r.registry);
		catalog_close(r.catalog);
		return error;
	}
	*ret_applied = catalog_applied(r.catalog);
	*ret_catalog = r.catalog;
	registry_move(&r.registry, ret_registry);
	return 0;
}
