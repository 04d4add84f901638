#include "daemon/reaper/reaper-line.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"

/* For when it is the kernel, not the worker, that cannot take a reply. */
#define RETRY_US (10 * USEC_PER_MSEC)

typedef struct PendingReply {
	ListNode node;
	ReaperReply reply;
} PendingReply;

void reaper_line_init(ReaperLine *l, int fd)
{
	*l = (ReaperLine){ .fd = fd };
	list_init(&l->replies);
}

void reaper_line_done(ReaperLine *l)
{
	if (l->fd >= 0)
		close(TAKE_FD(l->fd));
	list_foreach_safe (node, &l->replies) {
		list_remove(node);
		free(container_of(node, PendingReply, node));
	}
}

static void take_fds(struct msghdr *msg, int fds[_REAPER_FD_MAX])
{
	size_t n = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < _REAPER_FD_MAX)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
}

int reaper_line_receive(ReaperLine *l, ReaperRequest *ret, int fds[_REAPER_FD_MAX])
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * _REAPER_FD_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};

	for (int i = 0; i < _REAPER_FD_MAX; i++)
		fds[i] = -1;
	ssize_t n;
	do
		n = recvmsg(l->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n != (ssize_t)sizeof(*ret))
		return -EPIPE;

	take_fds(&msg, fds);
	ret->agent_id[REAPER_AGENT_ID_SIZE - 1] = '\0';
	return 1;
}

/* False: it has to wait. On a line that has just broken it counts as sent: reading will tell. */
static bool try_send(ReaperLine *l, const ReaperReply *reply)
{
	ssize_t n;
	do
		n = send(l->fd, reply, sizeof(*reply), MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	l->retry_us = 0;
	if (n >= 0 || errno == EPIPE || errno == ECONNRESET)
		return true;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		l->retry_us = clock_monotonic_us() + RETRY_US;
	return false;
}

void reaper_line_send(ReaperLine *l, const ReaperReply *reply)
{
	if (l->fd < 0)
		return;
	if (list_empty(&l->replies) && try_send(l, reply))
		return;

	PendingReply *p = malloc(sizeof(*p));
	if (!p) {
		/* A reply that is lost would leave an agent hanging for ever; a line that is
		 * lost ends its agents, and says so. */
		log_error("reaper: out of memory, a worker's line is given up");
		(void)shutdown(l->fd, SHUT_RDWR);
		return;
	}
	p->reply = *reply;
	list_append(&l->replies, &p->node);
}

bool reaper_line_waiting(const ReaperLine *l)
{
	return !list_empty(&l->replies) && l->retry_us == 0;
}

int64_t reaper_line_timeout_us(const ReaperLine *l)
{
	if (l->retry_us == 0 || list_empty(&l->replies))
		return -1;
	uint64_t now_us = clock_monotonic_us();
	return l->retry_us > now_us ? (int64_t)(l->retry_us - now_us) : 0;
}

void reaper_line_flush(ReaperLine *l)
{
	list_foreach_safe (node, &l->replies) {
		PendingReply *p = container_of(node, PendingReply, node);
		if (!try_send(l, &p->reply))
			return;
		list_remove(node);
		free(p);
	}
}
