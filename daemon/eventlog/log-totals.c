#include "daemon/eventlog/log-totals.h"

#include "daemon/eventlog/eventlog.h"

/* The last of them is the largest batch that there is. */
static const uint64_t batch_bounds[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024 };

void log_totals_init(LogTotals *t)
{
	*t = (LogTotals){ 0 };
	histogram_init(&t->batch_events, batch_bounds, ARRAY_SIZE(batch_bounds));
	histogram_init_durations(&t->commit_us);
}

void log_totals_add(LogTotals *t, const Batch *b)
{
	t->events += b->n;
	t->bytes += b->len;
	t->output_bytes += b->raw_bytes;
	histogram_add(&t->batch_events, b->n);
	histogram_add(&t->commit_us, b->took_us);
}

/* How much stands before `seq` in its segment, which has `bytes`, and ends before `end`. */
static uint64_t bytes_before(
	const EventLog *log, const SegmentInfo *info, uint64_t end, uint64_t bytes, uint64_t seq)
{
	const Batch *b = NULL;
	size_t at;

	if (seq >= eventlog_hot_seq(log))
		b = eventlog_hot_find(log, seq, &at);
	if (b && b->first_seq <= seq)
		return b->offset + b->entries[seq - b->first_seq].offset;
	return (uint64_t)((double)bytes * (double)(seq - info->base) / (double)(end - info->base));
}

uint64_t log_bytes_from(const EventLog *log, uint64_t seq)
{
	uint64_t left = eventlog_bytes(log), end_seq = eventlog_end_seq(log);
	LogView view = eventlog_view(log);
	const SegmentTable *t = view.table;
	size_t at = segment_table_find(t, seq);

	for (size_t i = 0; i < at; i++)
		left -= t->infos[i].bytes;
	if (seq >= end_seq) {
		left = 0;
	} else if (at < t->n && seq > t->infos[at].base) {
		const SegmentInfo *info = &t->infos[at];
		bool active = at + 1 == t->n;
		uint64_t before = bytes_before(
			log, info, active ? end_seq : info->end, active ? left : info->bytes, seq);

		left -= before < left ? before : left;
	}
	log_view_release(&view);
	return left;
}
