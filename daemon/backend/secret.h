/* Secrets: where they stand (file:PATH, credential:NAME of systemd's $CREDENTIALS_DIRECTORY,
 * env:NAME of the daemon's own environment), how they are read from there, and what keeps others
 * from reading them here.
 *
 * Owns nothing: what is read is the caller's to wipe. Nothing here puts a secret into a message.
 *
 * Thread: any; secret_hide_process() and secret_limit_cores() concern all of them. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/buf.h"

typedef enum SecretKind {
	SECRET_FILE,
	SECRET_CREDENTIAL,
	SECRET_ENV,
	_SECRET_KIND_MAX,
	_SECRET_KIND_INVALID = -EINVAL,
} SecretKind;

/* The kind of source that `text` begins like; _SECRET_KIND_INVALID: it is none. */
SecretKind secret_kind(const char *text);
/* What is wrong with a source, to go on with behind its name; NULL: nothing. */
const char *secret_source_fault(const char *source, bool env_too);

/* Reads a secret of at most `max` bytes into `out`, which has room for two more, and puts a NUL
 * behind it. One newline at its end is left out. Returns how long it is. -errno, which
 * secret_explain() puts into words; what is in `out` has to be wiped even then. */
ssize_t secret_read(const char *source, size_t max, char *out) _must_check_;
int secret_explain(int error, size_t max, Buf *b) _must_check_;

/* From now on nobody but root can look into this process (its memory and environment, which /proc
 * shows to whoever runs as the same user), and it leaves no core behind, by whatever way those are
 * taken. What it forks is hidden, too, until that executes a program. */
void secret_hide_process(void);
/* Its soft limit of cores is 0, for whoever looks at that; programs that it starts would have it
 * from here. */
void secret_limit_cores(void);
