/* The settings of a provider as a run works with them: made out of [provider NAME], with the key
 * read.
 *
 * Immutable and counted: a reload makes new ones, and whoever runs keeps those that it began with.
 * Owns all that is in it; the key and the headers are wiped when the last reference goes.
 *
 * Thread: any. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "daemon/backend/blot.h"
#include "daemon/backend/provider-config.h"

typedef struct ProviderSettings {
	char *name;
	char *kind;        /* "openai" or "anthropic" */
	char *base_url;    /* without a slash at its end */
	char *unix_socket; /* these four: NULL where there is none */
	char *ca_file;
	char *proxy;
	char *model;
	char **headers; /* "Name: value", NULL-terminated; may be secrets: never shown */
	size_t n_headers;
	char *key;    /* the secret itself: never shown; NULL: none */
	Blot secrets; /* the key, and those headers that stand elsewhere */
	/* 0: no limit */
	uint32_t max_concurrent;
	uint32_t requests_per_minute, tokens_per_minute;
	uint32_t connect_ms, first_chunk_ms, idle_ms, total_ms;
	uint32_t max_attempts; /* 1: no retry */
	uint32_t retry_base_ms, retry_max_ms;
	atomic_uint refs;
} ProviderSettings;

/* Reads what stands elsewhere, from files, too. -errno, with a sentence in `why`, NUL-terminated,
 * that names the provider and the source, never what was found there; `why` stays empty when there
 * is no memory for it. A process that holds a secret is hidden from then on: see
 * secret_hide_process(). */
int provider_settings_new(
	const ConfigProvider *config, ProviderSettings **ret, Buf *why) _must_check_;
/* Blots out what a provider may have said back of the secrets that it was sent. Of each text by
 * itself, never of JSON: see blot.h. */
void provider_settings_scrub(const ProviderSettings *p, char *text);
/* Who asks with the one asks the same server, and is the same one to it. */
bool provider_settings_is_same_caller(const ProviderSettings *a, const ProviderSettings *b);
ProviderSettings *provider_settings_ref(ProviderSettings *p);
/* Bears NULL. */
void provider_settings_unref(ProviderSettings *p);

DEFINE_CLEANUP(ProviderSettings *, provider_settings_unref)
