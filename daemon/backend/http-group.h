/* The calls of a worker that have one file of CA certificates in common: they share a multi handle
 * of libcurl, with its connections and what it has read of that file. All goes back when there has
 * been no call for two minutes.
 *
 * Knows nothing of calls but how many there are. Thread: the worker's. */
#pragma once

#include "daemon/backend/http-multi.h"

typedef struct HttpGroup {
	ListNode node;
	Worker *worker;
	char *ca_file; /* NULL: the system's */
	HttpMulti *multi;
	unsigned n_calls;
	Timer quiet;
} HttpGroup;

/* The one in `groups`, or a new one in there. -ENOMEM. */
int http_group_get(ListNode *groups, Worker *w, const char *ca_file, const HttpMultiHooks *hooks,
	HttpGroup **ret) _must_check_;
/* Takes it out of its list. Bears NULL. */
void http_group_free(HttpGroup *g);

/* A call begins, or has ended. */
void http_group_enter(HttpGroup *g);
void http_group_leave(HttpGroup *g);
