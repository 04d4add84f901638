#include "daemon/backend/provider-config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/backend/secret.h"

/* ---- Kinds ---- */

static const struct {
	const char *name;
	const char *base_url;
	const char *key_header;
} kinds[_PROVIDER_KIND_MAX] = {
	[PROVIDER_KIND_NONE] = { "", "", "" },
	[PROVIDER_KIND_OPENAI] = { "openai", "https://api.openai.com/v1", "Authorization" },
	[PROVIDER_KIND_ANTHROPIC] = { "anthropic", "https://api.anthropic.com", "x-api-key" },
};

const char *provider_kind_to_string(ProviderKind kind)
{
	return kinds[kind].name;
}

int provider_kind_from_string(const char *name)
{
	for (int kind = PROVIDER_KIND_NONE + 1; kind < _PROVIDER_KIND_MAX; kind++)
		if (strcmp(kinds[kind].name, name) == 0)
			return kind;
	return -EINVAL;
}

const char *provider_kind_base_url(ProviderKind kind)
{
	return kinds[kind].base_url;
}

const char *provider_kind_key_header(ProviderKind kind)
{
	return kinds[kind].key_header;
}

/* ---- URLs ---- */

/* A URL taken apart; lends. */
typedef struct Url {
	const char *scheme, *host, *rest /* from the port's ':' on */;
	size_t scheme_len, host_len;
} Url;

/* As far as there is one: what it may hold is not looked at. */
static bool split(const char *url, Url *ret)
{
	const char *colon = strstr(url, "://");
	Url u = { .scheme = url };

	if (!colon)
		return false;
	u.scheme_len = (size_t)(colon - url);
	u.host = colon + 3;
	/* [::1] */
	u.host_len = *u.host == '[' ? strcspn(u.host, "]/") : strcspn(u.host, ":/");
	if (u.host[u.host_len] == ']')
		u.host_len++;
	u.rest = u.host + u.host_len;
	*ret = u;
	return true;
}

static bool has_scheme(const Url *u, const char *scheme)
{
	return strlen(scheme) == u->scheme_len &&
	       strncasecmp(u->scheme, scheme, u->scheme_len) == 0;
}

/* What an address in brackets says, without them; -EINVAL. */
static int parse_v6(const Url *u, struct in6_addr *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (u->host_len < 2 || u->host_len - 2 >= sizeof(text) || u->host[u->host_len - 1] != ']')
		return -EINVAL;
	memcpy(text, u->host + 1, u->host_len - 2);
	text[u->host_len - 2] = '\0';
	return inet_pton(AF_INET6, text, ret) == 1 ? 0 : -EINVAL;
}

static bool is_host(const Url *u)
{
	struct in6_addr address;

	if (u->host[0] == '[')
		return parse_v6(u, &address) == 0;
	for (size_t i = 0; i < u->host_len; i++)
		if (!isalnum((unsigned char)u->host[i]) && !strchr("-._", u->host[i]))
			return false;
	return u->host_len > 0;
}

static bool is_port(const char *text, size_t len)
{
	unsigned long port = 0;

	if (len < 1 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return false;
		port = port * 10 + (unsigned long)(text[i] - '0');
	}
	return port >= 1 && port <= 65535;
}

static const char *url_fault(const char *url, Url *ret)
{
	size_t authority;

	for (const char *p = url; *p; p++)
		if (*p <= ' ' || *p > '~' || strchr("\"<>\\^`{|}", *p))
			return "holds a character that no URL may have as it is";
	if (!split(url, ret))
		return "must be a URL: SCHEME://HOST";
	authority = strcspn(ret->host, "/?#");
	if (memchr(ret->host, '@', authority))
		return "must not hold a user's name or password";
	if (strpbrk(ret->host, "?#"))
		return "must not hold a '?' or a '#'";
	if (!is_host(ret))
		return "must name a host behind the ://";
	authority -= ret->host_len;
	if (authority > 0 && (ret->rest[0] != ':' || !is_port(ret->rest + 1, authority - 1)))
		return "must have a port from 1 to 65535 behind the host's ':'";
	return NULL;
}

const char *provider_url_fault(const char *url)
{
	Url u = { 0 };
	const char *fault = url_fault(url, &u);

	if (!fault && !has_scheme(&u, "http") && !has_scheme(&u, "https"))
		fault = "must begin with http:// or https://";
	return fault;
}

const char *provider_proxy_fault(const char *url)
{
	static const char *const schemes[] = { "http", "https", "socks5", "socks5h" };
	Url u = { 0 };
	const char *fault = url_fault(url, &u);
	bool known = false;

	if (fault)
		return fault;
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		known = known || has_scheme(&u, schemes[i]);
	if (!known)
		return "must begin with http://, https://, socks5:// or socks5h://";
	return strchr(u.rest, '/') ? "must not have a path" : NULL;
}

static bool is_loopback(const Url *u)
{
	static const char name[] = "localhost";
	const size_t len = sizeof(name) - 1;
	char text[INET_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;

	if (u->host[0] == '[')
		return parse_v6(u, &v6) == 0 && IN6_IS_ADDR_LOOPBACK(&v6);
	if (u->host_len >= len && strncasecmp(u->host + u->host_len - len, name, len) == 0)
		return u->host_len == len || u->host[u->host_len - len - 1] == '.';
	if (u->host_len >= sizeof(text))
		return false;
	memcpy(text, u->host, u->host_len);
	text[u->host_len] = '\0';
	return inet_pton(AF_INET, text, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

bool provider_config_is_bare(const ConfigProvider *p)
{
	Url u;

	return !p->unix_socket && p->base_url && split(p->base_url, &u) && has_scheme(&u, "http") &&
	       !is_loopback(&u);
}

/* ---- Headers ---- */

/* What a request has from us: a second one would make it another request, or none. */
static const char *const own_headers[] = { "Accept", "Accept-Encoding", "Connection",
	"Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive",
	"Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding",
	"Upgrade" };

const char *provider_header_name_fault(const char *name)
{
	if (!*name)
		return "must name a header";
	if (strlen(name) > 128)
		return "is longer than 128 bytes";
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p))
			return "holds a character that no header's name may have";
	for (size_t i = 0; i < ARRAY_SIZE(own_headers); i++)
		if (strcasecmp(name, own_headers[i]) == 0)
			return "is a header that the daemon sets by itself";
	return NULL;
}

const char *provider_header_value_fault(const char *value)
{
	size_t len = strlen(value);

	if (len == 0)
		return "is empty";
	for (size_t i = 0; i < len; i++)
		if (value[i] < ' ' || value[i] > '~')
			return "holds a character that is not printable ASCII";
	return value[0] == ' ' || value[len - 1] == ' ' ? "begins or ends with a blank" : NULL;
}

static bool is_secret(const char *text, bool only_env)
{
	SecretKind kind = text ? secret_kind(text) : _SECRET_KIND_INVALID;

	return kind >= 0 && (!only_env || kind == SECRET_ENV);
}

bool provider_config_has_secret(const ConfigProvider *p, bool only_env)
{
	if (is_secret(p->key, only_env))
		return true;
	for (size_t i = 0; i < p->headers.n; i++)
		if (is_secret(p->headers.items[i].value, only_env))
			return true;
	return false;
}
