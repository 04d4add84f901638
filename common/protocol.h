/* The tables of the control protocol, version 1: methods with their roles and parameters, event
 * types, error codes of agents, limits. The one source of truth: validation, rpc.discover, the
 * client's help and the documentation are printed or checked from here. (Errors of requests:
 * rpc-error.h.)
 *
 * Thread: any; everything is constant. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/schema.h"

#define PROTOCOL_VERSION 1

/* Each role includes the ones before it. */
typedef enum Role {
	ROLE_NONE,
	ROLE_OBSERVE,
	ROLE_SUBMIT,
	ROLE_ADMIN,
	_ROLE_MAX,
} Role;

const char *role_to_string(Role role);
/* -EINVAL */
int role_from_string(const char *name) _must_check_;

/* The numbers stand in the .idx files: append only. */
typedef enum EventType {
	EVENT_TYPE_NONE = 0,
	EVENT_TYPE_DAEMON_STARTED = 1,
	EVENT_TYPE_DAEMON_STOPPING = 2,
	EVENT_TYPE_AGENT_SPAWNED = 3,
	EVENT_TYPE_AGENT_STARTED = 4,
	EVENT_TYPE_AGENT_WAITING = 5,
	EVENT_TYPE_AGENT_RETRYING = 6,
	EVENT_TYPE_AGENT_PARTIAL_OUTPUT = 7,
	EVENT_TYPE_AGENT_COMPLETED = 8,
	EVENT_TYPE_AGENT_ERROR = 9,
	_EVENT_TYPE_MAX,
} EventType;

/* What daemon.metrics can write, NULL behind the last. */
extern const char *const protocol_metrics_formats[];

const char *protocol_event_name(EventType type);
const char *protocol_event_doc(EventType type);
/* Its own members, in the notation of ProtocolMethod.result: `{attempt, pid?}`. */
const char *protocol_event_members(EventType type);
/* Those that every event has, and those of every agent's. */
#define PROTOCOL_EVENT_MEMBERS       "{seq, time, type}"
#define PROTOCOL_AGENT_EVENT_MEMBERS "{agent_id, correlation_id?}"
/* About an agent, or about the daemon? */
bool protocol_event_is_agents(EventType type);
/* -EINVAL */
int protocol_event_from_name(const char *name) _must_check_;

/* The numbers stand in the .idx files: append only. */
typedef enum Channel {
	CHANNEL_OUTPUT,
	CHANNEL_ERROR,
	CHANNEL_REASONING,
	CHANNEL_TOOL_CALL,
	_CHANNEL_MAX,
} Channel;

const char *channel_to_string(Channel channel);
/* -EINVAL */
int channel_from_string(const char *name) _must_check_;

/* AgentError.code. The numbers stand in the .idx files: append only. */
typedef enum AgentErrorCode {
	AGENT_ERROR_NONE,
	AGENT_ERROR_CANCELLED,
	AGENT_ERROR_TIMEOUT,
	AGENT_ERROR_EXIT,
	AGENT_ERROR_SIGNAL,
	AGENT_ERROR_SPAWN_FAILED,
	AGENT_ERROR_PROVIDER,
	AGENT_ERROR_RATE_LIMITED,
	AGENT_ERROR_UNAUTHORIZED,
	AGENT_ERROR_CONNECTION,
	AGENT_ERROR_PROTOCOL,
	AGENT_ERROR_RESOURCE_LIMIT,
	AGENT_ERROR_OUTPUT_LIMIT,
	AGENT_ERROR_INTERRUPTED,
	AGENT_ERROR_SHUTDOWN,
	AGENT_ERROR_DEPENDENCY,
	_AGENT_ERROR_MAX,
} AgentErrorCode;

const char *agent_error_to_string(AgentErrorCode code);

typedef enum AgentState {
	AGENT_STATE_QUEUED,
	AGENT_STATE_RUNNING,
	AGENT_STATE_COMPLETED,
	AGENT_STATE_FAILED,
	AGENT_STATE_CANCELLED,
	_AGENT_STATE_MAX,
} AgentState;

const char *agent_state_to_string(AgentState state);
/* -EINVAL */
int agent_state_from_string(const char *name) _must_check_;
static inline int agent_state_is_final(AgentState state)
{
	return state >= AGENT_STATE_COMPLETED;
}

/* In the order of the table, which is the order in which they are documented. */
typedef enum MethodId {
	METHOD_DAEMON_STATUS,
	METHOD_DAEMON_METRICS,
	METHOD_AGENT_SPAWN,
	METHOD_AGENT_GET,
	METHOD_AGENT_LIST,
	METHOD_AGENT_OUTPUT,
	METHOD_AGENT_SEND,
	METHOD_AGENT_CANCEL,
	METHOD_AGENT_WAIT,
	METHOD_EVENTS_SUBSCRIBE,
	METHOD_EVENTS_UNSUBSCRIBE,
	METHOD_EVENTS_READ,
	METHOD_EVENTS_STATS,
	METHOD_PROVIDER_LIST,
	METHOD_SUBSCRIBER_LIST,
	METHOD_RPC_DISCOVER,
	_METHOD_MAX,
} MethodId;

typedef struct ProtocolMethod {
	const char *name;
	const char *summary;
	const char *result; /* the result's members, in the notation of protocol.md */
	Role role;
	const SchemaField *params;
	bool as_given; /* its params come without the defaults */
} ProtocolMethod;

/* `id` must be a valid one. */
const ProtocolMethod *protocol_method(MethodId id);
/* -ENOENT. `name` need not be NUL-terminated. */
int protocol_method_find(const char *name, size_t len) _must_check_;

/* A backend's options. */
typedef struct ProtocolBackend {
	const char *name;
	const char *summary;
	const SchemaField *options;
} ProtocolBackend;

/* NULL if there is none of that name. */
const ProtocolBackend *protocol_backend_find(const char *name);
/* NULL-terminated, in the order in which they are documented. */
const char *const *protocol_backend_names(void);

/* What precedes and what follows the event object in a notification, on the wire and in the log. */
#define PROTOCOL_EVENT_PREFIX "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":"
#define PROTOCOL_EVENT_SUFFIX "}\n"

/* Limits that are not configurable. */
#define PROTOCOL_MAX_CHUNK_BYTES       (64U * 1024)
#define PROTOCOL_MAX_CONTEXT_BYTES     (256U * 1024)
#define PROTOCOL_MAX_OPTIONS_BYTES     (256U * 1024)
#define PROTOCOL_MAX_LABELS            32U
#define PROTOCOL_MAX_LABEL_KEY_BYTES   128U
#define PROTOCOL_MAX_LABEL_VALUE_BYTES 512U
#define PROTOCOL_MAX_CORRELATION_BYTES 256U
#define PROTOCOL_MAX_GROUP_BYTES       128U
#define PROTOCOL_MAX_OUTPUT_BYTES      (4U * 1024 * 1024)
#define PROTOCOL_MAX_READ_BYTES        (4U * 1024 * 1024)
#define PROTOCOL_MAX_INPUT_BYTES       (1024U * 1024)
#define PROTOCOL_MAX_ALL_INPUT_BYTES   (64U * 1024 * 1024) /* of all agents that do not run yet */
#define PROTOCOL_MIN_PREFIX_CHARS      4U
#define PROTOCOL_LIST_PROMPT_CHARS     200U

typedef struct ProtocolLimit {
	const char *name; /* NULL ends the table */
	uint64_t value;
} ProtocolLimit;

/* What daemon.status and rpc.discover tell of them. */
const ProtocolLimit *protocol_limits(void);

/* Defaults of the limits that are. */
#define PROTOCOL_DEFAULT_MAX_RUNNING       1024U
#define PROTOCOL_DEFAULT_MAX_QUEUED        10000U
#define PROTOCOL_DEFAULT_MAX_CLIENTS       4096U
#define PROTOCOL_DEFAULT_MAX_REQUEST_BYTES (4U * 1024 * 1024)
#define PROTOCOL_DEFAULT_MAX_BATCH         1000U
#define PROTOCOL_DEFAULT_KILL_GRACE_MS     5000U
