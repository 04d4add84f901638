/* The words that are offered to the shell in the place of the one being typed, one a line, each
 * with a tab and a few words about it where there are any.
 *
 * What comes from the daemon may hold whatever its clients gave it. A word that a terminal would
 * act upon, or that would not stay one line, is not offered: all others are for the shell to quote.
 *
 * Owns the list of what was offered. Borrows the output and the word. Thread: main. */
#pragma once

#include "client/output.h"

typedef struct Candidates {
	Output *out;
	const char *word;   /* what is being typed, behind the '=' of an `--option=` */
	const char *before; /* `--option=`, not terminated: it goes before what is offered */
	size_t before_len;
	Buf offered;
} Candidates;

void candidates_done(Candidates *c);

/* Offers it unless it does not begin with what was typed, is not harmless, or was offered before.
 * `about` may be NULL. */
void candidates_offer(Candidates *c, const char *word, const char *about);

/* Lines that are not offered but tell the script what it is to do: ":files" to complete the name of
 * a file behind the words that go before it, ":command" to complete what stands behind the `--`. */
void candidates_offer_files(const Candidates *c);
void candidates_offer_command(const Candidates *c);
