#include "daemon/backend/llm-dialect.h"

#include <string.h>

static const LlmDialect *const dialects[] = { &llm_openai, &llm_anthropic };

const LlmDialect *llm_dialect_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
		if (strcmp(dialects[i]->name, name) == 0)
			return dialects[i];
	return NULL;
}

void llm_decoder_init(LlmDecoder *d, const LlmDialect *dialect, const LlmOutput *out)
{
	*d = (LlmDecoder){ .dialect = dialect, .out = *out };
}

void llm_decoder_done(LlmDecoder *d)
{
	free(d->answer.finish_reason);
	free(d->answer.model);
	free(d->answer.error_message);
	free(d->answer.error_type);
	d->answer = (LlmAnswer){ 0 };
	llm_tools_done(&d->tools);
	buf_done(&d->scratch);
	buf_done(&d->joined);
}
