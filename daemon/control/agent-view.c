#include "daemon/control/agent-view.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/utf8.h"
#include "daemon/agent/providers.h"

static void write_time(JsonWriter *w, const char *key, uint64_t time_us)
{
	char time[CLOCK_RFC3339_LEN + 1];

	if (time_us == 0)
		return;
	clock_format_rfc3339(time_us, time);
	jw_key_string(w, key, time, CLOCK_RFC3339_LEN);
}

static void write_member(JsonWriter *w, json_object *spec, const char *key)
{
	json_object *value;

	if (!jsonx_member(spec, key, &value))
		return;
	jw_key(w, key);
	jsonx_write(w, value);
}

/* The length of its first PROTOCOL_LIST_PROMPT_CHARS characters. */
static size_t cut_prompt(const char *prompt, size_t len)
{
	size_t n = 0, chars = 0;

	while (n < len && chars < PROTOCOL_LIST_PROMPT_CHARS) {
		n++;
		while (n < len && utf8_is_continuation(prompt[n]))
			n++;
		chars++;
	}
	return n;
}

static void write_prompt(JsonWriter *w, json_object *spec, bool whole)
{
	size_t len = 0;
	const char *prompt = jsonx_get_string(spec, "prompt", &len);

	if (prompt)
		jw_key_string(w, "prompt", prompt, whole ? len : cut_prompt(prompt, len));
}

AgentNow agent_view_now(const Agent *a)
{
	AgentNow now = { .pid = a->pid };

	if (a->ticket && a->state == AGENT_STATE_QUEUED && a->ticket->waiting != LIMITER_OPEN) {
		now.waiting = limiter_reason_to_string(a->ticket->waiting);
		now.provider = a->provider;
		/* What is past says nothing about when. */
		if (a->ticket->waiting_until_us > clock_realtime_us())
			now.until_us = a->ticket->waiting_until_us;
	}
	return now;
}

static void write_now(JsonWriter *w, const AgentNow *now)
{
	if (now->pid > 0)
		jw_key_int(w, "pid", now->pid);
	if (!now->waiting)
		return;
	jw_key(w, "waiting");
	jw_object_begin(w);
	jw_key_cstring(w, "reason", now->waiting);
	jw_key_cstring(w, "provider", now->provider);
	write_time(w, "until", now->until_us);
	jw_object_end(w);
}

static void write_row(JsonWriter *w, const CatalogRow *row, const AgentNow *now)
{
	jw_key_cstring(w, "group", row->group);
	jw_key_cstring(w, "correlation_id", row->correlation_id);
	jw_key_int(w, "priority", row->priority);
	jw_key_uint(w, "uid", row->uid);
	jw_key_uint(w, "attempt", row->attempt);
	if (now)
		write_now(w, now);
	write_time(w, "spawned_at", row->spawned_us);
	write_time(w, "started_at", row->started_us);
	write_time(w, "ended_at", row->ended_us);
	jw_key_uint(w, "chunks", row->chunks);
	jw_key_uint(w, "bytes", row->bytes);
	jw_key_uint(w, "first_seq", row->seq);
	jw_key_uint(w, "last_seq", row->last_seq);
	if (row->ending)
		jw_key_raw(w, "ending", row->ending, row->ending_len);
}

static void write_view(JsonWriter *w, const CatalogRow *row, const AgentNow *now, bool whole)
{
	_cleanup_json_ json_object *spec = NULL;
	char id[UUID_TEXT_LEN + 1];
	JsonxError why;
	int r = row->spec ? jsonx_parse(row->spec, row->spec_len, &spec, &why) : -ENOENT;

	/* One that is damaged spoils no list. */
	if (r < 0 && r != -EBADMSG) {
		if (w->error == 0)
			w->error = r;
		return;
	}
	uuid_format(&row->agent_id, id);
	jw_object_begin(w);
	jw_key_string(w, "agent_id", id, UUID_TEXT_LEN);
	jw_key_cstring(w, "backend", row->backend);
	jw_key_cstring(w, "state", agent_state_to_string(row->state));
	write_prompt(w, spec, whole);
	if (whole)
		write_member(w, spec, "options");
	write_member(w, spec, "labels");
	if (whole)
		write_member(w, spec, "context");
	write_row(w, row, now);
	jw_object_end(w);
}

void agent_view_write(JsonWriter *w, const CatalogRow *row, const AgentNow *now)
{
	write_view(w, row, now, true);
}

void agent_view_write_entry(JsonWriter *w, const CatalogRow *row, const AgentNow *now)
{
	write_view(w, row, now, false);
}
