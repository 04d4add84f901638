#include "daemon/backend/backend.h"

#include <string.h>

static const Backend *const backends[BACKENDS] = {
	&backend_mock,
	&backend_exec,
	&backend_openai,
	&backend_anthropic,
};

const Backend *backend_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	return NULL;
}
