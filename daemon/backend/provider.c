#include "daemon/backend/provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "daemon/backend/secret.h"

#define SECRET_MAX_BYTES (16U * 1024)

/* What a message about a secret names. */
typedef struct Subject {
	const char *provider;
	const char *what; /* "key", "header" */
	const char *name; /* the header's; "" */
	const char *source;
} Subject;

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

ProviderSettings *provider_settings_ref(ProviderSettings *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void provider_settings_unref(ProviderSettings *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < p->n_headers; i++)
		wipe(p->headers[i]);
	blot_done(&p->secrets);
	free(p->headers);
	wipe(p->key);
	free(p->name);
	free(p->kind);
	free(p->base_url);
	free(p->unix_socket);
	free(p->ca_file);
	free(p->proxy);
	free(p->model);
	free(p);
}

static int say(const Subject *s, Buf *why, const char *verb)
{
	return buf_printf(why, "provider %s: the %s%s%s %s %s: ", s->provider, s->what,
		*s->name ? " " : "", s->name, verb, s->source);
}

/* Best effort: without memory for it, the sentence is left out. */
static void say_unread(const Subject *s, int error, Buf *why)
{
	if (say(s, why, "cannot be read from") < 0 ||
		secret_explain(error, SECRET_MAX_BYTES, why) < 0 || buf_terminate(why) < 0)
		buf_done(why);
}

static void say_wrong(const Subject *s, const char *fault, Buf *why)
{
	if (say(s, why, "cannot be used from") < 0 || buf_printf(why, "it %s", fault) < 0 ||
		buf_terminate(why) < 0)
		buf_done(why);
}

/* `prefix` and then what stands at the source, which is read into `room`. */
static int take_secret(const Subject *s, const char *prefix, char *room, char **ret, Buf *why)
{
	ssize_t len = secret_read(s->source, SECRET_MAX_BYTES, room);
	const char *fault;
	size_t bytes;

	if (len < 0) {
		say_unread(s, (int)len, why);
		return (int)len;
	}
	/* secret_read() has cut the newline: a file of Windows's. */
	if (len > 0 && room[len - 1] == '\r')
		room[--len] = '\0';
	fault = provider_header_value_fault(room);
	if (fault) {
		say_wrong(s, fault, why);
		return -EINVAL;
	}
	/* Not asprintf(), which leaves copies behind while it grows. */
	bytes = strlen(prefix) + (size_t)len + 1;
	*ret = malloc(bytes);
	if (!*ret)
		return -ENOMEM;
	(void)snprintf(*ret, bytes, "%s%s", prefix, room);
	return 0;
}

static int read_secret(const Subject *s, const char *prefix, char **ret, Buf *why)
{
	const size_t bytes = SECRET_MAX_BYTES + 2;
	char *room = malloc(bytes);
	int r;

	if (!room)
		return -ENOMEM;
	r = take_secret(s, prefix, room, ret, why);
	explicit_bzero(room, bytes);
	free(room);
	return r;
}

static int add_header(ProviderSettings *p, const ConfigHeader *header, Buf *why)
{
	const Subject subject = { p->name, "header", header->name, header->value };
	_cleanup_buf_ Buf prefix = { 0 };
	char **line = &p->headers[p->n_headers];
	bool secret = secret_kind(header->value) >= 0;
	int r = buf_printf(&prefix, "%s: ", header->name);

	if (r == 0)
		r = buf_terminate(&prefix);
	if (r == 0 && secret)
		r = read_secret(&subject, prefix.data, line, why);
	else if (r == 0 && asprintf(line, "%s%s", prefix.data, header->value) < 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	p->n_headers++;
	/* One that is written out is none, and may be an everyday word. */
	return secret ? blot_add(&p->secrets, *line + prefix.len) : 0;
}

static int read_secrets(ProviderSettings *p, const ConfigProvider *config, Buf *why)
{
	const Subject subject = { p->name, "key", "", config->key };
	int r = 0;

	if (provider_config_has_secret(config, false)) {
		secret_hide_process();
		secret_limit_cores();
	}
	p->headers = calloc(config->headers.n + 1, sizeof(*p->headers));
	if (!p->headers)
		return -ENOMEM;
	if (config->key)
		r = read_secret(&subject, "", &p->key, why);
	if (r == 0 && p->key)
		r = blot_add(&p->secrets, p->key);
	for (size_t i = 0; r == 0 && i < config->headers.n; i++)
		r = add_header(p, &config->headers.items[i], why);
	return r;
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int copy_base_url(ProviderSettings *p, const ConfigProvider *config)
{
	const char *url = config->base_url      ? config->base_url
			  : config->unix_socket ? "http://localhost"
						: provider_kind_base_url(config->kind);
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	p->base_url = strndup(url, len);
	return p->base_url ? 0 : -ENOMEM;
}

static int copy_texts(ProviderSettings *p, const ConfigProvider *config)
{
	if (copy_text(&p->name, config->name) < 0 ||
		copy_text(&p->kind, provider_kind_to_string(config->kind)) < 0 ||
		copy_base_url(p, config) < 0 ||
		copy_text(&p->unix_socket, config->unix_socket) < 0 ||
		copy_text(&p->ca_file, config->ca_file) < 0 ||
		copy_text(&p->proxy, config->proxy) < 0 || copy_text(&p->model, config->model) < 0)
		return -ENOMEM;
	return 0;
}

int provider_settings_new(const ConfigProvider *config, ProviderSettings **ret, Buf *why)
{
	_cleanup_(provider_settings_unref_p) ProviderSettings *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	*p = (ProviderSettings){
		.max_concurrent = config->max_concurrent,
		.requests_per_minute = config->requests_per_minute,
		.tokens_per_minute = config->tokens_per_minute,
		.connect_ms = config->connect_ms,
		.first_chunk_ms = config->first_chunk_ms,
		.idle_ms = config->idle_ms,
		.total_ms = config->total_ms,
		.max_attempts = config->max_attempts,
		.retry_base_ms = config->retry_base_ms,
		.retry_max_ms = config->retry_max_ms,
		.refs = 1,
	};
	r = copy_texts(p, config);
	if (r == 0)
		r = read_secrets(p, config, why);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(p);
	return 0;
}

void provider_settings_scrub(const ProviderSettings *p, char *text)
{
	blot_text(&p->secrets, text);
}

bool provider_settings_is_same_caller(const ProviderSettings *a, const ProviderSettings *b)
{
	bool same = str_equal(a->base_url, b->base_url) &&
		    str_equal(a->unix_socket, b->unix_socket) && str_equal(a->key, b->key) &&
		    a->n_headers == b->n_headers;

	for (size_t i = 0; same && i < a->n_headers; i++)
		same = str_equal(a->headers[i], b->headers[i]);
	return same;
}
