#include "daemon/config-builder.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
		if (!config_type_is_text(keys[i].type))
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

static int set_text(ConfigBuilder *b, const ConfigKey *key, const char *value)
{
	char **field = config_value_text(key, b->config);
	char why[CONFIG_WHY_BYTES];
	char *copy = NULL;

	if (config_value_check_text(key, value, why) < 0)
		return config_builder_fault(b, key->name, "%s", why);
	if (*value) {
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
	}
	free(*field);
	*field = copy;
	return 0;
}

static int set_scalar(ConfigBuilder *b, const ConfigKey *key, void *base, const char *value)
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

const char *config_builder_group_name(const char *section)
{
	static const char word[] = "group";

	if (strncmp(section, word, sizeof(word) - 1) != 0)
		return NULL;
	section += sizeof(word) - 1;
	if (*section && *section != ' ' && *section != '\t')
		return NULL;
	return section + strspn(section, " \t");
}

const char *config_builder_group_fault(const char *name)
{
	char why[CONFIG_WHY_BYTES];
	const ConfigKey as_text = { .type = CONFIG_TYPE_TEXT };

	if (!*name)
		return "the group needs a name: [group NAME]";
	if (strlen(name) > PROTOCOL_MAX_GROUP_BYTES)
		return "the group's name is longer than 128 bytes";
	if (strchr(name, ']') || config_value_check_text(&as_text, name, why) < 0)
		return "the group's name must be UTF-8 without ']', a ';' behind a blank, control "
		       "characters, "
		       "leading and trailing blanks";
	return NULL;
}

/* The group of that name, made if need be; NULL: out of memory. */
static ConfigGroup *group_get(Config *c, const char *name)
{
	ConfigGroup *grown;
	char *copy;

	for (size_t i = 0; i < c->n_groups; i++)
		if (strcmp(c->groups[i].name, name) == 0)
			return &c->groups[i];
	grown = reallocarray(c->groups, c->n_groups + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	c->groups = grown;
	copy = strdup(name);
	if (!copy)
		return NULL;
	c->groups[c->n_groups] = (ConfigGroup){ .name = copy };
	return &c->groups[c->n_groups++];
}

static int set_in_group(
	ConfigBuilder *b, const char *group_name, const char *name, const char *value)
{
	const ConfigKey *key = config_table_group_key();
	ConfigGroup *group;

	if (strcmp(name, key->name) != 0)
		return config_builder_error(b, "unknown key '%.128s' in [group %s]: it takes %s",
			name, group_name, key->name);
	group = group_get(b->config, group_name);
	if (!group)
		return -ENOMEM;
	return set_scalar(b, key, group, value);
}

int config_builder_set(ConfigBuilder *b, const char *section, const char *name, const char *value)
{
	const ConfigKey *key = config_table_find(section, name);
	const char *group_name = config_builder_group_name(section);
	int r;

	if (!key && strcmp(section, "access") == 0 &&
		(strncmp(name, "user.", 5) == 0 || strncmp(name, "group.", 6) == 0))
		return config_access_set(b, name, value);
	if (!key && !group_name)
		return report_unknown(b, section, name);
	r = once_in_section(b, section, name);
	if (r <= 0)
		return r;
	if (group_name)
		return set_in_group(b, group_name, name, value);
	if (config_type_is_text(key->type))
		return set_text(b, key, value);
	return set_scalar(b, key, b->config, value);
}
