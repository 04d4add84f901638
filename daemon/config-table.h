/* The table of keys: what the configuration may hold. Files, the command line, --print-config,
 * --help and reloads all go by it.
 *
 * Owns nothing: constant. Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/buf.h"

typedef enum ConfigType {
	CONFIG_TYPE_TEXT,    /* char *, NULL when unset, as is */
	CONFIG_TYPE_PATH,    /* char *, absolute */
	CONFIG_TYPE_SOCKET,  /* char *, absolute, short enough for a sockaddr_un */
	CONFIG_TYPE_URL,     /* char *, of an API */
	CONFIG_TYPE_PROXY,   /* char *, URL of a proxy */
	CONFIG_TYPE_AGENTS,  /* char *, see config-agents.h */
	CONFIG_TYPE_SOURCE,  /* char *, where a secret stands; "none" is NULL */
	CONFIG_TYPE_HEADERS, /* ConfigHeaders, one of them for each key "header.NAME" */
	CONFIG_TYPE_COUNT,   /* uint32_t */
	CONFIG_TYPE_MODE,    /* uint32_t, octal */
	CONFIG_TYPE_SIZE,    /* uint64_t, bytes */
	CONFIG_TYPE_TIME_US, /* uint64_t */
	CONFIG_TYPE_TIME_MS, /* uint32_t */
	CONFIG_TYPE_LOG_LEVEL,
	CONFIG_TYPE_DURABILITY,
	CONFIG_TYPE_DELEGATION,
	CONFIG_TYPE_ROLE,
	CONFIG_TYPE_PROVIDER_KIND,
	_CONFIG_TYPE_MAX,
} ConfigType;

typedef struct ConfigKey {
	const char *section;
	const char *name;
	const char *doc; /* one sentence */
	const char *
		default_doc; /* what holds where a number cannot say it; NULL: default_value does */
	ConfigType type;
	size_t offset;          /* into Config; of sections with names into their item */
	uint64_t default_value; /* in the unit of the field; texts begin as NULL */
	uint64_t min, max;      /* counts, sizes and times, in the unit of the field; a default
				 * out of it is one that cannot be said */
	bool reloadable;
	/* Of a path: the one that is in force where none is set, which the caller frees; or NULL.
	 */
	int (*usual)(uid_t uid, char **ret);
} ConfigKey;

/* All keys of the sections without names, sections together; for the others see config-named.h. */
const ConfigKey *config_table_keys(size_t *ret_n);
/* NULL: there is none. */
const ConfigKey *config_table_find(const char *section, const char *name);
/* In whatever section it stands. */
const ConfigKey *config_table_find_any(const char *name);
bool config_table_has_section(const char *section);

/* The names nearest to a misspelt one; NULL if nothing is near. Of a section that is "group NAME"
 * or the like. */
const char *config_table_nearest(const char *section, const char *name);
const char *config_table_nearest_section(const char *section);
const char *config_table_nearest_any(const char *name);
/* Among the keys of one kind of section with names. */
const char *config_table_nearest_of(const ConfigKey *keys, size_t n, const char *name);
/* The sections that there are, for a message: "[daemon], [limits] and [group NAME]". */
int config_table_list_sections(Buf *b) _must_check_;
/* Whether `name` could be a slip for `candidate`; '-' and '_' count as the same. Returns how far
 * apart they are, or SIZE_MAX. */
size_t config_table_distance(const char *name, const char *candidate);
