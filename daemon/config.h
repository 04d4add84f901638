/* The configuration: one table of keys, from files (INI), drop-ins and the command line.
 *
 * Order, the later winning: built-in defaults; the file; its drop-ins in alphabetical order;
 * options of the command line. Everything that is wrong is reported at once, each with file and
 * line.
 *
 * Thread: main; constant once loaded (a reload makes a new one). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/protocol.h"
#include "daemon/backend/provider-config.h"
#include "daemon/eventlog/durability.h"
#include "daemon/reaper/reaper-delegation.h"

/* [group NAME] */
typedef struct ConfigGroup {
	char *name;
	uint32_t max_running; /* UINT32_MAX: as many as [limits] lets run */
} ConfigGroup;

/* [access]: `user.NAME = role`, `group.NAME = role`, `other = role`; names or numbers. */
typedef struct ConfigAccess {
	bool is_group;
	uint32_t id;
	Role role;
} ConfigAccess;

typedef struct Config {
	/* [daemon] */
	char *socket;     /* NULL: the usual place */
	char *state_dir;  /* NULL: the usual place */
	uint32_t workers; /* 0: one for each core */
	uint64_t stop_grace_us;
	uint32_t kill_grace_ms;
	LogLevel log_level;
	char *trace_agent; /* NULL: none; see config-agents.h */
	DelegationMode cgroups;
	uint32_t socket_mode; /* octal, 0660 */
	char *socket_group;   /* NULL: leave it */
	/* [limits] */
	uint32_t max_running;
	uint32_t max_queued;
	uint32_t max_clients;
	uint64_t max_request_bytes;
	uint64_t max_prompt_bytes;
	uint32_t max_batch;
	/* [log] */
	Durability durability;
	uint64_t sync_interval_us;
	uint64_t segment_bytes;
	uint64_t retain_bytes;  /* 0: all */
	uint64_t retain_age_us; /* 0: for ever */
	/* sections with names: see config-named.h */
	ConfigGroup *groups;
	size_t n_groups;
	ConfigProvider *providers;
	size_t n_providers;
	ConfigAccess *access;
	size_t n_access;
	Role access_other; /* ROLE_NONE */
} Config;

typedef enum ConfigAction {
	CONFIG_RUN,
	CONFIG_ACTION_CHECK_CONFIG, /* --check-config */
	CONFIG_ACTION_PRINT_CONFIG, /* --print-config */
	CONFIG_ACTION_CHECK,        /* --check: verify the log and the catalog */
	CONFIG_ACTION_HELP,
	CONFIG_ACTION_VERSION,
} ConfigAction;

/* What the command line asked for. Kept for reloads. */
typedef struct ConfigOptions {
	ConfigAction action;
	bool no_config;
	const char *config_file; /* lent from argv */
	/* `--key=value` pairs, lent from argv, in order; a key ends at '=' or at the end of its
	 * text. */
	const char **keys;
	const char **values;
	size_t n;
} ConfigOptions;

/* Reads argv. 0; -EINVAL with the reasons, one a line, appended to `errors`, and *ret what could be
 * read, so that config_load() can say what is wrong beside that; -ENOMEM. */
int config_options_parse(int argc, char *argv[], ConfigOptions *ret, Buf *errors) _must_check_;
void config_options_done(ConfigOptions *o);

/* Makes a configuration. On -EINVAL `errors` has all reasons, one a line ("FILE:LINE: …"). *ret is
 * written on success only. */
int config_load(const ConfigOptions *options, Config **ret, Buf *errors) _must_check_;
void config_free(Config *c);

/* INI text that config_load() would read to the same configuration, each key with its default and
 * meaning as comments; a path that is not set is a comment, too: the one that is in force. */
int config_print(const Config *c, Buf *b) _must_check_;
/* What --help says. */
int config_print_help(Buf *b) _must_check_;

/* Fills `changed` with the names of keys ("limits.max_running"), comma-separated, that differ
 * between `a` and `b` and can be taken over while running, and `fixed` with those that cannot. */
int config_diff(const Config *a, const Config *b, Buf *changed, Buf *fixed) _must_check_;

/* What is allowed but should not be, one sentence a line. */
int config_warnings(const Config *c, Buf *b) _must_check_;
void config_log_warnings(const Config *c);
/* Each line that `errors` or warnings have, as a record of its own. */
void config_log_lines(LogLevel level, const Buf *lines);
/* A provider's key or header stands in the environment that the daemon was started with. */
bool config_has_env_secret(const Config *c);
