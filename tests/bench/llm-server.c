/* A provider that streams: an OpenAI-compatible server on a port of the loopback, which it prints
 * as "port N". Waits until all streams have been asked for, then gives each a chunk at a fixed
 * rhythm, spread evenly over the time between two; what is sent is a payload with its number in the
 * stream and the time of its sending. Prints one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/bench/bench.h"

#define NSEC_PER_MSEC 1000000U
#define NSEC_PER_USEC 1000U
#define REQUEST_BYTES 8192
#define CONTENT_BYTES 40

typedef struct Stream {
	size_t got; /* of the request */
	char request[REQUEST_BYTES];
} Stream;

typedef struct Server {
	uint64_t n, chunks, interval_ms;
	uint64_t accepted, asked;
	struct pollfd *fds; /* the streams, and last who listens */
	Stream *streams;
	uint32_t *late; /* µs, of each chunk */
} Server;

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 ||
		listen(fd, SOMAXCONN) < 0 || getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		bench_die_errno("listen");
	*ret_port = ntohs(in.sin_port);
	return fd;
}

static void accept_one(Server *s)
{
	int one = 1, fd = accept4(s->fds[s->n].fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		bench_die_errno("accept");
	if (s->accepted == s->n)
		bench_die("a connection too many");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		bench_die_errno("TCP_NODELAY");
	s->fds[s->accepted++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

/* How long the whole request is, once its head is there; else 0. */
static size_t request_len(const Stream *stream)
{
	static const char end[] = "\r\n\r\n", length[] = "Content-Length: ";
	const char *head_end = memmem(stream->request, stream->got, end, sizeof(end) - 1);
	const char *field = memmem(stream->request, stream->got, length, sizeof(length) - 1);

	if (!head_end)
		return 0;
	if (!field || field > head_end)
		bench_die("a request without Content-Length");
	return (size_t)(head_end - stream->request) + sizeof(end) - 1 +
	       strtoul(field + sizeof(length) - 1, NULL, 10);
}

static void begin_answer(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: "
				   "text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

	bench_write_all(fd, head, sizeof(head) - 1);
}

static void read_some(Server *s, size_t i)
{
	Stream *stream = &s->streams[i];
	ssize_t n = read(s->fds[i].fd, stream->request + stream->got,
		sizeof(stream->request) - 1 - stream->got);

	if (n <= 0)
		bench_die("a client has gone before it was answered");
	stream->got += (size_t)n;
	stream->request[stream->got] = '\0';
	if (stream->got < request_len(stream) || request_len(stream) == 0)
		return;
	begin_answer(s->fds[i].fd);
	s->fds[i].fd = ~s->fds[i].fd; /* poll(2) looks away */
	s->asked++;
}

static void wait_for_all(Server *s)
{
	while (s->asked < s->n) {
		if (poll(s->fds, s->n + 1, -1) < 0)
			bench_die_errno("poll");
		for (size_t i = 0; i < s->accepted; i++)
			if (s->fds[i].revents)
				read_some(s, i);
		if (s->fds[s->n].revents)
			accept_one(s);
	}
}

static void send_data(int fd, const char *data)
{
	char event[512], chunk[640];
	int len = snprintf(event, sizeof(event), "data: %s\n\n", data);

	len = snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", (unsigned)len, event);
	bench_write_all(fd, chunk, (size_t)len);
}

static void send_chunk(int fd, uint64_t number)
{
	char content[CONTENT_BYTES + 1] = { 0 }, data[400];

	payload_make(content, CONTENT_BYTES, number, bench_now_ns());
	snprintf(data, sizeof(data),
		"{\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":"
		"1694268190,"
		"\"model\":\"model-1\",\"system_fingerprint\":\"fp_44709d6fcb\",\"choices\":[{"
		"\"index\":0,"
		"\"delta\":{\"content\":\"%s\"},\"logprobs\":null,\"finish_reason\":null}]}",
		content);
	send_data(fd, data);
}

static void stream_all(Server *s)
{
	uint64_t interval_ns = s->interval_ms * NSEC_PER_MSEC, began_ns = bench_now_ns();

	for (uint64_t next = 0; next < s->n * s->chunks; next++) {
		uint64_t due_ns =
			began_ns + next / s->n * interval_ns + next % s->n * interval_ns / s->n;
		uint64_t now_ns = bench_now_ns();

		/* All that are due by the next ms go out together. */
		if (due_ns > now_ns) {
			bench_sleep_until_ns(due_ns + NSEC_PER_MSEC);
			now_ns = bench_now_ns();
		}
		s->late[next] = (uint32_t)((now_ns - due_ns) / NSEC_PER_USEC);
		send_chunk(~s->fds[next % s->n].fd, next / s->n);
	}
}

static void end_all(Server *s)
{
	static const char last[] = "0\r\n\r\n";

	for (uint64_t i = 0; i < s->n; i++) {
		int fd = ~s->fds[i].fd;

		send_data(fd,
			"{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}");
		send_data(fd, "[DONE]");
		bench_write_all(fd, last, sizeof(last) - 1);
	}
}

int main(int argc, char **argv)
{
	Server s = { .n = 1, .chunks = 1, .interval_ms = 20 };
	const BenchOption options[] = {
		{ .name = "--streams", .number = &s.n },
		{ .name = "--chunks", .number = &s.chunks },
		{ .name = "--interval-ms", .number = &s.interval_ms },
		{ 0 },
	};
	uint16_t port;

	bench_options(argc, argv, options);
	s.fds = bench_allocate(s.n + 1, sizeof(*s.fds));
	s.streams = bench_allocate(s.n, sizeof(*s.streams));
	s.late = bench_allocate(s.n * s.chunks, sizeof(*s.late));
	for (uint64_t i = 0; i < s.n; i++)
		s.fds[i].fd = -1;
	s.fds[s.n] = (struct pollfd){ .fd = listen_somewhere(&port), .events = POLLIN };
	printf("port %u\n", port);
	fflush(stdout);
	wait_for_all(&s);
	stream_all(&s);
	end_all(&s);
	bench_sort_us(s.late, s.n * s.chunks);
	printf("{\"chunks\":%llu,\"late_p99_ms\":%.3f}\n", (unsigned long long)(s.n * s.chunks),
		bench_quantile_ms(s.late, s.n * s.chunks, 0.99));
	free(s.fds);
	free(s.streams);
	free(s.late);
	return 0;
}
