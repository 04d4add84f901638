/* The configuration as a file that would be read to the same, and the page of --help. */
#include "daemon/config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config-named.h"
#include "daemon/config-table.h"
#include "daemon/config-value.h"

#define COLUMNS 78

/* `text` in lines that begin with `indent`, broken between words. */
static int print_wrapped(Buf *b, const char *indent, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");
		bool fits = column > 0 && column + 1 + word <= COLUMNS;
		int r;

		r = buf_printf(b, "%s%s", fits || column == 0 ? "" : "\n", fits ? " " : indent);
		if (r == 0)
			r = buf_append(b, text, word);
		if (r < 0)
			return r;
		column = (fits ? column + 1 : strlen(indent)) + word;
		text += word;
		text += strspn(text, " ");
	}
	return buf_append_char(b, '\n');
}

static int print_default(const ConfigKey *key, Buf *b)
{
	if (key->default_doc)
		return buf_append_str(b, key->default_doc);
	return config_value_print(key->type, key->default_value, b);
}

static int print_doc(const ConfigKey *key, const char *indent, Buf *b)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	r = buf_printf(&text, "%s Default: ", key->doc);
	if (r == 0)
		r = print_default(key, &text);
	if (r == 0)
		r = buf_append_char(&text, '.');
	if (r == 0)
		r = buf_terminate(&text);
	return r < 0 ? r : print_wrapped(b, indent, text.data);
}

/* What is not set: what holds instead, where there is such a thing, as a comment. */
static int print_unset(const ConfigKey *key, Buf *b)
{
	_cleanup_free_ char *usual = NULL;
	char why[CONFIG_WHY_BYTES];
	int r = key->usual ? key->usual(geteuid(), &usual) : -ENOENT;

	if (r == 0)
		r = config_value_check_text(key, usual, why);
	if (r == -ENOMEM)
		return r;
	return r < 0 ? buf_printf(b, "#%s =\n", key->name)
		     : buf_printf(b, "#%s = %s\n", key->name, usual);
}

static int print_headers(const ConfigKey *key, const ConfigHeaders *headers, Buf *b)
{
	int r = headers->n == 0 ? buf_printf(b, "#%s =\n", key->name) : 0;

	/* "header.NAME" without its NAME. */
	for (size_t i = 0; r == 0 && i < headers->n; i++)
		r = buf_printf(b, "%.*s.%s = %s\n", (int)strcspn(key->name, "."), key->name,
			headers->items[i].name, headers->items[i].value);
	return r;
}

static int print_value(const ConfigKey *key, const void *base, Buf *b)
{
	const char *text = config_type_is_text(key->type) ? config_value_get_text(key, base) : NULL;
	uint64_t number = config_type_is_number(key->type) ? config_value_get(key, base) : 0;
	int r;

	if (key->type == CONFIG_TYPE_HEADERS)
		return print_headers(key, config_value_get_headers(key, base), b);
	if (config_type_is_text(key->type) ? !text : !config_value_fits(key, number))
		return print_unset(key, b);
	r = buf_printf(b, "%s = ", key->name);
	if (r == 0)
		r = text ? buf_append_str(b, text) : config_value_print(key->type, number, b);
	return r < 0 ? r : buf_append_char(b, '\n');
}

static int print_key(const ConfigKey *key, const void *base, Buf *b)
{
	int r = print_doc(key, "# ", b);

	return r < 0 ? r : print_value(key, base, b);
}

static int print_access(const Config *c, Buf *b)
{
	int r;

	r = print_wrapped(b, "# ",
		"user.NAME and group.NAME give a user or a group (or its number) a role: "
		"observe, submit or admin. Root and the daemon's own user are admin. Whoever "
		"may submit can run any program as the daemon's user.");
	for (size_t i = 0; r == 0 && i < c->n_access; i++)
		r = buf_printf(b, "%s.%u = %s\n", c->access[i].is_group ? "group" : "user",
			c->access[i].id, role_to_string(c->access[i].role));
	return r;
}

static int print_item(const ConfigNamed *kind, const void *item, Buf *b)
{
	int r = buf_printf(b, "\n[%s %s]\n", kind->word, config_named_name(item));

	for (size_t i = 0; r == 0 && i < kind->n_keys; i++)
		r = print_key(&kind->keys[i], item, b);
	return r;
}

static int print_named(const Config *c, Buf *b)
{
	size_t n;
	const ConfigNamed *kinds = config_named_kinds(&n);
	int r = 0;

	for (size_t k = 0; r == 0 && k < n; k++)
		for (size_t i = 0; r == 0 && i < config_named_count(&kinds[k], c); i++)
			r = print_item(&kinds[k], config_named_item(&kinds[k], c, i), b);
	return r;
}

int config_print(const Config *c, Buf *b)
{
	size_t n;
	const ConfigKey *keys = config_table_keys(&n);
	const char *section = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		if (strcmp(section, keys[i].section) != 0) {
			r = buf_printf(b, "%s[%s]\n", *section ? "\n" : "", keys[i].section);
			section = keys[i].section;
		}
		if (r == 0)
			r = print_key(&keys[i], c, b);
	}
	if (r == 0)
		r = print_access(c, b);
	return r < 0 ? r : print_named(c, b);
}

/* `before` and the key's name, with hyphens. */
static int print_option(const ConfigKey *key, const char *before, Buf *b)
{
	size_t start = b->len;
	int r = buf_printf(b, "  --%s%s=VALUE", before, key->name);

	for (size_t i = start; r == 0 && i < b->len; i++)
		if (b->data[i] == '_')
			b->data[i] = '-';
	if (r == 0)
		r = buf_append_char(b, '\n');
	return r < 0 ? r : print_doc(key, "        ", b);
}

static int print_named_options(Buf *b)
{
	size_t n;
	const ConfigNamed *kinds = config_named_kinds(&n);
	int r = 0;

	for (size_t k = 0; r == 0 && k < n; k++) {
		_cleanup_buf_ Buf before = { 0 };

		r = buf_printf(&before, "%s.NAME.", kinds[k].word);
		if (r == 0)
			r = buf_terminate(&before);
		for (size_t i = 0; r == 0 && i < kinds[k].n_keys; i++)
			r = print_option(&kinds[k].keys[i], before.data, b);
	}
	return r;
}

static const char help_head[] =
	"Usage: liongated [OPTION...]\n"
	"\n"
	"Runs agents as children of a daemon, and streams what they say to whoever subscribes.\n"
	"\n"
	"  --config=FILE     read FILE and FILE.d/*.conf, and no other configuration\n"
	"  --no-config       read no configuration file\n"
	"  --check-config    say whether the configuration is right, and exit\n"
	"  --print-config    print the configuration that is in force, and exit\n"
	"  --check           verify the log and the catalog, and exit\n"
	"  --help            print this, and exit\n"
	"  --version         print the version, and exit\n"
	"\n"
	"Without --config, the configuration is /etc/liongate/liongated.conf, for a user's own "
	"daemon\n"
	"$XDG_CONFIG_HOME/liongate/liongated.conf (~/.config/liongate/liongated.conf), and then "
	"the files\n"
	"in liongated.conf.d/*.conf beside it. Options win over files:\n"
	"\n";

static const char help_tail[] =
	"  --access.user.NAME=ROLE, --access.group.NAME=ROLE\n"
	"        Role of a user or of a group's members: observe, submit or admin.\n"
	"\n"
	"Sizes are bytes, or have a unit: 64KiB, 4MiB, 1GiB. Times are seconds, or have a unit: "
	"500ms,\n"
	"2min, 1h, 7d.\n";

int config_print_help(Buf *b)
{
	size_t n;
	const ConfigKey *keys = config_table_keys(&n);
	int r;

	r = buf_append_str(b, help_head);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = print_option(
			&keys[i], strcmp(keys[i].section, "access") == 0 ? "access." : "", b);
	if (r == 0)
		r = print_named_options(b);
	return r < 0 ? r : buf_append_str(b, help_tail);
}
