/* daemon.metrics: each metric is an entry of the table below, and docs/metrics.md says what it
 * means.
 *
 * What is counted is counted where it arises; this only reads it, in one go on main, so the numbers
 * belong together. It costs as much as there are groups, providers, subscriptions and segments, not
 * agents. */
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "daemon/control/control.h"
#include "daemon/control/hub.h"
#include "daemon/control/metrics-writer.h"

/* Either one number, or whatever it writes. */
typedef struct Metric {
	MetricFamily family;
	uint64_t (*value)(const Control *c);
	void (*write)(MetricsWriter *w, const Control *c);
} Metric;

/* One sample with one label. */
static void put(MetricsWriter *w, const char *label, const char *name, uint64_t value)
{
	metrics_writer_value(w, &(MetricLabel){ label, name }, 1, value);
}

/* ---- The daemon ---- */

static void write_build_info(MetricsWriter *w, const Control *c)
{
	(void)c;
	put(w, "version", LIONGATE_VERSION, 1);
}

static uint64_t start_time(const Control *c)
{
	return c->started_at_us;
}

static uint64_t workers(const Control *c)
{
	return orchestrator_workers(c->orchestrator);
}

/* ---- Agents ---- */

static void each_tally(MetricsWriter *w, const Control *c,
	void (*write)(MetricsWriter *w, const Tally *t, const MetricLabel labels[2]))
{
	list_foreach (node, &orchestrator_tallies(c->orchestrator)->groups) {
		const TallyGroup *g = container_of(node, TallyGroup, node);

		for (size_t i = 0; i < ARRAY_SIZE(g->tallies) && g->tallies[i].backend; i++) {
			const Tally *t = &g->tallies[i];
			const MetricLabel labels[] = {
				{ "backend", t->backend->name },
				{ "group", g->name },
			};

			write(w, t, labels);
		}
	}
}

static void put_states(MetricsWriter *w, const Tally *t, const MetricLabel labels[2], bool is_final)
{
	for (AgentState state = 0; state < _AGENT_STATE_MAX; state++) {
		const MetricLabel all[] = {
			{ "state", agent_state_to_string(state) },
			labels[0],
			labels[1],
		};

		if (agent_state_is_final(state) == is_final)
			metrics_writer_value(w, all, ARRAY_SIZE(all), t->by_state[state]);
	}
}

static void put_live(MetricsWriter *w, const Tally *t, const MetricLabel labels[2])
{
	put_states(w, t, labels, false);
}

static void write_agents(MetricsWriter *w, const Control *c)
{
	each_tally(w, c, put_live);
}

static void put_spawned(MetricsWriter *w, const Tally *t, const MetricLabel labels[2])
{
	metrics_writer_value(w, labels, 2, t->spawned);
}

static void write_spawned(MetricsWriter *w, const Control *c)
{
	each_tally(w, c, put_spawned);
}

static void put_ended(MetricsWriter *w, const Tally *t, const MetricLabel labels[2])
{
	put_states(w, t, labels, true);
}

static void write_ended(MetricsWriter *w, const Control *c)
{
	each_tally(w, c, put_ended);
}

static void put_codes(MetricsWriter *w, const uint64_t counts[_AGENT_ERROR_MAX])
{
	for (AgentErrorCode code = AGENT_ERROR_NONE + 1; code < _AGENT_ERROR_MAX; code++)
		put(w, "code", agent_error_to_string(code), counts[code]);
}

static void write_errors(MetricsWriter *w, const Control *c)
{
	put_codes(w, orchestrator_totals(c->orchestrator)->errors);
}

static void write_retries(MetricsWriter *w, const Control *c)
{
	put_codes(w, orchestrator_totals(c->orchestrator)->retries);
}

static uint64_t queue_depth(const Control *c)
{
	return orchestrator_queue_depth(c->orchestrator);
}

static void write_limits(MetricsWriter *w, const Control *c)
{
	put(w, "state", agent_state_to_string(AGENT_STATE_QUEUED), c->config->max_queued);
	put(w, "state", agent_state_to_string(AGENT_STATE_RUNNING), c->config->max_running);
}

/* ---- The log ---- */

static void write_events(MetricsWriter *w, const Control *c)
{
	const uint64_t *events = orchestrator_totals(c->orchestrator)->events;
	/* What most of them are is not counted one by one. */
	uint64_t chunks = eventlog_totals(c->log)->events;

	for (EventType type = EVENT_TYPE_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		chunks -= events[type];
	for (EventType type = EVENT_TYPE_NONE + 1; type < _EVENT_TYPE_MAX; type++)
		put(w, "type", protocol_event_name(type),
			type == EVENT_TYPE_AGENT_PARTIAL_OUTPUT ? chunks : events[type]);
}

static uint64_t event_bytes(const Control *c)
{
	return eventlog_totals(c->log)->bytes;
}

static uint64_t output_bytes(const Control *c)
{
	return eventlog_totals(c->log)->output_bytes;
}

static uint64_t dropped(const Control *c)
{
	return orchestrator_lost_events(c->orchestrator);
}

static void write_batches(MetricsWriter *w, const Control *c)
{
	metrics_writer_histogram(w, &eventlog_totals(c->log)->batch_events);
}

static void write_commits(MetricsWriter *w, const Control *c)
{
	metrics_writer_histogram(w, &eventlog_totals(c->log)->commit_us);
}

static void write_syncs(MetricsWriter *w, const Control *c)
{
	Histogram took_us;

	committer_sync_durations(eventlog_committer(c->log), &took_us);
	metrics_writer_histogram(w, &took_us);
}

static uint64_t backlog(const Control *c)
{
	return committer_charged(eventlog_committer(c->log));
}

static uint64_t log_bytes(const Control *c)
{
	return eventlog_bytes(c->log);
}

static uint64_t oldest_seq(const Control *c)
{
	return eventlog_oldest_seq(c->log);
}

static uint64_t newest_seq(const Control *c)
{
	return eventlog_end_seq(c->log) - 1;
}

static uint64_t unsynced(const Control *c)
{
	uint64_t end_seq = eventlog_end_seq(c->log), synced_end = eventlog_synced_seq(c->log) + 1;

	/* A sync may be told of before what it has synced. */
	return synced_end < end_seq ? end_seq - synced_end : 0;
}

static uint64_t log_writable(const Control *c)
{
	return eventlog_error(c->log) == 0;
}

static uint64_t catalog_writable(const Control *c)
{
	return projection_error(orchestrator_projection(c->orchestrator)) == 0;
}

/* ---- Clients ---- */

static uint64_t connections(const Control *c)
{
	return conn_server_count(c->conns);
}

static uint64_t connections_limit(const Control *c)
{
	return c->config->max_clients;
}

static uint64_t accepted(const Control *c)
{
	return conn_server_totals(c->conns)->accepted;
}

static void write_refused(MetricsWriter *w, const Control *c)
{
	const ConnTotals *totals = conn_server_totals(c->conns);

	put(w, "reason", rpc_reason_to_string(RPC_PERMISSION_DENIED), totals->without_role);
	put(w, "reason", rpc_reason_to_string(RPC_QUEUE_FULL), totals->too_many);
}

static void write_requests(MetricsWriter *w, const Control *c)
{
	for (MethodId id = 0; id < _METHOD_MAX; id++)
		put(w, "method", protocol_method(id)->name, rpc_totals(c->rpc)->begun[id]);
}

static void write_rejected(MetricsWriter *w, const Control *c)
{
	for (RpcReason reason = 0; reason < _RPC_REASON_MAX; reason++)
		put(w, "reason", rpc_reason_to_string(reason),
			rpc_totals(c->rpc)->rejected[reason]);
}

static uint64_t subscribers(const Control *c)
{
	return hub_count(c->hub);
}

static uint64_t subscribers_behind(const Control *c)
{
	uint64_t seq;

	return hub_behind(c->hub, &seq);
}

static uint64_t lag_events(const Control *c)
{
	uint64_t seq;

	(void)hub_behind(c->hub, &seq);
	return eventlog_end_seq(c->log) - seq;
}

static uint64_t lag_bytes(const Control *c)
{
	uint64_t seq;

	(void)hub_behind(c->hub, &seq);
	return log_bytes_from(c->log, seq);
}

/* ---- Providers ---- */

static void each_provider(MetricsWriter *w, const Control *c,
	void (*write)(MetricsWriter *w, const Provider *p, MetricLabel label))
{
	list_foreach (node, &orchestrator_providers(c->orchestrator)->all) {
		const Provider *p = container_of(node, Provider, node);

		/* Others are gone, or were never there: an agent of before may name any. */
		if (p->settings)
			write(w, p, (MetricLabel){ "provider", p->name });
	}
}

static void put_calls(MetricsWriter *w, const Provider *p, MetricLabel label)
{
	metrics_writer_value(w, &label, 1, p->totals.calls);
}

static void write_calls(MetricsWriter *w, const Control *c)
{
	each_provider(w, c, put_calls);
}

static void put_calling(MetricsWriter *w, const Provider *p, MetricLabel label)
{
	metrics_writer_value(w, &label, 1, p->limiter.running);
}

static void write_calling(MetricsWriter *w, const Control *c)
{
	each_provider(w, c, put_calling);
}

static void put_waiting(MetricsWriter *w, const Provider *p, MetricLabel label)
{
	metrics_writer_value(w, &label, 1, provider_waiting(p));
}

static void write_waiting(MetricsWriter *w, const Control *c)
{
	each_provider(w, c, put_waiting);
}

static void put_faults(MetricsWriter *w, const Provider *p, MetricLabel label)
{
	for (AgentErrorCode code = AGENT_ERROR_NONE + 1; code < _AGENT_ERROR_MAX; code++) {
		const MetricLabel labels[] = { label, { "code", agent_error_to_string(code) } };

		if (provider_is_fault(code))
			metrics_writer_value(w, labels, ARRAY_SIZE(labels), p->totals.faults[code]);
	}
}

static void write_faults(MetricsWriter *w, const Control *c)
{
	each_provider(w, c, put_faults);
}

static void put_held(MetricsWriter *w, const Provider *p, MetricLabel label)
{
	metrics_writer_value(w, &label, 1, provider_held_us(p));
}

static void write_held(MetricsWriter *w, const Control *c)
{
	each_provider(w, c, put_held);
}

static void put_tokens(MetricsWriter *w, const Provider *p, MetricLabel label)
{
	const MetricLabel input[] = { label, { "direction", "input" } };
	const MetricLabel output[] = { label, { "direction", "output" } };

	metrics_writer_value(w, input, ARRAY_SIZE(input), p->totals.input_tokens);
	metrics_writer_value(w, output, ARRAY_SIZE(output), p->totals.output_tokens);
}

static void write_tokens(MetricsWriter *w, const Control *c)
{
	each_provider(w, c, put_tokens);
}

/* ---- All of it ---- */

#define GAUGE(name, help)                               \
	{                                               \
		name, help, METRIC_GAUGE, METRIC_NUMBER \
	}
#define GAUGE_BYTES(name, help)                                 \
	{                                                       \
		name "_bytes", help, METRIC_GAUGE, METRIC_BYTES \
	}
#define GAUGE_SECONDS(name, help)                                   \
	{                                                           \
		name "_seconds", help, METRIC_GAUGE, METRIC_SECONDS \
	}
#define COUNTER(name, help)                               \
	{                                                 \
		name, help, METRIC_COUNTER, METRIC_NUMBER \
	}
#define COUNTER_BYTES(name, help)                                 \
	{                                                         \
		name "_bytes", help, METRIC_COUNTER, METRIC_BYTES \
	}
#define COUNTER_SECONDS(name, help)                                   \
	{                                                             \
		name "_seconds", help, METRIC_COUNTER, METRIC_SECONDS \
	}

static const Metric metrics[] = {
	{ GAUGE("liongate_build_info", "The version that runs; always 1."),
		.write = write_build_info },
	{ GAUGE_SECONDS("liongate_start_time", "When the daemon was started, in Unix time."),
		.value = start_time },
	{ GAUGE("liongate_workers", "Threads that run agents."), .value = workers },

	{ GAUGE("liongate_agents", "Agents that have not ended."), .write = write_agents },
	{ COUNTER("liongate_agents_spawned", "Agents that were accepted."),
		.write = write_spawned },
	{ COUNTER("liongate_agents_ended", "Agents that have ended."), .write = write_ended },
	{ COUNTER("liongate_agent_errors", "Agents that ended in an error."),
		.write = write_errors },
	{ COUNTER("liongate_agent_retries", "Attempts that are to be followed by another."),
		.write = write_retries },
	{ GAUGE("liongate_queue_depth", "Agents in the queue."), .value = queue_depth },
	{ GAUGE("liongate_agents_limit", "How many agents may be in that state."),
		.write = write_limits },

	{ COUNTER("liongate_events", "Events that were committed."), .write = write_events },
	{ COUNTER_BYTES("liongate_event", "Lines of the log that were committed."),
		.value = event_bytes },
	{ COUNTER_BYTES("liongate_output", "Raw bytes that agents have put out."),
		.value = output_bytes },
	{ COUNTER("liongate_events_dropped", "Events that were lost for want of memory."),
		.value = dropped },
	{ { "liongate_batch_events", "Events that were committed in one go.", METRIC_HISTOGRAM,
		  METRIC_NUMBER },
		.write = write_batches },
	{ { "liongate_commit_duration_seconds", "How long it took to commit a batch.",
		  METRIC_HISTOGRAM, METRIC_SECONDS },
		.write = write_commits },
	{ { "liongate_sync_duration_seconds",
		  "How long it took to sync the log, where commits do not.", METRIC_HISTOGRAM,
		  METRIC_SECONDS },
		.write = write_syncs },
	{ GAUGE_BYTES("liongate_commit_backlog",
		  "Memory of events that are not committed, or not dealt with, yet."),
		.value = backlog },
	{ GAUGE_BYTES("liongate_log", "Lines of the log that are on the disk."),
		.value = log_bytes },
	{ GAUGE("liongate_log_oldest_seq", "Number of the oldest event of the log."),
		.value = oldest_seq },
	{ GAUGE("liongate_log_newest_seq", "Number of the newest event of the log."),
		.value = newest_seq },
	{ GAUGE("liongate_log_unsynced_events", "Committed events that are not synced yet."),
		.value = unsynced },
	{ GAUGE("liongate_log_writable", "1: the log can be written; 0: it cannot."),
		.value = log_writable },
	{ GAUGE("liongate_catalog_writable", "1: the catalog can be written; 0: it cannot."),
		.value = catalog_writable },

	{ GAUGE("liongate_connections", "Clients that are connected."), .value = connections },
	{ GAUGE("liongate_connections_limit", "How many clients may be connected."),
		.value = connections_limit },
	{ COUNTER("liongate_connections_accepted", "Clients that came."), .value = accepted },
	{ COUNTER("liongate_connections_refused", "Clients that were sent away."),
		.write = write_refused },
	{ COUNTER("liongate_requests", "Requests that were begun."), .write = write_requests },
	{ COUNTER("liongate_requests_rejected", "Requests that were answered with an error."),
		.write = write_rejected },
	{ GAUGE("liongate_subscribers", "Subscriptions of clients."), .value = subscribers },
	{ GAUGE("liongate_subscribers_behind", "Subscriptions that have not got all there is."),
		.value = subscribers_behind },
	{ GAUGE("liongate_subscriber_lag_events",
		  "Events that the subscription furthest behind has yet to pass."),
		.value = lag_events },
	{ GAUGE_BYTES("liongate_subscriber_lag",
		  "Bytes of the log that the subscription furthest behind has yet to pass."),
		.value = lag_bytes },

	{ COUNTER("liongate_provider_calls", "Calls of the provider that were begun."),
		.write = write_calls },
	{ GAUGE("liongate_provider_calls_running", "Calls of the provider that are under way."),
		.write = write_calling },
	{ GAUGE("liongate_provider_agents_waiting", "Agents that wait for the provider."),
		.write = write_waiting },
	{ COUNTER("liongate_provider_errors", "Calls of the provider that failed by its fault."),
		.write = write_faults },
	{ COUNTER_SECONDS(
		  "liongate_provider_held", "Time in pauses that the provider has asked for."),
		.write = write_held },
	{ COUNTER("liongate_provider_tokens",
		  "Tokens of completed calls, as far as the provider says them."),
		.write = write_tokens },
};

static MetricsFormat wanted_format(json_object *params)
{
	const char *name = jsonx_get_string(params, "format", NULL);

	return name && strcmp(name, "prometheus") == 0 ? METRICS_PROMETHEUS : METRICS_OPENMETRICS;
}

static int write_metrics(const Control *c, MetricsFormat format, Buf *text)
{
	MetricsWriter w;

	metrics_writer_init(&w, text, format);
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
		const Metric *m = &metrics[i];

		metrics_writer_family(&w, &m->family);
		if (m->value)
			metrics_writer_value(&w, NULL, 0, m->value(c));
		else
			m->write(&w, c);
	}
	return metrics_writer_finish(&w);
}

void method_daemon_metrics(Request *req, json_object *params, void *userdata)
{
	MetricsFormat format = wanted_format(params);
	_cleanup_buf_ Buf text = { 0 }, result = { 0 };
	JsonWriter w;
	int r = write_metrics(userdata, format, &text);

	if (r < 0) {
		request_fail(req, r);
		return;
	}
	jw_init(&w, &result);
	jw_object_begin(&w);
	jw_key_cstring(&w, "content_type", metrics_format_content_type(format));
	jw_key_string(&w, "text", text.data, text.len);
	jw_object_end(&w);
	control_reply(req, &result, jw_finish(&w));
}
