/* agent.output: what an agent has put out so far, joined. */
#include <errno.h>
#include <string.h>

#include "common/base64.h"
#include "common/jsonx-find.h"
#include "common/utf8.h"
#include "daemon/control/agent-call.h"
#include "daemon/eventlog/scan.h"

typedef struct OutputJob {
	ReaderJob job;
	AgentCall *call;
	LogView view;
	Scan scan;
	bool begun;
	uint64_t seq;      /* of the agent's spawn */
	uint64_t from, to; /* its events of the last attempt lie between, both included */
	Channel channel;
	uint64_t offset;   /* raw bytes to leave out */
	uint64_t position; /* raw bytes of the channel before scan.seq */
	size_t limit;
	Uuid id;
	AgentState state;
	uint32_t attempt;
	uint64_t chunks;
	bool found;    /* a chunk, of whatever channel */
	bool headless; /* before the first of them, events are missing */
	Places places; /* of the agent's events */
	Buf text;      /* up to `position` */
	bool more;
} OutputJob;

/* The event's object, lent until the next line. -EBADMSG: it is damaged. */
static int read_event(OutputJob *j, const ScanEvent *e, const char **ret, size_t *ret_len)
{
	const char *line;
	size_t len;
	int r = scan_line(&j->scan, e, &line, &len);

	if (r == 0)
		*ret = line_event(line, len, ret_len);
	return r;
}

/* The text of a member; the caller puts *ret. -EBADMSG: it has none. */
static int get_text(const char *event, size_t len, const char *key, json_object **ret)
{
	int r = jsonx_find_value(event, len, key, ret);

	if (r == -ENOENT || (r == 0 && !json_object_is_type(*ret, json_type_string)))
		return -EBADMSG;
	return r;
}

static int append_chunk(OutputJob *j, const char *event, size_t event_len)
{
	_cleanup_json_ json_object *text = NULL;
	_cleanup_buf_ Buf decoded = { 0 };
	const char *chunk, *encoding;
	size_t len, skip = 0;
	int r = get_text(event, event_len, "chunk", &text);

	if (r < 0)
		return r;
	chunk = json_object_get_string(text);
	len = (size_t)json_object_get_string_len(text);
	if (jsonx_find(event, event_len, "encoding", &encoding, &(size_t){ 0 }) == 0) {
		r = base64_decode(chunk, len, &decoded);
		if (r < 0)
			return r;
		chunk = decoded.data;
		len = decoded.len;
	}
	if (j->position < j->offset)
		skip = (size_t)(j->offset - j->position);
	return skip < len ? buf_append(&j->text, chunk + skip, len - skip) : 0;
}

/* One chunk of the channel. 1: that is enough. */
static int take_chunk(OutputJob *j, const ScanEvent *e)
{
	uint64_t end = j->position + e->record.raw_bytes;
	const char *event;
	size_t len;
	int r = 0;

	if (end > j->offset) {
		if (j->text.len >= j->limit)
			return 1;
		r = read_event(j, e, &event, &len);
		if (r == 0)
			r = append_chunk(j, event, len);
	}
	/* A damaged one is left out; those behind it stay where they are. */
	if (r == 0 || r == -EBADMSG)
		j->position = end;
	return r == -EBADMSG ? 0 : r;
}

/* The first chunk that is there, on whatever channel, after some events were not. -ENODATA: there
 * were others before it. */
static int check_head(OutputJob *j, const ScanEvent *e)
{
	const char *event, *index;
	size_t len;
	int r = j->attempt > 1 ? -ENODATA : read_event(j, e, &event, &len);

	j->headless = false;
	if (r == 0)
		r = jsonx_find(event, len, "index", &index, &len);
	if (r != 0)
		return r == -EBADMSG || r == -ENOENT ? -ENODATA : r;
	return len == 1 && *index == '0' ? 0 : -ENODATA;
}

/* 1: done. */
static int step(OutputJob *j)
{
	uint64_t gap_from;
	ScanEvent e;
	int r;

	if (j->scan.seq > j->to)
		return 1;
	r = scan_skip(&j->scan, &j->places);
	if (r < 0)
		return r;
	if (j->scan.seq > j->to)
		return 1;
	r = scan_next(&j->scan, &e, &gap_from);
	if (r == SCAN_END)
		return 1;
	if (r == SCAN_GAP && !j->found)
		j->headless = true;
	if (r != SCAN_EVENT)
		return r < 0 ? r : 0;
	if (e.record.agent != j->seq || e.record.type != EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		return 0;
	r = j->headless ? check_head(j, &e) : 0;
	j->found = true;
	if (r == 0 && e.record.channel == j->channel)
		r = take_chunk(j, &e);
	if (r > 0)
		j->more = true;
	return r;
}

static int on_row(const CatalogRow *row, void *userdata)
{
	OutputJob *j = userdata;

	j->id = row->agent_id;
	j->state = row->state;
	j->attempt = row->attempt;
	j->chunks = row->chunks;
	j->from = row->output_seq > 0 ? row->output_seq : row->seq;
	j->to = row->last_seq;
	return 0;
}

static int begin(OutputJob *j, Reader *reader)
{
	uint64_t oldest_seq = j->view.oldest_seq;
	int r = j->to == 0 ? catalog_get(reader_catalog(reader), j->seq, on_row, j) : 0;

	if (r < 0)
		return r;
	j->headless = j->from < oldest_seq;
	j->places = (Places){ .agents = &j->seq, .n_agents = 1 };
	return scan_init(&j->scan, reader, &j->view, j->headless ? oldest_seq : j->from);
}

static bool output_run(ReaderJob *job, Reader *reader)
{
	OutputJob *j = container_of(job, OutputJob, job);
	int r = 0;

	if (!j->begun) {
		j->begun = true;
		r = begin(j, reader);
	}
	while (r == 0) {
		r = step(j);
		if (r == 0 && reader_slice_over(reader))
			return true;
	}
	if (r > 0 && j->headless && j->chunks > 0)
		r = -ENODATA;
	if (r < 0)
		job->error = r;
	return false;
}

/* No more than the limit, and no character cut in two where it is text and a whole one fits. */
static void cut(OutputJob *j)
{
	size_t len = j->text.len;

	if (len > j->limit) {
		len = utf8_cut(j->text.data, j->text.len, j->limit);
		if (len == 0 || !utf8_valid(j->text.data, len))
			len = j->limit;
		j->more = true;
	} else if (j->more) {
		size_t tail = utf8_incomplete_tail(j->text.data, len);

		if (tail < len)
			len -= tail;
	}
	j->position -= j->text.len - len;
	j->text.len = len;
}

static int write_result(OutputJob *j, Buf *result)
{
	char id[UUID_TEXT_LEN + 1];
	JsonWriter w;

	cut(j);
	uuid_format(&j->id, id);
	jw_init(&w, result);
	jw_object_begin(&w);
	jw_key_string(&w, "agent_id", id, UUID_TEXT_LEN);
	jw_key_cstring(&w, "state", agent_state_to_string(j->state));
	jw_key(&w, "text");
	if (utf8_valid(j->text.data, j->text.len)) {
		jw_string(&w, j->text.data, j->text.len);
	} else {
		jw_base64(&w, j->text.data, j->text.len);
		jw_key_cstring(&w, "encoding", "base64");
	}
	jw_key_uint(&w, "offset", j->offset);
	if (j->more)
		jw_key_uint(&w, "next", j->position);
	jw_object_end(&w);
	return jw_finish(&w);
}

static void fail_pruned(OutputJob *j)
{
	_cleanup_rpc_error_ RpcError error = { 0 };
	uint64_t oldest_seq = eventlog_oldest_seq(j->call->control->log);

	rpc_error_set(&error, RPC_PRUNED,
		"the beginning of its output is gone: the log begins with event %llu by now",
		(unsigned long long)oldest_seq);
	rpc_error_add_uint(&error, "oldest_seq", oldest_seq);
	agent_call_error(j->call, &error);
}

static void output_done(ReaderJob *job)
{
	OutputJob *j = container_of(job, OutputJob, job);
	_cleanup_buf_ Buf result = { 0 };

	scan_done(&j->scan);
	places_clear(&j->places);
	log_view_release(&j->view);
	if (job->error == -ENODATA)
		fail_pruned(j);
	else if (job->error == -ENOENT)
		agent_call_not_found(j->call);
	else
		agent_call_reply(
			j->call, &result, job->error < 0 ? job->error : write_result(j, &result));
	buf_done(&j->text);
	free(j);
}

static void run_output(AgentCall *call, Agent *a, uint64_t seq)
{
	OutputJob *j = calloc(1, sizeof(*j));
	int channel = channel_from_string(jsonx_get_string(call->params, "channel", NULL));

	if (!j) {
		agent_call_reply(call, &(Buf){ 0 }, -ENOMEM);
		return;
	}
	j->job.kind = READER_JOB_LONG;
	j->job.run = output_run;
	j->job.done = output_done;
	j->call = call;
	j->seq = seq;
	j->channel = (Channel)channel;
	j->offset = jsonx_get_uint(call->params, "offset", 0);
	j->limit = (size_t)jsonx_get_uint(call->params, "limit_bytes", 0);
	if (a) {
		CatalogRow row = agent_row(a);

		(void)on_row(&row, j);
	}
	j->view = eventlog_view(call->control->log);
	control_post(call->control, call->request, &j->job);
}

void method_agent_output(Request *req, json_object *params, void *userdata)
{
	agent_call(userdata, req, params, run_output);
}
