#include "daemon/control/hub.h"

#include <errno.h>
#include <event2/event.h>

#include "common/log.h"
#include "common/probe.h"
#include "daemon/control/trace.h"

/* How often a subscription that gets nothing is told how far the log is. */
#define LIVE_TICK_S 10

struct Hub {
	Control *control;
	ListNode by_batch; /* subscriptions that ask nothing of agents */
	ListNode by_agent; /* the others */
	struct event *tick;
	uint32_t n;
	uint64_t last_id;
	Trace trace;
};

static void on_tick(evutil_socket_t fd, short what, void *userdata);

int hub_new(Control *control, Hub **ret)
{
	Hub *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->control = control;
	list_init(&h->by_batch);
	list_init(&h->by_agent);
	trace_init(&h->trace);
	h->tick = evtimer_new(control->base, on_tick, h);
	if (!h->tick) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

void hub_free(Hub *h)
{
	if (!h)
		return;
	event_free(h->tick);
	free(h);
}

static int link_agent(Subscription *s, Agent *a)
{
	SubscriptionLink *link = malloc(sizeof(*link));

	if (!link)
		return -ENOMEM;
	link->subscription = s;
	list_append(&a->watchers, &link->of_agent);
	list_append(&s->links, &link->of_subscription);
	s->n_live++;
	return 0;
}

static void unlink_agent(SubscriptionLink *link)
{
	link->subscription->n_live--;
	list_remove(&link->of_agent);
	list_remove(&link->of_subscription);
	free(link);
}

int hub_add(Hub *h, Subscription *s)
{
	Registry *registry = orchestrator_registry(h->control->orchestrator);

	h->n++;
	s->id = ++h->last_id;
	if (!filter_asks_agent(s->filter)) {
		list_append(&h->by_batch, &s->node);
		return 0;
	}
	list_append(&h->by_agent, &s->node);
	list_foreach (node, &registry->by_seq) {
		Agent *a = container_of(node, Agent, by_seq);

		if (agent_is_live(a) && filter_wants_agent(s->filter, a) && link_agent(s, a) < 0)
			return -ENOMEM;
	}
	return 0;
}

void hub_remove(Hub *h, Subscription *s)
{
	if (list_empty(&s->node))
		return;
	list_remove(&s->node);
	h->n--;
	while (!list_empty(&s->links))
		unlink_agent(container_of(s->links.next, SubscriptionLink, of_subscription));
}

void hub_accepted(Hub *h, Agent *a)
{
	list_foreach_safe (node, &h->by_agent) {
		Subscription *s = container_of(node, Subscription, node);

		if (!filter_wants_agent(s->filter, a) || link_agent(s, a) == 0)
			continue;
		/* It would have a hole: its client is to come back and read it from the log. */
		log_error("out of memory: a subscription is closed");
		conn_close(s->conn);
	}
}

static void agent_ended(Agent *a)
{
	list_foreach_safe (node, &a->watchers) {
		SubscriptionLink *link = container_of(node, SubscriptionLink, of_agent);

		/* For `end`, whatever types it asked for. */
		conn_kick(link->subscription->conn);
		unlink_agent(link);
	}
}

static uint32_t wake_by_agents(const Batch *b)
{
	uint32_t types = 0;

	for (size_t i = 0; i < b->n; i++) {
		const BatchEntry *e = &b->entries[i];
		Agent *a = e->meta.owner;

		types |= 1U << e->meta.type;
		if (!a || list_empty(&a->watchers))
			continue;
		list_foreach (node, &a->watchers) {
			Subscription *s =
				container_of(node, SubscriptionLink, of_agent)->subscription;

			if (filter_wants_type(s->filter, e->meta.type))
				subscription_wake(s, b->first_seq + i);
		}
		if (e->meta.type == EVENT_TYPE_AGENT_COMPLETED ||
			e->meta.type == EVENT_TYPE_AGENT_ERROR)
			agent_ended(a);
	}
	return types;
}

static void expect_takers(
	ListNode *subscriptions, uint64_t seq, const BatchEntry *entry, TraceEvent *e)
{
	list_foreach (node, subscriptions) {
		Subscription *s = container_of(node, Subscription, node);

		if (s->cursor <= seq && subscription_wants(s, entry))
			trace_expect(e, &s->traced);
	}
}

static void trace_batch(Hub *h, const Batch *b)
{
	for (size_t i = 0; i < b->n_marks; i++) {
		uint64_t seq = b->marks[i].seq;
		const BatchEntry *entry = &b->entries[seq - b->first_seq];
		TraceEvent *e = trace_publish(&h->trace, b, i);

		if (!e)
			continue;
		expect_takers(&h->by_batch, seq, entry, e);
		expect_takers(&h->by_agent, seq, entry, e);
		trace_settle(e);
	}
}

void hub_batch(Hub *h, const Batch *b)
{
	const struct timeval tick = { .tv_sec = LIVE_TICK_S };
	uint32_t types = wake_by_agents(b);

	list_foreach (node, &h->by_batch) {
		Subscription *s = container_of(node, Subscription, node);

		if (s->filter->types == 0 || (s->filter->types & types) != 0)
			subscription_wake(s, b->first_seq);
		else if (s->until_idle)
			conn_kick(s->conn);
	}
	if (h->n > 0 && !evtimer_pending(h->tick, NULL) && evtimer_add(h->tick, &tick) < 0)
		log_warning("out of memory: idle subscriptions are not told how far the log is");
	trace_batch(h, b);
	PROBE2(published, b->first_seq, b->n);
}

static void tell(Hub *h, ListNode *list)
{
	uint64_t newest = eventlog_end_seq(h->control->log) - 1;

	list_foreach (node, list) {
		Subscription *s = container_of(node, Subscription, node);

		if (!s->active || !s->in_sync || s->told_seq >= newest)
			continue;
		s->owes_live = true;
		conn_kick(s->conn);
	}
}

static void on_tick(evutil_socket_t fd, short what, void *userdata)
{
	Hub *h = userdata;

	(void)fd;
	(void)what;
	tell(h, &h->by_batch);
	tell(h, &h->by_agent);
}

uint32_t hub_count(const Hub *h)
{
	return h->n;
}

/* Of two lists that are sorted by id, where either may have ended. */
static const Subscription *take_older(
	const Hub *h, const ListNode **by_batch, const ListNode **by_agent)
{
	const Subscription *a =
		*by_batch == &h->by_batch ? NULL : container_of(*by_batch, Subscription, node);
	const Subscription *b =
		*by_agent == &h->by_agent ? NULL : container_of(*by_agent, Subscription, node);

	if (a && (!b || a->id < b->id)) {
		*by_batch = a->node.next;
		return a;
	}
	if (b)
		*by_agent = b->node.next;
	return b;
}

size_t hub_list(const Hub *h, uint64_t after, const Subscription **ret, size_t limit)
{
	const ListNode *by_batch = h->by_batch.next, *by_agent = h->by_agent.next;
	const Subscription *s;
	size_t n = 0;

	while (n < limit && (s = take_older(h, &by_batch, &by_agent)))
		if (s->id > after)
			ret[n++] = s;
	return n;
}

static uint32_t list_behind(const ListNode *list, uint64_t end_seq, uint64_t *seq)
{
	uint32_t n = 0;

	list_foreach (node, list) {
		const Subscription *s = container_of(node, Subscription, node);

		if (s->in_sync || s->cursor >= end_seq)
			continue;
		n++;
		if (s->cursor < *seq)
			*seq = s->cursor;
	}
	return n;
}

uint32_t hub_behind(const Hub *h, uint64_t *ret_seq)
{
	uint64_t end_seq = eventlog_end_seq(h->control->log);

	*ret_seq = end_seq;
	return list_behind(&h->by_batch, end_seq, ret_seq) +
	       list_behind(&h->by_agent, end_seq, ret_seq);
}

bool hub_is_idle(const Hub *h, const Subscription *s)
{
	AgentCounts counts;

	if (filter_asks_agent(s->filter))
		return s->n_live == 0;
	counts = orchestrator_counts(h->control->orchestrator);
	return counts.queued + counts.running == 0;
}
