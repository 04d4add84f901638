#include "client/spawn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/key-value.h"
#include "common/json-writer.h"
#include "common/jsonx.h"

/* Requests whose replies are not read yet. The daemon stops reading from a client that has too
 * many. */
#define WINDOW 256

int spawn_set_options(Context *ctx, const OptionValue *assignments, json_object *options)
{
	for (size_t i = 0; i < assignments->n_list; i++) {
		const char *assignment = assignments->list[i];
		int r = key_value_set(options, assignment);

		if (r == -EINVAL)
			return context_fail(ctx, EXIT_CODE_USAGE,
				"--option wants KEY=VALUE, not %s", assignment);
		if (r == -EEXIST)
			return context_fail(ctx, EXIT_CODE_USAGE,
				"--option %s contradicts an earlier one", assignment);
		if (r < 0)
			return r;
	}
	return 0;
}

int spawn_choose_id(SpawnedAgent *agent)
{
	Uuid id;
	int r = uuid_generate(&id);

	if (r == 0)
		uuid_format(&id, agent->id);
	return r;
}

SpawnedAgent *spawn_array_new(size_t n)
{
	return calloc(n, sizeof(SpawnedAgent));
}

void spawn_array_free(SpawnedAgent *agents, size_t n)
{
	for (size_t i = 0; agents && i < n; i++)
		json_object_put(agents[i].reply);
	free(agents);
}

int spawn_write_id(const char *id, Buf *b)
{
	JsonWriter w;

	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key_cstring(&w, "agent_id", id);
	jw_object_end(&w);
	return jw_finish(&w);
}

static int write_object(JsonWriter *w, const char *key, json_object *object)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	if (!object)
		return 0;
	r = jsonx_append(&text, object);
	if (r == 0)
		jw_key_raw(w, key, text.data, text.len);
	return r;
}

static void write_optional(JsonWriter *w, const char *key, const char *value)
{
	if (value)
		jw_key_cstring(w, key, value);
}

static void write_timeouts(JsonWriter *w, const SpawnSpec *spec)
{
	const struct {
		const char *key;
		uint64_t ms;
	} timeouts[] = {
		{ "total_ms", spec->total_ms },
		{ "idle_ms", spec->idle_ms },
		{ "connect_ms", spec->connect_ms },
		{ "first_chunk_ms", spec->first_chunk_ms },
	};
	bool begun = false;

	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++) {
		if (timeouts[i].ms == 0)
			continue;
		if (!begun) {
			jw_key(w, "timeouts");
			jw_object_begin(w);
		}
		begun = true;
		jw_key_uint(w, timeouts[i].key, timeouts[i].ms);
	}
	if (begun)
		jw_object_end(w);
}

static int write_params(const SpawnSpec *spec, const char *id, Buf *b)
{
	JsonWriter w;
	int r;

	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key_cstring(&w, "agent_id", id);
	jw_key_string(&w, "prompt", spec->prompt, spec->prompt_len);
	write_optional(&w, "backend", spec->backend);
	write_optional(&w, "correlation_id", spec->correlation_id);
	write_optional(&w, "group", spec->group);
	write_optional(&w, "on_restart", spec->on_restart);
	if (spec->priority != 0)
		jw_key_int(&w, "priority", spec->priority);
	write_timeouts(&w, spec);
	r = write_object(&w, "options", spec->options);
	if (r == 0)
		r = write_object(&w, "labels", spec->labels);
	jw_object_end(&w);
	return r < 0 ? r : jw_finish(&w);
}

static int send_spawn(Context *ctx, const SpawnSpec *spec, const SpawnedAgent *agent, uint64_t *ret)
{
	_cleanup_buf_ Buf params = { 0 };
	int r;

	r = write_params(spec, agent->id, &params);
	return r < 0 ? r : call_send(ctx->call, "agent.spawn", &params, ret);
}

static int accept_reply(Context *ctx, json_object *result, SpawnedAgent *agent)
{
	const char *id = jsonx_get_string(result, "agent_id", NULL);

	agent->seq = jsonx_get_uint(result, "seq", 0);
	if (!id || strcasecmp(id, agent->id) != 0 || agent->seq == 0) {
		agent->seq = 0;
		return context_lost(ctx, -EBADMSG);
	}
	agent->reply = json_object_get(result);
	return 0;
}

/* Replies may overtake one another: ids were given out in the order of the agents. */
static int receive_reply(Context *ctx, uint64_t first_id, SpawnedAgent *agents, size_t n)
{
	_cleanup_json_ json_object *message = NULL;
	json_object *payload = NULL;
	const char *method = NULL;
	uint64_t id = 0;
	int r;

	r = call_receive(ctx->call, CALL_FOREVER, &message);
	if (r == 0)
		r = call_classify(message, &id, &method, &payload);
	if (r < 0)
		return r;
	if (r == CALL_NOTIFICATION)
		return -EBADMSG;
	if (r == CALL_ERROR)
		return context_refused(ctx, NULL, payload);
	if (id < first_id || id - first_id >= n)
		return -EBADMSG;
	return accept_reply(ctx, payload, &agents[id - first_id]);
}

int spawn_agents(Context *ctx, const SpawnSpec *specs, SpawnedAgent *agents, size_t n)
{
	size_t sent = 0, received = 0;
	uint64_t first_id = 0, id = 0;
	int r, refused = 0;

	if (!ctx->call) {
		r = context_connect(ctx, &ctx->call);
		if (r != 0)
			return r;
	}
	while (received < n) {
		if (sent < n && sent - received < WINDOW) {
			r = send_spawn(ctx, &specs[sent], &agents[sent], &id);
			if (r < 0)
				return context_lost(ctx, r);
			if (sent++ == 0)
				first_id = id;
			continue;
		}
		r = receive_reply(ctx, first_id, agents, n);
		if (r < 0)
			return context_lost(ctx, r);
		if (refused == 0)
			refused = r;
		received++;
	}
	return refused;
}

void spawn_cancel_all(Context *ctx, const SpawnedAgent *agents, size_t n)
{
	for (size_t i = 0; ctx->call && i < n; i++) {
		_cleanup_buf_ Buf params = { 0 };
		uint64_t id;

		if (spawn_write_id(agents[i].id, &params) < 0 ||
			call_send(ctx->call, "agent.cancel", &params, &id) < 0)
			return;
	}
}
