/* agent.output: what an agent has put out so far, joined. */
#include <errno.h>
#include <string.h>

#include "common/base64.h"
#include "common/jsonx.h"
#include "common/utf8.h"
#include "daemon/control/agent-call.h"
#include "daemon/eventlog/scan.h"

/* How many events are looked at before others get their turn. */
#define SLICE_EVENTS 262144U

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
	Buf text;
	bool more;
	int error;
} OutputJob;

static int append_raw(OutputJob *j, const char *line, size_t len)
{
	_cleanup_json_ json_object *event = NULL;
	_cleanup_buf_ Buf decoded = { 0 };
	size_t object_len, chunk_len, skip = 0;
	const char *object = line_event(line, len, &object_len), *chunk;
	JsonxError why;
	int r = jsonx_parse(object, object_len, &event, &why);

	if (r < 0)
		return r;
	chunk = jsonx_get_string(event, "chunk", &chunk_len);
	if (!chunk)
		return -EBADMSG;
	if (jsonx_get_string(event, "encoding", NULL)) {
		r = base64_decode(chunk, chunk_len, &decoded);
		if (r < 0)
			return r;
		chunk = decoded.data;
		chunk_len = decoded.len;
	}
	if (j->position < j->offset)
		skip = (size_t)(j->offset - j->position);
	return skip < chunk_len ? buf_append(&j->text, chunk + skip, chunk_len - skip) : 0;
}

/* One chunk of the channel. 1: that is enough. */
static int take_chunk(OutputJob *j, const ScanEvent *e)
{
	_cleanup_buf_ Buf line = { 0 };
	uint64_t end = j->position + e->record.raw_bytes;
	int r = 0;

	if (end > j->offset) {
		if (j->text.len >= j->limit)
			return 1;
		r = scan_read_line(e, &line);
		if (r == 0)
			r = append_raw(j, line.data, line.len);
	}
	j->position = end;
	return r;
}

static bool is_ours(const OutputJob *j, const IndexRecord *record)
{
	return record->agent == j->seq && record->type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT &&
	       record->channel == j->channel;
}

/* True: go on later. */
static bool walk(OutputJob *j)
{
	for (size_t i = 0; i < SLICE_EVENTS; i++) {
		uint64_t gap_from;
		ScanEvent e;
		int r;

		if (j->scan.seq > j->to)
			return false;
		r = scan_next(&j->scan, &e, &gap_from);
		if (r == SCAN_END)
			return false;
		if (r > 0)
			r = r == SCAN_EVENT && is_ours(j, &e.record) ? take_chunk(j, &e) : 0;
		if (r < 0)
			j->error = r;
		if (r > 0)
			j->more = true;
		if (r != 0)
			return false;
	}
	return true;
}

static int on_row(const CatalogRow *row, void *userdata)
{
	OutputJob *j = userdata;

	j->id = row->agent_id;
	j->state = row->state;
	j->from = row->output_seq > 0 ? row->output_seq : row->seq;
	j->to = row->last_seq;
	return 0;
}

static bool output_run(ReaderJob *job, Reader *reader)
{
	OutputJob *j = container_of(job, OutputJob, job);

	if (!j->begun) {
		j->begun = true;
		if (j->to == 0)
			j->error = catalog_get(reader_catalog(reader), j->seq, on_row, j);
		if (j->error == 0)
			j->error = scan_init(&j->scan, reader, &j->view,
				j->from > j->view.oldest_seq ? j->from : j->view.oldest_seq);
	}
	if (j->error == 0 && walk(j))
		return true;
	scan_done(&j->scan);
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
		jw_key_uint(&w, "next", j->offset + j->text.len);
	jw_object_end(&w);
	return jw_finish(&w);
}

static void output_done(ReaderJob *job)
{
	OutputJob *j = container_of(job, OutputJob, job);
	_cleanup_buf_ Buf result = { 0 };

	log_view_release(&j->view);
	agent_call_reply(j->call, &result, j->error < 0 ? j->error : write_result(j, &result));
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
	reader_post(call->control->reader, &j->job);
}

void method_agent_output(Request *req, json_object *params, void *userdata)
{
	agent_call(userdata, req, params, run_output);
}
