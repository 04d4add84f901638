/* provider.list. */
#include "common/clock.h"
#include "common/jsonx-find.h"
#include "daemon/control/control.h"

static void write_number(JsonWriter *w, const char *key, uint64_t number)
{
	if (number > 0)
		jw_key_uint(w, key, number);
}

static void write_time(JsonWriter *w, const char *key, uint64_t time_us)
{
	char time[CLOCK_RFC3339_LEN + 1];

	clock_format_rfc3339(time_us, time);
	jw_key_string(w, key, time, CLOCK_RFC3339_LEN);
}

/* A member of the event that told of the fault, as it stands there. */
static void write_member(JsonWriter *w, const ProviderFault *fault, const char *key)
{
	_cleanup_json_ json_object *value = NULL;

	if (!fault->event || jsonx_find_value(fault->event, fault->event_len, key, &value) < 0)
		return;
	jw_key(w, key);
	jsonx_write(w, value);
}

static void write_fault(JsonWriter *w, const ProviderFault *fault)
{
	static const char *const members[] = { "message", "http_status", "which", "request_id" };

	if (fault->time_us == 0)
		return;
	jw_key(w, "last_error");
	jw_object_begin(w);
	write_time(w, "time", fault->time_us);
	jw_key_name(w, "code", agent_error_to_string(fault->code));
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		write_member(w, fault, members[i]);
	jw_object_end(w);
}

static void write_held(JsonWriter *w, const Limiter *l)
{
	uint64_t now_us = clock_monotonic_us();

	if (l->held_until_us > now_us)
		write_time(w, "held_until", clock_realtime_us() + (l->held_until_us - now_us));
}

static void write_provider(JsonWriter *w, const Provider *p)
{
	const ProviderSettings *s = p->settings;

	jw_object_begin(w);
	jw_key_cstring(w, "name", p->name);
	jw_key_cstring(w, "kind", s->kind);
	jw_key_cstring(w, "base_url", s->base_url);
	if (s->unix_socket)
		jw_key_cstring(w, "unix_socket", s->unix_socket);
	if (s->model)
		jw_key_cstring(w, "model", s->model);
	jw_key_uint(w, "running", p->limiter.running);
	jw_key_uint(w, "waiting", provider_waiting(p));
	write_number(w, "max_concurrent", s->max_concurrent);
	write_number(w, "requests_per_minute", s->requests_per_minute);
	write_number(w, "tokens_per_minute", s->tokens_per_minute);
	write_held(w, &p->limiter);
	write_fault(w, &p->fault);
	jw_object_end(w);
}

void method_provider_list(Request *req, json_object *params, void *userdata)
{
	Control *c = userdata;
	_cleanup_buf_ Buf result = { 0 };
	JsonWriter w;

	(void)params;
	jw_init(&w, &result);
	jw_object_begin(&w);
	jw_key(&w, "providers");
	jw_array_begin(&w);
	list_foreach (node, &orchestrator_providers(c->orchestrator)->all) {
		const Provider *p = container_of(node, Provider, node);

		if (p->settings)
			write_provider(&w, p);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	control_reply(req, &result, jw_finish(&w));
}
