#include "daemon/agent/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static TallyGroup *find(const Tallies *t, const char *name)
{
	list_foreach (node, &t->groups) {
		TallyGroup *g = container_of(node, TallyGroup, node);

		if (strcmp(g->name, name) == 0)
			return g;
	}
	return NULL;
}

/* NULL: out of memory. */
static TallyGroup *add(Tallies *t, const char *name)
{
	size_t len = strlen(name);
	TallyGroup *g = calloc(1, sizeof(*g) + len + 1);

	if (!g)
		return NULL;
	memcpy(g->name, name, len);
	list_append(&t->groups, &g->node);
	return g;
}

int tallies_init(Tallies *t)
{
	*t = (Tallies){ 0 };
	list_init(&t->groups);
	t->rest = add(t, "");
	return t->rest ? 0 : -ENOMEM;
}

void tallies_done(Tallies *t)
{
	if (!t->groups.next)
		return;
	list_foreach_safe (node, &t->groups)
		free(container_of(node, TallyGroup, node));
}

void tallies_configure(Tallies *t, const Config *config)
{
	for (size_t i = 0; i < config->n_groups; i++)
		if (!find(t, config->groups[i].name))
			(void)add(t, config->groups[i].name);
}

/* NULL: it is counted with the rest. */
static TallyGroup *get_group(Tallies *t, const char *name)
{
	TallyGroup *g = find(t, name);

	if (g || t->n_named == TALLIES_MAX_NAMES)
		return g;
	g = add(t, name);
	t->n_named += g != NULL;
	return g;
}

Tally *tallies_find(Tallies *t, const char *group, const Backend *backend)
{
	TallyGroup *g = get_group(t, group);
	Tally *tally = g ? g->tallies : t->rest->tallies;

	/* There is one for each. */
	while (tally->backend && tally->backend != backend)
		tally++;
	tally->backend = backend;
	return tally;
}

void tally_enter(Tally *t, AgentState state)
{
	t->by_state[state]++;
}

void tally_move(Tally *t, AgentState from, AgentState to)
{
	t->by_state[from]--;
	t->by_state[to]++;
}
