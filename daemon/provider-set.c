#include "daemon/provider-set.h"

#include <errno.h>

#include "daemon/backend/http.h"

static int load(const Config *config, ProviderSet *s, Buf *why)
{
	int r = 0;

	if (config->n_providers == 0)
		return 0;
	s->settings = calloc(config->n_providers, sizeof(*s->settings));
	if (!s->settings)
		return -ENOMEM;
	while (r == 0 && s->n < config->n_providers) {
		r = provider_settings_new(&config->providers[s->n], &s->settings[s->n], why);
		if (r == 0)
			s->n++;
	}
	return r == 0 ? http_load(why) : r;
}

int provider_set_load(const Config *config, ProviderSet *ret, Buf *why)
{
	ProviderSet s = { 0 };
	int r = load(config, &s, why);

	if (r < 0)
		provider_set_done(&s);
	else
		*ret = s;
	return r;
}

void provider_set_done(ProviderSet *s)
{
	for (size_t i = 0; i < s->n; i++)
		provider_settings_unref(s->settings[i]);
	free(s->settings);
	*s = (ProviderSet){ 0 };
}
