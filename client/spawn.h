/* Starts agents, one or many at once.
 *
 * The client chooses the ids, so that it knows what to cancel whatever becomes of the replies.
 *
 * Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdint.h>

#include "client/context.h"
#include "client/option.h"
#include "common/uuid.h"

/* NULL and 0: the daemon's default. Everything is lent. */
typedef struct SpawnSpec {
	const char *prompt;
	size_t prompt_len;
	const char *backend;
	json_object *options;
	json_object *labels;
	const char *correlation_id;
	const char *group;
	const char *on_restart;
	int64_t priority;
	uint64_t total_ms;
	uint64_t idle_ms;
	uint64_t connect_ms;
	uint64_t first_chunk_ms;
} SpawnSpec;

typedef struct SpawnedAgent {
	char id[UUID_TEXT_LEN + 1];
	uint64_t seq;       /* of its AgentSpawned; 0: not accepted */
	json_object *reply; /* owned; NULL: not accepted */
} SpawnedAgent;

/* `--option K=V`, each, into the object. */
int spawn_set_options(
	Context *ctx, const OptionValue *assignments, json_object *options) _must_check_;

/* A fresh id. */
int spawn_choose_id(SpawnedAgent *agent) _must_check_;

/* Spawns agents[i] (whose ids are chosen) as specs[i] says, all before the first reply is waited
 * for, as far as there is room for them on their way. Goes on to the last one when one is refused;
 * the first refusal is what it returns. */
int spawn_agents(Context *ctx, const SpawnSpec *specs, SpawnedAgent *agents, size_t n) _must_check_;

/* Asks for them to be cancelled and does not wait for it. Best effort. */
void spawn_cancel_all(Context *ctx, const SpawnedAgent *agents, size_t n);

/* {"agent_id": ID} */
int spawn_write_id(const char *id, Buf *b) _must_check_;

/* The array as long as `n` is, all zero; NULL: out of memory. */
SpawnedAgent *spawn_array_new(size_t n);
void spawn_array_free(SpawnedAgent *agents, size_t n);
