#include <inttypes.h>
#include <string.h>

#include "client/command.h"
#include "client/render-text.h"
#include "client/text.h"
#include "common/jsonx.h"

static void view_containment(Output *o, json_object *status)
{
	json_object *how = jsonx_get(status, "containment", json_type_object);
	json_object *controllers = jsonx_get(how, "controllers", json_type_array);
	const char *by = jsonx_get_string(how, "by", NULL);
	size_t n = controllers ? json_object_array_length(controllers) : 0;

	if (!by) /* of an older daemon */
		return;
	output_printf(o, "programs: each kept by a ");
	output_safe(o, by, strlen(by));
	for (size_t i = 0; i < n; i++) {
		const char *name =
			json_object_get_string(json_object_array_get_idx(controllers, i));

		output_printf(o, i == 0 ? " with " : ", ");
		output_safe(o, name ? name : "?", name ? strlen(name) : 1);
	}
	by = jsonx_get_string(how, "reason", NULL);
	if (by) {
		output_printf(o, " (");
		output_safe(o, by, strlen(by));
		output_printf(o, ")");
	}
	output_printf(o, "\n");
}

static void view(Output *o, json_object *status)
{
	json_object *agents = jsonx_get(status, "agents", json_type_object);
	json_object *events = jsonx_get(status, "log", json_type_object);
	uint64_t workers = jsonx_get_uint(status, "workers", 0);
	char uptime[TEXT_AGE_MAX];
	const char *version = jsonx_get_string(status, "version", NULL);

	text_format_age(jsonx_get_uint(status, "uptime_ms", 0), uptime);
	output_color(o, COLOR_BOLD);
	output_printf(o, "liongated ");
	output_safe(o, version ? version : "?", version ? strlen(version) : 1);
	output_color(o, COLOR_NONE);
	output_printf(o, ", protocol %" PRIu64 ", pid %" PRIu64 ", up %s, %" PRIu64 " worker%s\n",
		jsonx_get_uint(status, "protocol", 0), jsonx_get_uint(status, "pid", 0), uptime,
		workers, workers == 1 ? "" : "s");
	output_printf(o,
		"agents: %" PRIu64 " running, %" PRIu64 " queued; %" PRIu64 " completed, %" PRIu64
		" failed, %" PRIu64 " cancelled\n",
		jsonx_get_uint(agents, "running", 0), jsonx_get_uint(agents, "queued", 0),
		jsonx_get_uint(agents, "completed", 0), jsonx_get_uint(agents, "failed", 0),
		jsonx_get_uint(agents, "cancelled", 0));
	output_printf(o, "clients: %" PRIu64 ", %" PRIu64 " of them subscribed\n",
		jsonx_get_uint(status, "clients", 0), jsonx_get_uint(status, "subscribers", 0));
	output_printf(o, "log: events %" PRIu64 " to %" PRIu64 ", %" PRIu64 " bytes, durability ",
		jsonx_get_uint(events, "oldest_seq", 0), jsonx_get_uint(events, "newest_seq", 0),
		jsonx_get_uint(events, "bytes", 0));
	version = jsonx_get_string(events, "durability", NULL);
	output_safe(o, version ? version : "?", version ? strlen(version) : 1);
	output_printf(o, "\n");
	view_containment(o, status);
}

static int run(Context *ctx, const Args *args _unused_)
{
	_cleanup_json_ json_object *status = NULL;
	int r;

	r = context_call(ctx, "daemon.status", NULL, &status);
	if (r == 0)
		output_result(&ctx->out, view, status);
	return r;
}

const Command command_status = {
	.name = "status",
	.summary = "Show how the daemon is",
	.example = "  liongatectl status\n"
		   "  liongatectl status --json | jq .log.newest_seq\n",
	.run = run,
};
