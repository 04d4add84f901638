#include "daemon/control/hangup.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ITEMS_PER_TURN 64

struct Hangup {
	int epoll_fd;
	struct event *event;
	void (*on_hangup)(void *item);
};

static void on_ready(evutil_socket_t fd, short what, void *userdata)
{
	Hangup *h = userdata;
	struct epoll_event ready[ITEMS_PER_TURN];
	int n = epoll_wait(fd, ready, ITEMS_PER_TURN, 0);

	(void)what;
	for (int i = 0; i < n; i++)
		h->on_hangup(ready[i].data.ptr);
}

int hangup_new(struct event_base *base, void (*on_hangup)(void *item), Hangup **ret)
{
	Hangup *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->on_hangup = on_hangup;
	h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll_fd < 0) {
		r = -errno;
		free(h);
		return r;
	}
	h->event = event_new(base, h->epoll_fd, EV_READ | EV_PERSIST, on_ready, h);
	if (!h->event || event_add(h->event, NULL) < 0) {
		hangup_free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void hangup_free(Hangup *h)
{
	if (!h)
		return;
	if (h->event)
		event_free(h->event);
	close(h->epoll_fd);
	free(h);
}

int hangup_watch(Hangup *h, int fd, void *item)
{
	/* A hang-up stays: told once, it need not be told again. */
	struct epoll_event watch = { .events = EPOLLONESHOT, .data.ptr = item };

	return epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, fd, &watch) < 0 ? -errno : 0;
}

void hangup_forget(Hangup *h, int fd)
{
	(void)epoll_ctl(h->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}
