/* What stands before an agent's lines when it is to be one of its labels: the label's value, asked
 * for once for each agent and remembered.
 *
 * Owns a connection of its own: that of a subscription is busy. Thread: main. */
#pragma once

#include <json-c/json.h>

#include "client/context.h"

typedef struct LabelPrefix {
	Context *ctx;
	const char *key;
	Call *call;         /* NULL: to be made when it is needed */
	json_object *known; /* agent_id → the value, "" if it has none */
} LabelPrefix;

void label_prefix_done(LabelPrefix *p);

/* What an AgentSpawned says of labels need not be asked for. */
int label_prefix_learn(LabelPrefix *p, json_object *event) _must_check_;
/* A StreamPrefix; `userdata` is the LabelPrefix. Appends nothing where the agent has no such label.
 */
int label_prefix_append(const char *agent_id, Buf *b, void *userdata) _must_check_;
