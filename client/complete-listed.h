/* Words that only the daemon knows: agents, providers, and what agents were spawned with.
 *
 * Best effort, in silence and within a second: a person is in the middle of a word.
 *
 * Owns nothing. Thread: main. */
#pragma once

#include "client/candidates.h"
#include "client/option.h"

typedef struct ListedRequest {
	Candidates *candidates;
	const char *socket_option; /* NULL: looked for */
	const char *backend;       /* providers and models: of this kind; NULL: of any */
	char *const *typed;        /* words that stand there: no agent is offered once more */
	size_t n_typed;
} ListedRequest;

/* Offers nothing where the place is not one for such words, and where no daemon answers. */
void listed_offer(const ListedRequest *request, Completion kind);
