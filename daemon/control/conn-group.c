#include "daemon/control/conn-group.h"

#include <errno.h>
#include <stdlib.h>

/* No share is so small that going round costs more than what is done in it. */
#define SHARE_MIN_US 10U
/* A few milliseconds where turns are full: what was asked is done by then. */
#define LATELY_TURNS 64U

uint64_t conn_group_share(uint64_t us, uint32_t among)
{
	us /= among > 0 ? among : 1;
	return us > SHARE_MIN_US ? us : SHARE_MIN_US;
}

void conn_groups_init(ConnGroups *gs)
{
	*gs = (ConnGroups){ 0 };
	for (unsigned i = 0; i < CONN_GROUP_BUCKETS; i++)
		list_init(&gs->buckets[i]);
	conn_groups_begin_turn(gs);
}

void conn_groups_begin_turn(ConnGroups *gs)
{
	gs->turn++;
	gs->share_us = conn_group_share(CONN_GROUPS_TURN_US, gs->n_served);
	gs->n_served = 0;
}

static ListNode *bucket_of(ConnGroups *gs, pid_t pid)
{
	return &gs->buckets[(uint32_t)pid % CONN_GROUP_BUCKETS];
}

static ConnGroup *find(ListNode *bucket, pid_t pid)
{
	list_foreach (node, bucket) {
		ConnGroup *g = container_of(node, ConnGroup, node);

		if (g->pid == pid)
			return g;
	}
	return NULL;
}

int conn_group_join(ConnGroups *gs, pid_t pid, ConnGroup **ret)
{
	ListNode *bucket = bucket_of(gs, pid);
	ConnGroup *g = pid > 0 ? find(bucket, pid) : NULL;

	if (!g) {
		g = calloc(1, sizeof(*g));
		if (!g)
			return -ENOMEM;
		g->pid = pid;
		list_append(bucket, &g->node);
		list_init(&g->dirty);
		list_init(&g->served);
		list_init(&g->dirty_node);
	}
	g->n_conns++;
	*ret = g;
	return 0;
}

void conn_group_leave(ConnGroup *g)
{
	if (--g->n_conns > 0)
		return;
	list_remove(&g->node);
	list_remove(&g->dirty_node);
	free(g);
}

static void enter_turn(ConnGroups *gs, ConnGroup *g)
{
	if (g->turn == gs->turn)
		return;
	g->n_asked_before = g->turn + 1 == gs->turn ? g->n_asked : 0;
	g->turn = gs->asked_turn = gs->turn;
	g->used_us = 0;
	g->n_asked = 0;
	gs->n_served++;
}

uint64_t conn_group_begin(ConnGroups *gs, ConnGroup *g)
{
	uint64_t mine, left;

	enter_turn(gs, g);
	/* Those that are not heard count, too: else the one that was would have all to itself
	 * again in the next turn. */
	g->n_asked++;
	if (g->used_us >= gs->share_us)
		return 0;
	mine = conn_group_share(gs->share_us, g->n_asked_before);
	/* No sliver, in which nothing is done: its turn would be over. */
	left = conn_group_share(gs->share_us - g->used_us, 1);
	return mine < left ? mine : left;
}

void conn_group_end(ConnGroup *g, uint64_t us)
{
	g->used_us += us;
}

bool conn_groups_asked_lately(const ConnGroups *gs)
{
	return gs->turn - gs->asked_turn <= LATELY_TURNS;
}
