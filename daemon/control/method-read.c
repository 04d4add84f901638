/* events.read: a walk over the log on the reader's thread. */
#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "daemon/control/agent-set.h"
#include "daemon/control/filter.h"
#include "daemon/eventlog/scan.h"

/* How many events are looked at for one reply. */
#define READ_EVENTS    1048576U
/* And as how many it counts to look up where in a segment some agents' are. */
#define LOOK_UP_EVENTS 16384U

typedef struct ReadJob {
	ReaderJob job;
	Control *control;
	Request *request;
	Filter *filter;
	FilterMemory memory;
	LogView view;
	Scan scan;
	bool begun;
	uint64_t after;
	uint64_t looked_at;
	size_t limit, n;
	Buf events; /* the objects, comma-separated */
	bool more;
} ReadJob;

static void job_free(ReadJob *j)
{
	scan_done(&j->scan);
	log_view_release(&j->view);
	filter_free(j->filter);
	filter_memory_done(&j->memory);
	buf_done(&j->events);
	free(j);
}

/* One event that matches. 1: that is enough, and it was not taken. */
static int take_event(ReadJob *j, const ScanEvent *e)
{
	const char *line, *object;
	size_t len;
	int r;

	if (j->n == j->limit)
		return 1;
	r = scan_line(&j->scan, e, &line, &len);
	if (r == -EBADMSG) /* damaged: the numbers show that it is missing */
		return 0;
	if (r < 0)
		return r;
	object = line_event(line, len, &len);
	if (j->n > 0 && j->events.len + len + 1 > PROTOCOL_MAX_READ_BYTES)
		return 1;
	if (j->n++ > 0)
		r = buf_append_char(&j->events, ',');
	return r < 0 ? r : buf_append(&j->events, object, len);
}

/* 1: done; scan.seq is where to go on. */
static int step(ReadJob *j)
{
	uint64_t gap_from, base;
	ScanEvent e;
	int r;

	if (j->looked_at++ >= READ_EVENTS && j->scan.seq < j->view.end_seq) {
		j->more = true;
		return 1;
	}
	base = j->memory.places.base;
	r = filter_skip(j->filter, &j->memory, &j->scan);
	if (j->memory.places.base != base)
		j->looked_at += LOOK_UP_EVENTS;
	if (r >= 0)
		r = scan_next(&j->scan, &e, &gap_from);
	if (r == SCAN_END)
		return 1;
	if (r != SCAN_EVENT)
		return r < 0 ? r : 0;
	r = filter_wants_event(j->filter, &j->memory, j->job.reader, &j->view, &e.record);
	if (r > 0)
		r = take_event(j, &e);
	if (r > 0) {
		j->scan.seq = e.seq;
		j->more = true;
	}
	return r;
}

static bool read_run(ReaderJob *job, Reader *reader)
{
	ReadJob *j = container_of(job, ReadJob, job);
	uint64_t oldest_seq = j->view.oldest_seq;
	int r = 0;

	if (!j->begun) {
		j->begun = true;
		r = scan_init(&j->scan, reader, &j->view,
			j->after + 1 > oldest_seq ? j->after + 1 : oldest_seq);
	}
	while (r == 0) {
		r = step(j);
		if (r == 0 && reader_slice_over(reader))
			return true;
	}
	if (r < 0)
		job->error = r;
	return false;
}

static int write_events(const ReadJob *j, Buf *result)
{
	uint64_t seq = j->scan.seq - 1;
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

static void read_done(ReaderJob *job)
{
	ReadJob *j = container_of(job, ReadJob, job);
	_cleanup_buf_ Buf result = { 0 };

	control_reply(j->request, &result, job->error < 0 ? job->error : write_events(j, &result));
	job_free(j);
}

/* Takes `seqs`. */
static void read_events(
	Control *c, Request *req, json_object *params, bool by_agents, uint64_t *seqs, size_t n)
{
	_cleanup_free_ uint64_t *agents = seqs;
	ReadJob *j = calloc(1, sizeof(*j));

	if (!j || filter_new(params, &j->filter) < 0) {
		free(j);
		request_fail(req, -ENOMEM);
		return;
	}
	if (by_agents)
		filter_set_agents(j->filter, TAKE_PTR(agents), n);
	j->job.kind = READER_JOB_LONG;
	j->job.run = read_run;
	j->job.done = read_done;
	j->control = c;
	j->request = req;
	j->view = eventlog_view(c->log);
	j->after = jsonx_get_uint(params, "after", 0);
	j->limit = (size_t)jsonx_get_uint(params, "limit", 0);
	control_post(c, req, &j->job);
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
