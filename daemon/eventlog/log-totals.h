/* What the metrics say of the log: how much was committed, in what pieces, and how long that took.
 *
 * Owns nothing. Thread: main. */
#pragma once

#include "common/histogram.h"
#include "daemon/eventlog/batch.h"

typedef struct EventLog EventLog;

/* Since the log was opened. */
typedef struct LogTotals {
	uint64_t events;
	uint64_t bytes;         /* of their lines */
	uint64_t output_bytes;  /* of their chunks, raw */
	Histogram batch_events; /* how many were committed in one go, */
	Histogram commit_us;    /* and how long that took */
} LogTotals;

void log_totals_init(LogTotals *t);
void log_totals_add(LogTotals *t, const Batch *b);

/* How many bytes of the log there are from `seq` on: exactly where that is hot, else as if all
 * events of its segment were of one length. O(segments). */
uint64_t log_bytes_from(const EventLog *log, uint64_t seq);
