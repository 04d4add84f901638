/* Events in words.
 *
 * Owns nothing. Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/protocol.h"

/* EVENT_TYPE_NONE for what this version does not know. */
EventType describe_type(json_object *event);
/* "" where the event has none. */
const char *describe_agent_id(json_object *event);

/* False: that member is no time. */
bool describe_time(json_object *o, const char *key, uint64_t *ret_us);
/* How long ago it was, as "3m"; nothing where it is no time. */
int describe_age(json_object *o, const char *key, Buf *b) _must_check_;

/* Appends one line, without its newline, harmless whatever the event holds: "completed: 3 chunks,
 * …". */
int describe_event(json_object *event, Buf *b) _must_check_;

/* The same of what holds an agent back, as AgentWaiting and the member `waiting` of agent.get have
 * it. Until when is said as how long after `since_us` (0: as it stands there). */
int describe_waiting(json_object *waiting, uint64_t since_us, Buf *b) _must_check_;

/* The bytes of an AgentPartialOutput; they are lent from the event, or from `scratch` where they
 * had to be decoded. -EBADMSG if there are none. */
int describe_chunk(
	json_object *event, Buf *scratch, const char **ret, size_t *ret_len) _must_check_;
Channel describe_channel(json_object *event);
