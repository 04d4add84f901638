/* A configuration in the making: takes one key after another, from files and from the command line,
 * and collects what is wrong with them.
 *
 * Owns the configuration until it is taken, the list of keys that the current file has set, and the
 * places of sections with names. Lends `errors`. Thread: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config-table.h"
#include "daemon/config.h"

typedef struct ConfigSeen {
	char *key;
	unsigned line;
} ConfigSeen;

/* Where a section with a name was begun. */
typedef struct ConfigPlace {
	char *section; /* "provider NAME" */
	char *where;
	unsigned line;
	bool from_option;
	bool failed; /* a key of it is wrong, so that what it would be as a whole is not known */
} ConfigPlace;

typedef struct ConfigBuilder {
	Config *config;
	Buf *errors;
	bool failed;
	/* Where the key that is being set comes from: a file and its line, or an option and line 0.
	 */
	const char *where;
	unsigned line;
	bool from_option;
	ConfigSeen *seen;
	size_t n_seen;
	ConfigPlace *places;
	size_t n_places;
} ConfigBuilder;

/* A configuration of nothing but defaults. -ENOMEM. */
int config_builder_init(ConfigBuilder *b, Buf *errors) _must_check_;
void config_builder_done(ConfigBuilder *b);

/* What follows comes from there; nothing of it has been set yet. */
void config_builder_from(ConfigBuilder *b, const char *where);
/* Records something wrong at the current place, and goes on: 0, or -ENOMEM. */
int config_builder_error(ConfigBuilder *b, const char *format, ...) _printf_(2, 3) _must_check_;
/* The same about the value of the key `name`. */
int config_builder_fault(ConfigBuilder *b, const char *name, const char *format, ...)
	_printf_(3, 4) _must_check_;
/* Sets one key. What is wrong with it is recorded: 0, or -ENOMEM. */
int config_builder_set(
	ConfigBuilder *b, const char *section, const char *name, const char *value) _must_check_;
/* Notes that the current file has set `key`. 1: it has not before; 0: it has, which is recorded as
 * wrong; -ENOMEM. */
int config_builder_once(ConfigBuilder *b, const char *key) _must_check_;

/* A section begins. 1; 0: there is no such section, or its name is wrong, which is recorded;
 * -ENOMEM. */
int config_builder_enter(ConfigBuilder *b, const char *section) _must_check_;
/* Records something wrong with a section with a name as a whole, unless that is because of a key
 * that has been recorded: 0, or -ENOMEM. */
int config_builder_section_error(
	ConfigBuilder *b, const char *word, const char *name, const char *what) _must_check_;

/* config-access.c: `user.NAME = role` and `group.NAME = role` of [access]. 0, or -ENOMEM. */
int config_access_set(ConfigBuilder *b, const char *name, const char *value) _must_check_;
/* config-provider.c: `header.NAME = value` of the item; `name` is NAME. */
int config_headers_set(ConfigBuilder *b, const ConfigKey *key, void *item, const char *name,
	const char *value) _must_check_;
/* Looks at each provider as a whole. What is wrong is recorded: 0, or -ENOMEM. */
int config_providers_check(ConfigBuilder *b) _must_check_;
