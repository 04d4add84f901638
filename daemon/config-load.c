/* Files and drop-ins. libinih takes a line apart; lines are cut, counted and checked here, because
 * its shared library tells the handler no line numbers, silently cuts long lines and long names of
 * sections, and reports only the first error. */
#include "daemon/config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ini.h>

#include "common/fd.h"
#include "daemon/config-builder.h"
#include "daemon/config-options.h"
#include "daemon/config-places.h"
#include "daemon/config-value.h"

#define FILE_MAX_BYTES (256U * 1024)
#define LINE_MAX_BYTES (CONFIG_TEXT_MAX_BYTES + 512)

typedef struct FileReader {
	ConfigBuilder *builder;
	const char *next, *end;
	char *section; /* NULL: none yet */
	bool skip;     /* the section is none, which has been said */
	int error;     /* -ENOMEM: stop */
} FileReader;

static void note(FileReader *f, int r)
{
	if (r < 0)
		f->error = r;
}

static void trim(const char **text, size_t *len)
{
	while (*len > 0 && isspace((unsigned char)**text)) {
		++*text;
		--*len;
	}
	while (*len > 0 && isspace((unsigned char)(*text)[*len - 1]))
		--*len;
}

/* `line` begins with '['. */
static void enter_section(FileReader *f, const char *line, size_t len)
{
	const char *close = memchr(line, ']', len);
	const char *rest = close ? close + 1 : NULL;
	size_t rest_len = close ? (size_t)(line + len - rest) : 0;
	const char *name = line + 1;
	size_t name_len = close ? (size_t)(close - name) : 0;
	int r;

	trim(&rest, &rest_len);
	trim(&name, &name_len);
	if (!close || (rest_len > 0 && *rest != ';' && *rest != '#')) {
		f->skip = true;
		note(f, config_builder_error(
				f->builder, "a section is [NAME] on a line of its own"));
		return;
	}
	free(f->section);
	f->section = strndup(name, name_len);
	r = f->section ? config_builder_enter(f->builder, f->section) : -ENOMEM;
	f->skip = r <= 0;
	note(f, r);
}

/* Cuts off the next line, blanks around it left out. */
static void cut_line(FileReader *f, const char **ret, size_t *ret_len)
{
	static const char bom[] = "\xef\xbb\xbf";
	const char *newline = memchr(f->next, '\n', (size_t)(f->end - f->next));

	*ret = f->next;
	*ret_len = (size_t)((newline ? newline : f->end) - f->next);
	f->next = newline ? newline + 1 : f->end;
	if (++f->builder->line == 1 && *ret_len >= 3 && memcmp(*ret, bom, 3) == 0) {
		*ret += 3;
		*ret_len -= 3;
	}
	/* To libinih a line that begins with a blank would go on with the value before it. */
	trim(ret, ret_len);
}

/* ini_reader: the next line that is for libinih. */
static char *read_line(char *room, int size, void *stream)
{
	FileReader *f = stream;
	const char *line;
	size_t len;

	while (f->error == 0 && f->next < f->end) {
		cut_line(f, &line, &len);
		if (len == 0) {
			continue;
		} else if (memchr(line, '\0', len)) {
			note(f, config_builder_error(f->builder, "the line holds a NUL byte"));
		} else if (len > LINE_MAX_BYTES || len >= (size_t)size) {
			note(f, config_builder_error(f->builder, "the line is longer than %d bytes",
					LINE_MAX_BYTES));
		} else if (*line == '[') {
			enter_section(f, line, len);
		} else {
			memcpy(room, line, len);
			room[len] = '\0';
			return room;
		}
	}
	return NULL;
}

/* ini_handler. Its own idea of the section is cut at 49 bytes: not used. */
static int take_key(
	void *userdata, const char *section _unused_, const char *name, const char *value)
{
	FileReader *f = userdata;

	if (f->error < 0 || f->skip)
		return 1;
	if (!value || !*name)
		note(f, config_builder_error(f->builder, "'%.128s' is no KEY = VALUE", name));
	else if (!f->section)
		note(f, config_builder_error(
				f->builder, "'%.128s' stands before the first [section]", name));
	else
		note(f, config_builder_set(f->builder, f->section, name, value));
	return 1;
}

static int parse_text(ConfigBuilder *b, const char *path, const Buf *text)
{
	FileReader f = { .builder = b };
	int r;

	if (text->len == 0)
		return 0;
	f.next = text->data;
	f.end = text->data + text->len;
	config_builder_from(b, path);
	ini_allow_no_value = true;
	ini_max_line = LINE_MAX_BYTES + 3;
	r = ini_parse_stream(read_line, &f, take_key, &f);
	free(f.section);
	b->line = 0;
	return f.error < 0 ? f.error : r == -2 ? -ENOMEM : 0;
}

/* 0, also where the file is missing and need not be there; -ENOMEM. */
static int load_file(ConfigBuilder *b, const char *path, bool required)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	r = file_read(AT_FDCWD, path, FILE_MAX_BYTES, &text);
	if (r == 0)
		return parse_text(b, path, &text);
	if (r == -ENOMEM || (!required && (r == -ENOENT || r == -ENOTDIR)))
		return r == -ENOMEM ? r : 0;
	config_builder_from(b, path);
	if (r == -EFBIG)
		return config_builder_error(
			b, "larger than %u KiB: this is no configuration", FILE_MAX_BYTES / 1024);
	return config_builder_error(b, "cannot be read: %s", strerror(-r));
}

static int is_drop_in(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

/* Not alphasort(): the order must not depend on the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_drop_in(ConfigBuilder *b, const char *dir, const char *name)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	return load_file(b, path, true);
}

static int load_drop_ins(ConfigBuilder *b, const char *dir)
{
	struct dirent **entries = NULL;
	int n, r = 0;

	n = scandir(dir, &entries, is_drop_in, by_name);
	if (n < 0) {
		r = -errno;
		if (r == -ENOMEM || r == -ENOENT || r == -ENOTDIR)
			return r == -ENOMEM ? r : 0;
		config_builder_from(b, dir);
		return config_builder_error(b, "cannot be read: %s", strerror(-r));
	}
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = load_drop_in(b, dir, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return r;
}

static int load_with_drop_ins(ConfigBuilder *b, const char *path, bool required)
{
	_cleanup_free_ char *dir = NULL;
	int r;

	if (asprintf(&dir, "%s.d", path) < 0)
		return -ENOMEM;
	r = load_file(b, path, required);
	return r < 0 ? r : load_drop_ins(b, dir);
}

static int load_files(ConfigBuilder *b, const ConfigOptions *options)
{
	_cleanup_free_ char *path = NULL;
	int r;

	if (options->no_config)
		return 0;
	if (options->config_file)
		return load_with_drop_ins(b, options->config_file, true);
	r = config_places_file(geteuid(), &path);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return load_with_drop_ins(b, path, false);
}

static int apply_option(ConfigBuilder *b, const char *key, const char *value)
{
	_cleanup_free_ char *section = NULL, *name = NULL, *where = NULL;
	int r;

	r = config_option_resolve(key, &section, &name);
	if (r < 0)
		return r;
	if (asprintf(&where, "--%.*s", (int)config_option_name_len(key), key) < 0)
		return -ENOMEM;
	config_builder_from(b, where);
	b->from_option = true;
	r = config_builder_enter(b, section);
	if (r > 0)
		r = config_builder_set(b, section, name, value);
	config_builder_from(b, NULL);
	return r;
}

int config_load(const ConfigOptions *options, Config **ret, Buf *errors)
{
	_cleanup_(config_builder_done) ConfigBuilder b = { 0 };
	int r;

	r = config_builder_init(&b, errors);
	if (r == 0)
		r = load_files(&b, options);
	for (size_t i = 0; r == 0 && i < options->n; i++)
		r = apply_option(&b, options->keys[i], options->values[i]);
	if (r == 0)
		r = config_providers_check(&b);
	if (r < 0)
		return r;
	if (b.failed)
		return -EINVAL;
	if (b.config->max_prompt_bytes == 0)
		b.config->max_prompt_bytes = b.config->max_request_bytes;
	*ret = TAKE_PTR(b.config);
	return 0;
}
