#include "daemon/config-options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config-named.h"
#include "daemon/config-table.h"
#include "daemon/config.h"

typedef struct Flag {
	const char *name;
	ConfigAction action;
} Flag;

static const Flag flags[] = {
	{ "--check-config", CONFIG_ACTION_CHECK_CONFIG },
	{ "--print-config", CONFIG_ACTION_PRINT_CONFIG },
	{ "--check", CONFIG_ACTION_CHECK },
	{ "--help", CONFIG_ACTION_HELP },
	{ "-h", CONFIG_ACTION_HELP },
	{ "--version", CONFIG_ACTION_VERSION },
};

size_t config_option_name_len(const char *option)
{
	return strcspn(option, "=");
}

static void underscores(char *name)
{
	for (; *name; name++)
		if (*name == '-')
			*name = '_';
}

static int resolved(const char *section, const char *name, char **ret_section, char **ret_name)
{
	_cleanup_free_ char *section_copy = strdup(section);
	_cleanup_free_ char *name_copy = strdup(name);

	if (!section_copy || !name_copy)
		return -ENOMEM;
	*ret_section = TAKE_PTR(section_copy);
	*ret_name = TAKE_PTR(name_copy);
	return 0;
}

/* Where the last ".WORD." is, for a key that stands for many: "header.NAME". NULL: nowhere, or no
 * name before it. */
static char *find_many(const ConfigNamed *kind, char *rest)
{
	char *found = NULL;

	for (char *dot = strchr(rest, '.'); dot; dot = strchr(dot + 1, '.')) {
		const char *name = NULL;

		if (dot > rest && config_named_key(kind, dot + 1, &name) && name)
			found = dot;
	}
	return found;
}

/* NAME.max_running, where NAME may hold dots of its own. */
static int resolve_named(const ConfigNamed *kind, char *rest, char **ret_section, char **ret_name)
{
	char *many = find_many(kind, rest), *dot = many ? many : strrchr(rest, '.');
	_cleanup_buf_ Buf section = { 0 };
	const char *unused;
	int r;

	if (!dot)
		return -ENOENT;
	*dot = '\0';
	if (!many)
		underscores(dot + 1);
	if (!config_named_key(kind, dot + 1, &unused))
		return -ENOENT;
	r = buf_printf(&section, "%s %s", kind->word, rest);
	if (r == 0)
		r = buf_terminate(&section);
	return r < 0 ? r : resolved(section.data, dot + 1, ret_section, ret_name);
}

int config_option_resolve(const char *option, char **ret_section, char **ret_name)
{
	_cleanup_free_ char *copy = strndup(option, config_option_name_len(option));
	const ConfigNamed *kind;
	const ConfigKey *key;
	const char *rest;
	char *dot;

	if (!copy)
		return -ENOMEM;
	kind = config_named_of_option(copy, &rest);
	if (kind)
		return resolve_named(kind, copy + (rest - copy), ret_section, ret_name);
	if (strncmp(copy, "access.user.", 12) == 0 || strncmp(copy, "access.group.", 13) == 0)
		return resolved("access", copy + 7, ret_section, ret_name);
	underscores(copy);
	dot = strchr(copy, '.');
	if (dot) {
		*dot = '\0';
		key = config_table_find(copy, dot + 1);
	} else {
		key = config_table_find_any(copy);
		/* `--other` would say nothing of what it grants. */
		if (key && strcmp(key->section, "access") == 0)
			key = NULL;
	}
	return key ? resolved(key->section, key->name, ret_section, ret_name) : -ENOENT;
}

static const Flag *find_flag(const char *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (strcmp(arg, flags[i].name) == 0)
			return &flags[i];
	return NULL;
}

/* *ret_before is how much of the name stays as it is. */
static const char *nearest_option(const char *name, size_t *ret_before)
{
	static const char *const others[] = { "check-config", "print-config", "check", "help",
		"version", "config", "no-config" };
	const char *rest, *dot = strrchr(name, '.');
	const ConfigNamed *kind = config_named_of_option(name, &rest);
	const char *best = config_table_nearest_any(name);
	size_t least = best ? config_table_distance(name, best) : SIZE_MAX;

	*ret_before = 0;
	if (kind && dot > rest) {
		*ret_before = (size_t)(dot + 1 - name);
		return config_table_nearest_of(kind->keys, kind->n_keys, dot + 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		size_t distance = config_table_distance(name, others[i]);

		if (distance < least) {
			least = distance;
			best = others[i];
		}
	}
	return best;
}

static int report_unknown(const char *arg, Buf *errors)
{
	_cleanup_free_ char *name = NULL;
	const char *best;
	size_t before;

	if (strncmp(arg, "--", 2) != 0)
		return buf_printf(errors,
			CONFIG_OPTION_FAULT "unexpected argument '%.128s'; options begin with --\n",
			arg);
	name = strndup(arg + 2, config_option_name_len(arg + 2));
	if (!name)
		return -ENOMEM;
	best = nearest_option(name, &before);
	if (!best)
		return buf_printf(errors, CONFIG_OPTION_FAULT "unknown option --%.128s\n", name);
	/* Names of options are said with hyphens, whichever way the table has them. */
	if (buf_printf(errors, CONFIG_OPTION_FAULT "unknown option --%.128s; did you mean --%.*s",
		    name, (int)(before < 128 ? before : 128), name) < 0)
		return -ENOMEM;
	for (; *best; best++)
		if (buf_append_char(errors, *best == '_' ? '-' : *best) < 0)
			return -ENOMEM;
	return buf_append_str(errors, "?\n");
}

/* The option's value; `*i` is at its last argument then. No option means anything by an empty one:
 * that is a variable that was not set. -EINVAL: it is missing, which is reported; -ENOMEM. */
static int take_value(int argc, char *argv[], int *i, const char **ret, Buf *errors)
{
	const char *arg = argv[*i];
	size_t len = config_option_name_len(arg);

	const char *value = NULL;

	if (arg[len] == '=')
		value = arg + len + 1;
	else if (*i + 1 < argc)
		value = argv[++*i];
	if (value && *value) {
		*ret = value;
		return 0;
	}
	return buf_printf(errors, CONFIG_OPTION_FAULT "option %.*s needs a value\n",
		       (int)(len < 128 ? len : 128), arg) < 0
		       ? -ENOMEM
		       : -EINVAL;
}

static bool is_option(const char *arg, const char *name)
{
	size_t len = config_option_name_len(arg);

	return strlen(name) == len && strncmp(arg, name, len) == 0;
}

/* 0; -EINVAL, reported; -ENOMEM. */
static int parse_key(int argc, char *argv[], int *i, ConfigOptions *o, Buf *errors)
{
	_cleanup_free_ char *section = NULL, *name = NULL;
	const char *arg = argv[*i];
	int r;

	r = strncmp(arg, "--", 2) == 0 ? config_option_resolve(arg + 2, &section, &name) : -ENOENT;
	if (r == -ENOENT) {
		/* `--max-runing 5`: the 5 is no second mistake. */
		if (strncmp(arg, "--", 2) == 0 && !strchr(arg, '=') && *i + 1 < argc &&
			argv[*i + 1][0] != '-')
			++*i;
		return report_unknown(arg, errors) < 0 ? -ENOMEM : -EINVAL;
	}
	if (r < 0)
		return r;
	r = take_value(argc, argv, i, &o->values[o->n], errors);
	if (r < 0)
		return r;
	o->keys[o->n++] = arg + 2;
	return 0;
}

static int parse_one(int argc, char *argv[], int *i, ConfigOptions *o, Buf *errors)
{
	const Flag *flag = find_flag(argv[*i]);

	if (flag) {
		/* Help and version win over whatever else is asked for. */
		if (o->action < CONFIG_ACTION_HELP)
			o->action = flag->action;
		return 0;
	}
	if (strcmp(argv[*i], "--no-config") == 0) {
		o->no_config = true;
		return 0;
	}
	if (is_option(argv[*i], "--config"))
		return take_value(argc, argv, i, &o->config_file, errors);
	return parse_key(argc, argv, i, o, errors);
}

int config_options_parse(int argc, char *argv[], ConfigOptions *ret, Buf *errors)
{
	ConfigOptions o = { 0 };
	bool failed = false;

	o.keys = calloc((size_t)argc + 1, sizeof(*o.keys));
	o.values = calloc((size_t)argc + 1, sizeof(*o.values));
	if (!o.keys || !o.values) {
		config_options_done(&o);
		return -ENOMEM;
	}
	for (int i = 1; i < argc; i++) {
		int r = parse_one(argc, argv, &i, &o, errors);

		if (r == -ENOMEM) {
			config_options_done(&o);
			return r;
		}
		failed = failed || r < 0;
	}
	if (o.no_config && o.config_file) {
		failed = true;
		(void)!buf_append_str(errors,
			CONFIG_OPTION_FAULT "--config and --no-config exclude each other\n");
	}
	*ret = o;
	return failed ? -EINVAL : 0;
}

void config_options_done(ConfigOptions *o)
{
	free(o->keys);
	free(o->values);
	o->keys = NULL;
	o->values = NULL;
	o->n = 0;
}
