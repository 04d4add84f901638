#include "daemon/eventlog/pending.h"

#include <errno.h>
#include <stdlib.h>

/* An agent whose end waits (0: the daemon itself), and how much that is with all before it. */
typedef struct Ending {
	uint64_t agent;
	uint64_t bytes, lines;
	bool fits;
} Ending;

static EventBlock *block_of(MailboxItem *item)
{
	return container_of(item, EventBlock, item);
}

void pending_init(Pending *p, Spares *spares)
{
	*p = (Pending){ .offset = sizeof(EventBlock), .spares = spares };
	p->tail = &p->first;
}

static void free_first(Pending *p)
{
	EventBlock *block = block_of(p->first);

	p->first = block->item.next;
	spares_give(p->spares, block, block->cap);
}

void pending_done(Pending *p)
{
	while (p->first)
		free_first(p);
}

void pending_add(Pending *p, EventBlock *block)
{
	block->item.next = NULL;
	*p->tail = &block->item;
	p->tail = &block->item.next;
}

PendingPosition pending_start(const Pending *p)
{
	return (PendingPosition){ .block = p->first, .offset = p->offset };
}

EventHead *pending_at(PendingPosition *at)
{
	while (at->block && at->offset >= block_of(at->block)->len) {
		at->block = at->block->next;
		at->offset = sizeof(EventBlock);
	}
	return at->block ? (EventHead *)(void *)((char *)at->block + at->offset) : NULL;
}

void pending_step(PendingPosition *at)
{
	at->offset += pending_at(at)->size;
}

bool pending_is_done(const Pending *p)
{
	PendingPosition at = pending_start(p);

	for (EventHead *head; (head = pending_at(&at)); pending_step(&at))
		if (head->meta.type != EVENT_TYPE_NONE)
			return false;
	return true;
}

size_t pending_count(const Pending *p, size_t most)
{
	size_t n = 0;

	for (MailboxItem *item = p->first; item && n < most; item = item->next)
		n += block_of(item)->n;
	return n < most ? n : most;
}

size_t pending_advance(Pending *p, const PendingPosition *at)
{
	size_t bytes = 0;

	while (p->first && p->first != at->block) {
		bytes += block_of(p->first)->cap;
		free_first(p);
	}
	if (!p->first)
		p->tail = &p->first;
	p->offset = p->first ? at->offset : sizeof(EventBlock);
	return bytes;
}

/* ---- Going ahead ---- */

static bool is_end(const EventHead *head)
{
	switch (head->meta.type) {
	case EVENT_TYPE_DAEMON_STARTED:
	case EVENT_TYPE_DAEMON_STOPPING:
	case EVENT_TYPE_AGENT_COMPLETED:
	case EVENT_TYPE_AGENT_ERROR:
		return true;
	default:
		return false;
	}
}

static int compare_agents(const void *a, const void *b)
{
	const Ending *x = a, *y = b;

	return x->agent < y->agent ? -1 : x->agent > y->agent;
}

static Ending *find_ending(Ending *endings, size_t n, const EventHead *head)
{
	Ending key = { .agent = head->meta.agent };

	if (head->meta.type == EVENT_TYPE_NONE || head->meta.type == EVENT_TYPE_AGENT_SPAWNED)
		return NULL;
	return bsearch(&key, endings, n, sizeof(*endings), compare_agents);
}

static size_t count_ends(const Pending *p)
{
	PendingPosition at = pending_start(p);
	size_t n = 0;

	for (EventHead *head; (head = pending_at(&at)); pending_step(&at))
		n += is_end(head);
	return n;
}

/* Those of which an end waits, each once, by number. Returns how many. */
static size_t list_endings(const Pending *p, Ending *endings)
{
	PendingPosition at = pending_start(p);
	size_t n = 0, unique = 0;

	for (EventHead *head; (head = pending_at(&at)); pending_step(&at))
		if (is_end(head))
			endings[n++] = (Ending){ .agent = head->meta.agent };
	qsort(endings, n, sizeof(*endings), compare_agents);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || endings[i].agent != endings[unique - 1].agent)
			endings[unique++] = endings[i];
	return unique;
}

static void measure(const Pending *p, Ending *endings, size_t n, size_t line_bytes)
{
	PendingPosition at = pending_start(p);

	for (EventHead *head; (head = pending_at(&at)); pending_step(&at)) {
		Ending *e = find_ending(endings, n, head);

		if (!e)
			continue;
		e->bytes += head->body_len + line_bytes;
		e->lines++;
	}
}

/* Who ended first comes first; who has too much waiting makes room for those after it. */
static void share_room(const Pending *p, Ending *endings, size_t n, PendingRoom room)
{
	PendingPosition at = pending_start(p);

	for (EventHead *head; (head = pending_at(&at)); pending_step(&at)) {
		Ending *e = is_end(head) ? find_ending(endings, n, head) : NULL;

		if (!e || e->fits || e->bytes > room.bytes || e->lines > room.lines)
			continue;
		e->fits = true;
		room.bytes -= e->bytes;
		room.lines -= e->lines;
	}
}

int pending_choose_ends(Pending *p, PendingRoom room)
{
	PendingPosition at = pending_start(p);
	size_t n = count_ends(p);
	Ending *endings;

	p->n_ahead = 0;
	if (n == 0)
		return 0;
	endings = malloc(n * sizeof(*endings));
	if (!endings)
		return -ENOMEM;
	n = list_endings(p, endings);
	measure(p, endings, n, room.line_bytes);
	share_room(p, endings, n, room);
	for (EventHead *head; (head = pending_at(&at)); pending_step(&at)) {
		const Ending *e = find_ending(endings, n, head);

		head->ahead = e && e->fits;
		p->n_ahead += head->ahead;
	}
	free(endings);
	return 0;
}

void pending_take_out(Pending *p, size_t n)
{
	PendingPosition at = pending_start(p);

	p->n_ahead -= n;
	for (EventHead *head; n > 0 && (head = pending_at(&at)); pending_step(&at)) {
		if (!head->ahead)
			continue;
		head->ahead = false;
		head->meta.type = EVENT_TYPE_NONE;
		n--;
	}
}
