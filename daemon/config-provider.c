/* [provider NAME]: its headers, and what cannot be said of one key alone. */
#include "daemon/config-builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/config-value.h"

#define MAX_HEADERS 64

static ConfigHeader *find_header(const ConfigHeaders *headers, const char *name)
{
	for (size_t i = 0; i < headers->n; i++)
		if (strcasecmp(headers->items[i].name, name) == 0)
			return &headers->items[i];
	return NULL;
}

static void remove_header(ConfigHeaders *headers, ConfigHeader *header)
{
	free(header->name);
	free(header->value);
	*header = headers->items[--headers->n];
}

static int add_header(ConfigHeaders *headers, const char *name, const char *value)
{
	ConfigHeader *grown = reallocarray(headers->items, headers->n + 1, sizeof(*grown));
	_cleanup_free_ char *name_copy = NULL, *value_copy = NULL;

	if (!grown)
		return -ENOMEM;
	headers->items = grown;
	name_copy = strdup(name);
	value_copy = strdup(value);
	if (!name_copy || !value_copy)
		return -ENOMEM;
	headers->items[headers->n++] = (ConfigHeader){ TAKE_PTR(name_copy), TAKE_PTR(value_copy) };
	return 0;
}

static int fault(ConfigBuilder *b, const char *name, const char *what)
{
	_cleanup_buf_ Buf key = { 0 };
	int r = buf_printf(&key, "header.%.128s", name);

	if (r == 0)
		r = buf_terminate(&key);
	return r < 0 ? r : config_builder_fault(b, key.data, "%s", what);
}

int config_headers_set(
	ConfigBuilder *b, const ConfigKey *key, void *item, const char *name, const char *value)
{
	ConfigHeaders *headers = config_value_headers(key, item);
	ConfigHeader *old = find_header(headers, name);
	const char *name_fault = provider_header_name_fault(name);
	char why[CONFIG_WHY_BYTES];

	if (name_fault)
		return config_builder_error(b, "the name '%.128s' %s", name, name_fault);
	if (config_value_check_text(key, value, why) < 0)
		return fault(b, name, why);
	if (old)
		remove_header(headers, old);
	if (!*value)
		return 0;
	if (headers->n >= MAX_HEADERS)
		return fault(b, name, "a provider has at most 64 headers");
	return add_header(headers, name, value);
}

/* What is wrong with a provider as a whole; NULL: nothing. */
static const char *provider_fault(const ConfigProvider *p)
{
	if (p->kind == PROVIDER_KIND_NONE)
		return "needs a kind: openai or anthropic";
	if (p->key && find_header(&p->headers, provider_kind_key_header(p->kind)))
		return "has a key and the header that the key goes in: only one can be sent";
	if (p->retry_max_ms < p->retry_base_ms)
		return "has a retry_max below its retry_base";
	if (p->unix_socket && p->proxy)
		return "has a unix_socket and a proxy: there is none on the way to a socket";
	return NULL;
}

int config_providers_check(ConfigBuilder *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->config->n_providers; i++) {
		const ConfigProvider *p = &b->config->providers[i];
		const char *what = provider_fault(p);

		if (what)
			r = config_builder_section_error(b, "provider", p->name, what);
	}
	return r;
}

int config_warnings(const Config *c, Buf *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_providers; i++) {
		const ConfigProvider *p = &c->providers[i];

		if (provider_config_has_secret(p, false) && provider_config_is_bare(p))
			r = buf_printf(b,
				"[provider %s] sends its key without encryption to another "
				"machine: base_url is %s\n",
				p->name, p->base_url);
	}
	return r;
}

void config_log_lines(LogLevel level, const Buf *lines)
{
	const char *line = lines->data, *newline;
	size_t left = lines->len;

	for (; left > 0 && (newline = memchr(line, '\n', left)); line = newline + 1) {
		log_at(level, NULL, "%.*s", (int)(newline - line), line);
		left -= (size_t)(newline + 1 - line);
	}
}

void config_log_warnings(const Config *c)
{
	_cleanup_buf_ Buf b = { 0 };

	if (config_warnings(c, &b) == 0)
		config_log_lines(LOG_LEVEL_WARNING, &b);
}

bool config_has_env_secret(const Config *c)
{
	for (size_t i = 0; i < c->n_providers; i++)
		if (provider_config_has_secret(&c->providers[i], true))
			return true;
	return false;
}
