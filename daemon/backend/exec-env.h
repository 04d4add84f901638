/* The environment of a program: a small clean base, what the spawn says, and what it takes from
 * files and credentials, which is read when the program starts and written to no log.
 *
 * Owns its strings, and wipes them. Embedded in a run.
 *
 * Thread: main makes it, the worker resolves it. */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "common/buf.h"

#define EXEC_ENV_AGENT_ID "LIONGATE_AGENT_ID"

typedef struct ExecSecret {
	char *name;
	char *source; /* as the spawn gave it */
} ExecSecret;

typedef struct ExecEnv {
	char **vars; /* "NAME=VALUE", NULL-terminated */
	size_t n;
	size_t bytes; /* of them, each with its NUL */
	ExecSecret *secrets;
	size_t n_secrets;
} ExecEnv;

/* From checked options. -ENOMEM: to be done with all the same. */
int exec_env_init(ExecEnv *e, const char *agent_id, json_object *options) _must_check_;
void exec_env_done(ExecEnv *e);

/* Reads the secrets into the environment, as long as the reaper takes that. -errno, with a sentence
 * for the user, NUL-terminated, in `why`. */
int exec_env_resolve(ExecEnv *e, Buf *why) _must_check_;
