/* Which segments there are, as a picture that does not change: main makes a new one when a segment
 * is begun or pruned, and lends the reader the one that was true when it was asked.
 *
 * Thread: made and released on main; read on any while a reference is held. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

typedef struct SegmentInfo {
	uint64_t base;
	uint64_t end;   /* one past its last seq; of the active one: UINT64_MAX */
	uint64_t bytes; /* of the active one: not kept here */
} SegmentInfo;

typedef struct SegmentTable {
	unsigned refs;
	size_t n; /* at least 1; by base */
	SegmentInfo infos[];
} SegmentTable;

/* The log as far as it was committed when the view was taken. */
typedef struct LogView {
	SegmentTable *table; /* one reference */
	uint64_t oldest_seq; /* of the oldest event there is; == end_seq where there is none */
	uint64_t end_seq;    /* one past the newest */
	/* From here on this daemon has written it since the last sync, some seconds ago at the
	 * most, and no sync has failed: no disk can have damaged it. UINT64_MAX: that is not known.
	 */
	uint64_t fresh_seq;
} LogView;

/* One reference; `extra` more places at the end than `from` has (may be NULL), without its first
 * `skip`. NULL: out of memory. */
SegmentTable *segment_table_copy(const SegmentTable *from, size_t skip, size_t extra) _must_check_;
void segment_table_unref(SegmentTable *t);
/* The segment that holds `seq`, or the first after it; `n` if there is none. */
size_t segment_table_find(const SegmentTable *t, uint64_t seq);
