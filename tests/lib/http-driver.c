/* Drives daemon/backend/http.c: commands on standard input, on standard output what comes back.
 * Fields are parted by tabs.
 *
 *   start ID KEY=VALUE...   url, unix, ca, proxy, header (often), body; body_bytes (one of so many
 *                           bytes); connect, first, idle (time-outs in ms). In the N-th on_body:
 *                           stop=N fails, pause=N pauses, cancel=N cancels. first_chunk=1 has the
 *                           first bytes be content; count=1 tells of no bytes but at the end.
 *   first|pause|resume|cancel ID
 *   client                  frees the client and makes a new one, as a worker does that ends
 *
 *   body ID HEX             in count=1: only `total ID BYTES CALLBACKS` before done
 *   done ID FAILURE STATUS RETRY_AFTER_MS CONTENT_TYPE REQUEST_ID WHY
 *   did ID COMMAND          of each command, once it is carried out (start: once it is begun)
 *
 * What is wrong with a command ends it. */
#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/line-buffer.h"
#include "daemon/backend/http.h"
#include "daemon/loop/worker.h"

#define MAX_CALLS   4096
#define MAX_HEADERS 16
#define MAX_LINE    (8U << 20)

/* libcurl finds this one first. Of "slow.invalid" it never returns. */
int getaddrinfo(
	const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	__typeof__(&getaddrinfo) real;
	void *found = dlsym(RTLD_NEXT, "getaddrinfo");

	while (node && strcmp(node, "slow.invalid") == 0)
		pause();
	memcpy(&real, &found, sizeof(real));
	return real(node, service, hints, ret);
}

typedef struct Driven {
	HttpCall *call;
	unsigned id;
	unsigned n_bodies;
	unsigned stop_at, pause_at, cancel_at;
	bool first_chunk, count;
	unsigned long long bytes;
} Driven;

static Worker *worker;
static HttpClient *client;
static Driven calls[MAX_CALLS];
static LineBuffer input;
static struct event *input_event;
static sem_t ended;

static const char *const failure_names[] = {
	[HTTP_OK] = "ok",
	[HTTP_CONNECT] = "connect",
	[HTTP_RESOLVE] = "resolve",
	[HTTP_TLS] = "tls",
	[HTTP_RESET] = "reset",
	[HTTP_TIMEOUT_CONNECT] = "timeout_connect",
	[HTTP_TIMEOUT_FIRST_CHUNK] = "timeout_first_chunk",
	[HTTP_TIMEOUT_IDLE] = "timeout_idle",
	[HTTP_PROTOCOL] = "protocol",
	[HTTP_NO_MEMORY] = "no_memory",
};

static void print_body(const Driven *d, const char *bytes, size_t len)
{
	printf("body\t%u\t", d->id);
	for (size_t i = 0; i < len; i++)
		printf("%02x", (unsigned char)bytes[i]);
	putchar('\n');
}

static int on_body(const char *bytes, size_t len, void *userdata)
{
	Driven *d = userdata;

	d->n_bodies++;
	d->bytes += len;
	if (!d->count)
		print_body(d, bytes, len);
	if (d->first_chunk)
		http_progress(d->call);
	if (d->n_bodies == d->pause_at)
		http_pause(d->call);
	if (d->n_bodies == d->cancel_at) {
		http_cancel(d->call);
		d->call = NULL;
	}
	return d->n_bodies == d->stop_at ? -ECANCELED : 0;
}

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void on_done(HttpFailure failure, const char *why, void *userdata)
{
	Driven *d = userdata;
	const HttpResponse *r = http_response(d->call);

	if (d->count)
		printf("total\t%u\t%llu\t%u\n", d->id, d->bytes, d->n_bodies);
	printf("done\t%u\t%s\t%ld\t%lld\t%s\t%s\t%s\n", d->id, failure_names[failure], r->status,
		(long long)r->retry_after_ms, or_dash(r->content_type), or_dash(r->request_id),
		or_dash(why));
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text == '\0' || *end != '\0')
		errx(1, "no number: %s", text);
	return (unsigned)n;
}

typedef struct Start {
	HttpRequest request;
	const char *headers[MAX_HEADERS + 1];
	size_t n_headers;
	char *made_up; /* the body, where it is one of so many bytes */
} Start;

/* The texts that a request lends. */
static const struct {
	const char *key;
	size_t offset;
} texts[] = {
	{ "url", offsetof(HttpRequest, url) },
	{ "unix", offsetof(HttpRequest, unix_socket) },
	{ "ca", offsetof(HttpRequest, ca_file) },
	{ "proxy", offsetof(HttpRequest, proxy) },
	{ "body", offsetof(HttpRequest, body) },
};

static void make_up_body(Start *s, unsigned bytes)
{
	s->made_up = malloc(bytes);
	if (!s->made_up)
		err(1, NULL);
	memset(s->made_up, 'x', bytes);
	s->request.body = s->made_up;
	s->request.body_len = bytes;
}

static void set_number(Driven *d, Start *s, const char *key, unsigned n)
{
	HttpTimeouts *t = &s->request.timeouts;
	const struct {
		const char *key;
		unsigned *where;
	} numbers[] = {
		{ "connect", &t->connect_ms },
		{ "first", &t->first_chunk_ms },
		{ "idle", &t->idle_ms },
		{ "stop", &d->stop_at },
		{ "pause", &d->pause_at },
		{ "cancel", &d->cancel_at },
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (strcmp(numbers[i].key, key) == 0) {
			*numbers[i].where = n;
			return;
		}
	if (strcmp(key, "first_chunk") == 0)
		d->first_chunk = n > 0;
	else if (strcmp(key, "count") == 0)
		d->count = n > 0;
	else if (strcmp(key, "body_bytes") == 0)
		make_up_body(s, n);
	else
		errx(1, "no such key: %s", key);
}

static void set_field(Driven *d, Start *s, char *field)
{
	char *value = strchr(field, '=');

	if (!value)
		errx(1, "no value: %s", field);
	*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(texts[i].key, field) == 0) {
			memcpy((char *)&s->request + texts[i].offset, &value, sizeof(value));
			return;
		}
	if (strcmp(field, "header") != 0) {
		set_number(d, s, field, number(value));
		return;
	}
	if (s->n_headers == MAX_HEADERS)
		errx(1, "too many headers");
	s->headers[s->n_headers++] = value;
}

static void start(Driven *d, char *fields)
{
	HttpCallbacks callbacks = { .on_body = on_body, .on_done = on_done, .userdata = d };
	Start s = { 0 };
	char *field;

	http_cancel(d->call);
	*d = (Driven){ .id = d->id };
	while ((field = strsep(&fields, "\t")))
		set_field(d, &s, field);
	if (s.request.body && !s.made_up)
		s.request.body_len = strlen(s.request.body);
	s.request.headers = s.headers;
	if (http_start(client, &s.request, &callbacks, &d->call) < 0)
		errx(1, "http_start");
	free(s.made_up);
}

static void first(Driven *d, char *fields)
{
	(void)fields;
	http_progress(d->call);
}

static void pause_call(Driven *d, char *fields)
{
	(void)fields;
	http_pause(d->call);
}

static void resume(Driven *d, char *fields)
{
	(void)fields;
	http_resume(d->call);
}

static void cancel(Driven *d, char *fields)
{
	(void)fields;
	http_cancel(TAKE_PTR(d->call));
}

static void renew_client(Driven *d, char *fields)
{
	(void)d;
	(void)fields;
	http_client_free(client);
	if (http_client_new(worker, &client) < 0)
		errx(1, "http_client_new");
}

static const struct {
	const char *name;
	void (*run)(Driven *d, char *fields);
} commands[] = {
	{ "start", start },
	{ "first", first },
	{ "pause", pause_call },
	{ "resume", resume },
	{ "cancel", cancel },
	{ "client", renew_client },
};

static void run_line(char *line)
{
	const char *name = strsep(&line, "\t"), *id = strsep(&line, "\t");
	unsigned n = number(id ? id : "");

	if (n >= MAX_CALLS)
		errx(1, "no such call: %s", id);
	calls[n].id = n;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].run(&calls[n], line);
			printf("did\t%u\t%s\n", n, name);
			return;
		}
	errx(1, "no such command: %s", name);
}

static void on_input(evutil_socket_t fd, short what, void *userdata)
{
	const char *line;
	size_t room, len;
	char *space = line_buffer_space(&input, &room);
	ssize_t n = space ? read(fd, space, room) : -1;

	(void)what;
	(void)userdata;
	if (n < 0)
		err(1, "input");
	if (n == 0) {
		event_del(input_event);
		sem_post(&ended);
		return;
	}
	line_buffer_commit(&input, (size_t)n);
	while (line_buffer_next(&input, &line, &len) > 0) {
		char *copy = buf_string(line, len);

		if (!copy)
			err(1, NULL);
		run_line(copy);
		free(copy);
	}
}

static int on_start(Worker *w, void *userdata)
{
	(void)userdata;
	line_buffer_init(&input, MAX_LINE);
	input_event = event_new(worker_base(w), STDIN_FILENO, EV_READ | EV_PERSIST, on_input, NULL);
	if (!input_event || event_add(input_event, NULL) < 0)
		return -ENOMEM;
	return http_client_new(w, &client);
}

static void on_turn(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
	fflush(stdout);
}

static void on_broken(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
	errx(1, "the loop is broken");
}

/* Calls that are still there have lost their client. */
static void on_stop(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
	http_client_free(client);
	for (size_t i = 0; i < MAX_CALLS; i++)
		http_cancel(calls[i].call);
	event_free(input_event);
	line_buffer_done(&input);
}

int main(void)
{
	const WorkerHooks hooks = {
		.on_start = on_start,
		.on_turn = on_turn,
		.on_broken = on_broken,
		.on_stop = on_stop,
	};
	_cleanup_buf_ Buf why = { 0 };

	if (http_load(&why) < 0)
		errx(1, "%.*s", (int)why.len, why.data);
	if (sem_init(&ended, 0, 0) < 0 || worker_new(0, &hooks, &worker) < 0 ||
		worker_start(worker) < 0)
		errx(1, "no worker");
	while (sem_wait(&ended) < 0)
		if (errno != EINTR)
			err(1, "sem_wait");
	worker_stop(worker);
	worker_free(worker);
	return 0;
}
