/* Sections with names, [group NAME] and [provider NAME]: what kinds there are, which keys each
 * takes, and the items that Config holds of them. All that is done with such a section goes by this
 * table.
 *
 * Owns nothing: the items are the configuration's. Thread: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "daemon/config-table.h"
#include "daemon/config-value.h"
#include "daemon/config.h"

typedef struct ConfigNamed {
	const char *word;  /* "group" */
	const char *title; /* "group NAME", which is also the section of its keys */
	const ConfigKey *keys;
	size_t n_keys;
	/* An item, whose first member is its name, `char *`; and where Config has them and their
	 * number. */
	size_t item_bytes;
	size_t items_offset, n_offset;
} ConfigNamed;

const ConfigNamed *config_named_kinds(size_t *ret_n);
/* The kind of "group NAME", and "NAME", which is lent and may be empty; NULL: a section of another
 * sort. */
const ConfigNamed *config_named_of(const char *section, const char **ret_name);
/* Of "group.NAME.max_running", and what follows the first dot. */
const ConfigNamed *config_named_of_option(const char *option, const char **ret_rest);
/* -EINVAL: it cannot be a name of that kind, with what is wrong in `why`. */
int config_named_check(
	const ConfigNamed *kind, const char *name, char why[CONFIG_WHY_BYTES]) _must_check_;

/* NULL: there is none. Of a key "header.NAME", which stands for many, *ret_rest is what `name` has
 * for NAME; of others NULL. */
const ConfigKey *config_named_key(const ConfigNamed *kind, const char *name, const char **ret_rest);

/* The items of that kind. */
size_t config_named_count(const ConfigNamed *kind, const Config *c);
const void *config_named_item(const ConfigNamed *kind, const Config *c, size_t i);
const char *config_named_name(const void *item);
/* NULL: there is none. */
void *config_named_find(const ConfigNamed *kind, const Config *c, const char *name);
/* The same, made of nothing but defaults if need be; NULL: out of memory. */
void *config_named_get(const ConfigNamed *kind, Config *c, const char *name);
/* An item of nothing but defaults, at `item`. */
void config_named_defaults(const ConfigNamed *kind, void *item);
/* Frees all of that kind. */
void config_named_free(const ConfigNamed *kind, Config *c);
