/* The timers of a worker's agents: a hundred thousand of them, most of which share a delay.
 *
 * Timers of one delay stand in a queue, in the order in which they are due, so that one more costs
 * the same however many there are; what does not fit in there is in a heap. libevent has one timer
 * for all of them: a struct event for each agent would be a tenth of its memory.
 *
 * A timer belongs to whoever embeds it. Thread: the worker's. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/heap.h"
#include "common/list.h"

typedef struct Timers Timers;

typedef struct Timer {
	ListNode node; /* of its queue, or of those that are about to run */
	HeapNode heap_node;
	uint64_t due_us; /* monotonic */
	void (*run)(struct Timer *t);
} Timer;

int timers_new(struct event_base *base, Timers **ret) _must_check_;
/* What is in it is not run any more. Bears NULL. */
void timers_free(Timers *ts);

void timer_init(Timer *t, void (*run)(Timer *t));
/* It must not be set. Runs once, at due_us or later, off the event loop; never from within this
 * call. Those that have a delay in common say so by `delay_ms`; it is but a hint. -ENOMEM. */
int timer_set(Timers *ts, Timer *t, uint64_t due_us, uint64_t delay_ms) _must_check_;
/* No-op if it is not set. */
void timer_unset(Timers *ts, Timer *t);
