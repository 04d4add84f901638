/* NATS: a JetStream consumer that the server pushes to, with flow control, as its own clients'
 * ordered consumers have it. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/feed.h"

#define CONNECT                                                                              \
	"CONNECT "                                                                           \
	"{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n" \
	"SUB _INBOX.reply 1\r\nSUB _INBOX.feed 2\r\nPING\r\n"
#define STREAM \
	"{\"name\":\"BENCH\",\"subjects\":[\"bench\"],\"storage\":\"file\",\"num_replicas\":1}"
#define CONSUMER                                                                                   \
	"{\"stream_name\":\"BENCH\",\"config\":{\"deliver_subject\":\"_INBOX.feed\","              \
	"\"deliver_policy\":\"all\",\"ack_policy\":\"none\",\"max_deliver\":1,\"num_replicas\":1," \
	"\"mem_storage\":true,\"flow_control\":true,\"idle_heartbeat\":5000000000}}"
#define STALLED "Nats-Consumer-Stalled: "

static void ask(Feed *f, const char *subject, const char *json)
{
	char request[1024];
	size_t len;
	int n = snprintf(request, sizeof(request),
		"PUB $JS.API.%s.CREATE.BENCH _INBOX.reply %zu\r\n%s\r\n", subject, strlen(json),
		json);

	bench_write_all(f->fd, request, (size_t)n);
	/* All of an answer is on one line, behind that of its length. */
	len = feed_read_until(f, "}\r\n");
	if (feed_has(f, len, "\"error\""))
		bench_die("%s: %.*s", subject, (int)len, f->rest);
	feed_drop(f, len);
}

static void jetstream_subscribe(Feed *f)
{
	bench_write_all(f->fd, CONNECT, sizeof(CONNECT) - 1);
	feed_drop(f, feed_read_until(f, "PONG\r\n"));
	ask(f, "STREAM", STREAM);
	ask(f, "CONSUMER", CONSUMER);
	feed_expect(f, 0, PAYLOAD_NUMBER_LEN);
}

static void answer(Feed *f, const char *subject, size_t len)
{
	char request[512];
	int n = snprintf(request, sizeof(request), "PUB %.*s 0\r\n\r\n", (int)len, subject);

	bench_write_all(f->fd, request, (size_t)n);
}

/* The last word of a line that ends at `end`, a number. */
static size_t last_number(const char *line, const char *end)
{
	const char *word = memrchr(line, ' ', (size_t)(end - line));
	uint64_t number = word ? digits_read(word + 1, (size_t)(end - word - 1)) : UINT64_MAX;

	if (number > FEED_MESSAGE_MAX / 2)
		bench_die("unexpected: %.*s", (int)(end - line), line);
	return (size_t)number;
}

/* The server asks whether all has come up to here, and waits for the answer: "HMSG _INBOX.feed 2
 * REPLY 40 40". */
static void take_status(Feed *f, const char *line, const char *end, size_t size)
{
	const char *stalled = memmem(end, size, STALLED, sizeof(STALLED) - 1);
	const char *reply, *words = line + sizeof("HMSG _INBOX.feed 2 ") - 1;

	if (stalled) {
		reply = stalled + sizeof(STALLED) - 1;
		answer(f, reply, strcspn(reply, "\r"));
	} else if (memmem(end, size, "FlowControl", 11)) {
		answer(f, words, strcspn(words, " "));
	}
}

/* What comes between messages. Returns its length, 0: it has not all come. */
static size_t take_other(Feed *f, const char *line, const char *end)
{
	if (strncmp(line, "PING", 4) == 0)
		bench_write_all(f->fd, "PONG\r\n", 6);
	else if (strncmp(line, "+OK", 3) != 0 && strncmp(line, "INFO", 4) != 0)
		bench_die("unexpected: %.*s", (int)(end - line), line);
	return (size_t)(end + 2 - line);
}

static size_t take_one(Feed *f, const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);
	size_t size, head;

	if (!end)
		return 0;
	end--; /* "\r\n" */
	if (strncmp(data, "MSG ", 4) != 0 && strncmp(data, "HMSG ", 5) != 0)
		return take_other(f, data, end);
	size = last_number(data, end);
	head = (size_t)(end + 2 - data);
	if (len < head + size + 2)
		return 0;
	if (data[0] == 'H') {
		take_status(f, data, end, size);
	} else {
		if (size != f->options->bytes)
			bench_die("a payload of %zu bytes", size);
		feed_take_number(f, data + head);
		feed_take_payload(f, data + head);
	}
	return head + size + 2;
}

static size_t jetstream_take(Feed *f, const char *data, size_t len)
{
	size_t at = 0;

	while (f->taken < f->options->count && at < len) {
		size_t n = take_one(f, data + at, len - at);

		if (n == 0)
			break;
		at += n;
	}
	return at;
}

const FeedKind feed_jetstream = {
	.name = "jetstream",
	.subscribe = jetstream_subscribe,
	.take = jetstream_take,
};
