/* What the decoders of both dialects are made of. Private to them.
 *
 * Texts are of data that jsonx_valid_lax() has found good.
 *
 * Thread: worker (any, one at a time). */
#pragma once

#include "common/jsonx-find.h"
#include "daemon/backend/llm-dialect.h"

/* Gives out the contents of a string, if there are any. -EBADMSG: it is a value of another kind. */
int llm_give(LlmDecoder *d, Channel channel, JsonxText value) _must_check_;
/* Gives out a call, and forgets it. */
int llm_give_tool(LlmDecoder *d, LlmToolCall *call) _must_check_;
/* All that is held: halves of characters, and the calls in their order. */
int llm_give_rest(LlmDecoder *d) _must_check_;

/* Keeps a string in the answer, cut to LLM_MAX_NAME_BYTES; what is none, or empty, changes nothing.
 * -ENOMEM. */
int llm_keep(LlmDecoder *d, char **field, JsonxText value) _must_check_;
/* The numbers of tokens out of an object, by the names that they have there; what is none changes
 * nothing. */
void llm_keep_usage(LlmDecoder *d, JsonxText usage, const char *input, const char *output);
/* Appends the contents of a string to the id or name of a tool call, or to its arguments; what is
 * no string, as the text that it is. */
int llm_keep_tool(LlmDecoder *d, Buf *to, JsonxText value) _must_check_;
int llm_keep_arguments(LlmDecoder *d, LlmToolCall *call, JsonxText value) _must_check_;

/* See LlmDialect.on_end. */
int llm_end(LlmDecoder *d) _must_check_;

/* Is that the event's name? */
bool llm_event_is(const SseEvent *event, const char *name);
/* What tells of an error, as either dialect has it or as text: keeps that. -EREMOTEIO, -ENOMEM. */
int llm_fail(LlmDecoder *d, JsonxText data) _must_check_;
/* The same of a whole body, which is no answer. -EBADMSG: it tells of no error either. */
int llm_fail_whole(LlmDecoder *d, JsonxText body) _must_check_;
