/* events.read and events.stats: walks over the log on the reader's thread. */
#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "daemon/control/agent-set.h"
#include "daemon/control/filter.h"
#include "daemon/eventlog/scan.h"

/* How many events events.read looks at in one call, and how many any of the two looks at before others get their turn. */
#define READ_EVENTS  1048576U
#define SLICE_EVENTS 262144U

typedef struct LogStats {
	uint64_t by_type[_EVENT_TYPE_MAX];
	uint64_t failed, cancelled, bytes;
} LogStats;

typedef struct WalkJob {
	ReaderJob job;
	Control *control;
	Request *request;
	Filter *filter;
	FilterMemory memory;
	LogView view;
	Scan scan;
	bool begun;
	uint64_t from;
	uint64_t looked_at;
	int error;
	/* events.read */
	uint64_t after;
	size_t limit, n;
	Buf events; /* the objects, comma-separated */
	bool more;
	/* events.stats */
	LogStats stats;
	/* One event that matches. 1: that is enough, and it was not taken. */
	int (*on_event)(struct WalkJob *j, const ScanEvent *e);
	int (*write_result)(const struct WalkJob *j, Buf *result);
} WalkJob;

static void job_free(WalkJob *j)
{
	log_view_release(&j->view);
	filter_free(j->filter);
	filter_memory_done(&j->memory);
	buf_done(&j->events);
	free(j);
}

/* 1: done. */
static int step(WalkJob *j)
{
	uint64_t gap_from;
	ScanEvent e;
	int r = scan_next(&j->scan, &e, &gap_from);

	if (r == SCAN_END)
		return 1;
	if (r != SCAN_EVENT)
		return r < 0 ? r : 0;
	r = filter_wants_event(j->filter, &j->memory, j->job.reader, &j->view, &e.record);
	if (r > 0)
		r = j->on_event(j, &e);
	if (r > 0) {
		j->scan.seq = e.seq;
		j->more = true;
	}
	return r;
}

static bool walk_run(ReaderJob *job, Reader *reader)
{
	WalkJob *j = container_of(job, WalkJob, job);
	int r = 0;

	if (!j->begun) {
		j->begun = true;
		r = scan_init(&j->scan, reader, &j->view, j->from);
	}
	for (size_t i = 0; r == 0 && i < SLICE_EVENTS; i++)
		r = step(j);
	if (r == 0)
		return true;
	if (r < 0)
		j->error = r;
	j->from = j->scan.seq;
	scan_done(&j->scan);
	return false;
}

static void walk_done(ReaderJob *job)
{
	WalkJob *j = container_of(job, WalkJob, job);
	_cleanup_buf_ Buf result = { 0 };

	control_reply(j->request, &result, j->error < 0 ? j->error : j->write_result(j, &result));
	job_free(j);
}

/* Takes `seqs`. */
static WalkJob *job_new(
	Control *c, Request *req, json_object *params, bool by_agents, uint64_t *seqs, size_t n)
{
	_cleanup_free_ uint64_t *agents = seqs;
	WalkJob *j = calloc(1, sizeof(*j));

	if (!j || filter_new(params, &j->filter) < 0) {
		free(j);
		request_fail(req, -ENOMEM);
		return NULL;
	}
	if (by_agents)
		filter_set_agents(j->filter, TAKE_PTR(agents), n);
	j->job.run = walk_run;
	j->job.done = walk_done;
	j->control = c;
	j->request = req;
	j->view = eventlog_view(c->log);
	return j;
}

/* ---- events.read ---- */

static int take_event(WalkJob *j, const ScanEvent *e)
{
	_cleanup_buf_ Buf line = { 0 };
	const char *object;
	size_t len;
	int r;

	if (j->n == j->limit || ++j->looked_at > READ_EVENTS)
		return 1;
	r = scan_read_line(e, &line);
	if (r == -EBADMSG) /* damaged: the numbers show that it is missing */
		return 0;
	if (r < 0)
		return r;
	object = line_event(line.data, line.len, &len);
	if (j->n > 0 && j->events.len + len + 1 > PROTOCOL_MAX_READ_BYTES)
		return 1;
	if (j->n++ > 0)
		r = buf_append_char(&j->events, ',');
	return r < 0 ? r : buf_append(&j->events, object, len);
}

static int write_events(const WalkJob *j, Buf *result)
{
	uint64_t seq = j->from - 1;
	char id[UUID_TEXT_LEN + 1];
	JsonWriter w;

	uuid_format(eventlog_id(j->control->log), id);
	jw_init(&w, result);
	jw_object_begin(&w);
	jw_key_string(&w, "log_id", id, UUID_TEXT_LEN);
	jw_key(&w, "events");
	jw_array_begin(&w);
	if (j->events.len > 0)
		jw_raw(&w, j->events.data, j->events.len);
	jw_array_end(&w);
	jw_key_uint(&w, "seq", seq > j->after ? seq : j->after);
	jw_key_bool(&w, "more", j->more);
	jw_object_end(&w);
	return jw_finish(&w);
}

static void read_events(
	Control *c, Request *req, json_object *params, bool by_agents, uint64_t *seqs, size_t n)
{
	WalkJob *j = job_new(c, req, params, by_agents, seqs, n);

	if (!j)
		return;
	j->after = jsonx_get_uint(params, "after", 0);
	j->limit = (size_t)jsonx_get_uint(params, "limit", 0);
	j->from = j->after + 1 > j->view.oldest_seq ? j->after + 1 : j->view.oldest_seq;
	j->on_event = take_event;
	j->write_result = write_events;
	reader_post(c->reader, &j->job);
}

void method_events_read(Request *req, json_object *params, void *userdata)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	Control *c = userdata;
	uint64_t after = jsonx_get_uint(params, "after", 0);
	uint64_t oldest_seq = eventlog_oldest_seq(c->log);

	if (after > 0 && after + 1 < oldest_seq) {
		rpc_error_set(&error, RPC_PRUNED, "the log begins with event %llu by now",
			(unsigned long long)oldest_seq);
		rpc_error_add_uint(&error, "oldest_seq", oldest_seq);
		request_error(req, &error);
		return;
	}
	agent_set_find(c, req, params, read_events);
}

/* ---- events.stats ---- */

static int count_event(WalkJob *j, const ScanEvent *e)
{
	LogStats *s = &j->stats;

	s->by_type[e->record.type]++;
	if (e->record.type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		s->bytes += e->record.raw_bytes;
	if (e->record.type == EVENT_TYPE_AGENT_ERROR && e->record.code == AGENT_ERROR_CANCELLED)
		s->cancelled++;
	else if (e->record.type == EVENT_TYPE_AGENT_ERROR)
		s->failed++;
	return 0;
}

static int write_stats(const WalkJob *j, Buf *result)
{
	const LogStats *s = &j->stats;
	uint64_t events = 0;
	JsonWriter w;

	for (int i = 1; i < _EVENT_TYPE_MAX; i++)
		events += s->by_type[i];
	jw_init(&w, result);
	jw_object_begin(&w);
	jw_key_uint(&w, "events", events);
	jw_key(&w, "by_type");
	jw_object_begin(&w);
	for (int i = 1; i < _EVENT_TYPE_MAX; i++)
		if (s->by_type[i] > 0)
			jw_key_uint(&w, protocol_event_name((EventType)i), s->by_type[i]);
	jw_object_end(&w);
	jw_key(&w, "agents");
	jw_object_begin(&w);
	jw_key_uint(&w, "spawned", s->by_type[EVENT_TYPE_AGENT_SPAWNED]);
	jw_key_uint(&w, "completed", s->by_type[EVENT_TYPE_AGENT_COMPLETED]);
	jw_key_uint(&w, "failed", s->failed);
	jw_key_uint(&w, "cancelled", s->cancelled);
	jw_object_end(&w);
	jw_key_uint(&w, "chunks", s->by_type[EVENT_TYPE_AGENT_PARTIAL_OUTPUT]);
	jw_key_uint(&w, "bytes", s->bytes);
	jw_object_end(&w);
	return jw_finish(&w);
}

void method_events_stats(Request *req, json_object *params, void *userdata)
{
	Control *c = userdata;
	WalkJob *j = job_new(c, req, params, false, NULL, 0);

	if (!j)
		return;
	j->from = j->view.oldest_seq;
	j->on_event = count_event;
	j->write_result = write_stats;
	reader_post(c->reader, &j->job);
}
