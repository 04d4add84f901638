/* The options of those commands that may ask a language model: options of its backend by a name of
 * their own.
 *
 * Owns nothing. Thread: main. */
#pragma once

#include <json-c/json.h>

#include "client/context.h"
#include "client/option.h"

#define LLM_OPTION_PROVIDER                                                                     \
	{                                                                                       \
		.name = "provider", .kind = OPTION_STRING, .arg = "P",                          \
		.help = "which provider of the daemon's to ask", .complete = COMPLETE_PROVIDER, \
	}
#define LLM_OPTION_MODEL                                                           \
	{                                                                          \
		.name = "model", .letter = 'm', .kind = OPTION_STRING, .arg = "M", \
		.help = "which language model (the one that the provider names)",  \
		.complete = COMPLETE_MODEL,                                        \
	}
#define LLM_OPTION_SYSTEM                                               \
	{                                                               \
		.name = "system", .kind = OPTION_STRING, .arg = "TEXT", \
		.help = "what the model is told to be",                 \
	}

/* Any option of the backend, of whatever kind that is. */
#define LLM_OPTION_OPTION                                                           \
	{                                                                           \
		.name = "option", .letter = 'o', .kind = OPTION_LIST, .arg = "K=V", \
		.help = "an option of the backend; may be repeated",                \
		.complete = COMPLETE_BACKEND_OPTION,                                \
	}

/* NULL: not given. */
typedef struct LlmOptions {
	const char *provider;
	const char *model;
	const char *system;
	const char *messages_file;
} LlmOptions;

/* Adds them to the options of an agent of that backend (NULL: not said which). */
int llm_options_set(Context *ctx, const LlmOptions *given, const char *backend,
	json_object *options) _must_check_;
