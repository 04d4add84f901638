#include "daemon/config.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/config-table.h"
#include "daemon/config-value.h"

void config_free(Config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_groups; i++)
		free(c->groups[i].name);
	free(c->groups);
	free(c->access);
	free(c->socket);
	free(c->state_dir);
	free(c->socket_group);
	free(c);
}

static int add_name(Buf *names, const char *section, const char *name)
{
	return buf_printf(names, "%s%s.%s", names->len > 0 ? ", " : "", section, name);
}

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool key_equal(const ConfigKey *key, const Config *a, const Config *b)
{
	if (config_type_is_text(key->type))
		return text_equal(config_value_get_text(key, a), config_value_get_text(key, b));
	return config_value_get(key, a) == config_value_get(key, b);
}

static const ConfigGroup *find_group(const Config *c, const char *name)
{
	for (size_t i = 0; i < c->n_groups; i++)
		if (strcmp(c->groups[i].name, name) == 0)
			return &c->groups[i];
	return NULL;
}

/* The groups of `a` that are not the same in `b`; those that are in both only if `also_changed`. */
static int diff_groups(const Config *a, const Config *b, bool also_changed, Buf *names)
{
	int r;

	for (size_t i = 0; i < a->n_groups; i++) {
		const ConfigGroup *other = find_group(b, a->groups[i].name);

		if (other && (!also_changed || other->max_running == a->groups[i].max_running))
			continue;
		r = buf_printf(names, "%sgroup.%s.max_running", names->len > 0 ? ", " : "",
			a->groups[i].name);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool access_includes(const Config *c, const ConfigAccess *entry)
{
	for (size_t i = 0; i < c->n_access; i++)
		if (c->access[i].is_group == entry->is_group && c->access[i].id == entry->id)
			return c->access[i].role == entry->role;
	return false;
}

static bool access_equal(const Config *a, const Config *b)
{
	if (a->n_access != b->n_access)
		return false;
	for (size_t i = 0; i < a->n_access; i++)
		if (!access_includes(b, &a->access[i]))
			return false;
	return true;
}

int config_diff(const Config *a, const Config *b, Buf *changed, Buf *fixed)
{
	size_t n;
	const ConfigKey *keys = config_table_keys(&n);
	int r;

	for (size_t i = 0; i < n; i++) {
		if (key_equal(&keys[i], a, b))
			continue;
		r = add_name(keys[i].reloadable ? changed : fixed, keys[i].section, keys[i].name);
		if (r < 0)
			return r;
	}
	r = diff_groups(a, b, true, changed);
	if (r == 0)
		r = diff_groups(b, a, false, changed);
	if (r == 0 && !access_equal(a, b))
		r = buf_printf(changed, "%saccess", changed->len > 0 ? ", " : "");
	return r;
}
