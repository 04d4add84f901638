#include "daemon/config-value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/str.h"
#include "common/utf8.h"
#include "daemon/backend/secret.h"
#include "daemon/config-agents.h"
#include "daemon/config.h"

typedef struct Unit {
	const char *name;
	uint64_t factor;
} Unit;

/* In both tables the units that are printed come first, largest first. */
static const Unit size_units[] = {
	{ "TiB", 1ULL << 40 },
	{ "GiB", 1ULL << 30 },
	{ "MiB", 1ULL << 20 },
	{ "KiB", 1ULL << 10 },
	{ "", 1 },
	{ "B", 1 },
	{ "T", 1ULL << 40 },
	{ "G", 1ULL << 30 },
	{ "M", 1ULL << 20 },
	{ "K", 1ULL << 10 },
	{ "TB", 1000000000000ULL },
	{ "GB", 1000000000ULL },
	{ "MB", 1000000ULL },
	{ "KB", 1000ULL },
	{ NULL, 0 },
};

static const Unit time_units[] = {
	{ "d", 86400000000ULL },
	{ "h", 3600000000ULL },
	{ "min", 60000000ULL },
	{ "s", 1000000ULL },
	{ "ms", 1000ULL },
	{ "us", 1ULL },
	{ "", 1000000ULL },
	{ "m", 60000000ULL },
	{ NULL, 0 },
};

/* Digits of `base`; what follows them, blanks skipped, goes to *ret_rest. */
static int parse_digits(const char *text, unsigned base, uint64_t *ret, const char **ret_rest)
{
	const char *p = text;
	uint64_t value = 0;

	for (; *p >= '0' && (unsigned)(*p - '0') < base; p++) {
		if (__builtin_mul_overflow(value, base, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	}
	if (p == text)
		return -EINVAL;
	while (*p == ' ' || *p == '\t')
		p++;
	*ret = value;
	*ret_rest = p;
	return 0;
}

static int parse_scaled(const char *text, const Unit *units, bool any_case, uint64_t *ret)
{
	const char *rest;
	uint64_t value;
	int r;

	r = parse_digits(text, 10, &value, &rest);
	if (r < 0)
		return r;
	for (const Unit *u = units; u->name; u++) {
		if ((any_case ? strcasecmp(rest, u->name) : strcmp(rest, u->name)) != 0)
			continue;
		if (__builtin_mul_overflow(value, u->factor, &value))
			return -ERANGE;
		*ret = value;
		return 0;
	}
	return -EINVAL;
}

static int parse_whole(const char *text, unsigned base, uint64_t *ret)
{
	const char *rest;
	uint64_t value;
	int r;

	r = parse_digits(text, base, &value, &rest);
	if (r < 0)
		return r;
	if (*rest)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int parse_time_ms(const char *text, uint64_t *ret)
{
	uint64_t us;
	int r;

	r = parse_scaled(text, time_units, false, &us);
	if (r < 0)
		return r;
	if (us % 1000 != 0)
		return -EINVAL;
	*ret = us / 1000;
	return 0;
}

static int parse_count(const char *text, uint64_t *ret)
{
	return parse_whole(text, 10, ret);
}

static int parse_mode(const char *text, uint64_t *ret)
{
	return parse_whole(text, 8, ret);
}

static int parse_size(const char *text, uint64_t *ret)
{
	return parse_scaled(text, size_units, true, ret);
}

static int parse_time_us(const char *text, uint64_t *ret)
{
	return parse_scaled(text, time_units, false, ret);
}

static int print_scaled(uint64_t value, const Unit *units, Buf *b)
{
	for (const Unit *u = units; value > 0 && u->name; u++)
		if (value % u->factor == 0)
			return buf_printf(
				b, "%llu%s", (unsigned long long)(value / u->factor), u->name);
	return buf_append_char(b, '0');
}

static int print_count(uint64_t value, Buf *b)
{
	return buf_printf(b, "%llu", (unsigned long long)value);
}

static int print_mode(uint64_t value, Buf *b)
{
	return buf_printf(b, "%04llo", (unsigned long long)value);
}

static int print_size(uint64_t value, Buf *b)
{
	return print_scaled(value, size_units, b);
}

static int print_time_us(uint64_t value, Buf *b)
{
	return print_scaled(value, time_units, b);
}

static int print_time_ms(uint64_t value, Buf *b)
{
	return print_scaled(value * 1000, time_units, b);
}

/* Names out of tables of others. */
#define DEFINE_NAMES(what, type, from_string, to_string)          \
	static int parse_##what(const char *text, uint64_t *ret)  \
	{                                                         \
		int value = from_string(text);                    \
		if (value < 0)                                    \
			return -EINVAL;                           \
		*ret = (uint64_t)value;                           \
		return 0;                                         \
	}                                                         \
	static int print_##what(uint64_t value, Buf *b)           \
	{                                                         \
		return buf_append_str(b, to_string((type)value)); \
	}

DEFINE_NAMES(log_level, LogLevel, log_level_from_string, log_level_to_string)
DEFINE_NAMES(durability, Durability, durability_from_string, durability_to_string)
DEFINE_NAMES(delegation, DelegationMode, delegation_mode_from_string, delegation_mode_to_string)
DEFINE_NAMES(role, Role, role_from_string, role_to_string)
DEFINE_NAMES(kind, ProviderKind, provider_kind_from_string, provider_kind_to_string)

#define A_SIZE                                                                         \
	"a size: a whole number of bytes, or one with K, M, G, T, KiB, MiB, GiB, TiB " \
	"(of 1024), KB, MB, GB or TB (of 1000), such as 64MiB"
#define A_TIME                                                                            \
	"a time: a whole number of seconds, or one with us, ms, s, min, h or d, such as " \
	"500ms"
#define A_TIME_MS                                                                          \
	"a time of whole milliseconds: a number of seconds, or one with ms, s, min, h or " \
	"d, such as 500ms"

/* Of the types that are numbers. */
static const struct {
	int (*parse)(const char *text, uint64_t *ret);
	int (*print)(uint64_t value, Buf *b);
	const char *expected;
	bool has_range;
	bool wide; /* uint64_t, not uint32_t */
} types[_CONFIG_TYPE_MAX] = {
	[CONFIG_TYPE_COUNT] = { parse_count, print_count, "a whole number", true, false },
	[CONFIG_TYPE_MODE] = { parse_mode, print_mode, "an octal mode such as 0660", true, false },
	[CONFIG_TYPE_SIZE] = { parse_size, print_size, A_SIZE, true, true },
	[CONFIG_TYPE_TIME_US] = { parse_time_us, print_time_us, A_TIME, true, true },
	[CONFIG_TYPE_TIME_MS] = { parse_time_ms, print_time_ms, A_TIME_MS, true, false },
	[CONFIG_TYPE_LOG_LEVEL] = { parse_log_level, print_log_level,
		"error, warning, notice, info or debug", false, false },
	[CONFIG_TYPE_DURABILITY] = { parse_durability, print_durability, "interval or fsync", false,
		false },
	[CONFIG_TYPE_DELEGATION] = { parse_delegation, print_delegation, "auto, on or off", false,
		false },
	[CONFIG_TYPE_ROLE] = { parse_role, print_role, "none, observe, submit or admin", false,
		false },
	[CONFIG_TYPE_PROVIDER_KIND] = { parse_kind, print_kind, "openai or anthropic", false,
		false },
};

bool config_value_fits(const ConfigKey *key, uint64_t value)
{
	return !types[key->type].has_range || (value >= key->min && value <= key->max);
}

/* Best effort: without memory, or room in `why`, the message ends earlier. */
static void say_range(const ConfigKey *key, const char *text, char *why)
{
	_cleanup_buf_ Buf b = { 0 };

	(void)!(buf_printf(&b, "%.64s is out of range: it must be from ", text) < 0 ||
		config_value_print(key->type, key->min, &b) < 0 || buf_append_str(&b, " to ") < 0 ||
		config_value_print(key->type, key->max, &b) < 0);
	snprintf(why, CONFIG_WHY_BYTES, "%.*s", (int)b.len, b.data ? b.data : "");
}

int config_value_parse(
	const ConfigKey *key, const char *text, uint64_t *ret, char why[CONFIG_WHY_BYTES])
{
	uint64_t value = 0;
	int r;

	r = types[key->type].parse(text, &value);
	if (r == 0 && !config_value_fits(key, value))
		r = -ERANGE;
	if (r == -ERANGE) {
		say_range(key, text, why);
		return -EINVAL;
	}
	if (r < 0) {
		snprintf(why, CONFIG_WHY_BYTES, "'%.*s' is not %s",
			(int)utf8_cut(text, strlen(text), 64), text, types[key->type].expected);
		return r;
	}
	*ret = value;
	return 0;
}

/* What a line of a file cannot carry must not come in by the command line either: --print-config
 * could not give it back. */
static const char *line_fault(const char *text)
{
	size_t len = strlen(text);

	for (const char *p = text; *p; p++) {
		if (iscntrl((unsigned char)*p))
			return "must not hold control characters";
		if (*p == ';' && (p == text || isspace((unsigned char)p[-1])))
			return "must not hold a ';' behind a blank: it begins a comment";
	}
	if (!utf8_valid(text, len))
		return "must be UTF-8";
	if (len > 0 && (isspace((unsigned char)text[0]) || isspace((unsigned char)text[len - 1])))
		return "must not begin or end with a blank";
	return len > CONFIG_TEXT_MAX_BYTES ? "is too long" : NULL;
}

static const char *path_fault(const char *text)
{
	return text[0] == '/' ? NULL : "must be an absolute path, one that begins with /";
}

static const char *socket_fault(const char *text)
{
	if (strlen(text) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return "is too long for a socket: at most 107 bytes fit";
	return path_fault(text);
}

static const char *source_fault(const char *text)
{
	if (strcmp(text, "none") == 0)
		return NULL;
	if (secret_kind(text) < 0)
		return "must be file:PATH, credential:NAME, env:NAME or none, never the key itself";
	return secret_source_fault(text, true);
}

static const char *header_fault(const char *text)
{
	return secret_kind(text) < 0 ? provider_header_value_fault(text)
				     : secret_source_fault(text, true);
}

/* Of the types that are texts, behind what holds for all of them; an empty one is none. */
static const struct {
	const char *(*fault)(const char *text);
	bool untold; /* whoever takes it for something else may have put a secret there */
} text_types[CONFIG_TYPE_HEADERS + 1] = {
	[CONFIG_TYPE_PATH] = { path_fault, false },
	[CONFIG_TYPE_SOCKET] = { socket_fault, false },
	[CONFIG_TYPE_URL] = { provider_url_fault, true },
	[CONFIG_TYPE_PROXY] = { provider_proxy_fault, true },
	[CONFIG_TYPE_AGENTS] = { config_agents_fault, false },
	[CONFIG_TYPE_SOURCE] = { source_fault, true },
	[CONFIG_TYPE_HEADERS] = { header_fault, true },
};

int config_value_check_text(const ConfigKey *key, const char *text, char why[CONFIG_WHY_BYTES])
{
	const char *fault = line_fault(text);

	if (!fault && *text && text_types[key->type].fault)
		fault = text_types[key->type].fault(text);
	if (!fault)
		return 0;
	if (text_types[key->type].untold)
		snprintf(why, CONFIG_WHY_BYTES, "it %s", fault);
	else
		snprintf(why, CONFIG_WHY_BYTES, "'%.*s' %s", (int)utf8_cut(text, strlen(text), 128),
			text, fault);
	return -EINVAL;
}

int config_value_print(ConfigType type, uint64_t value, Buf *b)
{
	return types[type].print(value, b);
}

uint64_t config_value_get(const ConfigKey *key, const void *base)
{
	uint64_t wide;
	uint32_t narrow;

	if (types[key->type].wide) {
		memcpy(&wide, (const char *)base + key->offset, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, (const char *)base + key->offset, sizeof(narrow));
	return narrow;
}

_Static_assert(sizeof(LogLevel) == sizeof(uint32_t) && sizeof(Durability) == sizeof(uint32_t) &&
		       sizeof(DelegationMode) == sizeof(uint32_t) &&
		       sizeof(Role) == sizeof(uint32_t) && sizeof(ProviderKind) == sizeof(uint32_t),
	"enums are read and written as 32 bits");

void config_value_put(const ConfigKey *key, void *base, uint64_t value)
{
	uint32_t narrow = (uint32_t)value;

	if (types[key->type].wide)
		memcpy((char *)base + key->offset, &value, sizeof(value));
	else
		memcpy((char *)base + key->offset, &narrow, sizeof(narrow));
}

char **config_value_text(const ConfigKey *key, void *base)
{
	return (char **)(void *)((char *)base + key->offset);
}

const char *config_value_get_text(const ConfigKey *key, const void *base)
{
	return *(char *const *)(const void *)((const char *)base + key->offset);
}

ConfigHeaders *config_value_headers(const ConfigKey *key, void *base)
{
	return (ConfigHeaders *)(void *)((char *)base + key->offset);
}

const ConfigHeaders *config_value_get_headers(const ConfigKey *key, const void *base)
{
	return (const ConfigHeaders *)(const void *)((const char *)base + key->offset);
}

/* In whatever order they stand. */
static bool headers_equal(const ConfigHeaders *a, const ConfigHeaders *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		bool found = false;

		for (size_t j = 0; j < b->n && !found; j++)
			found = strcmp(a->items[i].name, b->items[j].name) == 0 &&
				strcmp(a->items[i].value, b->items[j].value) == 0;
		if (!found)
			return false;
	}
	return true;
}

bool config_value_equal(const ConfigKey *key, const void *a, const void *b)
{
	if (config_type_is_text(key->type))
		return str_equal(config_value_get_text(key, a), config_value_get_text(key, b));
	if (config_type_is_number(key->type))
		return config_value_get(key, a) == config_value_get(key, b);
	return headers_equal(config_value_get_headers(key, a), config_value_get_headers(key, b));
}

void config_value_free(const ConfigKey *key, void *base)
{
	if (config_type_is_text(key->type))
		free(*config_value_text(key, base));
	if (key->type != CONFIG_TYPE_HEADERS)
		return;

	ConfigHeaders *headers = config_value_headers(key, base);

	for (size_t i = 0; i < headers->n; i++) {
		free(headers->items[i].name);
		free(headers->items[i].value);
	}
	free(headers->items);
}
