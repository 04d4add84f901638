#include "daemon/eventlog/scan.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "daemon/eventlog/crc32c.h"

#define RECORDS_AT_ONCE 512
/* Where postings say which records are wanted: those lie DENSE apart at least, on the average. */
#define SPARSE_AT_ONCE  8U
#define DENSE           16U
/* Who asks for more agents at once walks: most events are theirs. */
#define MAX_AGENTS      64U

/* How much is read of lines that lie near each other, and what is near. */
#define AHEAD_BYTES (128U * 1024)
#define NEAR_BYTES  4096U

int scan_init(Scan *s, Reader *reader, const LogView *view, uint64_t seq)
{
	*s = (Scan){ .reader = reader, .view = view, .seq = seq };
	s->buffer = malloc((RECORDS_AT_ONCE + 1) * sizeof(*s->buffer));
	return s->buffer ? 0 : -ENOMEM;
}

void scan_done(Scan *s)
{
	segment_unref(s->segment);
	free(s->buffer);
	buf_done(&s->ahead);
	*s = (Scan){ 0 };
}

static uint64_t info_end(const LogView *view, size_t at)
{
	const SegmentInfo *info = &view->table->infos[at];

	return info->end < view->end_seq ? info->end : view->end_seq;
}

static int open_segment(Scan *s, size_t at)
{
	uint64_t base = s->view->table->infos[at].base;
	Segment *segment;
	int r;

	s->n = 0;
	s->at = at;
	if (s->segment && s->segment->base == base)
		return 0;
	segment_unref(s->segment);
	s->segment = NULL;
	r = reader_segment(s->reader, base, &segment);
	if (r == 0)
		s->segment = segment_ref(segment);
	return r;
}

/* How long the segment's file is. One that is sealed stays as it is. */
static int look_at_size(Scan *s)
{
	struct stat st;

	if (s->bytes_of == s->segment->base && s->at + 1 < s->view->table->n)
		return 0;
	if (fstat(s->segment->fd, &st) < 0)
		return -errno;
	s->bytes = (uint64_t)st.st_size;
	s->bytes_of = s->segment->base;
	return 0;
}

/* Fills `records` from `first` on with at most `want`. -EBADMSG if the index does not reach that
 * far. */
static int load(Scan *s, uint64_t first, size_t want)
{
	uint64_t i = first - s->segment->base;
	size_t before = i > 0; /* whose end is where the first one begins */
	int r = look_at_size(s);
	ssize_t n;

	if (r < 0)
		return r;
	n = segment_read_index(s->segment, i - before, s->buffer, want + before);
	if (n < 0)
		return (int)n;
	if ((size_t)n <= before)
		return -EBADMSG;
	s->start = before > 0 ? s->buffer[0].end : 0;
	s->records = s->buffer + before;
	s->first = first;
	s->n = (size_t)n - before;
	return 0;
}

static bool loaded(const Scan *s, uint64_t seq)
{
	return s->n > 0 && seq >= s->first && seq < s->first + s->n;
}

/* 0: records hold `seq`, which lies in segment `at`. */
static int load_forward(Scan *s, size_t at, uint64_t seq)
{
	uint64_t left = info_end(s->view, at) - seq;
	size_t want = s->sparse ? SPARSE_AT_ONCE : RECORDS_AT_ONCE;
	int r;

	if (loaded(s, seq))
		return 0;
	r = open_segment(s, at);
	if (r != 0)
		return r;
	return load(s, seq, left < want ? (size_t)left : want);
}

static int load_backward(Scan *s, size_t at, uint64_t seq)
{
	uint64_t base = s->view->table->infos[at].base;
	size_t want = s->sparse ? SPARSE_AT_ONCE : RECORDS_AT_ONCE;
	uint64_t first = seq - base >= want ? seq + 1 - want : base;
	int r;

	if (loaded(s, seq))
		return 0;
	r = open_segment(s, at);
	if (r != 0)
		return r;
	r = load(s, first, (size_t)(seq + 1 - first));
	return r == 0 && !loaded(s, seq) ? -EBADMSG : r;
}

static void fill(const Scan *s, uint64_t seq, ScanEvent *ret)
{
	size_t i = (size_t)(seq - s->first);

	*ret = (ScanEvent){
		.seq = seq,
		.record = s->records[i],
		.start = i > 0 ? s->records[i - 1].end : s->start,
		.segment = s->segment,
	};
}

/* The index may be damaged, and then it is not believed: the event is as good as not there. */
static bool makes_sense(const ScanEvent *e, uint64_t bytes)
{
	return segment_record_makes_sense(&e->record, e->start) && e->record.end <= bytes;
}

/* The event at hand, which is loaded. */
static int take_next(Scan *s, ScanEvent *ret, uint64_t *ret_gap_from)
{
	fill(s, s->seq, ret);
	*ret_gap_from = s->seq++;
	return makes_sense(ret, s->bytes) ? SCAN_EVENT : SCAN_GAP;
}

static bool is_lost(int error)
{
	return error == -ENOENT || error == -EBADMSG;
}

int scan_next(Scan *s, ScanEvent *ret, uint64_t *ret_gap_from)
{
	const LogView *view = s->view;
	size_t at;
	uint64_t base;
	int r;

	if (s->seq >= view->end_seq)
		return SCAN_END;
	if (loaded(s, s->seq))
		return take_next(s, ret, ret_gap_from);
	at = segment_table_find(view->table, s->seq);
	base = at < view->table->n ? view->table->infos[at].base : view->end_seq;
	*ret_gap_from = s->seq;
	if (base > s->seq) {
		s->seq = base < view->end_seq ? base : view->end_seq;
		return SCAN_GAP;
	}
	r = load_forward(s, at, s->seq);
	if (is_lost(r)) {
		s->seq = info_end(view, at);
		return SCAN_GAP;
	}
	return r < 0 ? r : take_next(s, ret, ret_gap_from);
}

int scan_next_run(Scan *s, size_t bytes, ScanRun *ret, uint64_t *ret_gap_from)
{
	const IndexRecord *records;
	ScanEvent first;
	size_t n = 1, left;
	int r = scan_next(s, &first, ret_gap_from);

	if (r != SCAN_EVENT)
		return r;
	records = &s->records[first.seq - s->first];
	left = s->n - (size_t)(first.seq - s->first);
	while (n < left && records[n].end - first.start <= bytes && records[n].end <= s->bytes &&
		segment_record_makes_sense(&records[n], records[n - 1].end))
		n++;
	s->seq += n - 1;
	*ret = (ScanRun){
		.seq = first.seq,
		.records = records,
		.n = n,
		.start = first.start,
		.segment = first.segment,
	};
	return SCAN_EVENT;
}

int scan_previous(Scan *s, ScanEvent *ret)
{
	const LogView *view = s->view;

	while (s->seq > view->oldest_seq) {
		uint64_t seq = s->seq - 1;
		size_t at;
		int r;

		if (loaded(s, seq)) {
			s->seq = seq;
			fill(s, seq, ret);
			if (makes_sense(ret, s->bytes))
				return SCAN_EVENT;
			continue;
		}
		at = segment_table_find(view->table, seq);
		if (at == view->table->n || view->table->infos[at].base > seq) {
			/* In a hole: on to the end of the segment before it. */
			s->seq = at > 0 ? view->table->infos[at - 1].end : view->oldest_seq;
			continue;
		}
		r = load_backward(s, at, seq);
		/* What the index does reach still serves. */
		if (is_lost(r))
			s->seq = s->n > 0 ? s->first + s->n : view->table->infos[at].base;
		else if (r < 0)
			return r;
	}
	return SCAN_END;
}

/* The places in segment `at`. 1: they are known. */
static int look_up(Scan *s, size_t at, Places *places)
{
	const SegmentInfo *info = &s->view->table->infos[at];
	uint64_t n_events = info->end - info->base;
	int r;

	if (places->base == info->base)
		return places->at != NULL;
	places_clear(places);
	/* What is not sealed has none. */
	if (info->end > s->view->end_seq || at + 1 == s->view->table->n ||
		places->n_agents > MAX_AGENTS || n_events > POSTINGS_MAX_EVENTS)
		return 0;
	reader_long_step(s->reader);
	r = open_segment(s, at);
	if (r == 0)
		r = postings_find(
			reader_log_dirfd(s->reader), s->segment, (uint32_t)n_events, places);
	if (r < 0 && r != -ENOMEM && !is_lost(r))
		return r;
	/* Where much of it is wanted, walking is as quick, and there is nothing to keep. */
	if (places->n > n_events / DENSE)
		places_clear(places);
	places->base = info->base;
	return places->at != NULL;
}

/* 1: the segment that holds `seq` is at *ret_at, and the places in it are known. */
static int find_places(Scan *s, uint64_t seq, Places *places, size_t *ret_at)
{
	const SegmentTable *table = s->view->table;
	size_t at = segment_table_find(table, seq);
	int r;

	s->sparse = false;
	if (at == table->n || table->infos[at].base > seq)
		return 0;
	r = look_up(s, at, places);
	s->sparse = r > 0;
	*ret_at = at;
	return r;
}

int scan_skip(Scan *s, Places *places)
{
	const SegmentInfo *info;
	size_t at, i;
	int r;

	if (s->seq >= s->view->end_seq)
		return 0;
	r = find_places(s, s->seq, places, &at);
	if (r <= 0)
		return r;
	info = &s->view->table->infos[at];
	i = places_before(places, (uint32_t)(s->seq - info->base));
	s->sparse = i < places->n; /* and not in the next segment */
	s->seq = s->sparse ? info->base + places->at[i] : info->end;
	return 0;
}

int scan_skip_back(Scan *s, Places *places)
{
	const SegmentInfo *info;
	size_t at, i;
	int r;

	if (s->seq <= s->view->oldest_seq)
		return 0;
	r = find_places(s, s->seq - 1, places, &at);
	if (r <= 0)
		return r;
	info = &s->view->table->infos[at];
	i = places_before(places, (uint32_t)(s->seq - info->base));
	s->sparse = i > 0;
	s->seq = s->sparse ? info->base + places->at[i - 1] + 1 : info->base;
	return 0;
}

/* Twice as much as last time if this line lies where that ended; else this line alone. */
static int read_ahead(Scan *s, const ScanEvent *event, size_t len)
{
	uint64_t end = s->ahead_at + s->ahead.len, left = s->bytes - event->start;
	bool near = s->ahead_base == event->segment->base && event->start >= s->ahead_at &&
		    event->start <= end + NEAR_BYTES;
	size_t want = near ? s->ahead.len * 2 : len;
	ssize_t n;
	int r;

	if (want > AHEAD_BYTES)
		want = AHEAD_BYTES;
	if (want < len)
		want = len;
	if (want > left)
		want = (size_t)left;
	buf_clear(&s->ahead, AHEAD_BYTES);
	r = buf_reserve(&s->ahead, want);
	if (r < 0)
		return r;
	n = fd_pread_all(event->segment->fd, s->ahead.data, want, event->start);
	if (n < 0)
		return (int)n;
	s->ahead.len = (size_t)n;
	s->ahead_at = event->start;
	s->ahead_base = event->segment->base;
	return (size_t)n < len ? -EBADMSG : 0;
}

int scan_line(Scan *s, const ScanEvent *event, const char **ret, size_t *ret_len)
{
	size_t len = event->record.end - event->start;
	const char *line;
	int r = 0;

	if (s->ahead_base != event->segment->base || event->start < s->ahead_at ||
		event->record.end > s->ahead_at + s->ahead.len)
		r = read_ahead(s, event, len);
	if (r < 0)
		return r;
	line = s->ahead.data + (event->start - s->ahead_at);
	if (crc32c(line, len) != event->record.crc)
		return -EBADMSG;
	*ret = line;
	*ret_len = len;
	return 0;
}

int scan_read_line(const ScanEvent *event, Buf *b)
{
	size_t len = event->record.end - event->start;
	struct stat st;
	ssize_t n;
	int r;

	/* The index may be damaged: it is not believed when it says that there are gigabytes. */
	if (event->record.end <= event->start || fstat(event->segment->fd, &st) < 0 ||
		event->record.end > st.st_size)
		return -EBADMSG;
	r = buf_reserve(b, len);
	if (r < 0)
		return r;
	n = fd_pread_all(event->segment->fd, b->data + b->len, len, event->start);
	if (n < 0)
		return (int)n;
	if ((size_t)n < len || crc32c(b->data + b->len, len) != event->record.crc)
		return -EBADMSG;
	b->len += len;
	return 0;
}

int scan_find(Reader *reader, const LogView *view, uint64_t seq, ScanEvent *ret)
{
	Segment *segment;
	IndexRecord record;
	uint32_t start;
	ssize_t n;
	size_t at;
	int r;

	at = segment_table_find(view->table, seq);
	if (seq >= view->end_seq || at == view->table->n || view->table->infos[at].base > seq)
		return -ENOENT;
	r = reader_segment(reader, view->table->infos[at].base, &segment);
	if (r < 0)
		return r;
	r = segment_line_start(segment, seq - segment->base, &start);
	if (r < 0)
		return r;
	n = segment_read_index(segment, seq - segment->base, &record, 1);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -EBADMSG;
	*ret = (ScanEvent){ .seq = seq, .record = record, .start = start, .segment = segment };
	return makes_sense(ret, UINT32_MAX) ? 0 : -EBADMSG;
}
