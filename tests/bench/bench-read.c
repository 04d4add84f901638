/* Reads what subscribers get: any number of them, on one thread, each verified. Says "ready"
 * when all have subscribed, and when all have all, as JSON, when that was and what it was. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/fd.h"
#include "tests/bench/feed.h"

#define READ_BYTES  (256 * 1024)
#define EVENTS      256
#define GIVE_UP_SEC 280

typedef struct Reader {
	FeedOptions options;
	const char *kind;
	uint64_t subscribers;
	Feed *feeds;
	int epoll;
	uint64_t done; /* subscribers that have all */
	uint64_t began_ns, first_ns, last_ns, bytes;
	char buffer[FEED_MESSAGE_MAX + READ_BYTES];
} Reader;

static const FeedKind *const kinds[] = {
	&feed_lines,
	&feed_redis_channel,
	&feed_redis_stream,
	&feed_jetstream,
};

static const FeedKind *find_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	}
	bench_die("--kind: there is no %s", name);
}

static void subscribe(Reader *r, Feed *f)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = f };

	f->kind = find_kind(r->kind);
	f->options = &r->options;
	f->fd = bench_connect(r->options.address);
	if (r->options.stamps) {
		f->delays_us = calloc(r->options.count, sizeof(*f->delays_us));
		if (!f->delays_us)
			bench_die("no memory");
	}
	f->kind->subscribe(f);
	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, f->fd, &event) < 0)
		bench_die_errno("epoll_ctl");
}

/* The rest of the last time stands before what comes now. */
static void read_some(Reader *r, Feed *f)
{
	size_t len = f->rest_len, taken;
	ssize_t n;

	memcpy(r->buffer, f->rest, len);
	n = recv(f->fd, r->buffer + len, READ_BYTES, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		bench_die("closed after %" PRIu64 " of %" PRIu64 " messages", f->taken,
			r->options.count);
	r->bytes += (uint64_t)n;
	len += (size_t)n;
	if (r->first_ns == 0 || f->delays_us)
		f->now_ns = bench_now_ns();
	if (r->first_ns == 0)
		r->first_ns = f->now_ns;
	taken = f->kind->take(f, r->buffer, len);
	f->rest_len = len - taken;
	if (f->taken == r->options.count) {
		r->done++;
		r->last_ns = bench_now_ns();
		epoll_ctl(r->epoll, EPOLL_CTL_DEL, f->fd, NULL);
		return;
	}
	if (f->rest_len > sizeof(f->rest))
		bench_die("a message that does not end: %.200s", r->buffer + taken);
	memcpy(f->rest, r->buffer + taken, f->rest_len);
}

static void read_all(Reader *r)
{
	struct epoll_event events[EVENTS];

	while (r->done < r->subscribers) {
		int n = epoll_wait(r->epoll, events, EVENTS, -1);

		if (n < 0 && errno != EINTR)
			bench_die_errno("epoll_wait");
		for (int i = 0; i < n; i++)
			read_some(r, events[i].data.ptr);
	}
}

static int compare(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void print_delays(const Reader *r)
{
	size_t count = r->options.count, all = count * r->subscribers;
	_cleanup_free_ uint32_t *delays = calloc(all, sizeof(*delays));

	if (!delays)
		bench_die("no memory");
	for (size_t i = 0; i < r->subscribers; i++)
		memcpy(delays + i * count, r->feeds[i].delays_us, count * sizeof(*delays));
	qsort(delays, all, sizeof(*delays), compare);
	printf(",\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u", delays[all / 2],
		delays[all - all / 100 - 1], delays[all - 1]);
}

int main(int argc, char **argv)
{
	static Reader r = {
		.options = { .params = "", .count = 1000, .bytes = 200 },
		.subscribers = 1,
	};
	const BenchOption options[] = {
		{ .name = "--kind", .text = &r.kind },
		{ .name = "--address", .text = &r.options.address },
		{ .name = "--subscribers", .number = &r.subscribers },
		{ .name = "--count", .number = &r.options.count },
		{ .name = "--bytes", .number = &r.options.bytes },
		{ .name = "--params", .text = &r.options.params },
		{ .name = "--filtered", .number = &r.options.filtered },
		{ .name = "--stamps", .number = &r.options.stamps },
		{ 0 },
	};

	bench_options(argc, argv, options);
	if (!r.kind || !r.options.address || r.options.count == 0)
		bench_die("--kind, --address and --count are needed");
	alarm(GIVE_UP_SEC);
	r.feeds = calloc(r.subscribers, sizeof(*r.feeds));
	r.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!r.feeds || r.epoll < 0)
		bench_die("no memory");
	r.began_ns = bench_now_ns();
	for (size_t i = 0; i < r.subscribers; i++)
		subscribe(&r, &r.feeds[i]);
	printf("ready\n");
	fflush(stdout);
	read_all(&r);
	printf("{\"began_ns\":%" PRIu64 ",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64
	       ",\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"cpu_ns\":%" PRIu64,
		r.began_ns, r.first_ns, r.last_ns, r.options.count * r.subscribers, r.bytes,
		bench_cpu_ns());
	if (r.options.stamps)
		print_delays(&r);
	printf("}\n");
	return 0;
}
