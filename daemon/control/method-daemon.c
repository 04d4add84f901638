/* daemon.status. */
#include <unistd.h>

#include "common/clock.h"
#include "daemon/control/control.h"
#include "daemon/control/hub.h"

static void write_agents(JsonWriter *w, const Control *c)
{
	AgentCounts counts = orchestrator_counts(c->orchestrator);

	jw_key(w, "agents");
	jw_object_begin(w);
	jw_key_uint(w, "queued", counts.queued);
	jw_key_uint(w, "running", counts.running);
	jw_key_uint(w, "completed", counts.completed);
	jw_key_uint(w, "failed", counts.failed);
	jw_key_uint(w, "cancelled", counts.cancelled);
	jw_object_end(w);
}

static void write_log(JsonWriter *w, const Control *c)
{
	jw_key(w, "log");
	jw_object_begin(w);
	jw_key_uint(w, "oldest_seq", eventlog_oldest_seq(c->log));
	jw_key_uint(w, "newest_seq", eventlog_end_seq(c->log) - 1);
	jw_key_uint(w, "bytes", eventlog_bytes(c->log));
	jw_key_cstring(w, "durability", durability_to_string(c->config->durability));
	jw_object_end(w);
}

/* How the daemon sees to it that no program outlives its agent, and keeps to its limits. */
static void write_containment(JsonWriter *w, const Delegation *cgroups)
{
	bool any = cgroups->agents_fd >= 0;

	jw_key(w, "containment");
	jw_object_begin(w);
	jw_key_cstring(w, "by", any ? "cgroup" : "process walk");
	jw_key(w, "controllers");
	jw_array_begin(w);
	for (CgroupController i = 0; i < _CGROUP_CONTROLLER_MAX; i++)
		if (delegation_has(cgroups, i))
			jw_cstring(w, cgroup_controller_to_string(i));
	jw_array_end(w);
	if (!any)
		jw_key_cstring(w, "reason", cgroups->reason);
	jw_object_end(w);
}

static void write_limits(JsonWriter *w, const Config *config)
{
	jw_key(w, "limits");
	jw_object_begin(w);
	jw_key_uint(w, "max_running", config->max_running);
	jw_key_uint(w, "max_queued", config->max_queued);
	jw_key_uint(w, "max_clients", config->max_clients);
	jw_key_uint(w, "max_request_bytes", config->max_request_bytes);
	jw_key_uint(w, "max_prompt_bytes", config->max_prompt_bytes);
	jw_key_uint(w, "max_batch", config->max_batch);
	for (const ProtocolLimit *l = protocol_limits(); l->name; l++)
		jw_key_uint(w, l->name, l->value);
	jw_object_end(w);
}

void method_daemon_status(Request *req, json_object *params, void *userdata)
{
	Control *c = userdata;
	_cleanup_buf_ Buf result = { 0 };
	char id[UUID_TEXT_LEN + 1];
	JsonWriter w;

	(void)params;
	jw_init(&w, &result);
	jw_object_begin(&w);
	jw_key_cstring(&w, "version", LIONGATE_VERSION);
	jw_key_uint(&w, "protocol", PROTOCOL_VERSION);
	uuid_format(&c->instance_id, id);
	jw_key_string(&w, "instance_id", id, UUID_TEXT_LEN);
	uuid_format(eventlog_id(c->log), id);
	jw_key_string(&w, "log_id", id, UUID_TEXT_LEN);
	jw_key_int(&w, "pid", getpid());
	jw_key_uint(&w, "uptime_ms", (clock_monotonic_us() - c->started_us) / USEC_PER_MSEC);
	jw_key_uint(&w, "workers", orchestrator_workers(c->orchestrator));
	write_agents(&w, c);
	jw_key_uint(&w, "clients", conn_server_count(c->conns));
	jw_key_uint(&w, "subscribers", hub_count(c->hub));
	write_log(&w, c);
	write_containment(&w, c->cgroups);
	write_limits(&w, c->config);
	jw_object_end(&w);
	control_reply(req, &result, jw_finish(&w));
}
