/* What has to be done to one segment before it can be trusted: the index compared with the lines,
 * made anew where it is missing or short, what is damaged told apart from what is not, a torn tail
 * cut.
 *
 * Bad bytes with good lines behind them are a hole: they stay, and the index says of the events
 * that were there that they are lost (segment_is_hole()). Bad bytes at the end are the tail, and
 * are cut off.
 *
 * Thread: main, before the committer starts. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "daemon/eventlog/eventlog.h"

typedef struct SegmentState {
	uint64_t end;   /* one past its last good event */
	uint64_t bytes; /* up to there */
	uint64_t lost;  /* so many events there were behind it, going by what is left: their numbers
			   may have been seen */
} SegmentState;

/* `verify`: every line is compared with its CRC (after a power cut). Lines without index are
 * indexed; each event is given to recovery->on_event if its seq is >= from_seq. Nothing is cut yet.
 * -errno. */
int segment_recover(const Segment *s, bool verify, uint64_t from_seq,
	const EventLogRecovery *recovery, SegmentState *ret) _must_check_;
/* Cuts off what follows the last good line, and keeps it in BASE.torn (BASE.torn-2, ...). -errno:
 * where that cannot be written and there are whole lines in it, nothing is cut. */
int segment_cut(int log_dirfd, const Segment *s, const SegmentState *state) _must_check_;

/* It has the prefix and the suffix of an event's notification. */
bool segment_is_line(const char *line, size_t len);
/* What the index says of an event, but for `end` and `crc`. -EBADMSG if it is no event of this log
 * with that seq. */
int segment_index_event(json_object *event, uint64_t seq, uint64_t (*resolve)(const Uuid *, void *),
	void *userdata, IndexRecord *ret) _must_check_;
/* Takes a line apart as far as its index needs it. -EBADMSG if it is no event of this log with that
 * seq. */
int segment_index_line(const char *line, size_t len, uint64_t seq,
	uint64_t (*resolve)(const Uuid *, void *), void *userdata, IndexRecord *ret) _must_check_;
/* It is a DaemonStarted which says that all of these were lost. */
bool segment_event_announces(json_object *event, uint64_t from, uint64_t to);
/* 1: the first event of the segment is one; 0: it is not, or there is none. -errno. */
int segment_announces(int log_dirfd, uint64_t base, uint64_t from, uint64_t to) _must_check_;
