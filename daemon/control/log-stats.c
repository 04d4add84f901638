#include "daemon/control/log-stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct SegmentStats {
	uint64_t base;
	LogStats stats;
} SegmentStats;

struct StatsCache {
	SegmentStats *segments; /* by base */
	size_t n, room;
};

void log_stats_count(LogStats *s, const IndexRecord *record)
{
	/* The index may be damaged. */
	if (record->type >= _EVENT_TYPE_MAX)
		return;
	s->by_type[record->type]++;
	if (record->type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT)
		s->bytes += record->raw_bytes;
	if (record->type != EVENT_TYPE_AGENT_ERROR)
		return;
	if (record->code == AGENT_ERROR_CANCELLED)
		s->cancelled++;
	else
		s->failed++;
}

void log_stats_add(LogStats *s, const LogStats *more)
{
	for (size_t i = 0; i < _EVENT_TYPE_MAX; i++)
		s->by_type[i] += more->by_type[i];
	s->failed += more->failed;
	s->cancelled += more->cancelled;
	s->bytes += more->bytes;
}

int stats_cache_new(StatsCache **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void stats_cache_free(StatsCache *c)
{
	if (!c)
		return;
	free(c->segments);
	free(c);
}

/* The first whose base is not smaller. */
static size_t place_of(const StatsCache *c, uint64_t base)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->segments[middle].base < base)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const LogStats *stats_cache_find(const StatsCache *c, uint64_t base)
{
	size_t i = place_of(c, base);

	return i < c->n && c->segments[i].base == base ? &c->segments[i].stats : NULL;
}

static bool make_room(StatsCache *c)
{
	size_t room = c->room > 0 ? c->room * 2 : 16;
	SegmentStats *segments;

	if (c->n < c->room)
		return true;
	segments = reallocarray(c->segments, room, sizeof(*segments));
	if (!segments)
		return false;
	c->segments = segments;
	c->room = room;
	return true;
}

void stats_cache_add(StatsCache *c, uint64_t base, const LogStats *stats)
{
	size_t i = place_of(c, base);

	if ((i < c->n && c->segments[i].base == base) || !make_room(c))
		return;
	memmove(&c->segments[i + 1], &c->segments[i], (c->n - i) * sizeof(*c->segments));
	c->segments[i] = (SegmentStats){ base, *stats };
	c->n++;
}

void stats_cache_trim(StatsCache *c, uint64_t base)
{
	size_t gone = place_of(c, base);

	if (gone == 0)
		return;
	c->n -= gone;
	memmove(c->segments, &c->segments[gone], c->n * sizeof(*c->segments));
}
