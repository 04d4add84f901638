#include "daemon/loop/timers.h"

#include <errno.h>
#include <stdlib.h>

#include "common/clock.h"

/* So many delays have a queue. */
#define MAX_QUEUES 64

/* So many places are looked at, from the end of a queue, for the one where a timer belongs. */
#define MAX_STEPS 16

typedef struct TimerQueue {
	uint64_t delay_ms;
	ListNode timers;
} TimerQueue;

struct Timers {
	struct event *event;
	uint64_t armed_us; /* for when; UINT64_MAX: not */
	Heap heap;
	unsigned n_queues;
	TimerQueue queues[MAX_QUEUES];
};

static Timer *of_node(const ListNode *n)
{
	return container_of(n, Timer, node);
}

static Timer *of_heap(const HeapNode *n)
{
	return container_of(n, Timer, heap_node);
}

static bool before(const HeapNode *a, const HeapNode *b)
{
	return of_heap(a)->due_us < of_heap(b)->due_us;
}

static int arm(Timers *ts, uint64_t due_us)
{
	uint64_t now_us = clock_monotonic_us();
	uint64_t us = due_us > now_us ? due_us - now_us : 0;
	struct timeval wait = {
		.tv_sec = (time_t)(us / USEC_PER_SEC),
		.tv_usec = (suseconds_t)(us % USEC_PER_SEC),
	};

	if (event_add(ts->event, &wait) < 0)
		return -ENOMEM;
	ts->armed_us = due_us;
	return 0;
}

/* All that is due, moved: whoever is set meanwhile waits for another turn. */
static void take_due(Timers *ts, uint64_t now_us, ListNode *due)
{
	for (unsigned i = 0; i < ts->n_queues; i++) {
		ListNode *timers = &ts->queues[i].timers;

		while (!list_empty(timers) && of_node(timers->next)->due_us <= now_us) {
			ListNode *n = timers->next;

			list_remove(n);
			list_append(due, n);
		}
	}
	while (ts->heap.n > 0 && of_heap(heap_top(&ts->heap))->due_us <= now_us) {
		Timer *t = of_heap(heap_top(&ts->heap));

		heap_remove(&ts->heap, &t->heap_node);
		list_append(due, &t->node);
	}
}

/* UINT64_MAX: none is set. */
static uint64_t first_due_us(const Timers *ts)
{
	uint64_t first_us = UINT64_MAX;

	if (ts->heap.n > 0)
		first_us = of_heap(heap_top(&ts->heap))->due_us;
	for (unsigned i = 0; i < ts->n_queues; i++) {
		const ListNode *timers = &ts->queues[i].timers;

		if (!list_empty(timers) && of_node(timers->next)->due_us < first_us)
			first_us = of_node(timers->next)->due_us;
	}
	return first_us;
}

static void on_event(evutil_socket_t fd, short what, void *userdata)
{
	Timers *ts = userdata;
	uint64_t first_us;
	ListNode due;

	(void)fd;
	(void)what;
	list_init(&due);
	ts->armed_us = UINT64_MAX;
	take_due(ts, clock_monotonic_us(), &due);
	while (!list_empty(&due)) {
		Timer *t = of_node(due.next);

		list_remove(&t->node);
		t->run(t);
	}
	first_us = first_due_us(ts);
	/* It was in the loop's heap a moment ago, so there is room for it. */
	if (first_us < ts->armed_us && arm(ts, first_us) < 0)
		ts->armed_us = UINT64_MAX;
}

int timers_new(struct event_base *base, Timers **ret)
{
	Timers *ts = calloc(1, sizeof(*ts));

	if (!ts)
		return -ENOMEM;
	heap_init(&ts->heap, before);
	ts->armed_us = UINT64_MAX;
	ts->event = evtimer_new(base, on_event, ts);
	if (!ts->event) {
		free(ts);
		return -ENOMEM;
	}
	*ret = ts;
	return 0;
}

void timers_free(Timers *ts)
{
	if (!ts)
		return;
	event_free(ts->event);
	heap_done(&ts->heap);
	free(ts);
}

void timer_init(Timer *t, void (*run)(Timer *t))
{
	list_init(&t->node);
	heap_node_init(&t->heap_node);
	t->run = run;
}

/* NULL: there are too many. */
static ListNode *queue_of(Timers *ts, uint64_t delay_ms)
{
	TimerQueue *q;

	for (unsigned i = 0; i < ts->n_queues; i++)
		if (ts->queues[i].delay_ms == delay_ms)
			return &ts->queues[i].timers;
	/* One that nobody uses any more. */
	for (unsigned i = 0; i < ts->n_queues; i++) {
		if (!list_empty(&ts->queues[i].timers))
			continue;
		ts->queues[i].delay_ms = delay_ms;
		return &ts->queues[i].timers;
	}
	if (ts->n_queues == MAX_QUEUES)
		return NULL;
	q = &ts->queues[ts->n_queues++];
	q->delay_ms = delay_ms;
	list_init(&q->timers);
	return &q->timers;
}

static bool enqueue(ListNode *timers, Timer *t)
{
	ListNode *before_it = timers->prev;

	for (unsigned i = 0; before_it != timers && of_node(before_it)->due_us > t->due_us; i++) {
		if (i == MAX_STEPS)
			return false;
		before_it = before_it->prev;
	}
	list_insert_before(before_it->next, &t->node);
	return true;
}

int timer_set(Timers *ts, Timer *t, uint64_t due_us, uint64_t delay_ms)
{
	ListNode *timers = queue_of(ts, delay_ms);
	int r = 0;

	t->due_us = due_us;
	if (!timers || !enqueue(timers, t))
		r = heap_add(&ts->heap, &t->heap_node);
	if (r == 0 && due_us < ts->armed_us)
		r = arm(ts, due_us);
	if (r < 0)
		timer_unset(ts, t);
	return r;
}

void timer_unset(Timers *ts, Timer *t)
{
	list_remove(&t->node);
	heap_remove(&ts->heap, &t->heap_node);
}
