/* Blots secrets out of what comes from outside: who was sent one may say it back.
 *
 * A secret is found also where a run of white space stands for a blank of it, and with the escapes
 * of JSON. Of one that was cut off, its beginning is found: a dozen characters of it anywhere, half
 * of that at the end of the text. So a text may be cut before it comes here. It may not be JSON as
 * such, in which a secret may be the name of a member, or a comma.
 *
 * Owns its list, not the secrets, which have to outlive it. Thread: any. */
#pragma once

#include <stddef.h>

#include "common/cleanup.h"

typedef struct BlotSecret {
	const char *text; /* lent, without a NUL at its end */
	size_t len;
} BlotSecret;

/* Embedded: `Blot b = {0}` is a valid empty one. */
typedef struct Blot {
	BlotSecret *secrets;
	size_t n, cap;
} Blot;

/* The secret, and each word of it that is long enough to be one: the TOKEN of "Bearer TOKEN".
 * Printable ASCII. -ENOMEM. */
int blot_add(Blot *b, const char *secret) _must_check_;
/* What says a secret becomes asterisks; how long the text is stays as it was. */
void blot_text(const Blot *b, char *text);
void blot_done(Blot *b);
