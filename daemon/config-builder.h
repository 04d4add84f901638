/* A configuration in the making: takes one key after another, from files and from the command line, and
 * collects what is wrong with them.
 *
 * Owns the configuration until it is taken, and the list of keys that the current file has set. Lends
 * `errors`. Thread: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "daemon/config.h"

typedef struct ConfigSeen {
	char *key;
	unsigned line;
} ConfigSeen;

typedef struct ConfigBuilder {
	Config *config;
	Buf *errors;
	bool failed;
	/* Where the key that is being set comes from: a file and its line, or an option and line 0. */
	const char *where;
	unsigned line;
	bool from_option;
	ConfigSeen *seen;
	size_t n_seen;
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

/* "NAME" of "group NAME", lent; NULL for other sections. May be empty. */
const char *config_builder_group_name(const char *section);
/* What is wrong with a group's name (static text); NULL: nothing. */
const char *config_builder_group_fault(const char *name);

/* config-access.c: `user.NAME = role` and `group.NAME = role` of [access]. 0, or -ENOMEM. */
int config_access_set(ConfigBuilder *b, const char *name, const char *value) _must_check_;
