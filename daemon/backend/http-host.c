#include "daemon/backend/http-host.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"
#include "daemon/backend/http-failure.h"
#include "daemon/backend/http-setup.h"

struct HttpHosts {
	Worker *worker;
	CURLSH *share;
	HttpMulti *multi;
	ListNode all;
};

struct HttpHost {
	ListNode node;
	HttpHosts *hosts;
	unsigned n_calls;
	char *proxy;
	/* A lookup. */
	CURL *easy; /* NULL: none is under way */
	struct curl_slist *headers;
	ListNode waiting;
	Deferred stuck;
	char detail[CURL_ERROR_SIZE];
	char url[];
};

/* ---- The hosts ---- */

static void stop_lookup(HttpHost *host)
{
	if (!host->easy)
		return;
	http_multi_remove(host->hosts->multi, host->easy);
	curlapi()->easy_cleanup(TAKE_PTR(host->easy));
	curlapi()->slist_free_all(TAKE_PTR(host->headers));
	list_remove(&host->stuck.node);
}

static void free_host(HttpHost *host)
{
	stop_lookup(host);
	list_remove(&host->node);
	free(host->proxy);
	free(host);
}

static void free_if_unused(HttpHost *host)
{
	if (host->n_calls == 0 && !host->easy)
		free_host(host);
}

static HttpHost *find(const HttpHosts *h, const char *url, const char *proxy)
{
	list_foreach (node, &h->all) {
		HttpHost *host = container_of(node, HttpHost, node);

		if (strcmp(host->url, url) == 0 && str_equal(host->proxy, proxy))
			return host;
	}
	return NULL;
}

static void run_stuck(Deferred *d);

static HttpHost *add(HttpHosts *h, const char *url, const char *proxy)
{
	size_t len = strlen(url);
	HttpHost *host = calloc(1, sizeof(*host) + len + 1);

	if (!host)
		return NULL;
	list_init(&host->node);
	list_init(&host->waiting);
	list_init(&host->stuck.node);
	host->stuck.run = run_stuck;
	host->hosts = h;
	memcpy(host->url, url, len);
	if (proxy)
		host->proxy = strdup(proxy);
	if (proxy && !host->proxy) {
		free_host(host);
		return NULL;
	}
	list_append(&h->all, &host->node);
	return host;
}

int http_host_enter(HttpHosts *h, const char *url, const char *proxy, HttpHost **ret)
{
	HttpHost *host = find(h, url, proxy);

	if (!host)
		host = add(h, url, proxy);
	if (!host)
		return -ENOMEM;
	host->n_calls++;
	*ret = host;
	return 0;
}

void http_host_leave(HttpHost *host)
{
	host->n_calls--;
	free_if_unused(host);
}

/* ---- Lookups ---- */

/* Whoever is told may be the last that has entered: the host is not touched after that. */
static void end_lookup(HttpHost *host, CURLcode result)
{
	char why[CURL_ERROR_SIZE + 128] = "";
	/* It got as far as to its socket, and was given none. */
	HttpFailure failure = result == CURLE_COULDNT_CONNECT
				      ? HTTP_OK
				      : http_failure_of(result, host->detail, 0, why, sizeof(why));
	ListNode told;

	stop_lookup(host);
	list_init(&told);
	list_prepend_all(&told, &host->waiting);
	free_if_unused(host);
	while (!list_empty(&told)) {
		HttpNameWaiter *w = container_of(told.next, HttpNameWaiter, node);

		list_remove(&w->node);
		w->on_name(w, failure, why);
	}
}

static HttpHost *host_of(CURL *easy)
{
	char *host = NULL;

	(void)curlapi()->easy_getinfo(easy, CURLINFO_PRIVATE, &host);
	return (HttpHost *)(void *)host;
}

static void on_end(CURL *easy, CURLcode result)
{
	end_lookup(host_of(easy), result);
}

static void on_stuck(CURL *easy)
{
	HttpHost *host = host_of(easy);

	worker_defer(host->hosts->worker, &host->stuck);
}

static void run_stuck(Deferred *d)
{
	end_lookup(container_of(d, HttpHost, stuck), CURLE_OUT_OF_MEMORY);
}

static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *a)
{
	(void)userdata;
	(void)purpose;
	(void)a;
	return CURL_SOCKET_BAD;
}

static int begin_lookup(HttpHost *host)
{
	const CurlApi *curl = curlapi();
	const HttpRequest request = { .url = host->url, .proxy = host->proxy };
	CURL *easy = curl->easy_init();

	host->detail[0] = '\0';
	if (!easy || http_set_up(easy, &request, &host->headers) < 0) {
		curl->easy_cleanup(easy);
		return -ENOMEM;
	}
	(void)curl->easy_setopt(easy, CURLOPT_SHARE, host->hosts->share);
	(void)curl->easy_setopt(easy, CURLOPT_PRIVATE, host);
	(void)curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, host->detail);
	(void)curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	host->easy = easy;
	if (http_multi_add(host->hosts->multi, easy) == 0)
		return 0;
	stop_lookup(host);
	return -ENOMEM;
}

int http_host_look_up(HttpHost *host, HttpNameWaiter *w)
{
	int r = host->easy ? 0 : begin_lookup(host);

	if (r == 0)
		list_append(&host->waiting, &w->node);
	return r;
}

/* ---- All of them ---- */

int http_hosts_new(Worker *w, CURLSH *share, HttpHosts **ret)
{
	const HttpMultiHooks hooks = { .on_end = on_end, .on_stuck = on_stuck };
	HttpHosts *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->worker = w;
	h->share = share;
	list_init(&h->all);
	if (http_multi_new(w, &hooks, &h->multi) < 0) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void http_hosts_free(HttpHosts *h)
{
	if (!h)
		return;
	list_foreach_safe (node, &h->all)
		free_host(container_of(node, HttpHost, node));
	http_multi_free(h->multi);
	free(h);
}
