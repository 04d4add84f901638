#include "daemon/eventlog/reader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "common/clock.h"

/* Segments that are kept open: readers of the same stretch follow each other. */
#define MAX_OPEN 8

/* Long jobs that have begun: what they hold in memory and in descriptors is bounded, and nobody
 * alone can fill it. */
#define MAX_BEGUN 64

/* How long a slice is, and how many steps are made between two looks at the clock. */
#define SLICE_US       4000U
#define STEPS_PER_LOOK 64

typedef struct JobQueue {
	MailboxItem *head, **tail;
	unsigned n;
} JobQueue;

struct Reader {
	int log_dirfd;
	Catalog *catalog;
	Mailbox *main;
	Mailbox *mailbox;
	pthread_t thread;
	bool running;
	bool ending; /* atomic: what is for clients is dropped */
	bool stopping;
	MailboxItem stop_item;
	JobQueue turns;
	JobQueue slices;  /* long jobs that have begun, or may */
	JobQueue waiting; /* those that may not yet */
	uint64_t slice_end_us;
	unsigned steps;
	Segment *open[MAX_OPEN]; /* newest use first */
};

static void queue_init(JobQueue *q)
{
	*q = (JobQueue){ .tail = &q->head };
}

static void queue_push(JobQueue *q, ReaderJob *job)
{
	job->item.next = NULL;
	*q->tail = &job->item;
	q->tail = &job->item.next;
	q->n++;
}

/* NULL: it is empty. */
static ReaderJob *queue_pop(JobQueue *q)
{
	MailboxItem *item = q->head;

	if (!item)
		return NULL;
	q->head = item->next;
	if (!q->head)
		q->tail = &q->head;
	q->n--;
	return container_of(item, ReaderJob, item);
}

static void deliver_done(MailboxItem *item, void *receiver)
{
	ReaderJob *job = container_of(item, ReaderJob, item);

	(void)receiver;
	job->done(job);
}

static bool is_dropped(const Reader *r, const ReaderJob *job)
{
	return __atomic_load_n(&job->dropped, __ATOMIC_RELAXED) ||
	       (job->for_client && __atomic_load_n(&r->ending, __ATOMIC_RELAXED));
}

/* True: it goes on. */
static bool run_slice(Reader *r, ReaderJob *job)
{
	if (is_dropped(r, job)) {
		job->error = -ECANCELED;
		return false;
	}
	r->steps = 0;
	r->slice_end_us = clock_monotonic_us() + SLICE_US;
	return job->run(job, r);
}

static void run_job(Reader *r, ReaderJob *job)
{
	if (run_slice(r, job)) {
		queue_push(&r->slices, job);
		return;
	}
	job->item.deliver = deliver_done;
	mailbox_post(r->main, &job->item);
}

static void deliver_job(MailboxItem *item, void *receiver)
{
	ReaderJob *job = container_of(item, ReaderJob, item);
	Reader *r = receiver;

	if (job->kind == READER_JOB_LONG)
		queue_push(&r->waiting, job);
	else if (job->kind == READER_JOB_TURN)
		queue_push(&r->turns, job);
	else
		run_job(r, job);
}

static void deliver_stop(MailboxItem *item, void *receiver)
{
	(void)item;
	((Reader *)receiver)->stopping = true;
}

static void run_first(Reader *r, JobQueue *q)
{
	ReaderJob *job = queue_pop(q);

	if (job)
		run_job(r, job);
}

static void go_on(Reader *r)
{
	while (r->slices.n < MAX_BEGUN && r->waiting.n > 0)
		queue_push(&r->slices, queue_pop(&r->waiting));
	run_first(r, &r->turns);
	run_first(r, &r->slices);
}

static bool is_busy(const Reader *r)
{
	return r->turns.n + r->slices.n + r->waiting.n > 0;
}

static void *reader_main(void *userdata)
{
	Reader *r = userdata;

	pthread_setname_np(pthread_self(), "reader");
	while (!r->stopping || is_busy(r)) {
		MailboxItem *items = mailbox_wait(r->mailbox, is_busy(r) ? 0 : -1);

		for (MailboxItem *next; items; items = next) {
			next = items->next;
			items->deliver(items, r);
		}
		go_on(r);
	}
	return NULL;
}

int reader_new(int log_dirfd, Catalog *catalog, Mailbox *main, Reader **ret)
{
	Reader *r = calloc(1, sizeof(*r));
	sigset_t all, old;
	int error;

	if (!r)
		return -ENOMEM;
	r->log_dirfd = log_dirfd;
	r->main = main;
	queue_init(&r->turns);
	queue_init(&r->slices);
	queue_init(&r->waiting);
	r->stop_item.deliver = deliver_stop;
	error = mailbox_new(&r->mailbox);
	if (error == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		error = -pthread_create(&r->thread, NULL, reader_main, r);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (error < 0) {
		mailbox_free(r->mailbox);
		free(r);
		return error;
	}
	r->running = true;
	r->catalog = catalog;
	*ret = r;
	return 0;
}

void reader_stop(Reader *r)
{
	if (!r || !r->running)
		return;
	__atomic_store_n(&r->ending, true, __ATOMIC_RELAXED);
	mailbox_post(r->mailbox, &r->stop_item);
	pthread_join(r->thread, NULL);
	r->running = false;
}

void reader_free(Reader *r)
{
	if (!r)
		return;
	reader_stop(r);
	for (size_t i = 0; i < MAX_OPEN; i++)
		segment_unref(r->open[i]);
	catalog_close(r->catalog);
	mailbox_free(r->mailbox);
	free(r);
}

void reader_post(Reader *r, ReaderJob *job)
{
	job->reader = r;
	if (r->running) {
		job->item.deliver = deliver_job;
		mailbox_post(r->mailbox, &job->item);
		return;
	}
	while (run_slice(r, job))
		continue;
	job->item.deliver = deliver_done;
	mailbox_post(r->main, &job->item);
}

void reader_job_drop(ReaderJob *job)
{
	__atomic_store_n(&job->dropped, true, __ATOMIC_RELAXED);
}

Catalog *reader_catalog(Reader *r)
{
	return r->catalog;
}

int reader_log_dirfd(const Reader *r)
{
	return r->log_dirfd;
}

bool reader_slice_over(Reader *r)
{
	return ++r->steps % STEPS_PER_LOOK == 0 && clock_monotonic_us() >= r->slice_end_us;
}

void reader_long_step(Reader *r)
{
	r->steps = STEPS_PER_LOOK - 1;
}

int reader_segment(Reader *r, uint64_t base, Segment **ret)
{
	Segment *s;
	size_t i = 0;
	int error;

	while (i < MAX_OPEN - 1 && r->open[i] && r->open[i]->base != base)
		i++;
	s = r->open[i];
	if (!s || s->base != base) {
		error = segment_open_readonly(r->log_dirfd, base, &s);
		if (error < 0)
			return error;
		segment_unref(r->open[i]);
	}
	memmove(&r->open[1], &r->open[0], i * sizeof(r->open[0]));
	r->open[0] = s;
	*ret = s;
	return 0;
}

void reader_forget(Reader *r, uint64_t seq)
{
	size_t kept = 0;

	for (size_t i = 0; i < MAX_OPEN; i++) {
		Segment *s = TAKE_PTR(r->open[i]);

		if (s && s->base >= seq)
			r->open[kept++] = s;
		else
			segment_unref(s);
	}
}
