#include "daemon/config-value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "common/utf8.h"
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

static int parse_name(int value, uint64_t *ret)
{
	if (value < 0)
		return -EINVAL;
	*ret = (uint64_t)value;
	return 0;
}

static int parse_by_type(ConfigType type, const char *text, uint64_t *ret)
{
	switch (type) {
	case CONFIG_TYPE_COUNT:
		return parse_whole(text, 10, ret);
	case CONFIG_TYPE_MODE:
		return parse_whole(text, 8, ret);
	case CONFIG_TYPE_SIZE:
		return parse_scaled(text, size_units, true, ret);
	case CONFIG_TYPE_TIME_US:
		return parse_scaled(text, time_units, false, ret);
	case CONFIG_TYPE_TIME_MS:
		return parse_time_ms(text, ret);
	case CONFIG_TYPE_LOG_LEVEL:
		return parse_name(log_level_from_string(text), ret);
	case CONFIG_TYPE_DURABILITY:
		return parse_name(durability_from_string(text), ret);
	case CONFIG_TYPE_ROLE:
		return parse_name(role_from_string(text), ret);
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_SOCKET:
		break;
	}
	return -EINVAL;
}

static const char *expected(ConfigType type)
{
	switch (type) {
	case CONFIG_TYPE_COUNT:
		return "a whole number";
	case CONFIG_TYPE_MODE:
		return "an octal mode such as 0660";
	case CONFIG_TYPE_SIZE:
		return "a size: a whole number of bytes, or one with K, M, G, T, KiB, MiB, GiB, "
		       "TiB "
		       "(of 1024), KB, MB, GB or TB (of 1000), such as 64MiB";
	case CONFIG_TYPE_TIME_US:
		return "a time: a whole number of seconds, or one with us, ms, s, min, h or d, "
		       "such "
		       "as 500ms";
	case CONFIG_TYPE_TIME_MS:
		return "a time of whole milliseconds: a number of seconds, or one with ms, s, min, "
		       "h or d, such as 500ms";
	case CONFIG_TYPE_LOG_LEVEL:
		return "error, warning, notice, info or debug";
	case CONFIG_TYPE_DURABILITY:
		return "interval or fsync";
	case CONFIG_TYPE_ROLE:
		return "none, observe, submit or admin";
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_SOCKET:
		break;
	}
	return "a text";
}

static bool has_range(ConfigType type)
{
	return type >= CONFIG_TYPE_COUNT && type <= CONFIG_TYPE_TIME_MS;
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

	r = parse_by_type(key->type, text, &value);
	if (r == 0 && has_range(key->type) && (value < key->min || value > key->max))
		r = -ERANGE;
	if (r == -ERANGE) {
		say_range(key, text, why);
		return -EINVAL;
	}
	if (r < 0) {
		snprintf(why, CONFIG_WHY_BYTES, "'%.*s' is not %s",
			(int)utf8_cut(text, strlen(text), 64), text, expected(key->type));
		return r;
	}
	*ret = value;
	return 0;
}

/* What a line of a file cannot carry must not come in by the command line either: --print-config
 * could not give it back. */
static const char *text_fault(ConfigType type, const char *text)
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
	if (len > CONFIG_TEXT_MAX_BYTES)
		return "is too long";
	if (len > 0 && type != CONFIG_TYPE_TEXT && text[0] != '/')
		return "must be an absolute path, one that begins with /";
	if (type == CONFIG_TYPE_SOCKET && len >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return "is too long for a socket: at most 107 bytes fit";
	return NULL;
}

int config_value_check_text(const ConfigKey *key, const char *text, char why[CONFIG_WHY_BYTES])
{
	const char *fault = text_fault(key->type, text);

	if (!fault)
		return 0;
	snprintf(why, CONFIG_WHY_BYTES, "'%.*s' %s", (int)utf8_cut(text, strlen(text), 128), text,
		fault);
	return -EINVAL;
}

static int print_scaled(uint64_t value, const Unit *units, Buf *b)
{
	for (const Unit *u = units; value > 0 && u->name; u++)
		if (value % u->factor == 0)
			return buf_printf(
				b, "%llu%s", (unsigned long long)(value / u->factor), u->name);
	return buf_append_char(b, '0');
}

int config_value_print(ConfigType type, uint64_t value, Buf *b)
{
	switch (type) {
	case CONFIG_TYPE_COUNT:
		return buf_printf(b, "%llu", (unsigned long long)value);
	case CONFIG_TYPE_MODE:
		return buf_printf(b, "%04llo", (unsigned long long)value);
	case CONFIG_TYPE_SIZE:
		return print_scaled(value, size_units, b);
	case CONFIG_TYPE_TIME_US:
		return print_scaled(value, time_units, b);
	case CONFIG_TYPE_TIME_MS:
		return print_scaled(value * 1000, time_units, b);
	case CONFIG_TYPE_LOG_LEVEL:
		return buf_append_str(b, log_level_to_string((LogLevel)value));
	case CONFIG_TYPE_DURABILITY:
		return buf_append_str(b, durability_to_string((Durability)value));
	case CONFIG_TYPE_ROLE:
		return buf_append_str(b, role_to_string((Role)value));
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_PATH:
	case CONFIG_TYPE_SOCKET:
		break;
	}
	return -EINVAL;
}

static bool is_wide(ConfigType type)
{
	return type == CONFIG_TYPE_SIZE || type == CONFIG_TYPE_TIME_US;
}

uint64_t config_value_get(const ConfigKey *key, const void *base)
{
	uint64_t wide;
	uint32_t narrow;

	if (is_wide(key->type)) {
		memcpy(&wide, (const char *)base + key->offset, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, (const char *)base + key->offset, sizeof(narrow));
	return narrow;
}

_Static_assert(sizeof(LogLevel) == sizeof(uint32_t) && sizeof(Durability) == sizeof(uint32_t) &&
		       sizeof(Role) == sizeof(uint32_t),
	"enums are read and written as 32 bits");

void config_value_put(const ConfigKey *key, void *base, uint64_t value)
{
	uint32_t narrow = (uint32_t)value;

	if (is_wide(key->type))
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
