/* What the events of the log come to, for events.stats; and the sums of sealed segments, which do
 * not change any more.
 *
 * Thread: the reader's, but for stats_cache_new() and _free(). */
#pragma once

#include "daemon/eventlog/segment.h"

typedef struct LogStats {
	uint64_t by_type[_EVENT_TYPE_MAX];
	uint64_t failed, cancelled, bytes;
} LogStats;

void log_stats_count(LogStats *s, const IndexRecord *record);
void log_stats_add(LogStats *s, const LogStats *more);

typedef struct StatsCache StatsCache;

/* Main. -ENOMEM. */
int stats_cache_new(StatsCache **ret) _must_check_;
/* Main, when the reader is stopped. Bears NULL. */
void stats_cache_free(StatsCache *c);
/* NULL: not known. Lent until the cache is changed. */
const LogStats *stats_cache_find(const StatsCache *c, uint64_t base);
/* Remembers it, if there is memory. */
void stats_cache_add(StatsCache *c, uint64_t base, const LogStats *stats);
/* Forgets the segments before that one. */
void stats_cache_trim(StatsCache *c, uint64_t base);
