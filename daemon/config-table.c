#include "daemon/config-table.h"

#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "daemon/config-named.h"
#include "daemon/config-places.h"
#include "daemon/config.h"

#define KIB (1024ULL)
#define MIB (1024ULL * KIB)
#define GIB (1024ULL * MIB)

#define HOUR_US    (3600 * USEC_PER_SEC)
#define HOUR_MS    (3600 * 1000ULL)
/* A century: what is beyond is a slip, and would overflow sums of times. */
#define AGE_MAX_US (36525ULL * 24 * HOUR_US)

/* Longer names are compared by nobody: no key comes near. */
#define NAME_MAX_BYTES 64

static const ConfigKey keys[] = {
	{ .section = "daemon",
		.name = "socket",
		.doc = "Path of the control socket.",
		.default_doc = "/run/liongate/control.sock; for a user's own daemon "
			       "$XDG_RUNTIME_DIR/liongate/control.sock",
		.type = CONFIG_TYPE_SOCKET,
		.offset = offsetof(Config, socket),
		.usual = config_places_socket },
	{ .section = "daemon",
		.name = "socket_mode",
		.doc = "Permissions of the socket, in octal.",
		.type = CONFIG_TYPE_MODE,
		.offset = offsetof(Config, socket_mode),
		.default_value = 0660,
		.max = 0777 },
	{ .section = "daemon",
		.name = "socket_group",
		.doc = "Group that the socket is given to.",
		.default_doc = "the daemon's own",
		.type = CONFIG_TYPE_TEXT,
		.offset = offsetof(Config, socket_group) },
	{ .section = "daemon",
		.name = "state_dir",
		.doc = "Directory of the log of events and the catalog.",
		.default_doc = "/var/lib/liongate; for a user's own daemon "
			       "$XDG_STATE_HOME/liongate",
		.type = CONFIG_TYPE_PATH,
		.offset = offsetof(Config, state_dir),
		.usual = config_places_state_dir },
	{ .section = "daemon",
		.name = "workers",
		.doc = "Threads that run agents; 0 is one for each core.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(Config, workers),
		.max = 1024 },
	{ .section = "daemon",
		.name = "stop_grace",
		.doc = "How long running agents may go on when the daemon stops.",
		.type = CONFIG_TYPE_TIME_US,
		.offset = offsetof(Config, stop_grace_us),
		.default_value = 10 * USEC_PER_SEC,
		.max = HOUR_US,
		.reloadable = true },
	{ .section = "daemon",
		.name = "kill_grace",
		.doc = "Time between SIGTERM and SIGKILL for the programs of exec agents.",
		.type = CONFIG_TYPE_TIME_MS,
		.offset = offsetof(Config, kill_grace_ms),
		.default_value = PROTOCOL_DEFAULT_KILL_GRACE_MS,
		.max = HOUR_MS,
		.reloadable = true },
	{ .section = "daemon",
		.name = "log_level",
		.doc = "The least that the daemon's own messages must be: error, warning, notice, "
		       "info or debug.",
		.type = CONFIG_TYPE_LOG_LEVEL,
		.offset = offsetof(Config, log_level),
		.default_value = LOG_LEVEL_INFO,
		.reloadable = true },
	{ .section = "daemon",
		.name = "trace_agent",
		.doc = "Agents whose events are traced on their way through the daemon: ids, or "
		       "their beginnings of 4 or more characters, with commas between them.",
		.default_doc = "none",
		.type = CONFIG_TYPE_AGENTS,
		.offset = offsetof(Config, trace_agent),
		.reloadable = true },
	{ .section = "daemon",
		.name = "cgroups",
		.doc = "Whether each exec agent gets a cgroup of its own. auto: where the daemon's "
		       "is delegated to it; on: in whatever cgroup it is alone in and owns, and it "
		       "does not start without; off: no.",
		.type = CONFIG_TYPE_DELEGATION,
		.offset = offsetof(Config, cgroups),
		.default_value = DELEGATION_AUTO },

	{ .section = "limits",
		.name = "max_running",
		.doc = "Agents that run at the same time; further ones wait.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(Config, max_running),
		.default_value = PROTOCOL_DEFAULT_MAX_RUNNING,
		.min = 1,
		.max = 1000000,
		.reloadable = true },
	{ .section = "limits",
		.name = "max_queued",
		.doc = "Agents that may wait; further spawns are refused.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(Config, max_queued),
		.default_value = PROTOCOL_DEFAULT_MAX_QUEUED,
		.min = 1,
		.max = 10000000,
		.reloadable = true },
	{ .section = "limits",
		.name = "max_clients",
		.doc = "Connections at the same time.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(Config, max_clients),
		.default_value = PROTOCOL_DEFAULT_MAX_CLIENTS,
		.min = 1,
		.max = 1000000,
		.reloadable = true },
	{ .section = "limits",
		.name = "max_request_bytes",
		.doc = "Longest line of a client; holds for connections made from then on.",
		.type = CONFIG_TYPE_SIZE,
		.offset = offsetof(Config, max_request_bytes),
		.default_value = PROTOCOL_DEFAULT_MAX_REQUEST_BYTES,
		.min = 4 * KIB,
		.max = 15 * MIB,
		.reloadable = true },
	{ .section = "limits",
		.name = "max_prompt_bytes",
		.doc = "Longest prompt.",
		.default_doc = "the same as max_request_bytes",
		.type = CONFIG_TYPE_SIZE,
		.offset = offsetof(Config, max_prompt_bytes),
		.min = 1,
		.max = 15 * MIB,
		.reloadable = true },
	{ .section = "limits",
		.name = "max_batch",
		.doc = "Requests in one JSON-RPC batch.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(Config, max_batch),
		.default_value = PROTOCOL_DEFAULT_MAX_BATCH,
		.min = 1,
		.max = 10000,
		.reloadable = true },

	{ .section = "log",
		.name = "durability",
		.doc = "interval: events survive any death of the daemon, and are synced to disk "
		       "every sync_interval; fsync: synced before anyone sees them.",
		.type = CONFIG_TYPE_DURABILITY,
		.offset = offsetof(Config, durability),
		.default_value = DURABILITY_INTERVAL },
	{ .section = "log",
		.name = "sync_interval",
		.doc = "The most that a power cut may take, with durability = interval.",
		.type = CONFIG_TYPE_TIME_US,
		.offset = offsetof(Config, sync_interval_us),
		.default_value = USEC_PER_SEC,
		.min = USEC_PER_MSEC,
		.max = HOUR_US,
		.reloadable = true },
	{ .section = "log",
		.name = "segment_bytes",
		.doc = "Size at which the log goes on in a new file.",
		.type = CONFIG_TYPE_SIZE,
		.offset = offsetof(Config, segment_bytes),
		.default_value = 64 * MIB,
		.min = 64 * KIB,
		.max = GIB,
		.reloadable = true },
	{ .section = "log",
		.name = "retain_bytes",
		.doc = "Oldest files of the log go when it is larger than this; 0 keeps all.",
		.type = CONFIG_TYPE_SIZE,
		.offset = offsetof(Config, retain_bytes),
		.max = INT64_MAX,
		.reloadable = true },
	{ .section = "log",
		.name = "retain_age",
		.doc = "Files of the log go when all in them is older than this; 0 keeps all.",
		.type = CONFIG_TYPE_TIME_US,
		.offset = offsetof(Config, retain_age_us),
		.max = AGE_MAX_US,
		.reloadable = true },

	{ .section = "access",
		.name = "other",
		.doc = "Role of whoever no user.NAME or group.NAME speaks of: none, observe, "
		       "submit or admin.",
		.type = CONFIG_TYPE_ROLE,
		.offset = offsetof(Config, access_other),
		.default_value = ROLE_NONE,
		.reloadable = true },
};

static const char *const sections[] = { "daemon", "limits", "log", "access" };

const ConfigKey *config_table_keys(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(keys);
	return keys;
}

const ConfigKey *config_table_find(const char *section, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

const ConfigKey *config_table_find_any(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

bool config_table_has_section(const char *section)
{
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (strcmp(sections[i], section) == 0)
			return true;
	return false;
}

static bool same_char(char a, char b)
{
	return a == b || ((a == '-' || a == '_') && (b == '-' || b == '_'));
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's, one row at a time. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[NAME_MAX_BYTES + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t cost = same_char(a[i - 1], b[j - 1]) ? 0 : 1;
			size_t best = min3(row[j] + 1, row[j - 1] + 1, diagonal + cost);

			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b_len];
}

size_t config_table_distance(const char *name, const char *candidate)
{
	size_t len = strlen(name), candidate_len = strlen(candidate), distance;

	if (len > NAME_MAX_BYTES || candidate_len > NAME_MAX_BYTES)
		return SIZE_MAX;
	distance = edit_distance(name, len, candidate, candidate_len);
	return distance <= 1 + candidate_len / 4 ? distance : SIZE_MAX;
}

static void consider(const char *name, const char *candidate, size_t *least, const char **best)
{
	size_t distance = config_table_distance(name, candidate);

	if (distance < *least) {
		*least = distance;
		*best = candidate;
	}
}

const char *config_table_nearest_of(const ConfigKey *of, size_t n, const char *name)
{
	const char *best = NULL;
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < n; i++)
		consider(name, of[i].name, &least, &best);
	return best;
}

const char *config_table_nearest(const char *section, const char *name)
{
	const char *best = NULL, *item;
	size_t least = SIZE_MAX;
	const ConfigNamed *kind = config_named_of(section, &item);

	if (kind)
		return config_table_nearest_of(kind->keys, kind->n_keys, name);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].section, section) == 0)
			consider(name, keys[i].name, &least, &best);
	return best;
}

const char *config_table_nearest_any(const char *name)
{
	return config_table_nearest_of(keys, ARRAY_SIZE(keys), name);
}

const char *config_table_nearest_section(const char *section)
{
	_cleanup_free_ char *word = strndup(section, strcspn(section, " \t"));
	const char *best = NULL, *best_word = NULL;
	size_t n, least = SIZE_MAX;
	const ConfigNamed *kinds = config_named_kinds(&n);

	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		consider(section, sections[i], &least, &best);
	for (size_t i = 0; word && i < n; i++) {
		size_t before = least;

		consider(word, kinds[i].word, &least, &best_word);
		if (least < before)
			best = kinds[i].title;
	}
	return best;
}

int config_table_list_sections(Buf *b)
{
	size_t n;
	const ConfigNamed *kinds = config_named_kinds(&n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(sections); i++)
		r = buf_printf(b, "%s[%s]", i > 0 ? ", " : "", sections[i]);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = buf_printf(b, "%s[%s]", i + 1 < n ? ", " : " and ", kinds[i].title);
	return r;
}
