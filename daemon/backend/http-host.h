/* The hosts that calls of a client go to, whose names are looked up once for all who want them at
 * that time: libcurl has a thread for each lookup, and two hundred calls that begin together had
 * two hundred.
 *
 * A lookup is a transfer of its own that ends where it would connect; what it has found is then in
 * the DNS cache, which all handles of the client share. It goes on when nobody waits for it any
 * more, so that who comes next begins no second one.
 *
 * Owns the lookups. Knows nothing of calls but how many there are and who waits. Thread: the
 * worker's. */
#pragma once

#include "daemon/backend/http-multi.h"
#include "daemon/backend/http.h"

typedef struct HttpHosts HttpHosts;
typedef struct HttpHost HttpHost;

/* Who waits for a name; embedded. list_remove(&w->node) takes it back. */
typedef struct HttpNameWaiter {
	ListNode node;
	/* Called once. HTTP_OK: it is in the cache; else `why` is one sentence, lent. */
	void (*on_name)(struct HttpNameWaiter *w, HttpFailure failure, const char *why);
} HttpNameWaiter;

/* `share` is lent, and has the DNS cache. -ENOMEM. */
int http_hosts_new(Worker *w, CURLSH *share, HttpHosts **ret) _must_check_;
/* Nobody has entered any more. Bears NULL. */
void http_hosts_free(HttpHosts *h);

/* A call begins: the host that `url` leads to, by way of `proxy` (NULL: none). -ENOMEM. */
int http_host_enter(HttpHosts *h, const char *url, const char *proxy, HttpHost **ret) _must_check_;
/* And has ended. */
void http_host_leave(HttpHost *host);
/* Never calls from within. -ENOMEM. */
int http_host_look_up(HttpHost *host, HttpNameWaiter *w) _must_check_;
