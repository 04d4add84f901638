#include "daemon/config-builder.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config-named.h"
#include "daemon/config-options.h"
#include "daemon/config-table.h"
#include "daemon/config-value.h"

static Config *config_new_defaults(void)
{
	Config *c = calloc(1, sizeof(*c));
	size_t n;
	const ConfigKey *keys = config_table_keys(&n);

	if (!c)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (config_type_is_number(keys[i].type))
			config_value_put(&keys[i], c, keys[i].default_value);
	return c;
}

int config_builder_init(ConfigBuilder *b, Buf *errors)
{
	*b = (ConfigBuilder){ .errors = errors, .config = config_new_defaults() };
	return b->config ? 0 : -ENOMEM;
}

static void forget_seen(ConfigBuilder *b)
{
	for (size_t i = 0; i < b->n_seen; i++)
		free(b->seen[i].key);
	free(b->seen);
	b->seen = NULL;
	b->n_seen = 0;
}

void config_builder_done(ConfigBuilder *b)
{
	forget_seen(b);
	for (size_t i = 0; i < b->n_places; i++) {
		free(b->places[i].section);
		free(b->places[i].where);
	}
	free(b->places);
	b->places = NULL;
	b->n_places = 0;
	config_free(b->config);
	b->config = NULL;
}

void config_builder_from(ConfigBuilder *b, const char *where)
{
	forget_seen(b);
	b->where = where;
	b->line = 0;
	b->from_option = false;
}

int config_builder_error(ConfigBuilder *b, const char *format, ...)
{
	va_list ap;
	int r;

	b->failed = true;
	r = b->line > 0 ? buf_printf(b->errors, "%s:%u: ", b->where, b->line)
			: buf_printf(b->errors, "%s%s: ", b->from_option ? CONFIG_OPTION_FAULT : "",
				  b->where);
	if (r < 0)
		return r;
	va_start(ap, format);
	r = buf_vprintf(b->errors, format, ap);
	va_end(ap);
	if (r < 0)
		return r;
	return buf_append_char(b->errors, '\n');
}

int config_builder_fault(ConfigBuilder *b, const char *name, const char *format, ...)
{
	_cleanup_buf_ Buf what = { 0 };
	va_list ap;
	int r;

	va_start(ap, format);
	r = buf_vprintf(&what, format, ap);
	va_end(ap);
	if (r == 0)
		r = buf_terminate(&what);
	if (r < 0)
		return r;
	/* An option has been named by then. */
	return b->from_option ? config_builder_error(b, "%s", what.data)
			      : config_builder_error(b, "%.128s: %s", name, what.data);
}

int config_builder_once(ConfigBuilder *b, const char *key)
{
	ConfigSeen *grown;
	int r;

	for (size_t i = 0; i < b->n_seen; i++) {
		if (strcmp(b->seen[i].key, key) != 0)
			continue;
		/* Options of the command line have no line: there the last one holds. */
		if (b->line == 0)
			return 1;
		r = config_builder_error(
			b, "%s is set twice in this file, first at line %u", key, b->seen[i].line);
		return r < 0 ? r : 0;
	}
	grown = reallocarray(b->seen, b->n_seen + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	b->seen = grown;
	b->seen[b->n_seen] = (ConfigSeen){ .key = strdup(key), .line = b->line };
	if (!b->seen[b->n_seen].key)
		return -ENOMEM;
	b->n_seen++;
	return 1;
}

static int once_in_section(ConfigBuilder *b, const char *section, const char *name)
{
	_cleanup_buf_ Buf key = { 0 };
	int r;

	r = buf_printf(&key, "[%s] %s", section, name);
	if (r == 0)
		r = buf_terminate(&key);
	return r < 0 ? r : config_builder_once(b, key.data);
}

static int set_text(ConfigBuilder *b, const ConfigKey *key, void *base, const char *value)
{
	char **field = config_value_text(key, base);
	char why[CONFIG_WHY_BYTES];
	char *copy = NULL;

	if (config_value_check_text(key, value, why) < 0)
		return config_builder_fault(b, key->name, "%s", why);
	if (*value && (key->type != CONFIG_TYPE_SOURCE || strcmp(value, "none") != 0)) {
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
	}
	free(*field);
	*field = copy;
	return 0;
}

static int set_number(ConfigBuilder *b, const ConfigKey *key, void *base, const char *value)
{
	char why[CONFIG_WHY_BYTES];
	uint64_t number;

	if (config_value_parse(key, value, &number, why) < 0)
		return config_builder_fault(b, key->name, "%s", why);
	config_value_put(key, base, number);
	return 0;
}

static int report_unknown(ConfigBuilder *b, const char *section, const char *name)
{
	const ConfigKey *elsewhere = config_table_find_any(name);
	const char *nearest = config_table_nearest(section, name);

	if (elsewhere && strcmp(elsewhere->section, "access") != 0)
		return config_builder_error(b, "unknown key '%s' in [%s]: it belongs in [%s]", name,
			section, elsewhere->section);
	if (nearest)
		return config_builder_error(b, "unknown key '%.128s' in [%s]; did you mean %s?",
			name, section, nearest);
	if (strcmp(section, "access") == 0)
		return config_builder_error(b,
			"unknown key '%.128s' in [access]: it takes user.NAME, group.NAME and "
			"other",
			name);
	return config_builder_error(b, "unknown key '%.128s' in [%s]", name, section);
}

static int report_name(
	ConfigBuilder *b, const ConfigNamed *kind, const char *item, const char *name)
{
	const char *nearest = config_table_nearest_of(kind->keys, kind->n_keys, name);
	_cleanup_buf_ Buf all = { 0 };
	int r = 0;

	if (nearest)
		return config_builder_error(b, "unknown key '%.128s' in [%s %s]; did you mean %s?",
			name, kind->word, item, nearest);
	for (size_t i = 0; r == 0 && i < kind->n_keys; i++) {
		const char *between = i + 1 < kind->n_keys ? ", " : " and ";

		r = buf_printf(&all, "%s%s", i > 0 ? between : "", kind->keys[i].name);
	}
	if (r == 0)
		r = buf_terminate(&all);
	return r < 0 ? r
		     : config_builder_error(b, "unknown key '%.128s' in [%s %s]: it takes %s", name,
			       kind->word, item, all.data);
}

static ConfigPlace *find_place(ConfigBuilder *b, const char *word, const char *name)
{
	size_t len = strlen(word);

	for (size_t i = 0; i < b->n_places; i++) {
		ConfigPlace *p = &b->places[i];

		if (strncmp(p->section, word, len) == 0 && p->section[len] == ' ' &&
			strcmp(p->section + len + 1, name) == 0)
			return p;
	}
	return NULL;
}

/* Notes where it was begun, for the first time. */
static int note_place(ConfigBuilder *b, const ConfigNamed *kind, const char *name)
{
	_cleanup_free_ char *section = NULL, *where = NULL;
	ConfigPlace *grown;

	if (find_place(b, kind->word, name))
		return 0;
	where = strdup(b->where);
	if (asprintf(&section, "%s %s", kind->word, name) < 0)
		section = NULL;
	grown = reallocarray(b->places, b->n_places + 1, sizeof(*grown));
	if (grown)
		b->places = grown;
	if (!section || !where || !grown)
		return -ENOMEM;
	b->places[b->n_places++] = (ConfigPlace){ .section = TAKE_PTR(section),
		.where = TAKE_PTR(where),
		.line = b->line,
		.from_option = b->from_option };
	return 0;
}

int config_builder_section_error(
	ConfigBuilder *b, const char *word, const char *name, const char *what)
{
	const ConfigPlace *p = find_place(b, word, name);
	int r;

	if (p && p->failed)
		return 0;
	if (p) {
		b->where = p->where;
		b->line = p->line;
		b->from_option = p->from_option;
	}
	r = config_builder_error(b, "[%s %s] %s", word, name, what);
	config_builder_from(b, NULL);
	return r;
}

static int report_section(ConfigBuilder *b, const char *section)
{
	const char *nearest = config_table_nearest_section(section);
	_cleanup_buf_ Buf all = { 0 };
	int r;

	if (nearest)
		return config_builder_error(
			b, "unknown section [%.128s]; did you mean [%s]?", section, nearest);
	r = config_table_list_sections(&all);
	if (r == 0)
		r = buf_terminate(&all);
	return r < 0 ? r
		     : config_builder_error(
			       b, "unknown section [%.128s]: there are %s", section, all.data);
}

int config_builder_enter(ConfigBuilder *b, const char *section)
{
	char why[CONFIG_WHY_BYTES];
	const char *name;
	const ConfigNamed *kind = config_named_of(section, &name);
	int r;

	if (!kind && config_table_has_section(section))
		return 1;
	if (!kind)
		return (r = report_section(b, section)) < 0 ? r : 0;
	if (config_named_check(kind, name, why) < 0)
		return (r = config_builder_error(b, "%s", why)) < 0 ? r : 0;
	if (!config_named_get(kind, b->config, name))
		return -ENOMEM;
	r = note_place(b, kind, name);
	return r < 0 ? r : 1;
}

static int set_value(ConfigBuilder *b, const ConfigKey *key, void *base, const char *value)
{
	return config_type_is_text(key->type) ? set_text(b, key, base, value)
					      : set_number(b, key, base, value);
}

/* Whichever way the section is spaced, and the header written. */
static int once_in_item(
	ConfigBuilder *b, const ConfigNamed *kind, const char *item_name, const char *name)
{
	_cleanup_free_ char *section = NULL, *lower = strdup(name);

	if (asprintf(&section, "%s %s", kind->word, item_name) < 0)
		section = NULL;
	if (!section || !lower)
		return -ENOMEM;
	for (char *p = lower; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return once_in_section(b, section, lower);
}

static int set_in_item(ConfigBuilder *b, const ConfigNamed *kind, const char *item_name,
	const char *name, const char *value)
{
	const char *rest = NULL;
	const ConfigKey *key = config_named_key(kind, name, &rest);
	void *item = config_named_get(kind, b->config, item_name);
	int r;

	if (!item)
		return -ENOMEM;
	if (!key)
		return report_name(b, kind, item_name, name);
	r = once_in_item(b, kind, item_name, name);
	if (r <= 0)
		return r;
	return rest ? config_headers_set(b, key, item, rest, value)
		    : set_value(b, key, item, value);
}

static int set_named(ConfigBuilder *b, const ConfigNamed *kind, const char *item_name,
	const char *name, const char *value)
{
	ConfigPlace *place = find_place(b, kind->word, item_name);
	bool failed = b->failed;
	int r;

	b->failed = false;
	r = set_in_item(b, kind, item_name, name, value);
	if (place && b->failed)
		place->failed = true;
	b->failed = b->failed || failed;
	return r;
}

int config_builder_set(ConfigBuilder *b, const char *section, const char *name, const char *value)
{
	const ConfigKey *key = config_table_find(section, name);
	const char *item_name;
	const ConfigNamed *kind = config_named_of(section, &item_name);
	int r;

	if (kind)
		return set_named(b, kind, item_name, name, value);
	if (!key && strcmp(section, "access") == 0 &&
		(strncmp(name, "user.", 5) == 0 || strncmp(name, "group.", 6) == 0))
		return config_access_set(b, name, value);
	if (!key)
		return report_unknown(b, section, name);
	r = once_in_section(b, section, name);
	return r <= 0 ? r : set_value(b, key, b->config, value);
}
