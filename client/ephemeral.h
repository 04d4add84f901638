/* A private liongated for one command: started in a temporary directory, ended with everything it
 * left.
 *
 * It lives in a session of its own, so that Ctrl-C reaches only this program, and gets SIGTERM
 * should this program die without ending it. The directory is left behind then; the next one to
 * start takes it away.
 *
 * Owns the process and the directory. Thread: main. */
#pragma once

#include "common/buf.h"

typedef struct Ephemeral Ephemeral;

/* Returns once the daemon has said that it is ready. -errno with what went wrong in `why`, -EINTR.
 */
int ephemeral_start(Ephemeral **ret, Buf *why) _must_check_;
/* Ends the daemon and removes its directory. Bears NULL. */
void ephemeral_free(Ephemeral *e);
DEFINE_CLEANUP(Ephemeral *, ephemeral_free)

const char *ephemeral_socket(const Ephemeral *e);
