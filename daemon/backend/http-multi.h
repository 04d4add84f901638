/* A multi handle of libcurl on a worker's event loop: one event a socket, one timer.
 *
 * Knows nothing of requests: easy handles go in, and come back with their result. Those with one CA
 * file share one of these, for it keeps what was read from it: reading the system's takes 20 ms.
 *
 * Owns its sockets, kept connections too; the easy handles are its user's. Thread: the worker's. */
#pragma once

#include <stdbool.h>

#include "daemon/backend/curl.h"
#include "daemon/loop/worker.h"

typedef struct HttpMulti HttpMulti;

typedef struct HttpMultiHooks {
	/* It has ended, and is not in there any more. Not from within libcurl: everything may be
	 * called. */
	void (*on_end)(CURL *easy, CURLcode result);
	/* Within libcurl. No socket of it can be watched, for want of memory: it waits to be
	 * removed. */
	void (*on_stuck)(CURL *easy);
} HttpMultiHooks;

/* -ENOMEM. */
int http_multi_new(Worker *w, const HttpMultiHooks *hooks, HttpMulti **ret) _must_check_;
/* It must be empty. Closes all connections. Bears NULL. */
void http_multi_free(HttpMulti *m);

/* Not while it is busy. -ENOMEM. */
int http_multi_add(HttpMulti *m, CURL *easy) _must_check_;
/* Not while it is busy. Closes the connection, if there is a response that is not complete. */
void http_multi_remove(HttpMulti *m, CURL *easy);
/* Takes no more bytes of its body; may be called while it is busy. */
void http_multi_pause(HttpMulti *m, CURL *easy);
/* Not while it is busy. Its body's callback may be called. */
void http_multi_resume(HttpMulti *m, CURL *easy);
/* Within libcurl, which then cannot be called but to pause. */
bool http_multi_is_busy(const HttpMulti *m);
