#include "daemon/loop/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

struct Mailbox {
	pthread_mutex_t lock;
	sem_t posted;
	MailboxList items;
	bool waiting; /* the reader, for `posted`: a condition would cost it a system call more */
	bool watched; /* somebody looks at the descriptor */
	int fd;
};

int mailbox_new(Mailbox **ret)
{
	Mailbox *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->fd < 0) {
		r = -errno;
		free(m);
		return r;
	}
	mailbox_list_init(&m->items);
	r = -pthread_mutex_init(&m->lock, NULL);
	if (r == 0 && sem_init(&m->posted, 0, 0) < 0) {
		r = -errno;
		pthread_mutex_destroy(&m->lock);
	}
	if (r < 0) {
		close(m->fd);
		free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void mailbox_free(Mailbox *m)
{
	if (!m)
		return;
	sem_destroy(&m->posted);
	pthread_mutex_destroy(&m->lock);
	close(m->fd);
	free(m);
}

void mailbox_list_init(MailboxList *list)
{
	list->head = NULL;
	list->tail = &list->head;
}

void mailbox_list_add(MailboxList *list, MailboxItem *item)
{
	item->next = NULL;
	*list->tail = item;
	list->tail = &item->next;
}

void mailbox_post_list(Mailbox *m, MailboxList *list)
{
	bool wake, announce;

	if (!list->head)
		return;
	pthread_mutex_lock(&m->lock);
	announce = m->watched && !m->items.head;
	wake = m->waiting;
	m->waiting = false;
	*m->items.tail = list->head;
	m->items.tail = list->tail;
	pthread_mutex_unlock(&m->lock);
	mailbox_list_init(list);

	/* Both fail only where a counter is at its limit, and then the reader is awake anyway. */
	if (wake)
		(void)sem_post(&m->posted);
	if (announce && eventfd_write(m->fd, 1) < 0)
		return;
}

void mailbox_post(Mailbox *m, MailboxItem *item)
{
	MailboxList list;

	mailbox_list_init(&list);
	mailbox_list_add(&list, item);
	mailbox_post_list(m, &list);
}

int mailbox_fd(Mailbox *m)
{
	pthread_mutex_lock(&m->lock);
	m->watched = true;
	pthread_mutex_unlock(&m->lock);
	return m->fd;
}

/* `waits`: that the reader does, if there is nothing. */
static MailboxItem *take(Mailbox *m, bool waits)
{
	MailboxItem *items;

	pthread_mutex_lock(&m->lock);
	items = m->items.head;
	mailbox_list_init(&m->items);
	m->waiting = waits && !items;
	pthread_mutex_unlock(&m->lock);
	return items;
}

MailboxItem *mailbox_take(Mailbox *m)
{
	eventfd_t count;

	/* First the descriptor, then the list: what is posted between the two is taken all the
	 * same, and costs one wake-up too many. The other way round it could be lost. Only its
	 * reader says that it is watched. */
	if (m->watched && eventfd_read(m->fd, &count) < 0 && errno != EAGAIN)
		return NULL;
	return take(m, false);
}

/* False: the time has passed. */
static bool wait_for_post(Mailbox *m, const struct timespec *until)
{
	int r = until ? sem_clockwait(&m->posted, CLOCK_MONOTONIC, until) : sem_wait(&m->posted);

	return r == 0 || errno != ETIMEDOUT;
}

MailboxItem *mailbox_wait(Mailbox *m, int timeout_ms)
{
	MailboxItem *items = mailbox_take(m);
	struct timespec until;
	uint64_t until_us;
	bool more = true;

	if (items || timeout_ms == 0)
		return items;
	until_us = clock_monotonic_us() + (uint64_t)timeout_ms * USEC_PER_MSEC;
	until = (struct timespec){
		.tv_sec = (time_t)(until_us / USEC_PER_SEC),
		.tv_nsec = (long)(until_us % USEC_PER_SEC * 1000),
	};
	/* A wake-up may find nothing: its item was taken when the time had passed. */
	while (more && !(items = take(m, true)))
		more = wait_for_post(m, timeout_ms > 0 ? &until : NULL);
	return items ? items : take(m, false);
}

size_t mailbox_deliver(Mailbox *m, void *receiver)
{
	size_t n = 0;

	for (MailboxItem *item = mailbox_take(m), *next; item; item = next, n++) {
		next = item->next;
		item->deliver(item, receiver);
	}
	return n;
}
