/* What the configuration says of a provider of language models, [provider NAME], and what may stand
 * there.
 *
 * Owns nothing: the strings are the configuration's. None of them is a secret, but where one
 * stands, unless a header's value is one as it is.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

typedef enum ProviderKind {
	PROVIDER_KIND_NONE, /* not said */
	PROVIDER_KIND_OPENAI,
	PROVIDER_KIND_ANTHROPIC,
	_PROVIDER_KIND_MAX,
} ProviderKind;

/* A header that goes with each request. */
typedef struct ConfigHeader {
	char *name;
	char *value; /* as it is, or where it stands: see secret.h */
} ConfigHeader;

typedef struct ConfigHeaders {
	ConfigHeader *items;
	size_t n;
} ConfigHeaders;

/* Texts are NULL where nothing is said. */
typedef struct ConfigProvider {
	char *name;
	ProviderKind kind;
	char *base_url;
	char *unix_socket;
	char *ca_file;
	char *proxy;
	char *key; /* where it stands: see secret.h */
	char *model;
	ConfigHeaders headers;
	/* 0: no limit */
	uint32_t max_concurrent;
	uint32_t requests_per_minute, tokens_per_minute;
	uint32_t connect_ms, first_chunk_ms, idle_ms, total_ms;
	uint32_t max_attempts;
	uint32_t retry_base_ms, retry_max_ms;
} ConfigProvider;

/* "" for PROVIDER_KIND_NONE. */
const char *provider_kind_to_string(ProviderKind kind);
/* -EINVAL; never PROVIDER_KIND_NONE. */
int provider_kind_from_string(const char *name) _must_check_;
/* Where its maker serves it; "" for PROVIDER_KIND_NONE. */
const char *provider_kind_base_url(ProviderKind kind);
/* The header that the key goes in. */
const char *provider_kind_key_header(ProviderKind kind);

/* What is wrong with a value, to go on with behind its name; NULL: nothing. */
const char *provider_url_fault(const char *url);
const char *provider_proxy_fault(const char *url);
const char *provider_header_name_fault(const char *name);
/* Also of keys: what can go in a header. */
const char *provider_header_value_fault(const char *value);

/* Its key or a header comes out of a source of its own, env: alone if that is asked for. */
bool provider_config_has_secret(const ConfigProvider *p, bool only_env);
/* What it is sent goes over a network as plain text. */
bool provider_config_is_bare(const ConfigProvider *p);
