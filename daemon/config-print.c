/* The configuration as a file that would be read to the same, and the page of --help. */
#include "daemon/config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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

/* A text that is not set: what holds instead, where there is such a thing, as a comment. */
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

static int print_key(const ConfigKey *key, const void *base, Buf *b)
{
	const char *text = config_type_is_text(key->type) ? config_value_get_text(key, base) : "";
	int r;

	r = print_doc(key, "# ", b);
	if (r < 0 || !text)
		return r < 0 ? r : print_unset(key, b);
	r = buf_printf(b, "%s = ", key->name);
	if (r == 0)
		r = config_type_is_text(key->type)
			    ? buf_append_str(b, text)
			    : config_value_print(key->type, config_value_get(key, base), b);
	return r < 0 ? r : buf_append_char(b, '\n');
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

static int print_groups(const Config *c, Buf *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_groups; i++) {
		r = buf_printf(b, "\n[group %s]\n", c->groups[i].name);
		if (r == 0)
			r = print_key(config_table_group_key(), &c->groups[i], b);
	}
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
	return r < 0 ? r : print_groups(c, b);
}

static int print_option(const ConfigKey *key, Buf *b)
{
	size_t start = b->len;
	int r;

	r = strcmp(key->section, "access") == 0 ? buf_printf(b, "  --access.%s=VALUE", key->name)
						: buf_printf(b, "  --%s=VALUE", key->name);
	for (size_t i = start; r == 0 && i < b->len; i++)
		if (b->data[i] == '_')
			b->data[i] = '-';
	if (r == 0)
		r = buf_append_char(b, '\n');
	return r < 0 ? r : print_doc(key, "        ", b);
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
	"  --group.NAME.max-running=VALUE\n"
	"        Agents of group NAME that run at the same time.\n"
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
		r = print_option(&keys[i], b);
	return r < 0 ? r : buf_append_str(b, help_tail);
}
