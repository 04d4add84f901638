#include "daemon/eventlog/reader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "common/jsonx.h"

/* Segments that are kept open: readers of the same stretch follow each other. */
#define MAX_OPEN 8

struct Reader {
	int log_dirfd;
	Catalog *catalog;
	Mailbox *main;
	Mailbox *mailbox;
	pthread_t thread;
	bool running;
	bool stopping;
	MailboxItem stop_item;
	MailboxItem *slices, **slices_tail; /* jobs that want to go on */
	Segment *open[MAX_OPEN];            /* newest use first */
};

static void deliver_done(MailboxItem *item, void *receiver)
{
	ReaderJob *job = container_of(item, ReaderJob, item);

	(void)receiver;
	job->done(job);
}

static void run_job(Reader *r, ReaderJob *job)
{
	if (job->run(job, r)) {
		job->item.next = NULL;
		*r->slices_tail = &job->item;
		r->slices_tail = &job->item.next;
		return;
	}
	job->item.deliver = deliver_done;
	mailbox_post(r->main, &job->item);
}

static void deliver_job(MailboxItem *item, void *receiver)
{
	run_job(receiver, container_of(item, ReaderJob, item));
}

static void deliver_stop(MailboxItem *item, void *receiver)
{
	(void)item;
	((Reader *)receiver)->stopping = true;
}

static void run_slices(Reader *r)
{
	MailboxItem *slices = r->slices;

	r->slices = NULL;
	r->slices_tail = &r->slices;
	for (MailboxItem *next; slices; slices = next) {
		next = slices->next;
		run_job(r, container_of(slices, ReaderJob, item));
	}
}

static void *reader_main(void *userdata)
{
	Reader *r = userdata;

	pthread_setname_np(pthread_self(), "reader");
	while (!r->stopping || r->slices) {
		MailboxItem *items = mailbox_wait(r->mailbox, r->slices ? 0 : -1);

		for (MailboxItem *next; items; items = next) {
			next = items->next;
			items->deliver(items, r);
		}
		run_slices(r);
	}
	for (size_t i = 0; i < MAX_OPEN; i++)
		segment_unref(r->open[i]);
	jsonx_thread_done();
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
	r->slices_tail = &r->slices;
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
	mailbox_post(r->mailbox, &r->stop_item);
	pthread_join(r->thread, NULL);
	r->running = false;
}

void reader_free(Reader *r)
{
	if (!r)
		return;
	reader_stop(r);
	catalog_close(r->catalog);
	mailbox_free(r->mailbox);
	free(r);
}

void reader_post(Reader *r, ReaderJob *job)
{
	job->reader = r;
	job->item.deliver = deliver_job;
	mailbox_post(r->mailbox, &job->item);
}

Catalog *reader_catalog(Reader *r)
{
	return r->catalog;
}

int reader_log_dirfd(const Reader *r)
{
	return r->log_dirfd;
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
