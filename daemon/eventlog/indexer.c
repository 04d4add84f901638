#include "daemon/eventlog/indexer.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"
#include "daemon/eventlog/postings.h"

static const SegmentInfo *segment_info(const Indexer *i)
{
	return &i->view.table->infos[i->at];
}

static bool make_run(ReaderJob *job, Reader *reader)
{
	Indexer *i = container_of(job, Indexer, job);
	const SegmentInfo *info = segment_info(i);
	uint64_t n = info->end - info->base;
	_cleanup_postings_ Postings p = { 0 };
	Segment *segment;

	if (n > POSTINGS_MAX_EVENTS)
		return false;
	job->error = reader_segment(reader, info->base, &segment);
	if (job->error == 0)
		job->error = postings_build(segment, (uint32_t)n, &p);
	if (job->error == 0)
		job->error = postings_save(&p, reader_log_dirfd(reader));
	return false;
}

static void make_done(ReaderJob *job)
{
	Indexer *i = container_of(job, Indexer, job);
	const SegmentInfo *info = segment_info(i);

	/* Nothing depends on them: retention may have been quicker, or the disk be full. */
	if (job->error < 0 && job->error != -ENOENT && job->error != -ECANCELED)
		log_warning("segment %020llu gets no postings: %s", (unsigned long long)info->base,
			strerror(-job->error));
	i->next_seq = info->end;
	i->busy = false;
	log_view_release(&i->view);
}

void indexer_init(Indexer *i, EventLog *log, Reader *reader)
{
	*i = (Indexer){ .log = log, .reader = reader, .next_seq = eventlog_active_seq(log) };
}

void indexer_run(Indexer *i)
{
	if (i->busy || eventlog_active_seq(i->log) <= i->next_seq)
		return;
	i->view = eventlog_view(i->log);
	i->at = segment_table_find(i->view.table, i->next_seq);
	/* Retention may have been quicker. */
	if (i->at + 1 == i->view.table->n) {
		i->next_seq = i->view.table->infos[i->at].base;
		log_view_release(&i->view);
		return;
	}
	i->busy = true;
	i->job = (ReaderJob){
		.run = make_run,
		.done = make_done,
		.kind = READER_JOB_LONG,
		.for_client = true,
	};
	reader_post(i->reader, &i->job);
}
