#include "daemon/eventlog/log-view.h"

#include <string.h>

SegmentTable *segment_table_copy(const SegmentTable *from, size_t skip, size_t extra)
{
	size_t kept = from ? from->n - skip : 0;
	SegmentTable *t = calloc(1, sizeof(*t) + (kept + extra) * sizeof(t->infos[0]));

	if (!t)
		return NULL;
	t->refs = 1;
	t->n = kept + extra;
	if (kept > 0)
		memcpy(t->infos, from->infos + skip, kept * sizeof(t->infos[0]));
	return t;
}

void segment_table_unref(SegmentTable *t)
{
	if (t && --t->refs == 0)
		free(t);
}

size_t segment_table_find(const SegmentTable *t, uint64_t seq)
{
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->infos[middle].end <= seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
