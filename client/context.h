/* What a command has at hand: where to write to and whom to ask.
 *
 * Functions that return an exit code (> 0) have already said why. What else can go wrong is -errno,
 * and is left to main: -EINTR a signal, -EPIPE nobody reads standard output.
 *
 * Owns the socket's path, one connection and the private daemon. Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "client/call.h"
#include "client/ephemeral.h"
#include "client/exit-code.h"
#include "client/output.h"

typedef struct Context {
	Output out;
	const char *socket_option; /* NULL: looked for */
	bool want_ephemeral;
	/* `call`: what goes over the wire is the reader's own business, and so is what comes back.
	 */
	bool raw;
	Ephemeral *ephemeral;
	char *socket_path; /* once it is known */
	Call *call;        /* once it is made */
} Context;

/* Ends the private daemon, if there is one. */
void context_done(Context *ctx);

/* Where the daemon is; starts the private one if that is wanted. */
int context_socket(Context *ctx, const char **ret) _must_check_;
/* A connection of the caller's own. */
int context_connect(Context *ctx, Call **ret) _must_check_;
/* Asks over the common connection, once more if that turns out to be lost: for methods that may be
 * called twice. The caller puts *ret_result. */
int context_call(
	Context *ctx, const char *method, const Buf *params, json_object **ret_result) _must_check_;

/* Says what is wrong and returns `code`. */
int context_fail(Context *ctx, ExitCode code, const char *format, ...) _printf_(3, 4);
/* Says which of these can be neither an agent's id nor its beginning, before the daemon is asked
 * about any. */
int context_check_ids(Context *ctx, const char *const *ids, size_t n) _must_check_;
/* Says what the daemon's error object says and returns the exit code for it. `about` (or NULL) is
 * the id that was asked about, where that is one of several: the reader is told it once. */
int context_refused(Context *ctx, const char *about, json_object *error);
/* What became of a connection (-ECONNRESET, -EBADMSG); anything else is handed back. */
int context_lost(Context *ctx, int r);
