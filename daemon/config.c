#include "daemon/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config-named.h"
#include "daemon/config-table.h"
#include "daemon/config-value.h"

void config_free(Config *c)
{
	size_t n_keys, n_kinds;

	if (!c)
		return;
	const ConfigKey *keys = config_table_keys(&n_keys);
	const ConfigNamed *kinds = config_named_kinds(&n_kinds);
	for (size_t i = 0; i < n_keys; i++)
		config_value_free(&keys[i], c);
	for (size_t i = 0; i < n_kinds; i++)
		config_named_free(&kinds[i], c);
	free(c->access);
	free(c);
}

static int add_name(Buf *names, const char *section, const char *item, const char *name)
{
	return buf_printf(names, "%s%s%s%s.%s", names->len > 0 ? ", " : "", section,
		*item ? "." : "", item, name);
}

/* The items of `a` that are not the same in `b`, where one that is not there is one of defaults;
 * those that are in both only if `also_changed`. */
static int diff_items(
	const ConfigNamed *kind, const Config *a, const Config *b, bool also_changed, Buf *names)
{
	_cleanup_free_ void *defaults = malloc(kind->item_bytes);
	int r = 0;

	if (!defaults)
		return -ENOMEM;
	config_named_defaults(kind, defaults);
	for (size_t i = 0; i < config_named_count(kind, a); i++) {
		const void *item = config_named_item(kind, a, i);
		const char *name = config_named_name(item);
		const void *other = config_named_find(kind, b, name);

		for (size_t k = 0; r == 0 && k < kind->n_keys && (!other || also_changed); k++)
			if (!config_value_equal(&kind->keys[k], item, other ? other : defaults))
				r = add_name(names, kind->word, name, kind->keys[k].name);
	}
	return r;
}

static int diff_named(const Config *a, const Config *b, Buf *names)
{
	size_t n;
	const ConfigNamed *kinds = config_named_kinds(&n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = diff_items(&kinds[i], a, b, true, names);
		if (r == 0)
			r = diff_items(&kinds[i], b, a, false, names);
	}
	return r;
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
		if (config_value_equal(&keys[i], a, b))
			continue;
		r = add_name(
			keys[i].reloadable ? changed : fixed, keys[i].section, "", keys[i].name);
		if (r < 0)
			return r;
	}
	r = diff_named(a, b, changed);
	if (r == 0 && !access_equal(a, b))
		r = buf_printf(changed, "%saccess", changed->len > 0 ? ", " : "");
	return r;
}
