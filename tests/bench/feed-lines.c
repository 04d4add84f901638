/* Events as Liongate sends them, and the raw programs, in the same form. */
#include <stdio.h>
#include <string.h>

#include "tests/bench/feed.h"

#define HEAD    "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"seq\":"
#define LIVE    "{\"jsonrpc\":\"2.0\",\"method\":\"live\","
#define TIME    ",\"time\":\"2026-01-02T03:04:05.678901Z\",\"type\":\""
#define PARTIAL "AgentPartialOutput\",\"agent_id\":\""
#define INDEX   "\",\"index\":"
#define CHUNK   ",\"chunk\":\""

#define HEAD_LEN    (sizeof(HEAD) - 1)
#define TIME_LEN    (sizeof(TIME) - 1)
#define PARTIAL_LEN (sizeof(PARTIAL) - 1)
#define INDEX_AT    (TIME_LEN + PARTIAL_LEN + 36 + sizeof(INDEX) - 1) /* from the end of seq */
#define CHUNK_LEN   (sizeof(CHUNK) - 1)

static void lines_subscribe(Feed *f)
{
	char request[1024], reply[512];
	const char *newest;
	uint64_t after = 0;
	size_t len;
	int n = snprintf(request, sizeof(request),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events.subscribe\",\"params\":{%s}}\n",
		f->options->params);

	bench_write_all(f->fd, request, (size_t)n);
	len = feed_read_until(f, "\n");
	snprintf(reply, sizeof(reply), "%.*s", (int)len, f->rest);
	feed_drop(f, len);
	newest = strstr(reply, "\"newest_seq\":");
	if (!newest || sscanf(newest, "\"newest_seq\":%lu", &after) != 1)
		bench_die("not subscribed: %s", reply);
	/* From now on, unless it was said from where. */
	(void)sscanf(f->options->params, "\"after\":%lu", &after);
	feed_expect(f, f->options->filtered ? 0 : after + 1, 0);
}

/* Whether an event that is not filtered is a chunk: they are all about as long as each other. */
static bool is_chunk(const Feed *f, const char *line, size_t len)
{
	size_t at = HEAD_LEN + f->next_len + TIME_LEN;

	return !f->options->filtered && len > at + PARTIAL_LEN &&
	       memcmp(line + at, PARTIAL, PARTIAL_LEN) == 0;
}

/* The length of the line, its end included; 0: it has not all come. A chunk's end is looked for
 * first where the last one had it; should there be another end before it, it shows, as a number
 * that was left out. */
static size_t line_length(Feed *f, const char *line, size_t len)
{
	bool chunk = is_chunk(f, line, len);
	const char *end;

	if (chunk && f->last_len > 0 && f->last_len <= len && line[f->last_len - 1] == '\n')
		return f->last_len;
	end = memchr(line, '\n', len);
	if (!end)
		return 0;
	if (chunk)
		f->last_len = (size_t)(end - line) + 1;
	return (size_t)(end - line) + 1;
}

static bool begins(const char *line, size_t n, const char *with, size_t with_len)
{
	return n >= with_len && memcmp(line, with, with_len) == 0;
}

/* Looks at what stands behind seq: is it a chunk? */
static void take_rest(Feed *f, const char *rest, size_t n)
{
	const char *chunk;

	if (n < INDEX_AT || memcmp(rest + TIME_LEN, PARTIAL, PARTIAL_LEN) != 0)
		return;
	if (n < f->options->bytes)
		bench_die("too short a line: %.*s", (int)n, rest);
	chunk = rest + INDEX_AT;
	if (f->options->filtered && chunk[f->next_len] != ',')
		bench_die("unexpected: %.*s", (int)n, rest);
	if (f->options->filtered)
		feed_take_number(f, chunk);
	if (f->delays_us)
		chunk = (const char *)memchr(chunk, ',', n - INDEX_AT) + CHUNK_LEN;
	feed_take_payload(f, chunk);
}

static void take_line(Feed *f, const char *line, size_t n)
{
	const char *seq = line + HEAD_LEN, *rest = seq + f->next_len;

	if (!begins(line, n, HEAD, HEAD_LEN)) {
		if (!begins(line, n, LIVE, sizeof(LIVE) - 1))
			bench_die("unexpected: %.*s", (int)n, line);
		return;
	}
	if (f->options->filtered)
		rest = memchr(seq, ',', n - HEAD_LEN);
	else
		feed_take_number(f, seq);
	if (!rest || *rest != ',')
		bench_die("unexpected: %.*s", (int)n, line);
	take_rest(f, rest, (size_t)(line + n - rest));
}

static size_t lines_take(Feed *f, const char *data, size_t len)
{
	size_t at = 0;

	while (f->taken < f->options->count) {
		size_t n = line_length(f, data + at, len - at);

		if (n == 0)
			break;
		take_line(f, data + at, n);
		at += n;
	}
	return at;
}

const FeedKind feed_lines = {
	.name = "lines",
	.subscribe = lines_subscribe,
	.take = lines_take,
};
