/* Redis: a channel (PUBLISH, SUBSCRIBE), and a stream (XADD, XREAD). */
#include <stdio.h>
#include <string.h>

#include "tests/bench/feed.h"

#define SUBSCRIBE "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n"
#define CONFIRMED "*3\r\n$9\r\nsubscribe\r\n$5\r\nbench\r\n:1\r\n"
#define MESSAGE   "*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$"
#define ENTRIES   "*1\r\n*2\r\n$5\r\nbench\r\n*"
#define ENTRY     "*2\r\n$"
#define FIELD     "\r\n*2\r\n$1\r\np\r\n$"
/* XREAD BLOCK 0 COUNT 256 STREAMS bench, and an id */
#define XREAD                                                                         \
	"*8\r\n$5\r\nXREAD\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n$5\r\nCOUNT\r\n$3\r\n256\r\n" \
	"$7\r\nSTREAMS\r\n$5\r\nbench\r\n"
#define XREAD_COUNT 256

/* "200\r\n", `len` bytes, "\r\n": takes the payload, and returns how many bytes all that has; 0:
 * it has not all come. */
static size_t take_bulk(Feed *f, const char *data, size_t len)
{
	char size[16];
	size_t head = (size_t)snprintf(size, sizeof(size), "%lu\r\n", f->options->bytes);
	size_t whole = head + f->options->bytes + 2;

	if (len < whole)
		return 0;
	if (memcmp(data, size, head) != 0 || memcmp(data + whole - 2, "\r\n", 2) != 0)
		bench_die("unexpected: %.*s", (int)whole, data);
	feed_take_number(f, data + head);
	feed_take_payload(f, data + head);
	return whole;
}

static void channel_subscribe(Feed *f)
{
	size_t len;

	bench_write_all(f->fd, SUBSCRIBE, sizeof(SUBSCRIBE) - 1);
	len = feed_read_until(f, ":1\r\n");
	if (len != sizeof(CONFIRMED) - 1 || !feed_has(f, len, CONFIRMED))
		bench_die("not subscribed: %.*s", (int)len, f->rest);
	feed_drop(f, len);
	feed_expect(f, 0, PAYLOAD_NUMBER_LEN);
}

static size_t channel_take(Feed *f, const char *data, size_t len)
{
	const size_t head = sizeof(MESSAGE) - 1;
	size_t at = 0;

	while (f->taken < f->options->count && len - at > head) {
		size_t n;

		if (memcmp(data + at, MESSAGE, head) != 0)
			bench_die("unexpected: %.*s", (int)head, data + at);
		n = take_bulk(f, data + at + head, len - at - head);
		if (n == 0)
			break;
		at += head + n;
	}
	return at;
}

static void ask_for_more(Feed *f)
{
	char request[256];
	int n = snprintf(
		request, sizeof(request), XREAD "$%zu\r\n%s\r\n", strlen(f->last_id), f->last_id);

	bench_write_all(f->fd, request, (size_t)n);
}

static void stream_subscribe(Feed *f)
{
	memcpy(f->last_id, "0-0", sizeof("0-0"));
	feed_expect(f, 0, PAYLOAD_NUMBER_LEN);
	ask_for_more(f);
}

/* "*1 *2 bench *N": what an answer begins with. */
static size_t take_entries(Feed *f, const char *data, size_t len)
{
	const size_t head = sizeof(ENTRIES) - 1;
	const char *end = memchr(data + head, '\n', len > head ? len - head : 0);

	if (!end)
		return 0;
	if (memcmp(data, ENTRIES, head) != 0)
		bench_die("unexpected: %.*s", (int)(end - data), data);
	f->entries = digits_read(data + head, (size_t)(end - 1 - data) - head);
	if (f->entries == 0 || f->entries > XREAD_COUNT)
		bench_die("%lu entries in an answer", f->entries);
	return (size_t)(end + 1 - data);
}

/* One entry: "*2", its id, and its one field. */
static size_t take_entry(Feed *f, const char *data, size_t len)
{
	const size_t head = sizeof(ENTRY) - 1, field = sizeof(FIELD) - 1;
	const char *id, *end;
	size_t id_len, at, n;

	if (len < head + 64 + field)
		return 0;
	id = memchr(data + head, '\n', 8);
	end = id ? memchr(id, '\r', 48) : NULL;
	if (!end || memcmp(data, ENTRY, head) != 0 || memcmp(end, FIELD, field) != 0)
		bench_die("unexpected: %.*s", (int)(head + 64), data);
	id++;
	id_len = (size_t)(end - id);
	at = (size_t)(end - data) + field;
	n = take_bulk(f, data + at, len - at);
	if (n == 0)
		return 0;
	memcpy(f->last_id, id, id_len);
	f->last_id[id_len] = '\0';
	if (--f->entries == 0 && f->taken < f->options->count)
		ask_for_more(f);
	return at + n;
}

static size_t stream_take(Feed *f, const char *data, size_t len)
{
	size_t at = 0;

	while (f->taken < f->options->count) {
		size_t n = f->entries > 0 ? take_entry(f, data + at, len - at)
					  : take_entries(f, data + at, len - at);

		if (n == 0)
			break;
		at += n;
	}
	return at;
}

const FeedKind feed_redis_channel = {
	.name = "redis-channel",
	.subscribe = channel_subscribe,
	.take = channel_take,
};

const FeedKind feed_redis_stream = {
	.name = "redis-stream",
	.subscribe = stream_subscribe,
	.take = stream_take,
};
