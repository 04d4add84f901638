/* The least that reading many streams of a language model can cost with the libraries that Liongate
 * uses: libcurl's multi interface on libevent's loop, the lines of the events, and json-c for what
 * is in them. No log, no subscribers, no time-outs. Every stream must have each chunk once, and in
 * order. Prints one line of JSON. */
#include <curl/curl.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/line-buffer.h"
#include "tests/bench/bench.h"

#define NSEC_PER_USEC  1000U
#define MAX_LINE_BYTES 65536
#define BUFFER_BYTES   2048L /* as Liongate has it */

typedef struct Raw Raw;

typedef struct Stream {
	Raw *raw;
	CURL *easy;
	LineBuffer in;
	uint64_t chunks;
	bool done;
} Stream;

struct Raw {
	struct event_base *base;
	struct event *timer;
	CURLM *multi;
	uint64_t port, n, chunks;
	Stream *streams;
	uint32_t *late; /* µs */
	size_t judged;
	uint64_t ended;
};

static void check(CURLMcode code)
{
	if (code != CURLM_OK)
		bench_die("libcurl: %s", curl_multi_strerror(code));
}

/* ---- What comes ---- */

static void take_content(Stream *stream, const char *content, size_t len)
{
	Raw *raw = stream->raw;
	uint64_t stamp_ns;

	if (stream->chunks == raw->chunks)
		bench_die("a stream has a chunk too many");
	stamp_ns = payload_stamp(content, len, stream->chunks);
	stream->chunks++;
	raw->late[raw->judged++] = (uint32_t)((bench_now_ns() - stamp_ns) / NSEC_PER_USEC);
}

static void take_json(Stream *stream, const char *text)
{
	json_object *event = json_tokener_parse(text), *choices, *delta, *content;

	if (!event || !json_object_object_get_ex(event, "choices", &choices) ||
		!json_object_object_get_ex(json_object_array_get_idx(choices, 0), "delta", &delta))
		bench_die("this is no chunk: %s", text);
	if (json_object_object_get_ex(delta, "content", &content))
		take_content(stream, json_object_get_string(content),
			(size_t)json_object_get_string_len(content));
	json_object_put(event);
}

static void take_line(Stream *stream, const char *line, size_t len)
{
	static const char data[] = "data: ", done[] = "[DONE]";
	char text[MAX_LINE_BYTES];

	if (len < sizeof(data) - 1 || memcmp(line, data, sizeof(data) - 1) != 0)
		return;
	len -= sizeof(data) - 1;
	memcpy(text, line + sizeof(data) - 1, len);
	text[len] = '\0';
	if (strcmp(text, done) == 0)
		stream->done = true;
	else
		take_json(stream, text);
}

static size_t on_write(char *bytes, size_t size, size_t n, void *userdata)
{
	Stream *stream = userdata;
	size_t len = size * n, done = 0;

	while (done < len) {
		const char *line;
		size_t room, line_len;
		char *space = line_buffer_space(&stream->in, &room);

		if (!space)
			bench_die("no memory");
		room = room < len - done ? room : len - done;
		memcpy(space, bytes + done, room);
		line_buffer_commit(&stream->in, room);
		done += room;
		while (line_buffer_next(&stream->in, &line, &line_len) > 0)
			take_line(stream, line, line_len);
	}
	return len;
}

/* ---- libcurl on libevent ---- */

static void end_some(Raw *raw)
{
	CURLMsg *message;
	Stream *stream;
	int left;

	while ((message = curl_multi_info_read(raw->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		if (message->data.result != CURLE_OK)
			bench_die("libcurl: %s", curl_easy_strerror(message->data.result));
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&stream);
		if (!stream->done || stream->chunks != raw->chunks)
			bench_die("a stream has ended without all of its chunks");
		raw->ended++;
	}
	if (raw->ended == raw->n)
		event_base_loopbreak(raw->base);
}

static void act(Raw *raw, curl_socket_t fd, int what)
{
	int running;

	check(curl_multi_socket_action(raw->multi, fd, what, &running));
	end_some(raw);
}

static void on_ready(evutil_socket_t fd, short what, void *userdata)
{
	act(userdata, fd,
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socketp)
{
	Raw *raw = userdata;
	struct event *event = socketp;
	short flags = EV_PERSIST;

	(void)easy;
	if (event)
		event_free(event);
	event = NULL;
	flags |= what & CURL_POLL_IN ? EV_READ : 0;
	flags |= what & CURL_POLL_OUT ? EV_WRITE : 0;
	if (what != CURL_POLL_REMOVE && flags != EV_PERSIST) {
		event = event_new(raw->base, fd, flags, on_ready, raw);
		if (!event || event_add(event, NULL) < 0)
			bench_die("no memory");
	}
	if (what != CURL_POLL_REMOVE)
		check(curl_multi_assign(raw->multi, fd, event));
	return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	act(userdata, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout(CURLM *multi, long timeout_ms, void *userdata)
{
	Raw *raw = userdata;
	struct timeval tv = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

	(void)multi;
	if (timeout_ms < 0)
		evtimer_del(raw->timer);
	else if (evtimer_add(raw->timer, &tv) < 0)
		bench_die("no memory");
	return 0;
}

static void start_one(Raw *raw, Stream *stream)
{
	static const char body[] = "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"
				   "\"user\",\"content\":\"p\"}]}";
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%llu/v1/chat/completions",
		(unsigned long long)raw->port);
	line_buffer_init(&stream->in, MAX_LINE_BYTES - 1);
	stream->raw = raw;
	stream->easy = curl_easy_init();
	if (!stream->easy)
		bench_die("no memory");
	curl_easy_setopt(stream->easy, CURLOPT_URL, url);
	curl_easy_setopt(stream->easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(stream->easy, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
	curl_easy_setopt(stream->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(stream->easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(stream->easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(stream->easy, CURLOPT_WRITEDATA, stream);
	curl_easy_setopt(stream->easy, CURLOPT_PRIVATE, stream);
	check(curl_multi_add_handle(raw->multi, stream->easy));
}

static void set_up(Raw *raw)
{
	raw->streams = bench_allocate(raw->n, sizeof(*raw->streams));
	raw->late = bench_allocate(raw->n * raw->chunks, sizeof(*raw->late));
	raw->base = event_base_new();
	raw->timer = raw->base ? evtimer_new(raw->base, on_timer, raw) : NULL;
	if (!raw->timer || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		bench_die("no memory");
	raw->multi = curl_multi_init();
	if (!raw->multi)
		bench_die("no memory");
	curl_multi_setopt(raw->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(raw->multi, CURLMOPT_SOCKETDATA, raw);
	curl_multi_setopt(raw->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(raw->multi, CURLMOPT_TIMERDATA, raw);
	for (uint64_t i = 0; i < raw->n; i++)
		start_one(raw, &raw->streams[i]);
}

static void tear_down(Raw *raw)
{
	for (uint64_t i = 0; i < raw->n; i++) {
		check(curl_multi_remove_handle(raw->multi, raw->streams[i].easy));
		curl_easy_cleanup(raw->streams[i].easy);
		line_buffer_done(&raw->streams[i].in);
	}
	curl_multi_cleanup(raw->multi);
	curl_global_cleanup();
	event_free(raw->timer);
	event_base_free(raw->base);
	free(raw->streams);
	free(raw->late);
}

int main(int argc, char **argv)
{
	Raw raw = { .n = 1, .chunks = 1 };
	const BenchOption options[] = {
		{ .name = "--port", .number = &raw.port },
		{ .name = "--streams", .number = &raw.n },
		{ .name = "--chunks", .number = &raw.chunks },
		{ 0 },
	};

	bench_options(argc, argv, options);
	if (raw.port == 0 || raw.port > UINT16_MAX)
		bench_die("--port is needed");
	set_up(&raw);
	if (event_base_dispatch(raw.base) < 0 || raw.ended != raw.n)
		bench_die("the loop has ended too early");
	bench_sort_us(raw.late, raw.judged);
	printf("{\"chunks\":%zu,\"cpu_ns\":%llu,\"late_p50_ms\":%.3f,\"late_p99_ms\":%.3f,\"late_"
	       "max_ms\":%.3f}\n",
		raw.judged, (unsigned long long)bench_cpu_ns(),
		bench_quantile_ms(raw.late, raw.judged, 0.5),
		bench_quantile_ms(raw.late, raw.judged, 0.99),
		bench_quantile_ms(raw.late, raw.judged, 1));
	tear_down(&raw);
	return 0;
}
