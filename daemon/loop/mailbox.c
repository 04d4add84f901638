#include "daemon/loop/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

MailboxItem *mailbox_wait(Mailbox *m, int timeout_ms)
{
	struct pollfd p = { .fd = m->fd, .events = POLLIN };
	MailboxItem *items = mailbox_take(m);

	if (items || timeout_ms == 0)
		return items;
	(void)poll(&p, 1, timeout_ms); /* an interrupted wait is an early one */
	return mailbox_take(m);
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
