/* A thread with an event loop of its own, on which many agents live.
 *
 * The loop runs in turns: first what is ready on the event_base, then what was deferred, then
 * on_turn, once. Nothing on it may block.
 *
 * Thread: worker_new, _start, _stop, _free: main. Everything else: the worker's own, but for
 * worker_post(), which is for any. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/loop/mailbox.h"
#include "daemon/loop/timers.h"

typedef struct Worker Worker;

/* Work to be done in the next turn of the loop; embedded in who defers. Done once for each defer.
 */
typedef struct Deferred {
	ListNode node;
	void (*run)(struct Deferred *d);
} Deferred;

typedef struct WorkerHooks {
	/* The loop is about to begin; on the thread already. -errno ends it: worker_start() returns
	 * that. */
	int (*on_start)(Worker *w, void *userdata);
	/* The end of a turn: time to post what has gathered. */
	void (*on_turn)(Worker *w, void *userdata);
	/* The loop is broken: no descriptor and no timer is looked at any more. Messages are still
	 * delivered, each followed by on_turn, until the worker is stopped. */
	void (*on_broken)(Worker *w, void *userdata);
	/* The loop has ended; still on the thread. */
	void (*on_stop)(Worker *w, void *userdata);
	void *userdata;
} WorkerHooks;

/* `index` from 0; it names the thread. -errno. */
int worker_new(unsigned index, const WorkerHooks *hooks, Worker **ret) _must_check_;
int worker_start(Worker *w) _must_check_;
/* Asks the loop to end after this turn and joins the thread. Safe if never started. */
void worker_stop(Worker *w);
void worker_free(Worker *w);

/* Any thread. The item is delivered to the Worker, on its thread. Never blocks, never fails. */
void worker_post(Worker *w, MailboxItem *item);
void worker_post_list(Worker *w, MailboxList *list);

unsigned worker_index(const Worker *w);
struct event_base *worker_base(Worker *w);
/* Puts `d` at the end of what the next turn does; no-op if it is there already. `d->node` must be
 * initialised. list_remove(&d->node) takes it back. */
void worker_defer(Worker *w, Deferred *d);
Timers *worker_timers(Worker *w);
/* For a timer of `ms` that many will share: a common time-out of libevent (O(1)) where it has room
 * for one more, else a plain one. Lent until the worker ends; feed it to event_add(). */
const struct timeval *worker_timeout(Worker *w, uint64_t ms, struct timeval *scratch);
/* A slot for the worker's line to the reaper (a ReaperClient), for the backend that needs it.
 * Lends. */
void worker_set_reaper(Worker *w, void *client);
void *worker_reaper(const Worker *w);
/* And one for what its calls to providers share (an HttpClient). Lends. */
void worker_set_http(Worker *w, void *client);
void *worker_http(const Worker *w);
/* Time of this turn, monotonic: cheap. */
uint64_t worker_now_us(Worker *w);
