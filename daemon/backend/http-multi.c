#include "daemon/backend/http-multi.h"

#include <errno.h>

#include "common/clock.h"

/* Connections that are kept, those in use included: for a thousand streams that come again. */
#define MAX_CONNECTIONS 1024L

struct HttpMulti {
	Worker *worker;
	HttpMultiHooks hooks;
	CURLM *multi;
	Timer timer;
	Deferred timer_later; /* where there was no memory for the timer */
	bool busy;
};

/* Where the result matters nobody can be told: libcurl goes on with what it has. */
static void act(HttpMulti *m, curl_socket_t fd, int what)
{
	int running;

	m->busy = true;
	(void)curlapi()->multi_socket_action(m->multi, fd, what, &running);
	m->busy = false;
}

static void collect(HttpMulti *m)
{
	CURLMsg *message;
	int left;

	/* on_end() may remove others, and with them their messages. */
	while ((message = curlapi()->multi_info_read(m->multi, &left))) {
		CURL *easy = message->easy_handle;
		CURLcode result = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		http_multi_remove(m, easy);
		m->hooks.on_end(easy, result);
	}
}

static void on_ready(evutil_socket_t fd, short what, void *userdata)
{
	HttpMulti *m = userdata;

	act(m, fd,
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
	collect(m);
}

/* libcurl's CURLMOPT_SOCKETFUNCTION. It must not fail: libcurl would never work again. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socketp)
{
	HttpMulti *m = userdata;
	struct event *event = socketp;
	short flags = EV_PERSIST;

	if (event)
		event_free(event);
	flags |= what & CURL_POLL_IN ? EV_READ : 0;
	flags |= what & CURL_POLL_OUT ? EV_WRITE : 0;
	event = NULL;
	if (what != CURL_POLL_REMOVE && flags != EV_PERSIST) {
		event = event_new(worker_base(m->worker), fd, flags, on_ready, m);
		if (!event || event_add(event, NULL) < 0) {
			if (event)
				event_free(event);
			event = NULL;
			m->hooks.on_stuck(easy);
		}
	}
	if (what != CURL_POLL_REMOVE)
		(void)curlapi()->multi_assign(m->multi, fd, event);
	return 0;
}

static void on_time(HttpMulti *m)
{
	act(m, CURL_SOCKET_TIMEOUT, 0);
	collect(m);
}

static void on_timer(Timer *t)
{
	on_time(container_of(t, HttpMulti, timer));
}

static void on_timer_later(Deferred *d)
{
	on_time(container_of(d, HttpMulti, timer_later));
}

/* libcurl's CURLMOPT_TIMERFUNCTION. */
static int on_timeout(CURLM *multi, long timeout_ms, void *userdata)
{
	HttpMulti *m = userdata;
	uint64_t due_us;

	(void)multi;
	timer_unset(worker_timers(m->worker), &m->timer);
	list_remove(&m->timer_later.node);
	if (timeout_ms < 0)
		return 0;
	due_us = clock_monotonic_us() + (uint64_t)timeout_ms * USEC_PER_MSEC;
	/* No two of its delays are alike: 0 puts them all into one queue. */
	if (timer_set(worker_timers(m->worker), &m->timer, due_us, 0) < 0)
		worker_defer(m->worker, &m->timer_later);
	return 0;
}

int http_multi_new(Worker *w, const HttpMultiHooks *hooks, HttpMulti **ret)
{
	const CurlApi *curl = curlapi();
	HttpMulti *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->worker = w;
	m->hooks = *hooks;
	timer_init(&m->timer, on_timer);
	list_init(&m->timer_later.node);
	m->timer_later.run = on_timer_later;
	m->multi = curl->multi_init();
	if (!m->multi) {
		free(m);
		return -ENOMEM;
	}
	(void)curl->multi_setopt(m->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl->multi_setopt(m->multi, CURLMOPT_SOCKETDATA, m);
	(void)curl->multi_setopt(m->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	(void)curl->multi_setopt(m->multi, CURLMOPT_TIMERDATA, m);
	(void)curl->multi_setopt(m->multi, CURLMOPT_MAXCONNECTS, MAX_CONNECTIONS);
	*ret = m;
	return 0;
}

void http_multi_free(HttpMulti *m)
{
	if (!m)
		return;
	(void)curlapi()->multi_cleanup(m->multi);
	timer_unset(worker_timers(m->worker), &m->timer);
	list_remove(&m->timer_later.node);
	free(m);
}

int http_multi_add(HttpMulti *m, CURL *easy)
{
	if (curlapi()->multi_add_handle(m->multi, easy) != CURLM_OK)
		return -ENOMEM;
	return 0;
}

void http_multi_remove(HttpMulti *m, CURL *easy)
{
	(void)curlapi()->multi_remove_handle(m->multi, easy);
}

void http_multi_pause(HttpMulti *m, CURL *easy)
{
	(void)m;
	(void)curlapi()->easy_pause(easy, CURLPAUSE_RECV);
}

void http_multi_resume(HttpMulti *m, CURL *easy)
{
	m->busy = true;
	(void)curlapi()->easy_pause(easy, CURLPAUSE_CONT);
	m->busy = false;
}

bool http_multi_is_busy(const HttpMulti *m)
{
	return m->busy;
}
