#include "daemon/agent/spec-job.h"

#include <errno.h>

#include "daemon/eventlog/scan.h"

typedef struct SpecJob {
	ReaderJob job;
	LogView view;
	Agent *agent;
	uint64_t seq;
	Buf text;
	int error;
	OnSpec on_spec;
	void *userdata;
} SpecJob;

static int append_row_spec(const CatalogRow *row, void *userdata)
{
	return buf_append(userdata, row->spec, row->spec_len);
}

int spec_read(Reader *reader, const LogView *view, uint64_t seq, Buf *b)
{
	_cleanup_buf_ Buf line = { 0 };
	const char *object;
	ScanEvent event;
	size_t len;
	int r = scan_find(reader, view, seq, &event);

	if (r == 0)
		r = scan_read_line(&event, &line);
	if (r < 0)
		return catalog_get(reader_catalog(reader), seq, append_row_spec, b);
	object = line_event(line.data, line.len, &len);
	return buf_append(b, object, len);
}

static bool spec_run(ReaderJob *job, Reader *reader)
{
	SpecJob *j = container_of(job, SpecJob, job);

	j->error = spec_read(reader, &j->view, j->seq, &j->text);
	return false;
}

static void spec_done(ReaderJob *job)
{
	SpecJob *j = container_of(job, SpecJob, job);

	log_view_release(&j->view);
	j->agent->holds--;
	j->on_spec(j->agent, j->text.data, j->text.len, j->error, j->userdata);
	buf_done(&j->text);
	free(j);
}

int spec_job_post(Reader *reader, EventLog *log, Agent *a, OnSpec on_spec, void *userdata)
{
	SpecJob *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->job.run = spec_run;
	j->job.done = spec_done;
	j->view = eventlog_view(log);
	j->agent = a;
	a->holds++;
	j->seq = a->seq;
	j->on_spec = on_spec;
	j->userdata = userdata;
	reader_post(reader, &j->job);
	return 0;
}
