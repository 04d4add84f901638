#include "daemon/control/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/agent/agent.h"

struct TraceEvent {
	Trace *trace;
	ListNode node;  /* Trace.events */
	ListNode links; /* TraceLink.of_event */
	uint64_t seq;
	Uuid agent_id;
	uint8_t type;       /* EventType */
	uint32_t len;       /* of its line */
	uint64_t offset_us; /* from monotonic times to realtime ones, modulo 2^64 */
	uint64_t emitted_us, committed_us, published_us;
	uint64_t first_us, last_us; /* when it was written */
	size_t n_takers, n_written;
};

/* One who has yet to get an event. */
typedef struct TraceLink {
	ListNode of_event;
	ListNode of_taker;
	TraceEvent *event;
} TraceLink;

void trace_init(Trace *t)
{
	list_init(&t->events);
	t->n_links = 0;
}

static void unlink_taker(TraceLink *link)
{
	link->event->trace->n_links--;
	list_remove(&link->of_event);
	list_remove(&link->of_taker);
	free(link);
}

/* How many were not waited for. */
static size_t drop_links(TraceEvent *e)
{
	size_t n = 0;

	for (; !list_empty(&e->links); n++)
		unlink_taker(container_of(e->links.next, TraceLink, of_event));
	return n;
}

static void format_written(const TraceEvent *e, size_t n_left, char *out, size_t size)
{
	uint64_t first_us = e->first_us - e->emitted_us, last_us = e->last_us - e->emitted_us;
	char when[80] = "", left[40] = "";

	if (e->n_written == 1)
		(void)snprintf(when, sizeof(when), "+%" PRIu64 " us ", first_us);
	else if (e->n_written > 1)
		(void)snprintf(when, sizeof(when), "+%" PRIu64 " us, the last +%" PRIu64 " us, ",
			first_us, last_us);
	if (n_left > 0)
		(void)snprintf(left, sizeof(left), ", %zu lag behind", n_left);
	(void)snprintf(out, size, "written %sto %zu of %zu subscribers%s", when, e->n_written,
		e->n_takers, left);
}

/* And that is the end of it. */
static void tell(TraceEvent *e)
{
	char id[UUID_TEXT_LEN + 1], emitted[CLOCK_RFC3339_LEN + 1], written[200];

	uuid_format(&e->agent_id, id);
	clock_format_rfc3339(e->emitted_us + e->offset_us, emitted);
	format_written(e, drop_links(e), written, sizeof(written));
	/* Not by log_at(): whoever asked for it gets it, at any level. */
	log_write(LOG_LEVEL_INFO, id, __FILE__, __LINE__, __func__,
		"trace: seq %" PRIu64 " %s, %" PRIu32 " bytes: emitted %s, committed +%" PRIu64
		" us, published +%" PRIu64 " us, %s",
		e->seq, protocol_event_name(e->type), e->len, emitted,
		e->committed_us - e->emitted_us, e->published_us - e->emitted_us, written);
	list_remove(&e->node);
	free(e);
}

TraceEvent *trace_publish(Trace *t, const Batch *b, size_t i)
{
	const TraceMark *mark = &b->marks[i];
	const BatchEntry *entry = &b->entries[mark->seq - b->first_seq];
	const Agent *a = entry->meta.owner;
	uint64_t now_us = clock_monotonic_us();
	TraceEvent *e = malloc(sizeof(*e));

	if (!e) {
		log_warning("out of memory: event %" PRIu64 " is not traced", mark->seq);
		return NULL;
	}
	*e = (TraceEvent){
		.trace = t,
		.seq = mark->seq,
		.agent_id = a->id,
		.type = entry->meta.type,
		.len = entry->len,
		.offset_us = clock_realtime_us() - now_us,
		.emitted_us = mark->emitted_us,
		.committed_us = b->committed_us,
		.published_us = now_us,
	};
	list_init(&e->links);
	list_append(&t->events, &e->node);
	return e;
}

void trace_expect(TraceEvent *e, ListNode *taker)
{
	TraceLink *link = malloc(sizeof(*link));

	if (!link) {
		log_warning(
			"out of memory: a subscriber of event %" PRIu64 " is not traced", e->seq);
		return;
	}
	link->event = e;
	list_append(&e->links, &link->of_event);
	list_append(taker, &link->of_taker);
	e->n_takers++;
	e->trace->n_links++;
}

void trace_settle(TraceEvent *e)
{
	Trace *t = e->trace;

	if (list_empty(&e->links))
		tell(e);
	while (t->n_links > TRACE_MAX_LINKS && t->events.next != t->events.prev)
		tell(container_of(t->events.next, TraceEvent, node));
}

void trace_written(ListNode *taker, uint64_t seq)
{
	uint64_t now_us = clock_monotonic_us();

	while (!list_empty(taker)) {
		TraceLink *link = container_of(taker->next, TraceLink, of_taker);
		TraceEvent *e = link->event;

		if (e->seq >= seq)
			return;
		if (e->n_written++ == 0)
			e->first_us = now_us;
		e->last_us = now_us;
		unlink_taker(link);
		if (list_empty(&e->links))
			tell(e);
	}
}

void trace_gone(ListNode *taker)
{
	while (!list_empty(taker)) {
		TraceLink *link = container_of(taker->next, TraceLink, of_taker);
		TraceEvent *e = link->event;

		unlink_taker(link);
		if (list_empty(&e->links))
			tell(e);
	}
}
