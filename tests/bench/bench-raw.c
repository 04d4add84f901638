/* What the kernel can do, and no more: events in Liongate's form are appended to a file, or laid
 * into a ring in memory, and go to every subscriber, by as few system calls as there can be. No
 * daemon: no index, no checksums, no agents, no filters, no sync, nobody is served but those that
 * it waits for at the start.
 *
 *   made    makes events itself, appends them, sendfile() to each
 *   ring    makes events itself, keeps the last MiB in memory, send() to each
 *   pipes   reads lines from programs' pipes, makes events of them, appends, sends
 *   replay  sends the files that standard input names, to one subscriber
 *
 * Says, as JSON, when it began, and what it took of the processor. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/fd.h"
#include "tests/bench/bench.h"

#define RING_BYTES  (1 << 20)
#define BATCH_BYTES (256 * 1024)
#define TURN_BYTES  (256 * 1024) /* to one subscriber, before the next has its turn */
#define SHORT_BYTES 8192         /* below: send() from memory, as sendfile() costs more */
#define LAG_BYTES   (4 << 20)    /* behind which the slowest may be */
#define LINE_MAX    1024
#define EVENTS      256
#define MAX_PIPES   16
#define GIVE_UP_SEC 280

#define EVENT_SEQ "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"seq\":"
#define EVENT_INDEX                                                                  \
	",\"time\":\"2026-01-02T03:04:05.678901Z\",\"type\":\"AgentPartialOutput\"," \
	"\"agent_id\":\"d47d0562-b952-451f-8a3f-7085230ad063\",\"index\":"
#define EVENT_CHUNK ",\"chunk\":\""
#define EVENT_END   "\",\"channel\":\"output\"}}\n"

typedef struct Peer {
	int fd;
	uint64_t cursor; /* in bytes, from the beginning of all */
	bool full;       /* its socket was: epoll says when it is not */
} Peer;

typedef struct Pipe {
	int fd;
	size_t len;
	char data[65536];
} Pipe;

typedef struct Raw {
	const char *mode, *socket, *log, *pipe_list;
	uint64_t subscribers, count, bytes;
	Peer *peers;
	int epoll, log_fd;
	uint64_t made;    /* events */
	uint64_t end;     /* bytes */
	uint64_t stretch; /* where the last stretch begins, which is in `batch`, too */
	char *ring;       /* mode ring */
	Pipe *pipes;
	size_t n_pipes, open_pipes;
	char batch[BATCH_BYTES];
} Raw;

static size_t put(char *out, const char *bytes, size_t n)
{
	memcpy(out, bytes, n);
	return n;
}

#define PUT_LITERAL(out, literal) put((out), (literal), sizeof(literal) - 1)

static size_t put_number(char *out, uint64_t value)
{
	size_t digits = 1;

	for (uint64_t rest = value; rest >= 10; rest /= 10)
		digits++;
	digits_write(out, digits, value);
	return digits;
}

/* Returns its length. `newline`: the chunk ends with one, which JSON writes in two characters. */
static size_t put_event(Raw *r, char *out, const char *chunk, size_t len, bool newline)
{
	size_t at = PUT_LITERAL(out, EVENT_SEQ);

	at += put_number(out + at, r->made + 1);
	at += PUT_LITERAL(out + at, EVENT_INDEX);
	at += put_number(out + at, r->made);
	at += PUT_LITERAL(out + at, EVENT_CHUNK);
	at += put(out + at, chunk, len);
	if (newline)
		at += PUT_LITERAL(out + at, "\\n");
	at += PUT_LITERAL(out + at, EVENT_END);
	r->made++;
	return at;
}

static size_t make_batch(Raw *r, char *out)
{
	static char payload[LINE_MAX];
	size_t len = 0;

	if (r->made == 0)
		payload_make(payload, r->bytes, 0, 0);
	while (r->made < r->count && len + 2 * LINE_MAX < BATCH_BYTES)
		len += put_event(r, out + len, payload, r->bytes, false);
	return len;
}

/* The whole lines in a pipe's data, as events. */
static size_t take_lines(Raw *r, Pipe *p, char *out)
{
	size_t at = 0, len = 0;

	for (;;) {
		const char *end = memchr(p->data + at, '\n', p->len - at);
		size_t n = end ? (size_t)(end - p->data) - at : 0;

		if (!end)
			break;
		if (n > LINE_MAX / 2)
			bench_die("too long a line");
		len += put_event(r, out + len, p->data + at, n, true);
		at += n + 1;
	}
	p->len -= at;
	memmove(p->data, p->data + at, p->len);
	return len;
}

static void read_pipe(Raw *r, Pipe *p)
{
	ssize_t n = read(p->fd, p->data + p->len, sizeof(p->data) / 4 - p->len);

	if (n < 0)
		bench_die_errno("read");
	p->len += (size_t)n;
	if (n > 0)
		return;
	close(p->fd);
	p->fd = -1; /* poll() passes over it */
	r->open_pipes--;
}

/* One read of each pipe that has something. `wait`: for the first of them. */
static size_t read_batch(Raw *r, char *out, bool wait)
{
	struct pollfd ready[MAX_PIPES];
	size_t len = 0;

	for (size_t i = 0; i < r->n_pipes; i++)
		ready[i] = (struct pollfd){ .fd = r->pipes[i].fd, .events = POLLIN };
	if (poll(ready, r->n_pipes, wait ? -1 : 0) < 0)
		bench_die_errno("poll");
	for (size_t i = 0; i < r->n_pipes; i++) {
		if (!ready[i].revents || len + BATCH_BYTES / 4 > BATCH_BYTES)
			continue;
		read_pipe(r, &r->pipes[i]);
		len += take_lines(r, &r->pipes[i], out + len);
	}
	return len;
}

static void append(Raw *r, size_t len)
{
	r->stretch = r->end;
	if (r->ring) {
		size_t at = r->end % RING_BYTES,
		       first = RING_BYTES - at < len ? RING_BYTES - at : len;

		memcpy(r->ring + at, r->batch, first);
		memcpy(r->ring, r->batch + first, len - first);
	} else {
		bench_write_all(r->log_fd, r->batch, len);
	}
	r->end += len;
}

static ssize_t send_some(const Raw *r, const Peer *p, size_t n)
{
	off_t offset = (off_t)p->cursor;
	size_t at = p->cursor % RING_BYTES;

	if (r->ring)
		return send(p->fd, r->ring + at, RING_BYTES - at < n ? RING_BYTES - at : n,
			MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < SHORT_BYTES && p->cursor >= r->stretch)
		return send(
			p->fd, r->batch + (p->cursor - r->stretch), n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sendfile(p->fd, r->log_fd, &offset, n);
}

/* Returns whether it goes on. */
static bool send_turn(const Raw *r, Peer *p)
{
	uint64_t left = r->end - p->cursor;
	ssize_t n;

	if (left == 0 || p->full)
		return false;
	n = send_some(r, p, left < TURN_BYTES ? (size_t)left : TURN_BYTES);
	if (n < 0 && errno != EAGAIN)
		bench_die_errno("send");
	if (n < 0)
		p->full = true;
	else
		p->cursor += (uint64_t)n;
	return !p->full && p->cursor < r->end;
}

static uint64_t slowest(const Raw *r)
{
	uint64_t cursor = r->end;

	for (size_t i = 0; i < r->subscribers; i++) {
		if (r->peers[i].cursor < cursor)
			cursor = r->peers[i].cursor;
	}
	return cursor;
}

static void wait_writable(Raw *r, int timeout)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(r->epoll, events, EVENTS, timeout);

	if (n < 0 && errno != EINTR)
		bench_die_errno("epoll_wait");
	for (int i = 0; i < n; i++)
		((Peer *)events[i].data.ptr)->full = false;
}

/* Sends all that there is to all that can take it. */
static void pump(Raw *r)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < r->subscribers; i++)
			more |= send_turn(r, &r->peers[i]);
	}
}

static void serve(Raw *r)
{
	uint64_t lag = r->ring ? RING_BYTES - BATCH_BYTES : LAG_BYTES;
	bool over = false;

	for (;;) {
		uint64_t behind = r->end - slowest(r);
		size_t len = 0;

		if (over && behind == 0)
			return;
		if (!over && behind <= lag) {
			len = r->n_pipes > 0 ? read_batch(r, r->batch, behind == 0)
					     : make_batch(r, r->batch);
			over = r->n_pipes > 0 ? r->open_pipes == 0 : r->made == r->count;
			if (len > 0)
				append(r, len);
		}
		pump(r);
		/* Whoever is full may be so for long: the others go on, unless there is nothing
		 * to do. */
		behind = r->end - slowest(r);
		if (behind > 0)
			wait_writable(
				r, over || behind > lag || (r->n_pipes > 0 && len == 0) ? -1 : 0);
	}
}

static void replay(const Raw *r)
{
	char path[4096];

	while (fgets(path, sizeof(path), stdin)) {
		_cleanup_close_ int fd = -1;
		ssize_t n = 1;

		path[strcspn(path, "\n")] = '\0';
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			bench_die_errno(path);
		while (n > 0)
			n = sendfile(r->peers[0].fd, fd, NULL, TURN_BYTES);
		if (n < 0)
			bench_die_errno("sendfile");
	}
}

/* A request is answered, whatever it is: the reader subscribes as it would at Liongate. */
static void take_subscriber(Raw *r, int listener, Peer *p)
{
	static const char reply[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"newest_seq\":0}}\n";
	struct epoll_event event = { .events = EPOLLOUT | EPOLLET, .data.ptr = p };
	char request[1024];

	p->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (p->fd < 0 || recv(p->fd, request, sizeof(request), 0) <= 0)
		bench_die_errno("accept");
	bench_write_all(p->fd, reply, sizeof(reply) - 1);
	if (strcmp(r->mode, "replay") == 0)
		return;
	if (fd_set_nonblocking(p->fd, true) < 0 ||
		epoll_ctl(r->epoll, EPOLL_CTL_ADD, p->fd, &event) < 0)
		bench_die_errno("epoll_ctl");
}

static void take_subscribers(Raw *r)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	_cleanup_close_ int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(r->socket) >= sizeof(un.sun_path))
		bench_die("--socket: too long");
	memcpy(un.sun_path, r->socket, strlen(r->socket));
	if (listener < 0 || bind(listener, (struct sockaddr *)&un, sizeof(un)) < 0 ||
		listen(listener, 1024) < 0)
		bench_die_errno(r->socket);
	printf("listening\n");
	fflush(stdout);
	for (size_t i = 0; i < r->subscribers; i++)
		take_subscriber(r, listener, &r->peers[i]);
}

/* "5,7": the descriptors that the pipes are open on. */
static void open_pipes(Raw *r)
{
	const char *at = r->pipe_list;
	char *end;

	r->pipes = calloc(MAX_PIPES, sizeof(*r->pipes));
	if (!r->pipes)
		bench_die("no memory");
	for (;;) {
		r->pipes[r->n_pipes++].fd = (int)strtoul(at, &end, 10);
		if (*end != ',' || r->n_pipes == MAX_PIPES)
			break;
		at = end + 1;
	}
	if (*end != '\0')
		bench_die("--pipes: '%s'", r->pipe_list);
	r->open_pipes = r->n_pipes;
}

static void prepare(Raw *r)
{
	bool ring = strcmp(r->mode, "ring") == 0, is_replay = strcmp(r->mode, "replay") == 0;

	r->peers = calloc(r->subscribers, sizeof(*r->peers));
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	r->ring = ring ? malloc(RING_BYTES) : NULL;
	if (!r->peers || r->epoll < 0 || (ring && !r->ring))
		bench_die("no memory");
	if (strcmp(r->mode, "pipes") == 0)
		open_pipes(r);
	if (ring || is_replay)
		return;
	r->log_fd = open(r->log, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->log_fd < 0)
		bench_die_errno("--log");
}

int main(int argc, char **argv)
{
	static Raw r = { .mode = "made",
		.log = "",
		.pipe_list = "",
		.subscribers = 1,
		.count = 1000,
		.bytes = 200 };
	const BenchOption options[] = {
		{ .name = "--mode", .text = &r.mode },
		{ .name = "--socket", .text = &r.socket },
		{ .name = "--log", .text = &r.log },
		{ .name = "--pipes", .text = &r.pipe_list },
		{ .name = "--subscribers", .number = &r.subscribers },
		{ .name = "--count", .number = &r.count },
		{ .name = "--bytes", .number = &r.bytes },
		{ 0 },
	};
	uint64_t began_ns;

	bench_options(argc, argv, options);
	if (!r.socket || r.bytes < PAYLOAD_HEAD_LEN || r.bytes > LINE_MAX / 2)
		bench_die("--socket is needed, and --bytes from %d to %d", PAYLOAD_HEAD_LEN,
			LINE_MAX / 2);
	alarm(GIVE_UP_SEC);
	prepare(&r);
	take_subscribers(&r);
	began_ns = bench_now_ns();
	if (strcmp(r.mode, "replay") == 0)
		replay(&r);
	else
		serve(&r);
	printf("{\"begin_ns\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 "}\n", began_ns, bench_cpu_ns());
	return 0;
}
