#include "daemon/loop/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"

/* Of libevent's 256 common time-outs to a base, a few are left to others. */
#define MAX_COMMON_TIMEOUTS 200

/* How long what is deferred is run before the descriptors are looked at again, which is a system
 * call, and the turn ends, which may wake the committer; and after how many of them the clock is
 * looked at. */
#define TURN_US        500
#define RUNS_PER_CLOCK 32U

struct Worker {
	WorkerHooks hooks;
	Mailbox *mailbox;
	struct event_base *base;
	struct event *mail_event;
	Timers *timers;
	ListNode deferred;
	void *reaper, *http;
	struct {
		uint64_t ms;
		const struct timeval *tv;
	} common_timeouts[MAX_COMMON_TIMEOUTS];
	unsigned n_common_timeouts;
	unsigned index;
	uint64_t now_us; /* 0: not looked at in this turn */
	bool stopping;
	bool running;
	pthread_t thread;
	MailboxItem stop_item;
	/* The hand-shake of worker_start(). */
	pthread_mutex_t start_lock;
	pthread_cond_t start_cond;
	int started; /* 1: not known yet; else what on_start returned */
};

static void on_mail(evutil_socket_t fd, short what, void *userdata)
{
	Worker *w = userdata;

	(void)fd;
	(void)what;
	mailbox_deliver(w->mailbox, w);
}

static void deliver_stop(MailboxItem *item, void *receiver)
{
	(void)item;
	((Worker *)receiver)->stopping = true;
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		return NULL;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int worker_new(unsigned index, const WorkerHooks *hooks, Worker **ret)
{
	Worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->hooks = *hooks;
	w->index = index;
	list_init(&w->deferred);
	pthread_mutex_init(&w->start_lock, NULL);
	pthread_cond_init(&w->start_cond, NULL);
	r = mailbox_new(&w->mailbox);
	if (r < 0) {
		worker_free(w);
		return r;
	}
	w->base = new_base();
	if (w->base)
		w->mail_event = event_new(
			w->base, mailbox_fd(w->mailbox), EV_READ | EV_PERSIST, on_mail, w);
	if (!w->mail_event || event_add(w->mail_event, NULL) < 0 ||
		timers_new(w->base, &w->timers) < 0) {
		worker_free(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

/* Round and round: whoever defers itself anew waits until all the others have been. */
static void run_deferred(Worker *w)
{
	uint64_t until_us;

	if (list_empty(&w->deferred))
		return;
	until_us = clock_monotonic_us() + TURN_US;
	for (unsigned n = 1; !list_empty(&w->deferred); n++) {
		Deferred *d = container_of(w->deferred.next, Deferred, node);

		list_remove(&d->node);
		d->run(d);
		if (n % RUNS_PER_CLOCK == 0 && clock_monotonic_us() >= until_us)
			return;
	}
}

static void tell_started(Worker *w, int result)
{
	pthread_mutex_lock(&w->start_lock);
	w->started = result;
	pthread_cond_signal(&w->start_cond);
	pthread_mutex_unlock(&w->start_lock);
}

/* What was posted is still owned by somebody who must get it. */
static void run_broken(Worker *w)
{
	w->hooks.on_broken(w, w->hooks.userdata);
	while (!w->stopping) {
		for (MailboxItem *item = mailbox_wait(w->mailbox, -1), *next; item; item = next) {
			next = item->next;
			item->deliver(item, w);
		}
		w->hooks.on_turn(w, w->hooks.userdata);
	}
}

static void *worker_main(void *userdata)
{
	Worker *w = userdata;
	char name[16];
	int r = w->hooks.on_start ? w->hooks.on_start(w, w->hooks.userdata) : 0;

	snprintf(name, sizeof(name), "worker-%u", w->index);
	pthread_setname_np(pthread_self(), name);
	tell_started(w, r);
	while (r == 0 && !w->stopping) {
		bool busy = !list_empty(&w->deferred);

		w->now_us = 0;
		if (event_base_loop(w->base, EVLOOP_ONCE | (busy ? EVLOOP_NONBLOCK : 0)) < 0) {
			run_broken(w);
			break;
		}
		run_deferred(w);
		w->hooks.on_turn(w, w->hooks.userdata);
	}
	w->hooks.on_stop(w, w->hooks.userdata);
	return NULL;
}

int worker_start(Worker *w)
{
	sigset_t all, old;
	int r;

	w->started = 1;
	/* Signals are main's alone. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return r;
	w->running = true;

	pthread_mutex_lock(&w->start_lock);
	while (w->started > 0)
		pthread_cond_wait(&w->start_cond, &w->start_lock);
	r = w->started;
	pthread_mutex_unlock(&w->start_lock);
	return r;
}

void worker_stop(Worker *w)
{
	if (!w || !w->running)
		return;
	w->stop_item.deliver = deliver_stop;
	mailbox_post(w->mailbox, &w->stop_item);
	pthread_join(w->thread, NULL);
	w->running = false;
}

void worker_free(Worker *w)
{
	if (!w)
		return;
	worker_stop(w);
	if (w->mail_event)
		event_free(w->mail_event);
	timers_free(w->timers);
	if (w->base)
		event_base_free(w->base);
	mailbox_free(w->mailbox);
	pthread_cond_destroy(&w->start_cond);
	pthread_mutex_destroy(&w->start_lock);
	free(w);
}

void worker_post(Worker *w, MailboxItem *item)
{
	mailbox_post(w->mailbox, item);
}

void worker_post_list(Worker *w, MailboxList *list)
{
	mailbox_post_list(w->mailbox, list);
}

unsigned worker_index(const Worker *w)
{
	return w->index;
}

struct event_base *worker_base(Worker *w)
{
	return w->base;
}

Timers *worker_timers(Worker *w)
{
	return w->timers;
}

void worker_defer(Worker *w, Deferred *d)
{
	if (list_empty(&d->node))
		list_append(&w->deferred, &d->node);
}

const struct timeval *worker_timeout(Worker *w, uint64_t ms, struct timeval *scratch)
{
	const struct timeval *tv;

	*scratch = (struct timeval){
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000),
	};
	for (unsigned i = 0; i < w->n_common_timeouts; i++)
		if (w->common_timeouts[i].ms == ms)
			return w->common_timeouts[i].tv;
	if (w->n_common_timeouts == MAX_COMMON_TIMEOUTS)
		return scratch;
	tv = event_base_init_common_timeout(w->base, scratch);
	if (!tv)
		return scratch;
	w->common_timeouts[w->n_common_timeouts].ms = ms;
	w->common_timeouts[w->n_common_timeouts++].tv = tv;
	return tv;
}

void worker_set_reaper(Worker *w, void *client)
{
	w->reaper = client;
}

void *worker_reaper(const Worker *w)
{
	return w->reaper;
}

void worker_set_http(Worker *w, void *client)
{
	w->http = client;
}

void *worker_http(const Worker *w)
{
	return w->http;
}

uint64_t worker_now_us(Worker *w)
{
	if (w->now_us == 0)
		w->now_us = clock_monotonic_us();
	return w->now_us;
}
