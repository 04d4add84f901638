/* Postings out of an index. */
#include <errno.h>
#include <string.h>

#include "daemon/eventlog/crc32c.h"
#include "daemon/eventlog/postings.h"

#define RECORDS_AT_ONCE 1024
#define FIRST_SLOTS     256U

/* Agents by number: open addressing, with twice as many slots as there is room for agents. */
typedef struct AgentTable {
	PostingsEntry *entries; /* as they come */
	uint32_t n, cap;
	uint32_t *slots; /* entry + 1; 0: free */
	uint32_t mask;
	uint32_t last; /* the entry that was asked for last */
} AgentTable;

typedef struct Builder {
	const Segment *segment;
	uint32_t n_events;
	AgentTable table;
	uint32_t *entry_of; /* each event's, as they come */
	uint32_t *places;
	IndexRecord last;
} Builder;

/* ---- The table ---- */

static void table_done(AgentTable *t)
{
	free(t->entries);
	free(t->slots);
}

static uint32_t slot_of(uint64_t agent)
{
	return (uint32_t)(agent * 0x9E3779B97F4A7C15ULL >> 32);
}

static void table_fill(AgentTable *t)
{
	memset(t->slots, 0, ((size_t)t->mask + 1) * sizeof(*t->slots));
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t slot = slot_of(t->entries[i].agent);

		while (t->slots[slot & t->mask] > 0)
			slot++;
		t->slots[slot & t->mask] = i + 1;
	}
}

/* -ENOMEM. */
static int table_grow(AgentTable *t)
{
	uint32_t n_slots = t->mask > 0 ? (t->mask + 1) * 2 : FIRST_SLOTS;
	uint32_t *slots = reallocarray(t->slots, n_slots, sizeof(*slots));
	PostingsEntry *entries;

	if (!slots)
		return -ENOMEM;
	t->slots = slots;
	entries = reallocarray(t->entries, n_slots / 2, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	t->entries = entries;
	t->mask = n_slots - 1;
	t->cap = n_slots / 2;
	table_fill(t);
	return 0;
}

/* The entry of that agent; UINT32_MAX: no memory. */
static uint32_t table_entry(AgentTable *t, uint64_t agent)
{
	uint32_t slot = slot_of(agent);

	if (t->n > 0 && t->entries[t->last].agent == agent)
		return t->last;
	if (t->n == t->cap && table_grow(t) < 0)
		return UINT32_MAX;
	while (t->slots[slot & t->mask] > 0) {
		t->last = t->slots[slot & t->mask] - 1;
		if (t->entries[t->last].agent == agent)
			return t->last;
		slot++;
	}
	t->entries[t->n] = (PostingsEntry){ .agent = agent };
	t->slots[slot & t->mask] = t->n + 1;
	t->last = t->n++;
	return t->last;
}

/* ---- The walk ---- */

static int take_record(Builder *b, const IndexRecord *record, uint32_t before, uint32_t place)
{
	/* What makes no sense may have been about anybody: all are to come upon it. */
	bool sense = segment_record_makes_sense(record, before);
	uint32_t i = table_entry(&b->table, sense ? record->agent : 0);

	if (i == UINT32_MAX)
		return -ENOMEM;
	b->entry_of[place] = i;
	b->table.entries[i].n++;
	return 0;
}

static int walk_index(Builder *b)
{
	IndexRecord records[RECORDS_AT_ONCE];
	uint32_t place = 0;
	int r = 0;

	while (r == 0 && place < b->n_events) {
		size_t left = b->n_events - place;
		ssize_t n = segment_read_index(b->segment, place, records,
			left < RECORDS_AT_ONCE ? left : RECORDS_AT_ONCE);

		if (n <= 0)
			return n < 0 ? (int)n : -EBADMSG;
		for (ssize_t i = 0; i < n && r == 0; i++)
			r = take_record(
				b, &records[i], i > 0 ? records[i - 1].end : b->last.end, place++);
		b->last = records[n - 1];
	}
	return r;
}

static int compare_entries(const void *a, const void *b)
{
	const PostingsEntry *x = a, *y = b;

	return x->agent < y->agent ? -1 : x->agent > y->agent;
}

/* The entries by agent, each with its room among the places. *ret: where each stood before. */
static int sort_entries(AgentTable *t, uint32_t **ret)
{
	uint32_t *sorted = reallocarray(NULL, t->n, sizeof(*sorted)), first = 0;

	if (!sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n; i++)
		t->entries[i].reserved = i;
	qsort(t->entries, t->n, sizeof(*t->entries), compare_entries);
	for (uint32_t i = 0; i < t->n; i++) {
		PostingsEntry *e = &t->entries[i];

		sorted[e->reserved] = i;
		e->reserved = 0;
		e->first = first;
		first += e->n;
		e->n = 0;
	}
	*ret = sorted;
	return 0;
}

static int lay_out(Builder *b)
{
	_cleanup_free_ uint32_t *sorted = NULL;
	int r = sort_entries(&b->table, &sorted);

	if (r < 0)
		return r;
	b->places = reallocarray(NULL, b->n_events, sizeof(*b->places));
	if (!b->places)
		return -ENOMEM;
	for (uint32_t place = 0; place < b->n_events; place++) {
		PostingsEntry *e = &b->table.entries[sorted[b->entry_of[place]]];

		b->places[e->first + e->n++] = place;
	}
	return 0;
}

static void sum_up(Builder *b, Postings *ret)
{
	PostingsHeader *h = &ret->header;

	for (uint32_t i = 0; i < b->table.n; i++) {
		PostingsEntry *e = &b->table.entries[i];

		e->crc = crc32c(&b->places[e->first], e->n * sizeof(*b->places));
	}
	ret->entries = TAKE_PTR(b->table.entries);
	ret->places = TAKE_PTR(b->places);
	*h = (PostingsHeader){
		.magic = POSTINGS_MAGIC,
		.base = b->segment->base,
		.n_events = b->n_events,
		.n_agents = b->table.n,
		.last_end = b->last.end,
		.last_crc = b->last.crc,
		.table_crc = crc32c(ret->entries, b->table.n * sizeof(*ret->entries)),
	};
	h->crc = crc32c(h, offsetof(PostingsHeader, crc));
}

int postings_build(const Segment *s, uint32_t n_events, Postings *ret)
{
	Builder b = { .segment = s, .n_events = n_events };
	int r = n_events > 0 && n_events <= POSTINGS_MAX_EVENTS ? 0 : -EBADMSG;

	if (r == 0) {
		b.entry_of = reallocarray(NULL, n_events, sizeof(*b.entry_of));
		r = b.entry_of ? walk_index(&b) : -ENOMEM;
	}
	if (r == 0)
		r = lay_out(&b);
	if (r == 0)
		sum_up(&b, ret);
	table_done(&b.table);
	free(b.entry_of);
	free(b.places);
	return r;
}
