#include "daemon/backend/exec-input.h"

#include <errno.h>
#include <sys/ioctl.h>

/* In one turn of the loop, so that others live. */
#define TURN_BYTES  (256U * 1024)
/* So much that was written may stand before what was not. */
#define SLACK_BYTES (64U * 1024)

void exec_input_init(ExecInput *in)
{
	*in = (ExecInput){ .fd = -1 };
}

static void on_writable(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	(void)exec_input_flush(userdata);
}

int exec_input_open(ExecInput *in, struct event_base *base, int fd)
{
	in->fd = fd;
	in->event = event_new(base, fd, EV_WRITE, on_writable, in);
	return in->event ? 0 : -ENOMEM;
}

void exec_input_close(ExecInput *in)
{
	in->closed = true;
	if (in->event)
		event_free(in->event);
	in->event = NULL;
	if (in->fd >= 0)
		close(TAKE_FD(in->fd));
	buf_done(&in->queue);
	in->done = 0;
}

void exec_input_done(ExecInput *in)
{
	exec_input_close(in);
}

int exec_input_append(ExecInput *in, const char *bytes, size_t len)
{
	if (in->closed || in->ending)
		return -EPIPE;
	if (in->done >= SLACK_BYTES) {
		buf_consume(&in->queue, in->done);
		in->done = 0;
	}
	return buf_append(&in->queue, bytes, len);
}

void exec_input_end(ExecInput *in)
{
	in->ending = true;
}

static size_t queued(const ExecInput *in)
{
	return in->queue.len - in->done;
}

size_t exec_input_unread(const ExecInput *in)
{
	int in_pipe = 0;
	if (in->fd >= 0 && ioctl(in->fd, FIONREAD, &in_pipe) < 0)
		in_pipe = 0;
	return queued(in) + (size_t)in_pipe;
}

int exec_input_flush(ExecInput *in)
{
	size_t turn = 0;
	while (in->fd >= 0 && queued(in) > 0 && turn < TURN_BYTES) {
		size_t len = queued(in);
		len = len < TURN_BYTES ? len : TURN_BYTES;
		ssize_t n = write(in->fd, in->queue.data + in->done, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			exec_input_close(in);
			return -EPIPE;
		}
		in->done += (size_t)n;
		turn += (size_t)n;
	}
	if (in->fd < 0)
		return 0;

	if (queued(in) > 0) {
		(void)event_add(in->event, NULL);
		return 0;
	}
	buf_clear(&in->queue, 0);
	in->done = 0;
	if (in->ending)
		exec_input_close(in);
	return 0;
}
