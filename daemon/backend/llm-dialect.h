/* What an API of a language model speaks: how a request's body is written, and how the events of
 * its answer are read.
 *
 * A decoder is fed the server-sent events of one answer. It gives out text as it comes, and what is
 * assembled (tool calls) when that is whole; what else it learns stands in its LlmAnswer. It knows
 * nothing of connections, retries or time-outs.
 *
 * What it gives out is UTF-8, never empty, and in pieces of at most PROTOCOL_MAX_CHUNK_BYTES that
 * cut no character in two:
 *   output      what the model says; a refusal too, which comes in the place of that
 *   reasoning   what it thinks
 *   tool_call   one call: {"id":…,"name":…,"arguments":…}, the latter an object; or, if that is
 *               not what the model wrote, a string of what it did write. `id` is null where the
 *               server gave none.
 *
 * A character that was cut in two on its way is joined again, and half of one is U+FFFD. Of several
 * choices the one with index 0 counts, or the first where they have none. Unknown events, members
 * and kinds of content are ignored.
 *
 * A decoder owns its answer and what it assembles, which is bounded: see llm-tools.h.
 *
 * Thread: check() main; all else worker (any, one at a time). */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/protocol.h"
#include "common/rpc-error.h"
#include "daemon/backend/llm-tools.h"
#include "daemon/backend/sse.h"

#define LLM_MAX_NAME_BYTES  256U /* of finish_reason, model, error_type */
#define LLM_MAX_ERROR_BYTES 1024U

/* Where Anthropic's API needs a limit and the options give none. */
#define LLM_DEFAULT_MAX_TOKENS 4096U

typedef struct LlmDialect LlmDialect;

/* The way out; each chunk is one AgentPartialOutput. < 0: stops the decoder, which returns it. */
typedef struct LlmOutput {
	int (*on_chunk)(Channel channel, const char *text, size_t len, void *userdata);
	void *userdata;
} LlmOutput;

/* Strings are NULL where nothing was said. */
typedef struct LlmAnswer {
	char *finish_reason; /* in the provider's words */
	char *model;
	char *error_message; /* one line */
	char *error_type;
	unsigned error_status;                /* of HTTP, as llm-error.h has it; 0: not known */
	uint64_t input_tokens, output_tokens; /* if has_usage */
	bool has_usage;
	bool finished; /* the terminator was seen; what comes after it is ignored */
} LlmAnswer;

typedef struct LlmDecoder {
	const LlmDialect *dialect;
	LlmOutput out;
	LlmAnswer answer;
	LlmTools tools;
	Buf scratch;  /* strings without their escapes */
	bool went_on; /* set by an event that was a part of the answer; cleared by the caller */
	Buf joined;   /* a string together with the half of a character that was before it */
	LlmHalf halves[_CHANNEL_MAX];
	bool has_delta; /* it comes in deltas: what other members say is that again */
} LlmDecoder;

/* Lent. */
typedef struct LlmRequest {
	json_object *options; /* checked */
	const char *prompt;   /* the last turn; empty: none, where the options have messages */
	size_t prompt_len;
	const char *model;
} LlmRequest;

struct LlmDialect {
	const char *name;           /* the backend's, and the provider's kind */
	const char *path;           /* behind the base URL */
	const char *key_header;     /* what stands before the key: "Authorization: Bearer " */
	const char *const *headers; /* of every request, "Name: value"; NULL-terminated */

	/* Appends the JSON body. -ENOMEM, -EOVERFLOW. */
	int (*write_request)(const LlmRequest *request, Buf *b);
	/* What the table of options cannot say. 0; -EINVAL with *reterr; -ENOMEM. */
	int (*check)(json_object *options, RpcError *reterr);
	/* 0; -EBADMSG: no JSON, no UTF-8, or nothing sensible; -EREMOTEIO: the provider said an
	 * error, which is in the answer; -EMSGSIZE: more is to be assembled than may be; -ENOMEM;
	 * what on_chunk() returned. */
	int (*on_event)(LlmDecoder *d, const SseEvent *event);
	/* Instead of events: a body that is one JSON text, of a server that does not stream. As
	 * on_event(); -EBADMSG: it is neither an answer nor an error. */
	int (*on_whole)(LlmDecoder *d, const char *body, size_t len);
	/* The body is over. -EBADMSG: without its terminator; of what was being assembled nothing
	 * is given out then. */
	int (*on_end)(LlmDecoder *d);
};

extern const LlmDialect llm_openai;
extern const LlmDialect llm_anthropic;

/* NULL if there is none of that name. */
const LlmDialect *llm_dialect_find(const char *name);

void llm_decoder_init(LlmDecoder *d, const LlmDialect *dialect, const LlmOutput *out);
void llm_decoder_done(LlmDecoder *d);

/* Appends the message out of an error response's body, which may be JSON of either dialect, HTML,
 * other text or nothing: one line of UTF-8, of at most LLM_MAX_ERROR_BYTES. -ENOMEM. */
int llm_error_message(const char *body, size_t len, Buf *b) _must_check_;
