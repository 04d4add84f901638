/* The providers of a configuration, as agents are to work with them.
 *
 * Thread: main. */
#pragma once

#include "daemon/backend/provider.h"
#include "daemon/config.h"

typedef struct ProviderSet {
	ProviderSettings **settings;
	size_t n;
} ProviderSet;

/* Reads their keys, and loads libcurl if there are any. -errno, with a sentence in `why`,
 * NUL-terminated, that names the provider. */
int provider_set_load(const Config *config, ProviderSet *ret, Buf *why) _must_check_;
void provider_set_done(ProviderSet *s);
