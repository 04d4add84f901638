#include "daemon/loop/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"

struct Mailbox {
	pthread_mutex_t lock;
	MailboxItem *head;
	MailboxItem **tail;
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
	m->tail = &m->head;
	r = -pthread_mutex_init(&m->lock, NULL);
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
	pthread_mutex_destroy(&m->lock);
	close(m->fd);
	free(m);
}

void mailbox_post(Mailbox *m, MailboxItem *item)
{
	bool was_empty;

	item->next = NULL;
	pthread_mutex_lock(&m->lock);
	was_empty = !m->head;
	*m->tail = item;
	m->tail = &item->next;
	pthread_mutex_unlock(&m->lock);

	/* Fails only where the counter is at its limit, and then the reader is awake anyway. */
	if (was_empty && eventfd_write(m->fd, 1) < 0)
		return;
}

int mailbox_fd(const Mailbox *m)
{
	return m->fd;
}

MailboxItem *mailbox_take(Mailbox *m)
{
	MailboxItem *items;
	eventfd_t count;

	/* First the descriptor, then the list: what is posted between the two is taken all the same, and costs one
	 * wake-up too many. The other way round it could be lost. */
	if (eventfd_read(m->fd, &count) < 0 && errno != EAGAIN)
		return NULL;

	pthread_mutex_lock(&m->lock);
	items = m->head;
	m->head = NULL;
	m->tail = &m->head;
	pthread_mutex_unlock(&m->lock);
	return items;
}

/* Rounded up: a wait that ends too early would only be made again. */
static int ms_until(uint64_t deadline_us)
{
	uint64_t now = clock_monotonic_us();

	return now >= deadline_us ? 0
				  : (int)((deadline_us - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC);
}

MailboxItem *mailbox_wait(Mailbox *m, int timeout_ms)
{
	struct pollfd p = { .fd = m->fd, .events = POLLIN };
	MailboxItem *items = mailbox_take(m);
	uint64_t deadline_us = 0;

	if (items || timeout_ms == 0)
		return items;
	if (timeout_ms > 0)
		deadline_us = clock_monotonic_us() + (uint64_t)timeout_ms * USEC_PER_MSEC;
	/* A wake-up may find nothing: its item was taken before its descriptor was written. */
	do {
		if (timeout_ms > 0)
			timeout_ms = ms_until(deadline_us);
		(void)poll(&p, 1, timeout_ms);
		items = mailbox_take(m);
	} while (!items && timeout_ms != 0);
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
