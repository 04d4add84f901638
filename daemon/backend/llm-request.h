/* What the request bodies of both dialects are made of. Private to them.
 *
 * `extra` is merged over a body as it is: of a member that it has, nothing else is written. So each
 * own member asks first.
 *
 * Thread: llm_request_check() main; all else worker (any, one at a time). */
#pragma once

#include "common/json-writer.h"
#include "daemon/backend/llm-dialect.h"

/* Of the messages: `roles` are those there are, NULL-terminated (NULL: any). `needs_content`: each
 * has some. See LlmDialect.check. */
int llm_request_check(json_object *options, const char *const *roles, bool needs_content,
	RpcError *reterr) _must_check_;

/* Begins the object, with the model and `"stream":true`. */
void llm_request_begin(JsonWriter *w, const LlmRequest *request);
/* Writes the key; false: `extra` has it. */
bool llm_request_key(JsonWriter *w, const LlmRequest *request, const char *key);
/* An option that goes into the body under its own name, if it was given. True: it is there, by
 * whomever. */
bool llm_request_option(JsonWriter *w, const LlmRequest *request, const char *name);
/* The options' messages; NULL: none. */
json_object *llm_request_messages(const LlmRequest *request);
/* {"role":…,"content":…} */
void llm_request_turn(JsonWriter *w, const char *role, const char *text, size_t len);
/* The prompt, as the last turn, if there is to be one. */
void llm_request_prompt(JsonWriter *w, const LlmRequest *request);
/* `extra`, and the end of the object. */
void llm_request_end(JsonWriter *w, const LlmRequest *request);
