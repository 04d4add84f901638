/* subscriber.list: who reads along, and how far they have come.
 *
 * Of a filter's agents and labels it tells how many they are: an entry has a bound, and with it
 * what a page costs main. Of the client it tells what the socket says, and nothing that would have
 * to be looked up. */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "daemon/control/hub.h"

static void write_types(JsonWriter *w, uint32_t types)
{
	if (types == 0)
		return;
	jw_key(w, "types");
	jw_array_begin(w);
	for (EventType type = EVENT_TYPE_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		if (types & (1U << type))
			jw_cstring(w, protocol_event_name(type));
	jw_array_end(w);
}

static void write_filter(JsonWriter *w, const Filter *f)
{
	if (f->by_agents)
		jw_key_uint(w, "agents", f->n_agents);
	if (f->n_labels > 0)
		jw_key_uint(w, "labels", f->n_labels);
	write_types(w, f->types);
	if (f->correlation_id)
		jw_key_cstring(w, "correlation_id", f->correlation_id);
}

static void write_position(JsonWriter *w, const Subscription *s)
{
	const EventLog *log = s->control->log;
	uint64_t next_seq = subscription_seq(s) + 1, end_seq = eventlog_end_seq(log);

	jw_key_uint(w, "next_seq", next_seq);
	jw_key_uint(w, "lag_events", next_seq < end_seq ? end_seq - next_seq : 0);
	jw_key_uint(w, "lag_bytes", next_seq < end_seq ? log_bytes_from(log, next_seq) : 0);
}

static void write_subscriber(JsonWriter *w, const Subscription *s)
{
	const Peer *peer = conn_peer(s->conn);
	char since[CLOCK_RFC3339_LEN + 1];

	clock_format_rfc3339(s->since_us, since);
	jw_object_begin(w);
	jw_key_uint(w, "id", s->id);
	if (peer->pid > 0)
		jw_key_int(w, "pid", peer->pid);
	jw_key_uint(w, "uid", peer->uid);
	jw_key_string(w, "since", since, CLOCK_RFC3339_LEN);
	write_filter(w, s->filter);
	if (s->until_idle)
		jw_key_cstring(w, "until", "idle");
	write_position(w, s);
	jw_object_end(w);
}

static int write_result(const Control *c, json_object *params, Buf *result)
{
	size_t limit = (size_t)jsonx_get_uint(params, "limit", 0), n;
	_cleanup_free_ const Subscription **found = malloc((limit + 1) * sizeof(Subscription *));
	JsonWriter w;

	if (!found)
		return -ENOMEM;
	n = hub_list(c->hub, jsonx_get_uint(params, "after", 0), found, limit + 1);
	jw_init(&w, result);
	jw_object_begin(&w);
	jw_key_uint(&w, "newest_seq", eventlog_end_seq(c->log) - 1);
	jw_key(&w, "subscribers");
	jw_array_begin(&w);
	for (size_t i = 0; i < n && i < limit; i++)
		write_subscriber(&w, found[i]);
	jw_array_end(&w);
	if (n > limit && limit > 0)
		jw_key_uint(&w, "next", found[limit - 1]->id);
	jw_object_end(&w);
	return jw_finish(&w);
}

void method_subscriber_list(Request *req, json_object *params, void *userdata)
{
	_cleanup_buf_ Buf result = { 0 };

	control_reply(req, &result, write_result(userdata, params, &result));
}
