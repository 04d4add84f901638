#include "daemon/loop/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

struct Mailbox {
	pthread_mutex_t lock;
	pthread_cond_t posted;
	MailboxList items;
	bool waiting; /* the reader, for `posted` */
	bool watched; /* somebody looks at the descriptor */
	int fd;
};

static int init_lock(Mailbox *m)
{
	pthread_condattr_t attr;
	int r = -pthread_mutex_init(&m->lock, NULL);

	if (r < 0)
		return r;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	r = -pthread_cond_init(&m->posted, &attr);
	pthread_condattr_destroy(&attr);
	if (r < 0)
		pthread_mutex_destroy(&m->lock);
	return r;
}

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
	r = init_lock(m);
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
	pthread_cond_destroy(&m->posted);
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

	if (wake)
		pthread_cond_signal(&m->posted);
	/* Fails only where the counter is at its limit, and then the reader is awake anyway. */
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

/* Lock held. */
static MailboxItem *take(Mailbox *m)
{
	MailboxItem *items = m->items.head;

	mailbox_list_init(&m->items);
	return items;
}

MailboxItem *mailbox_take(Mailbox *m)
{
	MailboxItem *items;
	eventfd_t count;

	/* First the descriptor, then the list: what is posted between the two is taken all the same, and costs one
	 * wake-up too many. The other way round it could be lost. Only its reader says that it is watched. */
	if (m->watched && eventfd_read(m->fd, &count) < 0 && errno != EAGAIN)
		return NULL;

	pthread_mutex_lock(&m->lock);
	items = take(m);
	pthread_mutex_unlock(&m->lock);
	return items;
}

/* Lock held. False: the time has passed. */
static bool wait_for_post(Mailbox *m, const struct timespec *until)
{
	int r;

	m->waiting = true;
	r = until ? pthread_cond_timedwait(&m->posted, &m->lock, until)
		  : pthread_cond_wait(&m->posted, &m->lock);
	m->waiting = false;
	return r != ETIMEDOUT;
}

MailboxItem *mailbox_wait(Mailbox *m, int timeout_ms)
{
	MailboxItem *items = mailbox_take(m);
	struct timespec until;
	uint64_t until_us;

	if (items || timeout_ms == 0)
		return items;
	until_us = clock_monotonic_us() + (uint64_t)timeout_ms * USEC_PER_MSEC;
	until = (struct timespec){
		.tv_sec = (time_t)(until_us / USEC_PER_SEC),
		.tv_nsec = (long)(until_us % USEC_PER_SEC * 1000),
	};
	pthread_mutex_lock(&m->lock);
	while (!m->items.head && wait_for_post(m, timeout_ms > 0 ? &until : NULL))
		;
	items = take(m);
	pthread_mutex_unlock(&m->lock);
	return items;
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
