/* The events of a run. */
#include <string.h>

#include "common/clock.h"
#include "daemon/agent/runner-internal.h"

static JsonWriter *begin(AgentRun *run, EventType type)
{
	JsonWriter *w = emitter_begin(&run->runner->emitter);

	jw_key_name(w, "type", protocol_event_name(type));
	jw_raw(w, run->members, run->members_len);
	return w;
}

static int end(AgentRun *run, EventMeta meta)
{
	meta.owner = run->owner;
	meta.agent = run->agent;
	if (atomic_load_explicit(&run->traced, memory_order_relaxed))
		emitter_trace(&run->runner->emitter);
	return emitter_end(&run->runner->emitter, &meta);
}

int run_say_started(AgentRun *run, int64_t pid)
{
	JsonWriter *w = begin(run, EVENT_TYPE_AGENT_STARTED);
	uint64_t queued_us = run_elapsed_us(run->accepted_us, run->started_us);

	jw_key_uint(w, "attempt", run->attempt);
	jw_key_uint(w, "worker", worker_index(run->runner->worker));
	jw_key_uint(w, "queued_ms", queued_us / USEC_PER_MSEC);
	if (pid > 0)
		jw_key_int(w, "pid", pid);
	return end(run, (EventMeta){ .type = EVENT_TYPE_AGENT_STARTED, .pid = (int32_t)pid });
}

/* Most events are chunks: what does not change in them is not put together each time. */
int run_say_chunk(AgentRun *run, const BackendEvent *e)
{
	static const char type[] = "\"type\":\"AgentPartialOutput\"";
	JsonWriter *w = emitter_begin(&run->runner->emitter);

	jw_raw(w, type, sizeof(type) - 1);
	jw_raw(w, run->members, run->members_len);
	jw_key_uint(w, "index", run->chunks);
	jw_key(w, "chunk");
	if (jw_utf8(w, e->chunk, e->chunk_len)) {
		jw_key_name(w, "channel", channel_to_string(e->channel));
	} else {
		jw_base64(w, e->chunk, e->chunk_len);
		jw_key_name(w, "channel", channel_to_string(e->channel));
		jw_key_name(w, "encoding", "base64");
	}
	return end(run, (EventMeta){ .type = EVENT_TYPE_AGENT_PARTIAL_OUTPUT,
				.channel = (uint8_t)e->channel,
				.raw_bytes = (uint32_t)e->chunk_len });
}

static void write_counts(const AgentRun *run, JsonWriter *w)
{
	uint64_t now_us = worker_now_us(run->runner->worker);
	uint64_t took_us = run->started_us > 0 ? run_elapsed_us(run->started_us, now_us) : 0;

	jw_key_uint(w, "chunks", run->chunks);
	jw_key_uint(w, "bytes", run->bytes);
	jw_key_uint(w, "duration_ms", took_us / USEC_PER_MSEC);
}

static void write_details(JsonWriter *w, const char *details)
{
	/* Backends lead each member with a comma; the writer sets the first one itself. */
	if (details && details[0] == ',')
		jw_raw(w, details + 1, strlen(details + 1));
}

int run_say_completed(AgentRun *run, const BackendEvent *e)
{
	JsonWriter *w = begin(run, EVENT_TYPE_AGENT_COMPLETED);

	write_counts(run, w);
	write_details(w, e->details);
	return end(run, (EventMeta){ .type = EVENT_TYPE_AGENT_COMPLETED });
}

static const char *stop_message(const AgentRun *run)
{
	switch (run->stopped) {
	case AGENT_ERROR_CANCELLED:
		return "it was cancelled";
	case AGENT_ERROR_SHUTDOWN:
		return "the daemon was stopped";
	case AGENT_ERROR_TIMEOUT:
		return run->timeout == RUN_TIMEOUT_TOTAL ? "it took longer than its total_ms"
							 : "it put nothing out for its idle_ms";
	default:
		return "out of memory";
	}
}

static const char *const timeouts[_RUN_TIMEOUT_MAX] = {
	[RUN_TIMEOUT_TOTAL] = "total",
	[RUN_TIMEOUT_IDLE] = "idle",
};

int run_say_error(AgentRun *run, const BackendEvent *e)
{
	JsonWriter *w = begin(run, EVENT_TYPE_AGENT_ERROR);
	/* What had ended by itself by then has ended as its backend says. */
	bool stopped = run->stopped != AGENT_ERROR_NONE && e->code == AGENT_ERROR_CANCELLED;
	AgentErrorCode code = stopped ? run->stopped : e->code;

	jw_key_name(w, "code", agent_error_to_string(code));
	jw_key_cstring(w, "message", stopped ? stop_message(run) : e->message);
	if (code == AGENT_ERROR_TIMEOUT && run->timeout != RUN_TIMEOUT_NONE)
		jw_key_name(w, "which", timeouts[run->timeout]);
	write_counts(run, w);
	write_details(w, e->details);
	return end(run, (EventMeta){ .type = EVENT_TYPE_AGENT_ERROR,
				.code = (uint8_t)code,
				.holds = e->holds,
				.delay_ms = e->delay_ms });
}

int run_say_retrying(AgentRun *run, const BackendEvent *e)
{
	JsonWriter *w = begin(run, EVENT_TYPE_AGENT_RETRYING);

	jw_key_uint(w, "attempt", run->attempt + 1);
	jw_key_name(w, "code", agent_error_to_string(e->code));
	jw_key_uint(w, "delay_ms", e->delay_ms);
	jw_key_cstring(w, "message", e->message);
	write_details(w, e->details);
	return end(run, (EventMeta){ .type = EVENT_TYPE_AGENT_RETRYING,
				.code = (uint8_t)e->code,
				.holds = e->holds,
				.delay_ms = e->delay_ms });
}
