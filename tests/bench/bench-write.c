/* Writes messages to a peer of Liongate, many at a time without waiting for the answers, or at a
 * rate. Each has to be answered, and answered well. Says, as JSON, when it began and when the
 * last answer came. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/bench/bench.h"

#define NSEC_PER_SEC 1000000000ULL
#define MESSAGE_MAX  1024

typedef struct Writer Writer;

typedef struct WriterKind {
	const char *name;
	/* What stands before the payload's length. */
	const char *head;
	/* Before the first message; NULL: nothing. */
	void (*begin)(Writer *w);
	/* One whole answer at the front: its length; 0: it has not all come. */
	size_t (*take_answer)(Writer *w, const char *data, size_t len);
} WriterKind;

struct Writer {
	const WriterKind *kind;
	const char *address;
	uint64_t count, bytes, batch, rate;
	uint64_t subscribers; /* redis-publish: so many have to get it */
	int fd;
	uint64_t written, answered;
	char answers[65536];
	size_t answers_len;
};

static size_t whole_line(const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);

	return end ? (size_t)(end - data) + 1 : 0;
}

/* ":10", the number of those who get it. */
static size_t publish_answer(Writer *w, const char *data, size_t len)
{
	size_t n = whole_line(data, len);

	if (n > 0 && (data[0] != ':' || digits_read(data + 1, n - 3) != w->subscribers))
		bench_die("PUBLISH: %.*s", (int)n, data);
	w->answered += n > 0;
	return n;
}

/* "$15", and the id. */
static size_t xadd_answer(Writer *w, const char *data, size_t len)
{
	size_t n = whole_line(data, len), id;

	if (n == 0)
		return 0;
	if (data[0] != '$')
		bench_die("XADD: %.*s", (int)n, data);
	id = whole_line(data + n, len - n);
	w->answered += id > 0;
	return id > 0 ? n + id : 0;
}

static void jetstream_begin(Writer *w)
{
	static const char connect[] =
		"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB _INBOX.acks 1\r\n";

	bench_write_all(w->fd, connect, sizeof(connect) - 1);
}

/* "MSG _INBOX.acks 1 30", and {"stream":"BENCH", "seq":7} */
static size_t jetstream_answer(Writer *w, const char *data, size_t len)
{
	size_t n = whole_line(data, len), ack;

	if (n == 0)
		return 0;
	if (strncmp(data, "PING", 4) == 0)
		bench_write_all(w->fd, "PONG\r\n", 6);
	if (strncmp(data, "-ERR", 4) == 0)
		bench_die("%.*s", (int)n, data);
	if (strncmp(data, "MSG ", 4) != 0)
		return n; /* INFO */
	ack = whole_line(data + n, len - n);
	if (ack == 0)
		return 0;
	if (memmem(data + n, ack, "\"error\"", 7) || !memmem(data + n, ack, "\"seq\":", 6))
		bench_die("not stored: %.*s", (int)ack, data + n);
	w->answered++;
	return n + ack;
}

static const WriterKind kinds[] = {
	{
		.name = "redis-publish",
		.head = "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n$",
		.take_answer = publish_answer,
	},
	{
		.name = "redis-xadd",
		.head = "*5\r\n$4\r\nXADD\r\n$5\r\nbench\r\n$1\r\n*\r\n$1\r\np\r\n$",
		.take_answer = xadd_answer,
	},
	{
		.name = "jetstream",
		.head = "PUB bench _INBOX.acks ",
		.begin = jetstream_begin,
		.take_answer = jetstream_answer,
	},
};

static const WriterKind *find_kind(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	bench_die("--kind: there is no %s", name ? name : "default");
}

/* Reads what there is; waits for something if `flags` is 0. */
static void read_answers(Writer *w, int flags)
{
	ssize_t n = recv(
		w->fd, w->answers + w->answers_len, sizeof(w->answers) - w->answers_len, flags);
	size_t at = 0, taken;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		bench_die("closed after %" PRIu64 " answers", w->answered);
	w->answers_len += (size_t)n;
	while ((taken = w->kind->take_answer(w, w->answers + at, w->answers_len - at)) > 0)
		at += taken;
	w->answers_len -= at;
	memmove(w->answers, w->answers + at, w->answers_len);
}

/* Writes the next `n` messages at once. */
static void write_messages(Writer *w, const char *head, size_t head_len, uint64_t n, char *buffer)
{
	size_t len = 0;

	for (uint64_t i = 0; i < n; i++) {
		memcpy(buffer + len, head, head_len);
		len += head_len;
		payload_make(
			buffer + len, w->bytes, w->written++, w->rate > 0 ? bench_now_ns() : 0);
		len += w->bytes;
		memcpy(buffer + len, "\r\n", 2);
		len += 2;
	}
	bench_write_all(w->fd, buffer, len);
}

/* One batch is on its way while the answers to the one before are read: the peer need not wait
 * for us. */
static void write_all(Writer *w)
{
	_cleanup_free_ char *buffer = malloc(w->batch * MESSAGE_MAX);
	char head[128];
	size_t head_len;
	uint64_t began_ns = bench_now_ns();

	if (!buffer)
		bench_die("no memory");
	head_len =
		(size_t)snprintf(head, sizeof(head), "%s%" PRIu64 "\r\n", w->kind->head, w->bytes);
	while (w->written < w->count) {
		uint64_t left = w->count - w->written;

		if (w->rate > 0)
			bench_sleep_until_ns(began_ns + w->written * NSEC_PER_SEC / w->rate);
		write_messages(w, head, head_len, w->batch < left ? w->batch : left, buffer);
		if (w->rate > 0)
			read_answers(w, MSG_DONTWAIT);
		while (w->rate == 0 && w->written - w->answered > w->batch)
			read_answers(w, 0);
	}
	while (w->answered < w->count)
		read_answers(w, 0);
	printf("{\"begin_ns\":%" PRIu64 ",\"end_ns\":%" PRIu64 "}\n", began_ns, bench_now_ns());
}

int main(int argc, char **argv)
{
	static Writer w = { .count = 1000, .bytes = 200, .batch = 256, .subscribers = 1 };
	const char *kind = NULL;
	const BenchOption options[] = {
		{ .name = "--kind", .text = &kind },
		{ .name = "--address", .text = &w.address },
		{ .name = "--count", .number = &w.count },
		{ .name = "--bytes", .number = &w.bytes },
		{ .name = "--batch", .number = &w.batch },
		{ .name = "--rate", .number = &w.rate },
		{ .name = "--subscribers", .number = &w.subscribers },
		{ 0 },
	};

	bench_options(argc, argv, options);
	w.kind = find_kind(kind);
	if (!w.address || w.bytes < PAYLOAD_HEAD_LEN || w.bytes > MESSAGE_MAX / 2 || w.batch == 0)
		bench_die("--address is needed, and --bytes from %d to %d", PAYLOAD_HEAD_LEN,
			MESSAGE_MAX / 2);
	if (w.rate > 0)
		w.batch = 1;
	w.fd = bench_connect(w.address);
	if (w.kind->begin)
		w.kind->begin(&w);
	write_all(&w);
	return 0;
}
