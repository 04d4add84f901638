#include "daemon/backend/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "daemon/backend/curl.h"
#include "daemon/backend/http-failure.h"
#include "daemon/backend/http-group.h"
#include "daemon/backend/http-host.h"
#include "daemon/backend/http-response.h"
#include "daemon/backend/http-setup.h"
#include "daemon/loop/worker.h"

/* Handles that are kept for the next call: each has 6 KiB, and takes as long to make as to use. */
#define MAX_SPARES 16U

/* A Unix socket whose queue is full refuses at once. Who was refused is tried again, so many of
 * them every so often. */
#define ROOM_MS    10U
#define ROOM_CALLS 16U

typedef enum HttpPhase {
	PHASE_CONNECT,
	PHASE_FIRST_CHUNK,
	PHASE_IDLE,
} HttpPhase;

struct HttpClient {
	Worker *worker;
	CURLSH *share; /* the TLS sessions, and what names were found to mean */
	HttpHosts *hosts;
	ListNode groups, calls;
	ListNode refused; /* HttpCall.refused_node */
	Timer room;
	CURL *spares[MAX_SPARES];
	unsigned n_spares;
};

struct HttpCall {
	ListNode node;      /* of HttpClient.calls */
	HttpClient *client; /* NULL: gone */
	ListNode refused_node;
	HttpGroup *group;
	HttpHost *host; /* NULL: a Unix socket */
	HttpNameWaiter name;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	size_t body_len;
	HttpResponse response;
	HttpCallbacks callbacks;
	HttpTimeouts timeouts;
	HttpPhase phase;
	Timer timer;
	uint64_t since_us; /* the time-out of this phase runs since then; while paused, how long it
			      had run */
	Deferred later;
	bool local;    /* on a Unix socket */
	bool begun;    /* `later` has given it to libcurl */
	bool added;    /* libcurl has it */
	bool named;    /* its host was looked up for it */
	bool nameless; /* libcurl has given it back, so that it is */
	bool headers_end;
	bool paused;
	bool resumed; /* `later` is to tell libcurl */
	bool starved; /* no memory: `later` is to end it */
	bool silent;  /* nothing is called any more */
	bool ended;   /* only the response is left */
	bool freed;   /* `later` is to free it */
	char detail[CURL_ERROR_SIZE];
};

int http_load(Buf *why)
{
	return curlapi_load(why);
}

static void on_room(Timer *t);
static void wait_for_room(HttpClient *c);

/* ---- The client ---- */

int http_client_new(Worker *w, HttpClient **ret)
{
	const CurlApi *curl = curlapi();
	HttpClient *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->worker = w;
	list_init(&c->groups);
	list_init(&c->calls);
	list_init(&c->refused);
	timer_init(&c->room, on_room);
	c->share = curl->share_init();
	if (!c->share || http_hosts_new(w, c->share, &c->hosts) < 0) {
		http_client_free(c);
		return -ENOMEM;
	}
	/* One thread: no locks. */
	(void)curl->share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	(void)curl->share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
	*ret = c;
	return 0;
}

static void end_call(HttpCall *call);

void http_client_free(HttpClient *c)
{
	if (!c)
		return;
	list_foreach_safe (node, &c->calls) {
		HttpCall *call = container_of(node, HttpCall, node);

		end_call(call);
		call->silent = true;
		list_remove(&call->node);
		list_remove(&call->later.node);
		call->client = NULL;
		if (call->freed)
			free(call);
	}
	list_foreach_safe (node, &c->groups)
		http_group_free(container_of(node, HttpGroup, node));
	http_hosts_free(c->hosts);
	timer_unset(worker_timers(c->worker), &c->room);
	while (c->n_spares > 0)
		curlapi()->easy_cleanup(c->spares[--c->n_spares]);
	if (c->share)
		(void)curlapi()->share_cleanup(c->share);
	free(c);
}

static CURL *take_easy(HttpClient *c)
{
	return c->n_spares > 0 ? c->spares[--c->n_spares] : curlapi()->easy_init();
}

static void give_easy(HttpClient *c, CURL *easy)
{
	if (!easy)
		return;
	if (c->n_spares < MAX_SPARES && http_clear(easy) == 0)
		c->spares[c->n_spares++] = easy;
	else
		curlapi()->easy_cleanup(easy);
}

/* ---- The end of a call ---- */

/* Takes it out of libcurl, which closes what is not complete; what remains is what was said in the
 * response. */
static void end_call(HttpCall *call)
{
	HttpClient *c = call->client;

	if (call->ended)
		return;
	call->ended = true;
	if (call->added)
		http_multi_remove(call->group->multi, call->easy);
	call->added = false;
	timer_unset(worker_timers(c->worker), &call->timer);
	list_remove(&call->refused_node);
	list_remove(&call->name.node);
	if (!call->freed)
		list_remove(&call->later.node);
	give_easy(c, TAKE_PTR(call->easy));
	curlapi()->slist_free_all(TAKE_PTR(call->headers));
	free(TAKE_PTR(call->body));
	if (call->group)
		http_group_leave(call->group);
	if (call->host)
		http_host_leave(call->host);
}

static void finish(HttpCall *call, HttpFailure failure, const char *why)
{
	end_call(call);
	if (call->silent)
		return;
	call->silent = true;
	call->callbacks.on_done(failure, why, call->callbacks.userdata);
}

static HttpCall *call_of(CURL *easy)
{
	char *call = NULL;

	(void)curlapi()->easy_getinfo(easy, CURLINFO_PRIVATE, &call);
	return (HttpCall *)(void *)call;
}

static void add_call(HttpCall *call)
{
	if (http_multi_add(call->group->multi, call->easy) == 0)
		call->added = true;
	else
		finish(call, HTTP_NO_MEMORY, "out of memory");
}

static void on_room(Timer *t)
{
	HttpClient *c = container_of(t, HttpClient, room);

	for (unsigned i = 0; i < ROOM_CALLS && !list_empty(&c->refused); i++) {
		HttpCall *call = container_of(c->refused.next, HttpCall, refused_node);

		list_remove(&call->refused_node);
		add_call(call);
	}
	wait_for_room(c);
}

static void wait_for_room(HttpClient *c)
{
	Timers *timers = worker_timers(c->worker);

	timer_unset(timers, &c->room);
	if (list_empty(&c->refused))
		return;
	if (timer_set(timers, &c->room, clock_monotonic_us() + ROOM_MS * USEC_PER_MSEC, ROOM_MS) ==
		0)
		return;
	while (!list_empty(&c->refused))
		finish(container_of(c->refused.next, HttpCall, refused_node), HTTP_NO_MEMORY,
			"out of memory");
}

static void on_name(HttpNameWaiter *w, HttpFailure failure, const char *why)
{
	HttpCall *call = container_of(w, HttpCall, name);

	call->named = true;
	if (failure == HTTP_OK)
		add_call(call);
	else
		finish(call, failure, why);
}

static void wait_for_name(HttpCall *call)
{
	call->nameless = false;
	if (http_host_look_up(call->host, &call->name) < 0)
		finish(call, HTTP_NO_MEMORY, "out of memory");
}

static void on_end(CURL *easy, CURLcode result)
{
	HttpCall *call = call_of(easy);
	char why[CURL_ERROR_SIZE + 128];
	HttpFailure failure;
	long os_error = 0;

	call->added = false;
	if (call->nameless && !call->silent) {
		wait_for_name(call);
		return;
	}
	(void)curlapi()->easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
	/* libcurl takes EAGAIN for "soon", and then finds no connection, but no error either. */
	if (result == CURLE_COULDNT_CONNECT && call->local && os_error == 0 && !call->silent) {
		list_append(&call->client->refused, &call->refused_node);
		if (call->client->refused.next == &call->refused_node)
			wait_for_room(call->client);
		return;
	}
	failure = http_failure_of(result, call->detail, (int)os_error, why, sizeof(why));
	/* To libcurl a header that breaks off is a response without a body. */
	if (failure == HTTP_OK && !call->headers_end)
		finish(call, HTTP_RESET, "the response's header was cut off");
	else
		finish(call, failure, why);
}

void http_cancel(HttpCall *call)
{
	if (!call)
		return;
	call->silent = true;
	if (call->added && http_multi_is_busy(call->group->multi)) {
		call->freed = true;
		worker_defer(call->client->worker, &call->later);
		return;
	}
	end_call(call);
	list_remove(&call->later.node);
	list_remove(&call->node);
	free(call);
}

/* ---- Time-outs ---- */

static const struct {
	HttpFailure failure;
	const char *sentence;
} time_outs[] = {
	[PHASE_CONNECT] = { HTTP_TIMEOUT_CONNECT, "no connection was made within" },
	[PHASE_FIRST_CHUNK] = { HTTP_TIMEOUT_FIRST_CHUNK, "no content came within" },
	[PHASE_IDLE] = { HTTP_TIMEOUT_IDLE, "nothing has come any more for" },
};

static uint32_t phase_ms(const HttpCall *call)
{
	const uint32_t ms[] = {
		[PHASE_CONNECT] = call->timeouts.connect_ms,
		[PHASE_FIRST_CHUNK] = call->timeouts.first_chunk_ms,
		[PHASE_IDLE] = call->timeouts.idle_ms,
	};

	return ms[call->phase];
}

/* -ENOMEM. */
static int arm(HttpCall *call)
{
	Timers *timers = worker_timers(call->client->worker);
	uint32_t ms = phase_ms(call);

	timer_unset(timers, &call->timer);
	if (ms == 0 || call->paused || call->ended)
		return 0;
	return timer_set(timers, &call->timer, call->since_us + ms * USEC_PER_MSEC, ms);
}

static void arm_or_starve(HttpCall *call)
{
	if (arm(call) == 0)
		return;
	call->starved = true;
	worker_defer(call->client->worker, &call->later);
}

/* Its timer, where it is set, sees that it is to run on. */
static void restart_phase(HttpCall *call)
{
	call->since_us = call->paused ? 0 : worker_now_us(call->client->worker);
}

static void enter_phase(HttpCall *call, HttpPhase phase)
{
	call->phase = phase;
	restart_phase(call);
	arm_or_starve(call);
}

static void on_timer(Timer *t)
{
	HttpCall *call = container_of(t, HttpCall, timer);
	uint32_t ms = phase_ms(call);
	char why[64];

	/* What came meanwhile has not touched the timer. */
	if (call->since_us + ms * USEC_PER_MSEC > clock_monotonic_us()) {
		arm_or_starve(call);
		return;
	}
	snprintf(why, sizeof(why), "%s %u ms", time_outs[call->phase].sentence, ms);
	finish(call, time_outs[call->phase].failure, why);
}

/* ---- What libcurl calls ---- */

static void on_stuck(CURL *easy)
{
	HttpCall *call = call_of(easy);

	call->starved = true;
	worker_defer(call->client->worker, &call->later);
}

/* CURLOPT_RESOLVER_START_FUNCTION: there is no connection to be used again, and the name is not in
 * the cache. Not for the second time: libcurl may want more names than one, of some proxies. */
static int on_lookup(void *resolver, void *reserved, void *userdata)
{
	HttpCall *call = userdata;

	(void)resolver;
	(void)reserved;
	call->nameless = call->host && !call->named;
	return call->nameless;
}

/* CURLOPT_PREREQFUNCTION, whose type is libcurl's: it is connected, TLS and all. */
static int on_connected(
	void *userdata, char *remote_ip, char *local_ip, int remote_port, int local_port) // NOLINT
{
	HttpCall *call = userdata;

	(void)remote_ip;
	(void)local_ip;
	(void)remote_port;
	(void)local_port;
	enter_phase(call, PHASE_FIRST_CHUNK);
	return CURL_PREREQFUNC_OK;
}

/* It may be long, and a long stream should not hold it. */
static void drop_sent_body(HttpCall *call)
{
	curl_off_t sent = 0;

	(void)curlapi()->easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	if ((size_t)sent < call->body_len)
		return;
	(void)curlapi()->easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
	(void)curlapi()->easy_setopt(call->easy, CURLOPT_POSTFIELDS, "");
	free(TAKE_PTR(call->body));
}

static size_t on_header(char *line, size_t size, size_t n, void *userdata)
{
	HttpCall *call = userdata;
	size_t len = size * n;

	if (call->headers_end) /* a trailer */
		return len;
	http_response_line(&call->response, line, len, clock_realtime_us() / USEC_PER_SEC);
	if ((len == 2 || len == 1) && call->response.status >= 200) {
		call->headers_end = true;
		drop_sent_body(call);
		if (call->callbacks.on_head && !call->silent)
			call->callbacks.on_head(call->callbacks.userdata);
	}
	return len;
}

static size_t on_write(char *bytes, size_t size, size_t n, void *userdata)
{
	HttpCall *call = userdata;
	size_t len = size * n;

	if (call->silent)
		return 0;
	if (call->paused)
		return CURL_WRITEFUNC_PAUSE;
	if (call->callbacks.on_body(bytes, len, call->callbacks.userdata) < 0) {
		call->silent = true;
		return 0;
	}
	return len;
}

/* ---- The start of a call ---- */

static void set_callbacks(HttpCall *call)
{
	const CurlApi *curl = curlapi();
	CURL *easy = call->easy;

	(void)curl->easy_setopt(easy, CURLOPT_PRIVATE, call);
	(void)curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, call->detail);
	(void)curl->easy_setopt(easy, CURLOPT_SHARE, call->client->share);
	(void)curl->easy_setopt(easy, CURLOPT_RESOLVER_START_FUNCTION, on_lookup);
	(void)curl->easy_setopt(easy, CURLOPT_RESOLVER_START_DATA, call);
	(void)curl->easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
	(void)curl->easy_setopt(easy, CURLOPT_PREREQDATA, call);
	(void)curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl->easy_setopt(easy, CURLOPT_HEADERDATA, call);
	(void)curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	(void)curl->easy_setopt(easy, CURLOPT_WRITEDATA, call);
}

static int set_up(HttpCall *call, const HttpRequest *request)
{
	const CurlApi *curl = curlapi();
	int r;

	call->easy = take_easy(call->client);
	call->body = malloc(request->body_len + 1);
	if (!call->easy || !call->body)
		return -ENOMEM;
	if (request->body_len > 0)
		memcpy(call->body, request->body, request->body_len);
	call->body_len = request->body_len;
	r = http_set_up(call->easy, request, &call->headers);
	if (r < 0)
		return r;
	set_callbacks(call);
	(void)curl->easy_setopt(call->easy, CURLOPT_POSTFIELDS, call->body);
	(void)curl->easy_setopt(
		call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
	return 0;
}

/* What could not be done where it was asked for: within libcurl, or within the function that the
 * caller called. */
static void run_later(Deferred *d)
{
	HttpCall *call = container_of(d, HttpCall, later);

	if (call->freed) {
		http_cancel(call);
		return;
	}
	if (call->starved) {
		finish(call, HTTP_NO_MEMORY, "out of memory");
		return;
	}
	if (!call->begun) {
		call->begun = true;
		add_call(call);
		return;
	}
	if (!call->resumed || call->paused || call->phase == PHASE_CONNECT)
		return;
	call->resumed = false;
	http_multi_resume(call->group->multi, call->easy);
	/* on_body() has ended it; libcurl tells nobody. */
	if (call->silent)
		end_call(call);
}

int http_start(
	HttpClient *c, const HttpRequest *request, const HttpCallbacks *callbacks, HttpCall **ret)
{
	const HttpMultiHooks hooks = { .on_end = on_end, .on_stuck = on_stuck };
	HttpCall *call = calloc(1, sizeof(*call));
	int r;

	if (!call)
		return -ENOMEM;
	list_init(&call->node);
	list_init(&call->later.node);
	list_init(&call->refused_node);
	list_init(&call->name.node);
	call->name.on_name = on_name;
	call->later.run = run_later;
	timer_init(&call->timer, on_timer);
	http_response_init(&call->response);
	call->client = c;
	call->callbacks = *callbacks;
	call->timeouts = request->timeouts;
	call->local = request->unix_socket != NULL;
	call->since_us = worker_now_us(c->worker);
	r = http_group_get(&c->groups, c->worker, request->ca_file, &hooks, &call->group);
	if (r == 0) {
		http_group_enter(call->group);
		if (!call->local)
			r = http_host_enter(c->hosts, request->url, request->proxy, &call->host);
	}
	if (r == 0)
		r = set_up(call, request);
	if (r == 0)
		r = arm(call);
	if (r < 0) {
		http_cancel(call);
		return r;
	}
	list_append(&c->calls, &call->node);
	worker_defer(c->worker, &call->later);
	*ret = call;
	return 0;
}

/* ---- While it runs ---- */

const HttpResponse *http_response(const HttpCall *call)
{
	return &call->response;
}

void http_pause(HttpCall *call)
{
	if (call->paused || call->ended)
		return;
	call->paused = true;
	call->since_us = worker_now_us(call->client->worker) - call->since_us;
	timer_unset(worker_timers(call->client->worker), &call->timer);
	/* Before it is connected nothing is read; then on_write() says so. */
	if (call->phase != PHASE_CONNECT)
		http_multi_pause(call->group->multi, call->easy);
}

void http_resume(HttpCall *call)
{
	if (!call->paused || call->ended)
		return;
	call->paused = false;
	call->since_us = worker_now_us(call->client->worker) - call->since_us;
	call->resumed = true;
	worker_defer(call->client->worker, &call->later);
	arm_or_starve(call);
}

void http_progress(HttpCall *call)
{
	if (call->ended)
		return;
	if (call->phase != PHASE_IDLE)
		enter_phase(call, PHASE_IDLE);
	else
		restart_phase(call);
}
