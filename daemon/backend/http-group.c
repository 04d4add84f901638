#include "daemon/backend/http-group.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

/* After so long without a call everything is given back: libcurl would not use a connection that
 * has waited for longer. */
#define QUIET_MS 120000U

void http_group_free(HttpGroup *g)
{
	if (!g)
		return;
	list_remove(&g->node);
	timer_unset(worker_timers(g->worker), &g->quiet);
	http_multi_free(g->multi);
	free(g->ca_file);
	free(g);
}

static void on_quiet(Timer *t)
{
	http_group_free(container_of(t, HttpGroup, quiet));
}

int http_group_get(ListNode *groups, Worker *w, const char *ca_file, const HttpMultiHooks *hooks,
	HttpGroup **ret)
{
	HttpGroup *g;

	list_foreach (node, groups) {
		g = container_of(node, HttpGroup, node);
		if (str_equal(g->ca_file, ca_file)) {
			*ret = g;
			return 0;
		}
	}
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	list_init(&g->node);
	timer_init(&g->quiet, on_quiet);
	g->worker = w;
	if (ca_file)
		g->ca_file = strdup(ca_file);
	if ((ca_file && !g->ca_file) || http_multi_new(w, hooks, &g->multi) < 0) {
		http_group_free(g);
		return -ENOMEM;
	}
	list_append(groups, &g->node);
	*ret = g;
	return 0;
}

void http_group_enter(HttpGroup *g)
{
	timer_unset(worker_timers(g->worker), &g->quiet);
	g->n_calls++;
}

void http_group_leave(HttpGroup *g)
{
	Worker *w = g->worker;
	uint64_t due_us = worker_now_us(w) + QUIET_MS * USEC_PER_MSEC;

	if (--g->n_calls > 0)
		return;
	if (timer_set(worker_timers(w), &g->quiet, due_us, QUIET_MS) < 0)
		log_debug("idle connections to providers are kept: out of memory");
}
