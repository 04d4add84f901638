/* How many agents there are by group, backend and state: kept as they change, so that who asks pays
 * for groups and not for agents.
 *
 * Clients choose the names of groups. Those that the configuration has are counted each, and so are
 * TALLIES_MAX_NAMES others, the first that come; all others together, as the group "". What is
 * counted stays for the life of the daemon.
 *
 * Owns the tallies; agents point at theirs. Thread: main. */
#pragma once

#include "common/list.h"
#include "common/protocol.h"
#include "daemon/backend/backend.h"
#include "daemon/config.h"

#define TALLIES_MAX_NAMES 64U

/* Those that the table has, and the one of agents that make no sense (agent_new_unknown()). */
#define TALLY_BACKENDS (BACKENDS + 1)

typedef struct Tally {
	const Backend *backend; /* NULL: of nobody yet */
	uint64_t spawned;       /* since the daemon was started, */
	/* and of those that have ended too; of the others, how many there are. */
	uint64_t by_state[_AGENT_STATE_MAX];
} Tally;

typedef struct TallyGroup {
	ListNode node;
	Tally tallies[TALLY_BACKENDS];
	char name[];
} TallyGroup;

typedef struct Tallies {
	ListNode groups;  /* TallyGroup */
	TallyGroup *rest; /* the group "" */
	size_t n_named;   /* of TALLIES_MAX_NAMES */
} Tallies;

/* -ENOMEM. */
int tallies_init(Tallies *t) _must_check_;
/* Safe on a zeroed one. */
void tallies_done(Tallies *t);
/* Those of the configuration have their place from now on, as far as there is memory. */
void tallies_configure(Tallies *t, const Config *config);

/* Where agents of that group and backend are counted; lends, for as long as `t` lives. Without
 * memory they are counted with the rest. */
Tally *tallies_find(Tallies *t, const char *group, const Backend *backend);

/* One that lives enters a state. */
void tally_enter(Tally *t, AgentState state);
void tally_move(Tally *t, AgentState from, AgentState to);
