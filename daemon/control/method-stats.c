/* events.stats: walks over the log on the reader's thread, but for the segments whose sums it has.
 */
#include <errno.h>

#include "common/jsonx.h"
#include "daemon/control/control.h"
#include "daemon/control/filter.h"
#include "daemon/control/log-stats.h"
#include "daemon/eventlog/scan.h"

typedef struct StatsJob {
	ReaderJob job;
	Request *request;
	Filter *filter;
	FilterMemory memory;
	LogView view;
	Scan scan;
	bool begun;
	StatsCache *cache; /* NULL: with this filter it is of no use */
	size_t at;         /* the segment that scan.seq is in, or before */
	bool whole;        /* nothing of that segment was missing so far */
	LogStats segment;  /* what was counted of it */
	LogStats total;
} StatsJob;

static bool is_sealed(const StatsJob *j, const SegmentInfo *info)
{
	return info->end <= j->view.end_seq;
}

static void begin_segment(StatsJob *j, const SegmentInfo *info)
{
	const LogStats *known = is_sealed(j, info) ? stats_cache_find(j->cache, info->base) : NULL;

	j->scan.seq = info->base;
	j->segment = (LogStats){ 0 };
	j->whole = true;
	if (!known)
		return;
	log_stats_add(&j->total, known);
	j->scan.seq = info->end;
	j->whole = false;
}

static void end_segment(StatsJob *j, const SegmentInfo *info)
{
	log_stats_add(&j->total, &j->segment);
	if (is_sealed(j, info) && j->whole)
		stats_cache_add(j->cache, info->base, &j->segment);
	j->at++;
}

/* One event, or a whole segment that is known. 1: done. */
static int step_over_segments(StatsJob *j)
{
	const SegmentTable *table = j->view.table;
	const SegmentInfo *info = &table->infos[j->at];
	uint64_t gap_from;
	ScanEvent e;
	int r = 0;

	if (j->at == table->n || info->base >= j->view.end_seq)
		return 1;
	if (j->scan.seq <= info->base)
		begin_segment(j, info);
	if (j->scan.seq < info->end) {
		r = scan_next(&j->scan, &e, &gap_from);
		if (r == SCAN_EVENT)
			log_stats_count(&j->segment, &e.record);
		else
			j->whole = false;
	}
	if (r == SCAN_END || j->scan.seq >= info->end)
		end_segment(j, info);
	return r < 0 ? r : 0;
}

/* 1: done. */
static int step(StatsJob *j)
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
		log_stats_count(&j->total, &e.record);
	return r < 0 ? r : 0;
}

static bool stats_run(ReaderJob *job, Reader *reader)
{
	StatsJob *j = container_of(job, StatsJob, job);
	int r = 0;

	if (!j->begun) {
		j->begun = true;
		r = scan_init(&j->scan, reader, &j->view, j->view.oldest_seq);
	}
	while (r == 0) {
		r = j->cache ? step_over_segments(j) : step(j);
		if (r == 0 && reader_slice_over(reader))
			return true;
	}
	if (j->cache)
		stats_cache_trim(j->cache, j->view.table->infos[0].base);
	if (r < 0)
		job->error = r;
	return false;
}

static int write_result(const LogStats *s, Buf *result)
{
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

static void job_free(StatsJob *j)
{
	scan_done(&j->scan);
	log_view_release(&j->view);
	filter_free(j->filter);
	filter_memory_done(&j->memory);
	free(j);
}

static void stats_done(ReaderJob *job)
{
	StatsJob *j = container_of(job, StatsJob, job);
	_cleanup_buf_ Buf result = { 0 };

	control_reply(j->request, &result,
		job->error < 0 ? job->error : write_result(&j->total, &result));
	job_free(j);
}

void method_events_stats(Request *req, json_object *params, void *userdata)
{
	Control *c = userdata;
	StatsJob *j = calloc(1, sizeof(*j));

	if (!j || filter_new(params, &j->filter) < 0) {
		free(j);
		request_fail(req, -ENOMEM);
		return;
	}
	j->job.kind = READER_JOB_LONG;
	j->job.run = stats_run;
	j->job.done = stats_done;
	j->request = req;
	if (filter_is_open(j->filter))
		j->cache = c->stats;
	j->view = eventlog_view(c->log);
	control_post(c, req, &j->job);
}
