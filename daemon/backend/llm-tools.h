/* The calls of tools in a model's answer, which come in pieces: kept until each is whole.
 *
 * Bounded: LLM_MAX_TOOL_CALLS at a time, and LLM_MAX_TOOL_BYTES for all that is kept of them.
 *
 * Owns what it keeps. Embedded in a decoder.
 *
 * Thread: worker (any, one at a time). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define LLM_MAX_TOOL_CALLS 128U
#define LLM_MAX_TOOL_BYTES (1024U * 1024)

/* The escape of the first half of a surrogate pair, in which a string ended: the next one may begin
 * with the other. */
typedef struct LlmHalf {
	char escape[6];
	bool held;
} LlmHalf;

typedef struct LlmToolCall {
	uint64_t index; /* the server's: to tell to which call a piece belongs */
	Buf id, name, arguments;
	LlmHalf half; /* of the arguments */
	struct {
		size_t seen; /* bytes of the arguments */
		size_t depth;
		bool in_string, escaped;
		char first; /* that is no blank; 0: none yet */
	} scan;             /* where llm_tools_is_whole() has come to in them */
	bool preset; /* the arguments came with the beginning: a piece that comes after all is what
			counts */
} LlmToolCall;

typedef struct LlmTools {
	LlmToolCall *calls; /* in the order in which they began */
	size_t n, cap;
	size_t bytes;
} LlmTools;

void llm_tools_done(LlmTools *t);

/* The last that has begun with that index; NULL: none. Lends, until the next one begins. */
LlmToolCall *llm_tools_find(const LlmTools *t, uint64_t index);
/* The last that has that id. Lends likewise. */
LlmToolCall *llm_tools_find_id(const LlmTools *t, const char *id, size_t len);
/* Are the arguments so far a whole object, as far as its brackets tell? Each byte is looked at
 * once, however often it is asked. */
bool llm_tools_is_whole(LlmToolCall *call);
/* Begins one. -EMSGSIZE, -ENOMEM. */
int llm_tools_begin(LlmTools *t, uint64_t index, LlmToolCall **ret) _must_check_;
/* To its id, name or arguments. -EMSGSIZE, -ENOMEM. */
int llm_tools_append(LlmTools *t, Buf *to, const char *text, size_t len) _must_check_;
/* Empties one of them. */
void llm_tools_clear(LlmTools *t, Buf *part);
/* Appends the call as JSON text, as llm-dialect.h says. -ENOMEM. */
int llm_tools_write(const LlmToolCall *call, Buf *b) _must_check_;
/* Forgets it. */
void llm_tools_end(LlmTools *t, LlmToolCall *call);
