#include "daemon/config-named.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS (3600 * 1000ULL)
#define DAY_MS  (24 * HOUR_MS)

/* What stands for any name at the end of a key's. */
#define ANY_NAME "NAME"

static const ConfigKey group_keys[] = {
	{ .section = "group NAME",
		.name = "max_running",
		.doc = "Agents of this group that run at the same time.",
		.default_doc = "as many as [limits] lets run",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(ConfigGroup, max_running),
		.default_value = UINT32_MAX,
		.min = 1,
		.max = 1000000,
		.reloadable = true },
};

static const ConfigKey provider_keys[] = {
	{ .section = "provider NAME",
		.name = "kind",
		.doc = "What it speaks: openai or anthropic.",
		.default_doc = "none, it has to be said",
		.type = CONFIG_TYPE_PROVIDER_KIND,
		.offset = offsetof(ConfigProvider, kind),
		.default_value = PROVIDER_KIND_NONE,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "base_url",
		.doc = "What the paths of requests are put behind: http:// or https://.",
		.default_doc = "https://api.openai.com/v1 or https://api.anthropic.com; with "
			       "unix_socket http://localhost",
		.type = CONFIG_TYPE_URL,
		.offset = offsetof(ConfigProvider, base_url),
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "unix_socket",
		.doc = "Socket of a server on this machine, which is then connected to instead of "
		       "the host of base_url.",
		.default_doc = "none",
		.type = CONFIG_TYPE_SOCKET,
		.offset = offsetof(ConfigProvider, unix_socket),
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "ca_file",
		.doc = "Certificates that its own is verified with, in PEM.",
		.default_doc = "those of the system",
		.type = CONFIG_TYPE_PATH,
		.offset = offsetof(ConfigProvider, ca_file),
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "proxy",
		.doc = "Proxy on the way to it: http://, https://, socks5:// or socks5h://. The "
		       "variables of the environment do not count.",
		.default_doc = "none",
		.type = CONFIG_TYPE_PROXY,
		.offset = offsetof(ConfigProvider, proxy),
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "key",
		.doc = "Where its key stands: file:PATH, credential:NAME (of systemd's), env:NAME "
		       "(of the daemon's environment) or none. Never the key itself.",
		.default_doc = "none",
		.type = CONFIG_TYPE_SOURCE,
		.offset = offsetof(ConfigProvider, key),
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "model",
		.doc = "Model of agents that ask for none.",
		.default_doc = "none",
		.type = CONFIG_TYPE_TEXT,
		.offset = offsetof(ConfigProvider, model),
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "header." ANY_NAME,
		.doc = "Header of that name for each request; or, as with key, where its value "
		       "stands, for what nobody may see.",
		.default_doc = "none",
		.type = CONFIG_TYPE_HEADERS,
		.offset = offsetof(ConfigProvider, headers),
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "max_concurrent",
		.doc = "Requests to it at the same time; further agents wait. 0 is no limit.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(ConfigProvider, max_concurrent),
		.max = 1000000,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "requests_per_minute",
		.doc = "Requests to it in a minute; further ones wait. 0 is no limit.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(ConfigProvider, requests_per_minute),
		.max = 10000000,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "tokens_per_minute",
		.doc = "Tokens that it is asked for in a minute; further requests wait. 0 is no "
		       "limit.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(ConfigProvider, tokens_per_minute),
		.max = 4000000000,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "connect_timeout",
		.doc = "How long a connection may take to be made; 0 is no limit.",
		.type = CONFIG_TYPE_TIME_MS,
		.offset = offsetof(ConfigProvider, connect_ms),
		.default_value = 10000,
		.max = DAY_MS,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "first_chunk_timeout",
		.doc = "How long the first chunk may take, from the request on; 0 is no limit.",
		.type = CONFIG_TYPE_TIME_MS,
		.offset = offsetof(ConfigProvider, first_chunk_ms),
		.default_value = 120000,
		.max = DAY_MS,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "idle_timeout",
		.doc = "How long the answer may stand still after that, whatever is sent to keep "
		       "the connection; 0 is no limit.",
		.type = CONFIG_TYPE_TIME_MS,
		.offset = offsetof(ConfigProvider, idle_ms),
		.default_value = 120000,
		.max = DAY_MS,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "total_timeout",
		.doc = "How long an agent may run in all; 0 is no limit.",
		.type = CONFIG_TYPE_TIME_MS,
		.offset = offsetof(ConfigProvider, total_ms),
		.max = DAY_MS,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "max_attempts",
		.doc = "Requests for one agent at the most, as long as no chunk has come; 1 is no "
		       "retry.",
		.type = CONFIG_TYPE_COUNT,
		.offset = offsetof(ConfigProvider, max_attempts),
		.default_value = 4,
		.min = 1,
		.max = 100,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "retry_base",
		.doc = "The most that is waited before the first retry; twice as much before each "
		       "further one.",
		.type = CONFIG_TYPE_TIME_MS,
		.offset = offsetof(ConfigProvider, retry_base_ms),
		.default_value = 500,
		.min = 1,
		.max = HOUR_MS,
		.reloadable = true },
	{ .section = "provider NAME",
		.name = "retry_max",
		.doc = "The most that is waited before any retry, besides what the provider asks "
		       "for.",
		.type = CONFIG_TYPE_TIME_MS,
		.offset = offsetof(ConfigProvider, retry_max_ms),
		.default_value = 30000,
		.min = 1,
		.max = HOUR_MS,
		.reloadable = true },
};

_Static_assert(offsetof(ConfigGroup, name) == 0 && offsetof(ConfigProvider, name) == 0,
	"an item begins with its name");

static const ConfigNamed kinds[] = {
	{ .word = "group",
		.title = "group NAME",
		.keys = group_keys,
		.n_keys = ARRAY_SIZE(group_keys),
		.item_bytes = sizeof(ConfigGroup),
		.items_offset = offsetof(Config, groups),
		.n_offset = offsetof(Config, n_groups) },
	{ .word = "provider",
		.title = "provider NAME",
		.keys = provider_keys,
		.n_keys = ARRAY_SIZE(provider_keys),
		.item_bytes = sizeof(ConfigProvider),
		.items_offset = offsetof(Config, providers),
		.n_offset = offsetof(Config, n_providers) },
};

const ConfigNamed *config_named_kinds(size_t *ret_n)
{
	*ret_n = ARRAY_SIZE(kinds);
	return kinds;
}

/* What follows the kind's word; NULL: it does not begin with it. */
static const char *behind_word(const ConfigNamed *kind, const char *text)
{
	size_t len = strlen(kind->word);

	return strncmp(text, kind->word, len) == 0 ? text + len : NULL;
}

const ConfigNamed *config_named_of(const char *section, const char **ret_name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *rest = behind_word(&kinds[i], section);

		if (!rest || (*rest && *rest != ' ' && *rest != '\t'))
			continue;
		*ret_name = rest + strspn(rest, " \t");
		return &kinds[i];
	}
	return NULL;
}

const ConfigNamed *config_named_of_option(const char *option, const char **ret_rest)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const char *rest = behind_word(&kinds[i], option);

		if (!rest || *rest != '.')
			continue;
		*ret_rest = rest + 1;
		return &kinds[i];
	}
	return NULL;
}

int config_named_check(const ConfigNamed *kind, const char *name, char why[CONFIG_WHY_BYTES])
{
	char unused[CONFIG_WHY_BYTES];
	const ConfigKey as_text = { .type = CONFIG_TYPE_TEXT };

	if (!*name)
		snprintf(why, CONFIG_WHY_BYTES, "the %s needs a name: [%s]", kind->word,
			kind->title);
	else if (strlen(name) > PROTOCOL_MAX_GROUP_BYTES)
		snprintf(why, CONFIG_WHY_BYTES, "the %s's name is longer than %u bytes", kind->word,
			PROTOCOL_MAX_GROUP_BYTES);
	else if (strchr(name, ']') || config_value_check_text(&as_text, name, unused) < 0)
		snprintf(why, CONFIG_WHY_BYTES,
			"the %s's name must be UTF-8 without ']', a ';' behind a blank, control "
			"characters, leading and trailing blanks",
			kind->word);
	else
		return 0;
	return -EINVAL;
}

const ConfigKey *config_named_key(const ConfigNamed *kind, const char *name, const char **ret_rest)
{
	for (size_t i = 0; i < kind->n_keys; i++) {
		const ConfigKey *key = &kind->keys[i];
		size_t len = strlen(key->name);

		if (key->type == CONFIG_TYPE_HEADERS)
			len -= sizeof(ANY_NAME) - 1;
		if (strncmp(key->name, name, len) != 0 ||
			(key->type != CONFIG_TYPE_HEADERS && name[len]))
			continue;
		*ret_rest = key->type == CONFIG_TYPE_HEADERS ? name + len : NULL;
		return key;
	}
	return NULL;
}

static void *items(const ConfigNamed *kind, const Config *c)
{
	return *(void *const *)(const void *)((const char *)c + kind->items_offset);
}

size_t config_named_count(const ConfigNamed *kind, const Config *c)
{
	return *(const size_t *)(const void *)((const char *)c + kind->n_offset);
}

static void *item_at(const ConfigNamed *kind, const Config *c, size_t i)
{
	return (char *)items(kind, c) + i * kind->item_bytes;
}

const void *config_named_item(const ConfigNamed *kind, const Config *c, size_t i)
{
	return item_at(kind, c, i);
}

const char *config_named_name(const void *item)
{
	return *(char *const *)item;
}

void *config_named_find(const ConfigNamed *kind, const Config *c, const char *name)
{
	for (size_t i = 0; i < config_named_count(kind, c); i++)
		if (strcmp(config_named_name(item_at(kind, c, i)), name) == 0)
			return item_at(kind, c, i);
	return NULL;
}

void config_named_defaults(const ConfigNamed *kind, void *item)
{
	memset(item, 0, kind->item_bytes);
	for (size_t i = 0; i < kind->n_keys; i++)
		if (config_type_is_number(kind->keys[i].type))
			config_value_put(&kind->keys[i], item, kind->keys[i].default_value);
}

void *config_named_get(const ConfigNamed *kind, Config *c, const char *name)
{
	void *item = config_named_find(kind, c, name), *grown;
	size_t n = config_named_count(kind, c);
	char *copy;

	if (item)
		return item;
	grown = reallocarray(items(kind, c), n + 1, kind->item_bytes);
	if (!grown)
		return NULL;
	*(void **)(void *)((char *)c + kind->items_offset) = grown;
	copy = strdup(name);
	if (!copy)
		return NULL;
	item = (char *)grown + n * kind->item_bytes;
	config_named_defaults(kind, item);
	*(char **)item = copy;
	*(size_t *)(void *)((char *)c + kind->n_offset) = n + 1;
	return item;
}

void config_named_free(const ConfigNamed *kind, Config *c)
{
	for (size_t i = 0; i < config_named_count(kind, c); i++) {
		void *item = item_at(kind, c, i);

		for (size_t k = 0; k < kind->n_keys; k++)
			config_value_free(&kind->keys[k], item);
		free(*(char **)item);
	}
	free(items(kind, c));
}
