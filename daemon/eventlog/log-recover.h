/* What has to be done to one segment before it can be trusted: the index compared with the lines, made anew where it is missing or short,
 * a torn tail cut.
 *
 * Thread: main, before the committer starts. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "daemon/eventlog/eventlog.h"

typedef struct SegmentState {
	uint64_t end;   /* one past its last good event */
	uint64_t bytes; /* of good lines */
} SegmentState;

/* `verify`: every line is compared with its CRC (after a power cut). `last`: what follows the last good line is cut off and kept in BASE.torn. Lines without index are indexed; each such event is given to recovery->on_event if its seq is >= from_seq, after those
 * whose index was there. -errno. */
int segment_recover(int log_dirfd, const Segment *s, bool verify, bool last, uint64_t from_seq,
	const EventLogRecovery *recovery, SegmentState *ret) _must_check_;

/* It has the prefix and the suffix of an event's notification. */
bool segment_is_line(const char *line, size_t len);
/* What the index says of an event, but for `end` and `crc`. -EBADMSG if it is no event of this log with that seq. */
int segment_index_event(json_object *event, uint64_t seq, uint64_t (*resolve)(const Uuid *, void *),
	void *userdata, IndexRecord *ret) _must_check_;
/* Takes a line apart as far as its index needs it. -EBADMSG if it is no event of this log with that seq. */
int segment_index_line(const char *line, size_t len, uint64_t seq,
	uint64_t (*resolve)(const Uuid *, void *), void *userdata, IndexRecord *ret) _must_check_;
