#include "daemon/reaper/reaper-queue.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"

/* For when it is the kernel, not the reaper, that cannot take a request. */
#define RETRY_US 10000

static void on_writable(evutil_socket_t fd, short what, void *userdata);

int reaper_queue_init(ReaperQueue *q, struct event_base *base, int fd)
{
	*q = (ReaperQueue){
		.fd = fd,
		.write_event = event_new(base, fd, EV_WRITE, on_writable, q),
		.retry_event = event_new(base, -1, 0, on_writable, q),
	};
	list_init(&q->requests);
	return q->write_event && q->retry_event ? 0 : -ENOMEM;
}

static void leave(QueuedRequest *request)
{
	list_remove(&request->node);
	request->on_left(request);
}

void reaper_queue_clear(ReaperQueue *q)
{
	list_foreach_safe (node, &q->requests)
		leave(container_of(node, QueuedRequest, node));
}

void reaper_queue_done(ReaperQueue *q)
{
	reaper_queue_clear(q);
	if (q->write_event)
		event_free(q->write_event);
	if (q->retry_event)
		event_free(q->retry_event);
	q->write_event = q->retry_event = NULL;
}

/* 0; -EAGAIN: the socket is full; -ENOBUFS: the kernel has too much under way; or what else went
 * wrong. */
static int try_send(const ReaperQueue *q, const ReaperRequest *request, const int *fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * _REAPER_FD_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)request, .iov_len = sizeof(*request) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (request->type == REAPER_REQUEST_START && fds) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * _REAPER_FD_MAX);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * _REAPER_FD_MAX);
	}

	ssize_t n;
	do
		n = sendmsg(q->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	return errno == ETOOMANYREFS || errno == ENOMEM ? -ENOBUFS : -errno;
}

/* Sees to it that the queue is looked at again; `why` is from try_send(). */
static void retry_later(const ReaperQueue *q, int why)
{
	struct timeval pause = { .tv_usec = RETRY_US };
	int r = why == -EAGAIN ? event_add(q->write_event, NULL)
			       : event_add(q->retry_event, &pause);
	if (r < 0)
		log_error("cannot wait for the line to the reaper: out of memory");
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	ReaperQueue *q = userdata;
	list_foreach_safe (node, &q->requests) {
		QueuedRequest *request = container_of(node, QueuedRequest, node);
		int r = try_send(q, &request->request, request->fds);
		if (r == -EAGAIN || r == -ENOBUFS) {
			retry_later(q, r);
			return;
		}
		leave(request); /* sent, or there is no reaper any more: then the line says so */
	}
}

/* 0: sent; 1: it must wait; -errno. */
static int send_now(const ReaperQueue *q, const ReaperRequest *request, const int *fds)
{
	if (!list_empty(&q->requests))
		return 1;
	int r = try_send(q, request, fds);
	if (r != -EAGAIN && r != -ENOBUFS)
		return r;
	retry_later(q, r);
	return 1;
}

static void free_start(QueuedRequest *request)
{
	for (int i = 0; i < _REAPER_FD_MAX; i++)
		if (request->fds[i] >= 0)
			close(request->fds[i]);
	free(request);
}

int reaper_queue_start(ReaperQueue *q, const ReaperRequest *request, const int *fds)
{
	int r = send_now(q, request, fds);
	if (r <= 0)
		return r;

	QueuedRequest *copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = (QueuedRequest){
		.request = *request,
		.fds = { -1, -1, -1, -1 },
		.on_left = free_start,
	};
	for (int i = 0; i < _REAPER_FD_MAX; i++) {
		copy->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		if (copy->fds[i] < 0) {
			r = -errno;
			free_start(copy);
			return r;
		}
	}
	list_append(&q->requests, &copy->node);
	return 0;
}

void reaper_queue_end(ReaperQueue *q, QueuedRequest *end)
{
	if (send_now(q, &end->request, NULL) == 1)
		list_append(&q->requests, &end->node);
}
