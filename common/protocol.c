#include "common/protocol.h"

#include <errno.h>
#include <string.h>

#include "common/str.h"

#define MAX_MS       (10LL * 365 * 24 * 3600 * 1000) /* ten years: longer is a mistake */
#define MAX_CHUNKS   100000000LL
/* Longer than a UUID, so that an id that is too long is told as no such agent. */
#define MAX_ID_BYTES 128

static const char *const roles[_ROLE_MAX] = {
	[ROLE_NONE] = "none",
	[ROLE_OBSERVE] = "observe",
	[ROLE_SUBMIT] = "submit",
	[ROLE_ADMIN] = "admin",
};

const char *role_to_string(Role role)
{
	return roles[role];
}

int role_from_string(const char *name)
{
	return str_find(roles, _ROLE_MAX, name);
}

static const struct {
	const char *name;
	const char *doc;
	const char *members;
} event_types[_EVENT_TYPE_MAX] = {
	[EVENT_TYPE_DAEMON_STARTED] = { "DaemonStarted", "The daemon has started.",
		"{version, instance_id, requeued, interrupted, lost?}" },
	[EVENT_TYPE_DAEMON_STOPPING] = { "DaemonStopping", "The daemon takes no more work.",
		"{reason}" },
	[EVENT_TYPE_AGENT_SPAWNED] = { "AgentSpawned", "An agent was accepted.",
		"{prompt, backend, options, labels, context, group, priority, timeouts, "
		"on_restart, uid}" },
	[EVENT_TYPE_AGENT_STARTED] = { "AgentStarted", "An attempt of an agent has begun.",
		"{attempt, worker, queued_ms, pid?}" },
	[EVENT_TYPE_AGENT_WAITING] = { "AgentWaiting", "An agent is held back by a shared limit.",
		"{reason, provider, until?}" },
	[EVENT_TYPE_AGENT_RETRYING] = { "AgentRetrying", "An attempt is over; another follows.",
		"{attempt, code, delay_ms, message?}" },
	[EVENT_TYPE_AGENT_PARTIAL_OUTPUT] = { "AgentPartialOutput", "A chunk of output.",
		"{index, chunk, channel, encoding?}" },
	[EVENT_TYPE_AGENT_COMPLETED] = { "AgentCompleted", "An agent has done its work.",
		"{chunks, bytes, duration_ms, exit_code?, finish_reason?, model?, usage?, "
		"first_chunk_ms?, resource?}" },
	[EVENT_TYPE_AGENT_ERROR] = { "AgentError", "An agent has failed or was cancelled.",
		"{code, message, chunks, bytes, duration_ms, exit_code?, signal?, which?, "
		"provider?, http_status?, request_id?, resource?}" },
};

const char *protocol_event_name(EventType type)
{
	return event_types[type].name;
}

const char *protocol_event_doc(EventType type)
{
	return event_types[type].doc;
}

const char *protocol_event_members(EventType type)
{
	return event_types[type].members;
}

bool protocol_event_is_agents(EventType type)
{
	return type >= EVENT_TYPE_AGENT_SPAWNED;
}

int protocol_event_from_name(const char *name)
{
	for (int i = EVENT_TYPE_NONE + 1; i < _EVENT_TYPE_MAX; i++)
		if (strcmp(event_types[i].name, name) == 0)
			return i;
	return -EINVAL;
}

static const char *const channels[_CHANNEL_MAX + 1] = {
	[CHANNEL_OUTPUT] = "output",
	[CHANNEL_ERROR] = "error",
	[CHANNEL_REASONING] = "reasoning",
	[CHANNEL_TOOL_CALL] = "tool_call",
};

const char *channel_to_string(Channel channel)
{
	return channels[channel];
}

int channel_from_string(const char *name)
{
	return str_find(channels, _CHANNEL_MAX, name);
}

static const char *const agent_errors[_AGENT_ERROR_MAX] = {
	[AGENT_ERROR_NONE] = "none",
	[AGENT_ERROR_CANCELLED] = "cancelled",
	[AGENT_ERROR_TIMEOUT] = "timeout",
	[AGENT_ERROR_EXIT] = "exit",
	[AGENT_ERROR_SIGNAL] = "signal",
	[AGENT_ERROR_SPAWN_FAILED] = "spawn_failed",
	[AGENT_ERROR_PROVIDER] = "provider",
	[AGENT_ERROR_RATE_LIMITED] = "rate_limited",
	[AGENT_ERROR_UNAUTHORIZED] = "unauthorized",
	[AGENT_ERROR_CONNECTION] = "connection",
	[AGENT_ERROR_PROTOCOL] = "protocol",
	[AGENT_ERROR_RESOURCE_LIMIT] = "resource_limit",
	[AGENT_ERROR_OUTPUT_LIMIT] = "output_limit",
	[AGENT_ERROR_INTERRUPTED] = "interrupted",
	[AGENT_ERROR_SHUTDOWN] = "shutdown",
	[AGENT_ERROR_DEPENDENCY] = "dependency",
};

const char *agent_error_to_string(AgentErrorCode code)
{
	return agent_errors[code];
}

static const char *const agent_states[_AGENT_STATE_MAX + 1] = {
	[AGENT_STATE_QUEUED] = "queued",
	[AGENT_STATE_RUNNING] = "running",
	[AGENT_STATE_COMPLETED] = "completed",
	[AGENT_STATE_FAILED] = "failed",
	[AGENT_STATE_CANCELLED] = "cancelled",
};

const char *agent_state_to_string(AgentState state)
{
	return agent_states[state];
}

int agent_state_from_string(const char *name)
{
	return str_find(agent_states, _AGENT_STATE_MAX, name);
}

static const char *const event_names[] = {
	"DaemonStarted",
	"DaemonStopping",
	"AgentSpawned",
	"AgentStarted",
	"AgentWaiting",
	"AgentRetrying",
	"AgentPartialOutput",
	"AgentCompleted",
	"AgentError",
	NULL,
};

static const char *const backend_names[] = { "mock", "exec", "openai", "anthropic", NULL };
static const char *const encodings[] = { "base64", NULL };
static const char *const on_restart_choices[] = { "fail", "rerun", NULL };
const char *const protocol_metrics_formats[] = { "openmetrics", "prometheus", NULL };
static const char *const until_choices[] = { "idle", NULL };
static const char *const stdin_choices[] = { "prompt", "none", "open", NULL };
static const char *const chunking_choices[] = { "raw", "line", NULL };

static const SchemaField no_params[] = { { 0 } };

static const SchemaField agent_id_item = {
	.type = SCHEMA_STRING,
	.no_nul = true,
	.max_bytes = MAX_ID_BYTES,
};
static const SchemaField event_type_item = { .type = SCHEMA_STRING, .choices = event_names };
static const SchemaField state_item = { .type = SCHEMA_STRING, .choices = agent_states };

#define AGENT_ID                                                                             \
	{                                                                                    \
		.name = "agent_id", .type = SCHEMA_STRING, .required = true, .no_nul = true, \
		.max_bytes = MAX_ID_BYTES,                                                   \
		.doc = "The agent's id, or an unambiguous prefix of 4 or more characters.",  \
	}
#define CORRELATION_ID                                                              \
	{                                                                           \
		.name = "correlation_id", .type = SCHEMA_STRING, .no_nul = true,    \
		.max_bytes = PROTOCOL_MAX_CORRELATION_BYTES,                        \
		.doc = "What the spawn gave to tell which agents belong together.", \
	}
#define LABELS(filled_in)                                                                     \
	{                                                                                     \
		.name = "labels", .type = SCHEMA_STRING_MAP, .default_json = (filled_in),     \
		.no_nul = true, .max_items = PROTOCOL_MAX_LABELS,                             \
		.max_key_bytes = PROTOCOL_MAX_LABEL_KEY_BYTES,                                \
		.max_bytes = PROTOCOL_MAX_LABEL_VALUE_BYTES, .doc = "Labels, name to value.", \
	}
#define AGENTS                                                                                   \
	{                                                                                        \
		.name = "agents", .type = SCHEMA_ARRAY, .items = &agent_id_item, .min_items = 1, \
		.max_items = 10000, .doc = "Only events of these agents.",                       \
	}
#define TYPES                                                                                     \
	{                                                                                         \
		.name = "types", .type = SCHEMA_ARRAY, .items = &event_type_item, .min_items = 1, \
		.max_items = 1000, .doc = "Only events of these types.",                          \
	}
#define BACKEND_FILTER                                                    \
	{                                                                 \
		.name = "backend", .type = SCHEMA_STRING, .no_nul = true, \
		.doc = "Only agents of this backend.",                    \
	}

static const SchemaField timeouts_fields[] = {
	{ .name = "total_ms",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = MAX_MS,
		.doc = "From its start to its end." },
	{ .name = "idle_ms",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = MAX_MS,
		.doc = "Without a chunk." },
	{ .name = "connect_ms",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = MAX_MS,
		.doc = "Until its provider is reached." },
	{ .name = "first_chunk_ms",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = MAX_MS,
		.doc = "Until its provider begins to answer." },
	{ 0 },
};

static const SchemaField spawn_params[] = {
	{ .name = "prompt",
		.type = SCHEMA_STRING,
		.required = true,
		.doc = "What it is to work on." },
	{ .name = "backend",
		.type = SCHEMA_STRING,
		.default_json = "\"mock\"",
		.choices = backend_names,
		.doc = "What kind of agent it is." },
	{ .name = "options",
		.type = SCHEMA_ANY_OBJECT,
		.default_json = "{}",
		.max_bytes = PROTOCOL_MAX_OPTIONS_BYTES,
		.doc = "The backend's options." },
	{ .name = "agent_id",
		.type = SCHEMA_STRING,
		.doc = "A whole UUID of the client's choosing, which makes the spawn idempotent." },
	CORRELATION_ID,
	LABELS("{}"),
	{ .name = "context",
		.type = SCHEMA_ANY_OBJECT,
		.default_json = "{}",
		.max_bytes = PROTOCOL_MAX_CONTEXT_BYTES,
		.doc = "Kept for the client, with the agent." },
	{ .name = "group",
		.type = SCHEMA_STRING,
		.default_json = "\"default\"",
		.no_nul = true,
		.not_empty = true,
		.max_bytes = PROTOCOL_MAX_GROUP_BYTES,
		.doc = "Its group, which may have a max_running of its own." },
	{ .name = "priority",
		.type = SCHEMA_INTEGER,
		.default_json = "0",
		.min = INT32_MIN,
		.max = INT32_MAX,
		.doc = "Higher ones start first." },
	{ .name = "timeouts",
		.type = SCHEMA_OBJECT,
		.default_json = "{}",
		.fields = timeouts_fields,
		.doc = "How long it may take." },
	{ .name = "on_restart",
		.type = SCHEMA_STRING,
		.default_json = "\"fail\"",
		.choices = on_restart_choices,
		.doc = "What becomes of it when the daemon dies under it." },
	{ .name = "follow",
		.type = SCHEMA_BOOLEAN,
		.default_json = "false",
		.doc = "Subscribe this connection to it, too." },
	{ 0 },
};

static const SchemaField get_params[] = { AGENT_ID, { 0 } };

static const SchemaField list_params[] = {
	{ .name = "state",
		.type = SCHEMA_ARRAY,
		.items = &state_item,
		.min_items = 1,
		.max_items = 100,
		.doc = "Only agents in one of these states." },
	CORRELATION_ID,
	LABELS(NULL),
	BACKEND_FILTER,
	{ .name = "group",
		.type = SCHEMA_STRING,
		.no_nul = true,
		.doc = "Only agents of this group." },
	{ .name = "limit",
		.type = SCHEMA_INTEGER,
		.default_json = "100",
		.min = 1,
		.max = 1000,
		.doc = "At most so many." },
	{ .name = "before",
		.type = SCHEMA_INTEGER,
		.min = 0,
		.max = INT64_MAX,
		.doc = "Only agents spawned before this seq: the `next` of the page before." },
	{ 0 },
};

static const SchemaField output_params[] = {
	AGENT_ID,
	{ .name = "channel",
		.type = SCHEMA_STRING,
		.default_json = "\"output\"",
		.choices = channels,
		.doc = "Which of its channels." },
	{ .name = "offset",
		.type = SCHEMA_INTEGER,
		.default_json = "0",
		.min = 0,
		.max = INT64_MAX,
		.doc = "Raw bytes of the channel to leave out." },
	{ .name = "limit_bytes",
		.type = SCHEMA_INTEGER,
		.default_json = "4194304",
		.min = 1,
		.max = PROTOCOL_MAX_OUTPUT_BYTES,
		.doc = "At most so many raw bytes." },
	{ 0 },
};

static const SchemaField send_params[] = {
	AGENT_ID,
	{ .name = "data",
		.type = SCHEMA_STRING,
		.required = true,
		.doc = "Bytes for its standard input." },
	{ .name = "encoding",
		.type = SCHEMA_STRING,
		.choices = encodings,
		.doc = "How `data` is encoded, where it is not text." },
	{ .name = "eof",
		.type = SCHEMA_BOOLEAN,
		.default_json = "false",
		.doc = "Close its standard input afterwards." },
	{ 0 },
};

static const SchemaField wait_params[] = {
	AGENT_ID,
	{ .name = "timeout_ms",
		.type = SCHEMA_INTEGER,
		.min = 0,
		.max = MAX_MS,
		.doc = "Give up after so long." },
	{ 0 },
};

static const SchemaField subscribe_params[] = {
	{ .name = "after",
		.type = SCHEMA_INTEGER,
		.min = 0,
		.max = INT64_MAX,
		.doc = "The last seq that the client has; 0: from the oldest there is." },
	{ .name = "last",
		.type = SCHEMA_INTEGER,
		.min = 0,
		.max = 10000,
		.doc = "Start at the n-th last matching event." },
	{ .name = "log_id",
		.type = SCHEMA_STRING,
		.no_nul = true,
		.doc = "The log that `after` belongs to." },
	AGENTS,
	TYPES,
	CORRELATION_ID,
	LABELS(NULL),
	{ .name = "until",
		.type = SCHEMA_STRING,
		.choices = until_choices,
		.doc = "End once every agent that matches has ended and all was sent." },
	{ 0 },
};

static const SchemaField read_params[] = {
	{ .name = "after",
		.type = SCHEMA_INTEGER,
		.default_json = "0",
		.min = 0,
		.max = INT64_MAX,
		.doc = "Only events with a greater seq; 0: from the oldest there is." },
	{ .name = "limit",
		.type = SCHEMA_INTEGER,
		.default_json = "100",
		.min = 1,
		.max = 10000,
		.doc = "At most so many." },
	AGENTS,
	TYPES,
	CORRELATION_ID,
	LABELS(NULL),
	{ 0 },
};

static const SchemaField stats_params[] = { CORRELATION_ID, { 0 } };

static const SchemaField subscribers_params[] = {
	{ .name = "limit",
		.type = SCHEMA_INTEGER,
		.default_json = "100",
		.min = 1,
		.max = 1000,
		.doc = "At most so many." },
	{ .name = "after",
		.type = SCHEMA_INTEGER,
		.default_json = "0",
		.min = 0,
		.max = INT64_MAX,
		.doc = "Only those with a greater id: the `next` of the page before." },
	{ 0 },
};

static const SchemaField metrics_params[] = {
	{ .name = "format",
		.type = SCHEMA_STRING,
		.default_json = "\"openmetrics\"",
		.choices = protocol_metrics_formats,
		.doc = "Which text format." },
	{ 0 },
};

#define AGENT_RESULT                                                                           \
	"{agent_id, backend, state, prompt, options, labels, context, group, correlation_id, " \
	"priority, uid, attempt, pid?, spawned_at, started_at?, ended_at?, chunks, bytes, "    \
	"first_seq, last_seq, waiting?, ending?}"

static const ProtocolMethod methods[_METHOD_MAX] = {
	[METHOD_DAEMON_STATUS] = { "daemon.status", "What the daemon is and how it fares.",
		"{version, protocol, instance_id, log_id, pid, uptime_ms, workers, agents, "
		"clients, "
		"subscribers, log, containment, limits}",
		ROLE_OBSERVE, no_params, false },
	[METHOD_DAEMON_METRICS] = { "daemon.metrics", "What it counts, for a monitoring system.",
		"{content_type, text}", ROLE_OBSERVE, metrics_params, false },
	[METHOD_AGENT_SPAWN] = { "agent.spawn", "Accepts an agent: it will run.",
		"{agent_id, seq, created}", ROLE_SUBMIT, spawn_params, true },
	[METHOD_AGENT_GET] = { "agent.get", "All about one agent.", AGENT_RESULT, ROLE_OBSERVE,
		get_params, false },
	[METHOD_AGENT_LIST] = { "agent.list", "Agents, newest first.", "{agents, next?}",
		ROLE_OBSERVE, list_params, false },
	[METHOD_AGENT_OUTPUT] = { "agent.output", "What an agent has put out so far, joined.",
		"{agent_id, state, text, encoding?, offset, next?}", ROLE_OBSERVE, output_params,
		false },
	[METHOD_AGENT_SEND] = { "agent.send", "Bytes for an agent's standard input.",
		"{agent_id, queued_bytes}", ROLE_SUBMIT, send_params, false },
	[METHOD_AGENT_CANCEL] = { "agent.cancel", "Ends an agent.", "{agent_id, state}",
		ROLE_SUBMIT, get_params, false },
	[METHOD_AGENT_WAIT] = { "agent.wait", "Answers once an agent has ended.", AGENT_RESULT,
		ROLE_OBSERVE, wait_params, false },
	[METHOD_EVENTS_SUBSCRIBE] = { "events.subscribe", "Every matching event, as it happens.",
		"{log_id, oldest_seq, newest_seq}", ROLE_OBSERVE, subscribe_params, false },
	[METHOD_EVENTS_UNSUBSCRIBE] = { "events.unsubscribe", "Ends the subscription.", "{seq}",
		ROLE_OBSERVE, no_params, false },
	[METHOD_EVENTS_READ] = { "events.read", "A page of past events.",
		"{log_id, events, seq, more}", ROLE_OBSERVE, read_params, false },
	[METHOD_EVENTS_STATS] = { "events.stats", "Counts over what the log holds.",
		"{events, by_type, agents, chunks, bytes}", ROLE_OBSERVE, stats_params, false },
	[METHOD_PROVIDER_LIST] = { "provider.list", "Whom agents can ask, and how they fare.",
		"{providers}", ROLE_OBSERVE, no_params, false },
	[METHOD_SUBSCRIBER_LIST] = { "subscriber.list",
		"Who has a subscription, and how far it is.", "{newest_seq, subscribers, next?}",
		ROLE_OBSERVE, subscribers_params, false },
	[METHOD_RPC_DISCOVER] = { "rpc.discover", "This list, as an OpenRPC document.",
		"an OpenRPC document", ROLE_OBSERVE, no_params, false },
};

const ProtocolMethod *protocol_method(MethodId id)
{
	return &methods[id];
}

int protocol_method_find(const char *name, size_t len)
{
	for (int i = 0; i < _METHOD_MAX; i++)
		if (strlen(methods[i].name) == len && memcmp(methods[i].name, name, len) == 0)
			return i;
	return -ENOENT;
}

static const SchemaField script_fields[] = {
	{ .name = "after_ms",
		.type = SCHEMA_INTEGER,
		.default_json = "0",
		.min = 0,
		.max = MAX_MS,
		.doc = "After the chunk before." },
	{ .name = "chunk", .type = SCHEMA_STRING, .required = true, .doc = "Its text." },
	{ 0 },
};

static const SchemaField script_item = { .type = SCHEMA_OBJECT, .fields = script_fields };

static const SchemaField mock_options[] = {
	{ .name = "chunks",
		.type = SCHEMA_INTEGER,
		.default_json = "3",
		.min = 0,
		.max = MAX_CHUNKS,
		.doc = "How many chunks." },
	{ .name = "delay_ms",
		.type = SCHEMA_INTEGER,
		.default_json = "100",
		.min = 0,
		.max = MAX_MS,
		.doc = "Before each chunk." },
	{ .name = "chunk_bytes",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = 4 * 1024 * 1024,
		.doc = "Pad or cut each chunk to this size." },
	{ .name = "fail_after",
		.type = SCHEMA_INTEGER,
		.min = 0,
		.max = MAX_CHUNKS,
		.doc = "Fail after so many chunks." },
	{ .name = "script",
		.type = SCHEMA_ARRAY,
		.items = &script_item,
		.doc = "Play these chunks, bursts and stalls instead." },
	{ 0 },
};

static const SchemaField exec_limits[] = {
	{ .name = "memory_bytes",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = INT64_MAX,
		.doc = "Memory of all its processes; without cgroups, address space of each." },
	{ .name = "cpu_seconds",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = INT32_MAX,
		.doc = "Processor time of all its processes; without cgroups, of each." },
	{ .name = "processes",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = INT32_MAX,
		.doc = "How many at once (needs cgroups)." },
	{ .name = "open_files",
		.type = SCHEMA_INTEGER,
		.min = 3,
		.max = INT32_MAX,
		.doc = "Descriptors of each process." },
	{ .name = "output_bytes",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = INT64_MAX,
		.doc = "Bytes on both channels." },
	{ 0 },
};

static const SchemaField argv_item = { .type = SCHEMA_STRING, .no_nul = true };

static const SchemaField exec_options[] = {
	{ .name = "argv",
		.type = SCHEMA_ARRAY,
		.items = &argv_item,
		.required = true,
		.min_items = 1,
		.doc = "The program, found on the daemon's PATH, and its arguments." },
	{ .name = "cwd",
		.type = SCHEMA_STRING,
		.no_nul = true,
		.not_empty = true,
		.doc = "Its working directory; by default the daemon user's home, else /." },
	{ .name = "env",
		.type = SCHEMA_STRING_MAP,
		.default_json = "{}",
		.no_nul = true,
		.doc = "Its environment, over a small clean base." },
	{ .name = "env_from",
		.type = SCHEMA_STRING_MAP,
		.default_json = "{}",
		.no_nul = true,
		.doc = "Secrets for its environment: credential:NAME or file:PATH." },
	{ .name = "stdin",
		.type = SCHEMA_STRING,
		.default_json = "\"prompt\"",
		.choices = stdin_choices,
		.doc = "What its standard input is." },
	{ .name = "chunking",
		.type = SCHEMA_STRING,
		.default_json = "\"raw\"",
		.choices = chunking_choices,
		.doc = "What one chunk is." },
	{ .name = "limits",
		.type = SCHEMA_OBJECT,
		.default_json = "{}",
		.fields = exec_limits,
		.doc = "What it may use." },
	{ 0 },
};

/* What a message may hold is the provider's business. */
static const SchemaField message_item = { .type = SCHEMA_ANY_OBJECT };

static const SchemaField llm_options[] = {
	{ .name = "provider",
		.type = SCHEMA_STRING,
		.no_nul = true,
		.not_empty = true,
		.max_bytes = PROTOCOL_MAX_GROUP_BYTES,
		.doc = "Which provider of the configuration; by default the first of its kind." },
	{ .name = "model",
		.type = SCHEMA_STRING,
		.no_nul = true,
		.not_empty = true,
		.doc = "Which model; by default the provider's." },
	{ .name = "system", .type = SCHEMA_STRING, .doc = "What the model is told to be." },
	{ .name = "messages",
		.type = SCHEMA_ARRAY,
		.items = &message_item,
		.doc = "The conversation so far, to which the prompt is the next turn." },
	{ .name = "temperature", .type = SCHEMA_NUMBER, .doc = "How freely it chooses its words." },
	{ .name = "max_tokens",
		.type = SCHEMA_INTEGER,
		.min = 1,
		.max = INT32_MAX,
		.doc = "The longest answer." },
	{ .name = "extra",
		.type = SCHEMA_ANY_OBJECT,
		.default_json = "{}",
		.doc = "Further members of the request's body, as they are." },
	{ 0 },
};

static const ProtocolBackend backends[] = {
	{ "mock", "Makes chunks up, at a rhythm of your choosing.", mock_options },
	{ "exec", "Runs any program.", exec_options },
	{ "openai", "Asks a language model over OpenAI's interface.", llm_options },
	{ "anthropic", "Asks a language model over Anthropic's interface.", llm_options },
};

const ProtocolBackend *protocol_backend_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (strcmp(backends[i].name, name) == 0)
			return &backends[i];
	return NULL;
}

const char *const *protocol_backend_names(void)
{
	return backend_names;
}

static const ProtocolLimit limits[] = {
	{ "max_chunk_bytes", PROTOCOL_MAX_CHUNK_BYTES },
	{ "max_context_bytes", PROTOCOL_MAX_CONTEXT_BYTES },
	{ "max_options_bytes", PROTOCOL_MAX_OPTIONS_BYTES },
	{ "max_labels", PROTOCOL_MAX_LABELS },
	{ "max_label_key_bytes", PROTOCOL_MAX_LABEL_KEY_BYTES },
	{ "max_label_value_bytes", PROTOCOL_MAX_LABEL_VALUE_BYTES },
	{ "max_correlation_id_bytes", PROTOCOL_MAX_CORRELATION_BYTES },
	{ "max_group_bytes", PROTOCOL_MAX_GROUP_BYTES },
	{ "max_output_bytes", PROTOCOL_MAX_OUTPUT_BYTES },
	{ "max_read_bytes", PROTOCOL_MAX_READ_BYTES },
	{ "max_input_bytes", PROTOCOL_MAX_INPUT_BYTES },
	{ "max_all_input_bytes", PROTOCOL_MAX_ALL_INPUT_BYTES },
	{ "min_prefix_chars", PROTOCOL_MIN_PREFIX_CHARS },
	{ 0 },
};

const ProtocolLimit *protocol_limits(void)
{
	return limits;
}
