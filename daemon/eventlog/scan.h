/* Walks the log by its index, forwards or backwards, and reads lines.
 *
 * Thread: the reader's. */
#pragma once

#include "common/buf.h"
#include "daemon/eventlog/postings.h"
#include "daemon/eventlog/reader.h"

typedef struct ScanEvent {
	uint64_t seq;
	IndexRecord record;
	uint32_t start;   /* of the line in its segment; it ends at record.end */
	Segment *segment; /* lent until the next step */
} ScanEvent;

/* Events whose lines lie one behind the other. */
typedef struct ScanRun {
	uint64_t seq;               /* of the first */
	const IndexRecord *records; /* lent, as the segment is */
	size_t n;
	uint32_t start; /* of the first line; the last ends with its record */
	Segment *segment;
} ScanRun;

typedef struct Scan {
	Reader *reader;
	const LogView *view;
	uint64_t seq;         /* the next to be looked at */
	size_t at;            /* the segment that `records` are of */
	Segment *segment;     /* one reference; NULL: none yet */
	IndexRecord *buffer;  /* the record before `records`, if there is one, and those */
	IndexRecord *records; /* in the buffer */
	uint64_t first;       /* seq of records[0] */
	size_t n;
	bool sparse;       /* few records are asked for from where they are read */
	uint32_t start;    /* of the line of records[0] */
	uint64_t bytes;    /* in the segment's file */
	uint64_t bytes_of; /* the segment that `bytes` is of; 0: none yet */
	Buf ahead;         /* what was read of its lines last, from `ahead_at` on */
	uint64_t ahead_at;
	uint64_t ahead_base; /* of the segment that it is of */
} Scan;

typedef enum ScanStep {
	SCAN_END,   /* nothing more in the view */
	SCAN_EVENT, /* *ret is filled in; the scan goes on after it */
	SCAN_GAP,   /* from *ret_from up to before scan->seq nothing can be read: a hole in the
		       numbers, pruned, or rotten */
} ScanStep;

/* Begins at `seq`. The view is lent for as long as the scan lives. -ENOMEM. */
int scan_init(Scan *s, Reader *reader, const LogView *view, uint64_t seq) _must_check_;
/* Safe on a zeroed one. */
void scan_done(Scan *s);

/* -errno on a failure of the disk. */
int scan_next(Scan *s, ScanEvent *ret, uint64_t *ret_gap_from) _must_check_;
/* The same for as many events as are at hand, up to `bytes` of lines; the first however long it is.
 */
int scan_next_run(Scan *s, size_t bytes, ScanRun *ret, uint64_t *ret_gap_from) _must_check_;
/* Backwards: the event before scan->seq, which becomes scan->seq. SCAN_EVENT or SCAN_END; gaps are
 * passed over. */
int scan_previous(Scan *s, ScanEvent *ret) _must_check_;

/* Before a step forwards, or back: passes over what is of none of the agents that the places are
 * of, as far as that can be told without walking. The places are kept from one call to the next,
 * and cleared by the caller. -errno on a failure of the disk. */
int scan_skip(Scan *s, Places *places) _must_check_;
int scan_skip_back(Scan *s, Places *places) _must_check_;

/* The line of the event that the last step gave, newline included; lent until the next call. Where
 * lines are asked for one after the other it reads ahead. -EBADMSG: it is not what the index says.
 */
int scan_line(Scan *s, const ScanEvent *event, const char **ret, size_t *ret_len) _must_check_;

/* Of one that scan_find() gave: appends it. -EBADMSG: it is not what the index says. */
int scan_read_line(const ScanEvent *event, Buf *b) _must_check_;
/* Finds one event. -ENOENT: it is not there (any more). */
int scan_find(Reader *reader, const LogView *view, uint64_t seq, ScanEvent *ret) _must_check_;
