#include "daemon/backend/exec-stream.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "common/utf8.h"

/* For one stream in one turn of the loop: so that others live. Chunks count too, for lines may
 * be short. */
#define TURN_BYTES  (2 * PROTOCOL_MAX_CHUNK_BYTES)
#define TURN_CHUNKS 1024U

/* What a stream holds is worked on in so much: a piece that is not complete, and one read. It is on
 * the stack, where only threads that have read from programs pay for it. */
#define SCRATCH_BYTES (2 * PROTOCOL_MAX_CHUNK_BYTES)

typedef struct View {
	char *scratch; /* SCRATCH_BYTES; lent */
	size_t start, end;
	size_t searched; /* from `start`: no newline before */
	bool dry;        /* the last read got less than it asked for */
} View;

void exec_stream_init(ExecStream *s, Channel channel, bool by_line)
{
	*s = (ExecStream){ .channel = channel, .by_line = by_line, .fd = -1 };
}

static void close_fd(ExecStream *s)
{
	if (s->event)
		event_free(s->event);
	s->event = NULL;
	if (s->fd >= 0)
		close(TAKE_FD(s->fd));
}

void exec_stream_done(ExecStream *s)
{
	close_fd(s);
	buf_done(&s->held);
}

void exec_stream_close(ExecStream *s)
{
	exec_stream_done(s);
	s->ended = true;
}

int exec_stream_open(ExecStream *s, struct event_base *base, int fd, event_callback_fn on_readable,
	void *userdata)
{
	s->fd = fd;
	s->event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, userdata);
	return s->event ? 0 : -ENOMEM;
}

void exec_stream_listen(ExecStream *s, bool on)
{
	if (!s->event)
		return;
	if (!on)
		(void)event_del(s->event);
	else if (!event_pending(s->event, EV_READ, NULL))
		(void)event_add(s->event, NULL);
}

/* The length of the next chunk; 0: there is none yet. */
static size_t next_chunk(const ExecStream *s, View *v)
{
	const char *data = v->scratch + v->start;
	size_t len = v->end - v->start;
	bool last = s->fd < 0;
	if (len == 0)
		return 0;

	size_t max = len < PROTOCOL_MAX_CHUNK_BYTES ? len : PROTOCOL_MAX_CHUNK_BYTES;
	if (s->by_line) {
		const char *newline = memchr(data + v->searched, '\n', max - v->searched);
		if (newline)
			return (size_t)(newline - data) + 1;
		v->searched = max;
		if (len < PROTOCOL_MAX_CHUNK_BYTES)
			return last ? len : 0;
	}
	return last && max == len ? len : max - utf8_incomplete_tail(data, max);
}

/* False: to be left alone for now. */
static bool give_chunks(ExecStream *s, View *v, unsigned *chunks)
{
	for (size_t n; *chunks < TURN_CHUNKS && (n = next_chunk(s, v)) > 0; ++*chunks) {
		const char *data = v->scratch + v->start;
		v->start += n;
		v->searched = 0;
		if (!s->on_chunk(s, data, n))
			return false;
	}
	return *chunks < TURN_CHUNKS;
}

/* 1: something was read, or the end was found; 0: nothing is there. */
static int fill(ExecStream *s, View *v)
{
	memmove(v->scratch, v->scratch + v->start, v->end - v->start);
	v->end -= v->start;
	v->start = 0;

	size_t max = SCRATCH_BYTES - v->end;
	if (!s->by_line || max > PROTOCOL_MAX_CHUNK_BYTES)
		max = PROTOCOL_MAX_CHUNK_BYTES - (s->by_line ? 0 : v->end);
	if (s->bounded && s->left < max)
		max = s->left;

	ssize_t n = 0;
	if (max > 0) {
		do
			n = read(s->fd, v->scratch + v->end, max);
		while (n < 0 && errno == EINTR);
	}
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !s->bounded)
		return 0;
	if (n <= 0) {
		close_fd(s);
		return 1;
	}
	v->dry = (size_t)n < max;
	v->end += (size_t)n;
	s->left -= s->bounded ? (size_t)n : 0;
	return 1;
}

static void load(const ExecStream *s, View *v)
{
	v->end = s->held.len;
	if (s->held.len > 0)
		memcpy(v->scratch, s->held.data, s->held.len);
}

/* Puts aside what was not given out. */
static void store(ExecStream *s, const View *v)
{
	size_t len = v->end - v->start;
	buf_clear(&s->held, len);
	if (len == 0 || buf_append(&s->held, v->scratch + v->start, len) == 0)
		return;
	/* A border in a bad place is better than a loss. */
	for (size_t at = v->start, n; at < v->end && !s->ended; at += n) {
		n = v->end - at;
		n = n < PROTOCOL_MAX_CHUNK_BYTES ? n : PROTOCOL_MAX_CHUNK_BYTES;
		(void)s->on_chunk(s, v->scratch + at, n);
	}
}

bool exec_stream_pump(ExecStream *s)
{
	char scratch[SCRATCH_BYTES];
	View v = { .scratch = scratch };
	unsigned chunks = 0;
	bool go_on = true;
	load(s, &v);
	for (size_t before = 0, taken = 0; !s->ended;) {
		go_on = give_chunks(s, &v, &chunks);
		if (!go_on || s->ended || s->fd < 0)
			break;
		/* What comes after a short read, the end too, wakes the loop. */
		if (taken >= TURN_BYTES || (v.dry && !s->bounded))
			break;
		before = v.end - v.start;
		if (fill(s, &v) == 0)
			break;
		taken += v.end - v.start - before;
	}
	if (s->ended)
		return false;
	store(s, &v);
	if (s->fd < 0 && s->held.len == 0)
		s->ended = true;
	return !s->ended && (!go_on || s->bounded);
}

void exec_stream_bound(ExecStream *s)
{
	int n = 0;
	if (s->fd >= 0 && ioctl(s->fd, FIONREAD, &n) < 0)
		n = 0;
	s->bounded = true;
	s->left = n > 0 ? (size_t)n : 0;
	if (s->left == 0 && s->held.len == 0)
		exec_stream_close(s);
}
