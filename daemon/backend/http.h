/* HTTP requests on a worker's event loop: a thousand streams cost a thousand sockets and no thread,
 * but one for each name that is being looked up.
 *
 * A client is one worker's: its connections, kept alive and used again, its certificates, a few
 * spare handles. A call is one request and its response, with three time-outs: until the connection
 * is made, until the caller has seen content (http_progress()), and then from one such call to the
 * next. None runs while it is paused. Redirects are not followed, proxies are used where they were
 * asked for, and what is said of a failure never holds a header's value.
 *
 * HTTP/1.1 only, a connection a stream. HTTP/2 of libcurl 7.88 loses streams: a body above its
 * buffer, and an answer that comes before all of the request has gone, are not given out; a stream
 * that is cancelled is not reset, so that the server writes on; and one that is paused stops all
 * others of its connection.
 *
 * Does not know what a body means. Thread: http_load() main; the rest the worker's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

typedef struct Worker Worker;
typedef struct HttpClient HttpClient;
typedef struct HttpCall HttpCall;

/* 0: none (libcurl itself gives up connecting after 300 s). */
typedef struct HttpTimeouts {
	uint32_t connect_ms, first_chunk_ms, idle_ms;
} HttpTimeouts;

/* A POST. Lent for http_start(). */
typedef struct HttpRequest {
	const char *url;            /* http:// or https:// */
	const char *unix_socket;    /* NULL: none */
	const char *const *headers; /* NULL-terminated "Name: value"; Content-Type too */
	const char *body;
	size_t body_len;
	const char *ca_file; /* NULL: the system's */
	const char *proxy;   /* NULL: none, whatever the environment says */
	HttpTimeouts timeouts;
} HttpRequest;

typedef enum HttpFailure {
	HTTP_OK,
	HTTP_CONNECT, /* refused, unreachable */
	HTTP_RESOLVE,
	HTTP_TLS,
	HTTP_RESET, /* cut, reset, short body */
	HTTP_TIMEOUT_CONNECT,
	HTTP_TIMEOUT_FIRST_CHUNK,
	HTTP_TIMEOUT_IDLE,
	HTTP_PROTOCOL,
	HTTP_NO_MEMORY,
	_HTTP_FAILURE_MAX,
} HttpFailure;

/* Known once the headers are in; before, `status` is 0. */
typedef struct HttpResponse {
	long status;
	char content_type[64];
	char request_id[128];   /* x-request-id, request-id */
	int64_t retry_after_ms; /* -1: not said. retry-after-ms, Retry-After in seconds or as an
				   HTTP date */
} HttpResponse;

/* None is ever called from within a function of this module. */
typedef struct HttpCallbacks {
	/* The headers are in. NULL: it does not matter. */
	void (*on_head)(void *userdata);
	/* < 0 ends the call: nothing is called any more. */
	int (*on_body)(const char *bytes, size_t len, void *userdata);
	/* HTTP_OK: the response is complete, whatever its status. `why` is one sentence, lent. */
	void (*on_done)(HttpFailure failure, const char *why, void *userdata);
	void *userdata;
} HttpCallbacks;

/* libcurl, once. -ENOENT and a sentence. */
int http_load(Buf *why) _must_check_;

/* -ENOMEM. */
int http_client_new(Worker *w, HttpClient **ret) _must_check_;
/* Calls that are still there are closed; they remain to be freed. Not from a callback. Bears NULL.
 */
void http_client_free(HttpClient *c);

/* -ENOMEM. What fails later is told by on_done. */
int http_start(HttpClient *c, const HttpRequest *request, const HttpCallbacks *callbacks,
	HttpCall **ret) _must_check_;
const HttpResponse *http_response(const HttpCall *call);
/* The body is not read, and no time-out runs, until http_resume(). */
void http_pause(HttpCall *call);
void http_resume(HttpCall *call);
/* The caller has seen content: from now on the idle time-out runs, and each further call starts it
 * anew. */
void http_progress(HttpCall *call);
/* Closes the connection if the response is not complete, and frees. Also after on_done, and in
 * callbacks. Bears NULL. */
void http_cancel(HttpCall *call);
