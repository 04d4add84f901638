#include "daemon/control/discover.h"

#include <errno.h>
#include <string.h>

#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/protocol.h"
#include "common/rpc-error.h"
#include "common/schema.h"

#define BIT(reason) (1U << (reason))

/* What any request may be answered. */
#define COMMON_ERRORS \
	(BIT(RPC_INVALID_PARAMS) | BIT(RPC_INTERNAL_ERROR) | BIT(RPC_PERMISSION_DENIED))
#define NAMES_AGENT (BIT(RPC_NOT_FOUND) | BIT(RPC_AMBIGUOUS))

/* Beside the common ones. */
static const uint32_t method_errors[_METHOD_MAX] = {
	[METHOD_DAEMON_METRICS] = BIT(RPC_TOO_LARGE),
	[METHOD_AGENT_SPAWN] = BIT(RPC_ALREADY_EXISTS) | BIT(RPC_ALREADY_SUBSCRIBED) |
			       BIT(RPC_TOO_LARGE) | BIT(RPC_QUEUE_FULL) | BIT(RPC_LOG_UNAVAILABLE) |
			       BIT(RPC_SHUTTING_DOWN),
	[METHOD_AGENT_GET] = NAMES_AGENT,
	[METHOD_AGENT_LIST] = BIT(RPC_TOO_LARGE),
	[METHOD_AGENT_OUTPUT] = NAMES_AGENT | BIT(RPC_PRUNED),
	[METHOD_AGENT_SEND] =
		NAMES_AGENT | BIT(RPC_NOT_RUNNING) | BIT(RPC_QUEUE_FULL) | BIT(RPC_SHUTTING_DOWN),
	[METHOD_AGENT_CANCEL] = NAMES_AGENT | BIT(RPC_NOT_RUNNING),
	[METHOD_AGENT_WAIT] = NAMES_AGENT | BIT(RPC_TIMEOUT) | BIT(RPC_SHUTTING_DOWN),
	[METHOD_EVENTS_SUBSCRIBE] = NAMES_AGENT | BIT(RPC_ALREADY_SUBSCRIBED) |
				    BIT(RPC_LOG_REPLACED) | BIT(RPC_TOO_LARGE),
	[METHOD_EVENTS_UNSUBSCRIBE] = BIT(RPC_NOT_FOUND),
	[METHOD_EVENTS_READ] = NAMES_AGENT | BIT(RPC_PRUNED) | BIT(RPC_TOO_LARGE),
	[METHOD_EVENTS_STATS] = BIT(RPC_TOO_LARGE),
};

static const struct {
	const char *name;
	const char *params;
	const char *doc;
} notifications[] = {
	{ "event", "EVENT", "An event that a subscription matches." },
	{ "live", "{seq}", "Replay has caught up; a cursor to come back with." },
	{ "gap", "{from, to}", "Events that are gone." },
	{ "end", "{seq}", "All that matched has ended; the subscription is over." },
};

/* Of the limits that are configurable, the defaults. */
static const ProtocolLimit defaults[] = {
	{ "max_running", PROTOCOL_DEFAULT_MAX_RUNNING },
	{ "max_queued", PROTOCOL_DEFAULT_MAX_QUEUED },
	{ "max_clients", PROTOCOL_DEFAULT_MAX_CLIENTS },
	{ "max_request_bytes", PROTOCOL_DEFAULT_MAX_REQUEST_BYTES },
	{ "max_prompt_bytes", PROTOCOL_DEFAULT_MAX_REQUEST_BYTES },
	{ "max_batch", PROTOCOL_DEFAULT_MAX_BATCH },
	{ 0 },
};

static void write_schema(JsonWriter *w, const SchemaField *field)
{
	_cleanup_json_ json_object *o = schema_to_json(field);
	_cleanup_buf_ Buf text = { 0 };
	int r = o ? jsonx_append(&text, o) : -ENOMEM;

	if (r == 0)
		jw_raw(w, text.data, text.len);
	else if (w->error == 0)
		w->error = r;
}

static void write_params(JsonWriter *w, const SchemaField *fields)
{
	jw_key(w, "params");
	jw_array_begin(w);
	for (const SchemaField *f = fields; f->name; f++) {
		jw_object_begin(w);
		jw_key_cstring(w, "name", f->name);
		jw_key_cstring(w, "description", f->doc);
		jw_key_bool(w, "required", f->required);
		jw_key(w, "schema");
		write_schema(w, f);
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* The members of the notation `{name, name?, ...}`: those that are always there, or all. */
static void write_members(JsonWriter *w, const char *notation, bool as_properties)
{
	const char *p = notation + 1;

	while (*p && *p != '}') {
		size_t len = strcspn(p, ",}");
		bool optional = len > 0 && p[len - 1] == '?';
		size_t name_len = len - optional;

		if (as_properties) {
			jw_key_escaped(w, p, name_len);
			jw_object_begin(w);
			jw_object_end(w);
		} else if (!optional) {
			jw_string(w, p, name_len);
		}
		p += len;
		p += strspn(p, ", ");
	}
}

/* Of an object with the members of `n` such notations. */
static void write_object_schema(JsonWriter *w, const char *const *notations, size_t n)
{
	jw_key(w, "schema");
	jw_object_begin(w);
	jw_key_cstring(w, "type", "object");
	if (n > 0) {
		jw_key(w, "properties");
		jw_object_begin(w);
		for (size_t i = 0; i < n; i++)
			write_members(w, notations[i], true);
		jw_object_end(w);
		jw_key(w, "required");
		jw_array_begin(w);
		for (size_t i = 0; i < n; i++)
			write_members(w, notations[i], false);
		jw_array_end(w);
	}
	jw_object_end(w);
}

static void write_result(JsonWriter *w, const char *notation)
{
	jw_key(w, "result");
	jw_object_begin(w);
	jw_key_cstring(w, "name", "result");
	jw_key_cstring(w, "description", notation);
	write_object_schema(w, &notation, *notation == '{');
	jw_object_end(w);
}

/* All of the reasons that share a code are one entry: OpenRPC wants each code once. */
static void write_error(JsonWriter *w, uint32_t reasons, int code)
{
	char names[256];
	size_t len = 0;

	for (unsigned i = 0; i < _RPC_REASON_MAX; i++) {
		const char *name = rpc_reason_to_string((RpcReason)i);
		size_t n = strlen(name);

		if (!(reasons & BIT(i)) || rpc_reason_code((RpcReason)i) != code)
			continue;
		if (len + n + 3 > sizeof(names))
			break;
		if (len > 0) {
			memcpy(names + len, ", ", 2);
			len += 2;
		}
		memcpy(names + len, name, n);
		len += n;
	}
	jw_object_begin(w);
	jw_key_int(w, "code", code);
	jw_key_string(w, "message", names, len);
	jw_object_end(w);
}

static void write_errors(JsonWriter *w, uint32_t reasons)
{
	jw_key(w, "errors");
	jw_array_begin(w);
	for (unsigned i = 0; i < _RPC_REASON_MAX; i++) {
		int code = rpc_reason_code((RpcReason)i);
		bool first = reasons & BIT(i);

		for (unsigned before = 0; before < i && first; before++)
			first = !(reasons & BIT(before)) ||
				rpc_reason_code((RpcReason)before) != code;
		if (first)
			write_error(w, reasons, code);
	}
	jw_array_end(w);
}

static void write_methods(JsonWriter *w)
{
	jw_key(w, "methods");
	jw_array_begin(w);
	for (int i = 0; i < _METHOD_MAX; i++) {
		const ProtocolMethod *m = protocol_method((MethodId)i);

		jw_object_begin(w);
		jw_key_cstring(w, "name", m->name);
		jw_key_cstring(w, "summary", m->summary);
		jw_key_cstring(w, "paramStructure", "by-name");
		write_params(w, m->params);
		write_result(w, m->result);
		write_errors(w, COMMON_ERRORS | method_errors[i]);
		jw_key_cstring(w, "x-role", role_to_string(m->role));
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void write_notifications(JsonWriter *w)
{
	jw_key(w, "x-notifications");
	jw_array_begin(w);
	for (size_t i = 0; i < ARRAY_SIZE(notifications); i++) {
		jw_object_begin(w);
		jw_key_cstring(w, "name", notifications[i].name);
		jw_key_cstring(w, "description", notifications[i].doc);
		jw_key_cstring(w, "params", notifications[i].params);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void write_events(JsonWriter *w)
{
	jw_key(w, "x-events");
	jw_array_begin(w);
	for (int i = EVENT_TYPE_NONE + 1; i < _EVENT_TYPE_MAX; i++) {
		const char *members[] = { PROTOCOL_EVENT_MEMBERS,
			protocol_event_members((EventType)i), PROTOCOL_AGENT_EVENT_MEMBERS };

		jw_object_begin(w);
		jw_key_cstring(w, "name", protocol_event_name((EventType)i));
		jw_key_cstring(w, "description", protocol_event_doc((EventType)i));
		write_object_schema(w, members, protocol_event_is_agents((EventType)i) ? 3 : 2);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void write_backends(JsonWriter *w)
{
	jw_key(w, "x-backends");
	jw_array_begin(w);
	for (const char *const *name = protocol_backend_names(); *name; name++) {
		const ProtocolBackend *b = protocol_backend_find(*name);
		SchemaField options = { .type = SCHEMA_OBJECT, .fields = b->options };

		jw_object_begin(w);
		jw_key_cstring(w, "name", b->name);
		jw_key_cstring(w, "description", b->summary);
		jw_key(w, "options");
		write_schema(w, &options);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void write_reasons(JsonWriter *w)
{
	jw_key(w, "x-errors");
	jw_array_begin(w);
	for (int i = 0; i < _RPC_REASON_MAX; i++) {
		jw_object_begin(w);
		jw_key_cstring(w, "reason", rpc_reason_to_string((RpcReason)i));
		jw_key_int(w, "code", rpc_reason_code((RpcReason)i));
		jw_key_bool(w, "retryable", rpc_reason_retryable((RpcReason)i));
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void write_limits(JsonWriter *w, const ProtocolLimit *limits)
{
	for (const ProtocolLimit *l = limits; l->name; l++)
		jw_key_uint(w, l->name, l->value);
}

int discover_write(Buf *b)
{
	size_t old_len = b->len;
	JsonWriter w;
	int r;

	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key_cstring(&w, "openrpc", "1.2.6");
	jw_key(&w, "info");
	jw_object_begin(&w);
	jw_key_cstring(&w, "title", "Liongate control protocol");
	jw_key_cstring(&w, "version", LIONGATE_VERSION);
	jw_object_end(&w);
	jw_key_uint(&w, "x-protocol", PROTOCOL_VERSION);
	write_methods(&w);
	write_notifications(&w);
	write_events(&w);
	write_backends(&w);
	write_reasons(&w);
	jw_key(&w, "x-limits");
	jw_object_begin(&w);
	write_limits(&w, defaults);
	write_limits(&w, protocol_limits());
	jw_object_end(&w);
	jw_object_end(&w);
	r = jw_finish(&w);
	if (r < 0)
		b->len = old_len;
	return r;
}
