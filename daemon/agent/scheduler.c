#include "daemon/agent/scheduler.h"

#include <errno.h>
#include <string.h>

#include "common/dice.h"
#include "daemon/agent/providers.h"

#define FIRST_BUCKETS 64

static Agent *queued_agent(const HeapNode *n)
{
	return container_of(n, Agent, queue_node);
}

static uint64_t turn(const Agent *a)
{
	return a->ticket && a->ticket->turn > 0 ? a->ticket->turn : a->seq;
}

/* Two of one gate. */
static bool agent_before(const HeapNode *x, const HeapNode *y)
{
	const Agent *a = queued_agent(x), *b = queued_agent(y);

	if (a->priority != b->priority && !a->lane->gate->by_turn)
		return a->priority > b->priority;
	return turn(a) < turn(b);
}

static Lane *ready_lane(const HeapNode *n)
{
	return container_of(n, Lane, ready_node);
}

static bool lane_before(const HeapNode *x, const HeapNode *y)
{
	return agent_before(heap_top(&ready_lane(x)->queue), heap_top(&ready_lane(y)->queue));
}

static Gate *ready_gate(const HeapNode *n)
{
	return container_of(n, Gate, ready_node);
}

static const Agent *first_agent(const Gate *gate)
{
	return queued_agent(heap_top(&ready_lane(heap_top(&gate->lanes))->queue));
}

/* Whoever has to let others go first is not to keep them waiting besides. */
static int32_t gate_priority(const Gate *gate)
{
	return gate->by_turn ? gate->priority : first_agent(gate)->priority;
}

static bool gate_before(const HeapNode *x, const HeapNode *y)
{
	const Gate *a = ready_gate(x), *b = ready_gate(y);

	if (gate_priority(a) != gate_priority(b))
		return gate_priority(a) > gate_priority(b);
	return turn(first_agent(a)) < turn(first_agent(b));
}

static Group **bucket(const Scheduler *s, const char *name)
{
	uint64_t h = s->seed;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 0xff51afd7ed558ccdULL;
	return &s->buckets[(h ^ (h >> 32)) & (s->n_buckets - 1)];
}

static Group *find_group(const Scheduler *s, const char *name)
{
	Group *g = *bucket(s, name);

	while (g && strcmp(g->name, name) != 0)
		g = g->hash_next;
	return g;
}

static void hash_add(Scheduler *s, Group *g)
{
	Group **head = bucket(s, g->name);

	g->hash_next = *head;
	*head = g;
}

static void hash_remove(Scheduler *s, const Group *g)
{
	Group **p = bucket(s, g->name);

	while (*p != g)
		p = &(*p)->hash_next;
	*p = g->hash_next;
}

static void grow(Scheduler *s)
{
	Group **buckets = calloc(s->n_buckets * 2, sizeof(*buckets));

	if (!buckets)
		return; /* slower, not wrong */
	free(s->buckets);
	s->buckets = buckets;
	s->n_buckets *= 2;
	list_foreach (node, &s->groups)
		hash_add(s, container_of(node, Group, node));
}

/* ---- What is ready ---- */

/* Takes the lane and its gate out of where they stand: before the order of what they are compared
 * by changes. */
static void lift(Scheduler *s, Lane *l)
{
	heap_remove(&s->ready, &l->gate->ready_node);
	heap_remove(&l->gate->lanes, &l->ready_node);
}

static void settle_gate(Scheduler *s, Gate *gate)
{
	/* There is room: scheduler_add_gate() saw to it. */
	if (gate->room > 0 && gate->lanes.n > 0)
		(void)!heap_add(&s->ready, &gate->ready_node);
}

/* And puts them where they belong now. */
static void settle(Scheduler *s, Lane *l)
{
	/* There is room: get_lane() saw to it. */
	if (l->queue.n > 0 && l->group->running < l->group->max_running)
		(void)!heap_add(&l->gate->lanes, &l->ready_node);
	settle_gate(s, l->gate);
}

/* The group has filled up, or has room again. */
static void settle_group(Scheduler *s, const Group *g)
{
	list_foreach (node, &g->lanes) {
		Lane *l = container_of(node, Lane, node);

		lift(s, l);
		settle(s, l);
	}
}

/* ---- Groups and lanes ---- */

static int lane_init(Lane *l, Group *g, Gate *gate)
{
	int r = heap_reserve(&gate->lanes, gate->n_lanes + 1);

	if (r < 0)
		return r;
	gate->n_lanes++;
	list_append(&gate->all, &l->gate_node);
	l->group = g;
	l->gate = gate;
	heap_init(&l->queue, agent_before);
	heap_node_init(&l->ready_node);
	list_append(&g->lanes, &l->node);
	return 0;
}

static void lane_done(Lane *l)
{
	list_remove(&l->node);
	list_remove(&l->gate_node);
	heap_done(&l->queue);
	l->gate->n_lanes--;
}

static int get_group(Scheduler *s, const char *name, Group **ret)
{
	size_t len = strlen(name);
	Group *g = find_group(s, name);

	if (!g) {
		g = calloc(1, sizeof(*g) + len + 1);
		if (!g)
			return -ENOMEM;
		list_init(&g->lanes);
		if (lane_init(&g->lane, g, &s->no_gate) < 0) {
			free(g);
			return -ENOMEM;
		}
		memcpy(g->name, name, len);
		g->max_running = UINT32_MAX;
		if (s->n_groups >= s->n_buckets)
			grow(s);
		list_append(&s->groups, &g->node);
		hash_add(s, g);
		s->n_groups++;
	}
	*ret = g;
	return 0;
}

static int get_lane(Group *g, Gate *gate, Lane **ret)
{
	Lane *l;

	list_foreach (node, &g->lanes) {
		l = container_of(node, Lane, node);
		if (l->gate == gate) {
			*ret = l;
			return 0;
		}
	}
	l = calloc(1, sizeof(*l));
	if (!l || lane_init(l, g, gate) < 0) {
		free(l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

static void free_group(Scheduler *s, Group *g)
{
	s->n_groups--;
	hash_remove(s, g);
	list_remove(&g->node);
	list_foreach_safe (node, &g->lanes) {
		Lane *l = container_of(node, Lane, node);

		lane_done(l);
		if (l != &g->lane)
			free(l);
	}
	free(g);
}

static void free_if_unused(Scheduler *s, Group *g)
{
	if (g->configured || g->running > 0 || g->spawning > 0 || g->queued > 0)
		return;
	free_group(s, g);
}

static void free_lane_if_unused(Lane *l)
{
	if (l == &l->group->lane || l->running > 0 || l->spawning > 0 || l->queue.n > 0)
		return;
	lane_done(l);
	free(l);
}

int scheduler_init(Scheduler *s, const Config *config)
{
	*s = (Scheduler){ .n_buckets = FIRST_BUCKETS };
	list_init(&s->groups);
	heap_init(&s->ready, gate_before);
	s->buckets = calloc(s->n_buckets, sizeof(*s->buckets));
	if (!s->buckets || scheduler_add_gate(s, &s->no_gate) < 0)
		return -ENOMEM;
	s->seed = dice_throw();
	return scheduler_configure(s, config);
}

void scheduler_done(Scheduler *s)
{
	if (!s->groups.next)
		return;
	list_foreach_safe (node, &s->groups)
		free_group(s, container_of(node, Group, node));
	free(s->buckets);
	heap_done(&s->no_gate.lanes);
	heap_done(&s->ready);
}

int scheduler_add_gate(Scheduler *s, Gate *gate)
{
	int r = heap_reserve(&s->ready, s->n_gates + 1);

	if (r < 0)
		return r;
	*gate = (Gate){ .room = UINT32_MAX };
	heap_node_init(&gate->ready_node);
	heap_init(&gate->lanes, lane_before);
	list_init(&gate->all);
	s->n_gates++;
	return 0;
}

void scheduler_remove_gate(Scheduler *s, Gate *gate)
{
	heap_remove(&s->ready, &gate->ready_node);
	heap_done(&gate->lanes);
	s->n_gates--;
}

/* Those that were to start at once, and find less room now, will wait. */
static void count_stranded(Scheduler *s, Gate *gate)
{
	s->waiting -= gate->stranded;
	gate->stranded = gate->starting > gate->room ? gate->starting - gate->room : 0;
	s->waiting += gate->stranded;
}

void scheduler_set_gate(Scheduler *s, Gate *gate, uint32_t room)
{
	bool moves = (room > 0) != (gate->room > 0);

	if (moves)
		heap_remove(&s->ready, &gate->ready_node);
	gate->room = room;
	count_stranded(s, gate);
	if (moves)
		settle_gate(s, gate);
}

static void raise_priority(Gate *gate, const Agent *a)
{
	if (a->priority > gate->priority)
		gate->priority = a->priority;
}

void scheduler_order_gate(Scheduler *s, Gate *gate, bool by_turn)
{
	if (gate->by_turn == by_turn)
		return;
	heap_remove(&s->ready, &gate->ready_node);
	gate->by_turn = by_turn;
	gate->priority = INT32_MIN;
	list_foreach (node, &gate->all) {
		Lane *l = container_of(node, Lane, gate_node);

		heap_rebuild(&l->queue);
		for (size_t i = 0; i < l->queue.n; i++)
			raise_priority(gate, queued_agent(l->queue.nodes[i]));
	}
	heap_rebuild(&gate->lanes);
	settle_gate(s, gate);
}

int scheduler_configure(Scheduler *s, const Config *config)
{
	int r = 0;

	s->max_running = config->max_running;
	s->max_queued = config->max_queued;
	list_foreach (node, &s->groups) {
		Group *g = container_of(node, Group, node);

		g->max_running = UINT32_MAX;
		g->configured = false;
	}
	for (size_t i = 0; r == 0 && i < config->n_groups; i++) {
		Group *g;

		r = get_group(s, config->groups[i].name, &g);
		if (r == 0) {
			g->max_running = config->groups[i].max_running;
			g->configured = true;
		}
	}
	list_foreach_safe (node, &s->groups) {
		Group *g = container_of(node, Group, node);

		settle_group(s, g);
		free_if_unused(s, g);
	}
	return r;
}

/* Who is on the way to it counts, and who stands there and may pass. */
static bool has_room(const Gate *gate)
{
	uint32_t before = gate->lanes.n > 0 ? gate->queued : 0;

	return (uint64_t)gate->starting + before < gate->room;
}

/* As far as can be told now: it will not have to wait. `g` may be NULL: a new group. */
static bool starts_at_once(const Scheduler *s, const Group *g, const Gate *gate)
{
	/* What is queued in groups that are full, or behind gates that are shut, does not compete.
	 */
	uint32_t queued = s->ready.n > 0 ? s->queued : 0;

	if (gate && !has_room(gate))
		return false;
	if (g && (uint64_t)g->running + g->spawning + g->queued >= g->max_running)
		return false;
	return (uint64_t)s->running + s->spawning - s->waiting + queued < s->max_running;
}

bool scheduler_has_room(const Scheduler *s, const char *group, const Gate *gate)
{
	return starts_at_once(s, find_group(s, group), gate) ||
	       (uint64_t)s->queued + s->waiting < s->max_queued;
}

int scheduler_join(Scheduler *s, Agent *a, const char *group, Gate *gate)
{
	Group *g;
	Lane *l;
	int r = get_group(s, group, &g);

	if (r < 0)
		return r;
	r = get_lane(g, gate ? gate : &s->no_gate, &l);
	if (r == 0) {
		/* From here on nothing that concerns it can fail for want of memory. */
		r = heap_reserve(&l->queue, l->queue.n + l->spawning + 1);
		if (r < 0)
			free_lane_if_unused(l);
	}
	if (r < 0) {
		free_if_unused(s, g);
		return r;
	}
	a->lane = l;
	a->waits = !starts_at_once(s, g, gate);
	if (a->waits)
		s->waiting++;
	else
		l->gate->starting++;
	count_stranded(s, l->gate);
	l->spawning++;
	g->spawning++;
	a->spawning = true;
	s->spawning++;
	return 0;
}

static void end_spawning(Scheduler *s, Agent *a)
{
	if (!a->spawning)
		return;
	a->spawning = false;
	if (a->waits)
		s->waiting--;
	else
		a->lane->gate->starting--;
	count_stranded(s, a->lane->gate);
	a->lane->spawning--;
	a->lane->group->spawning--;
	s->spawning--;
}

int scheduler_enqueue(Scheduler *s, Agent *a)
{
	Lane *l = a->lane;
	int r;

	end_spawning(s, a);
	lift(s, l);
	r = heap_add(&l->queue, &a->queue_node);
	if (r == 0) {
		s->queued++;
		l->group->queued++;
		l->gate->queued++;
		raise_priority(l->gate, a);
	}
	settle(s, l);
	return r;
}

/* Its lane is lifted. */
static void unqueue(Scheduler *s, Agent *a)
{
	Lane *l = a->lane;

	heap_remove(&l->queue, &a->queue_node);
	s->queued--;
	l->group->queued--;
	l->gate->queued--;
}

Agent *scheduler_next(Scheduler *s)
{
	HeapNode *top = heap_top(&s->ready);
	Group *g;
	Lane *l;
	Agent *a;

	if (!top || s->running >= s->max_running)
		return NULL;
	l = ready_lane(heap_top(&ready_gate(top)->lanes));
	g = l->group;
	a = queued_agent(heap_top(&l->queue));
	lift(s, l);
	unqueue(s, a);
	s->running++;
	g->running++;
	l->running++;
	a->starting = true;
	settle(s, l);
	if (g->running == g->max_running)
		settle_group(s, g);
	return a;
}

static void stop_running(Scheduler *s, Agent *a)
{
	Group *g = a->lane->group;

	s->running--;
	g->running--;
	a->lane->running--;
	a->starting = false;
	if (g->running + 1 == g->max_running)
		settle_group(s, g);
}

void scheduler_leave(Scheduler *s, Agent *a)
{
	Lane *l = a->lane;
	Group *g;

	if (!l)
		return;
	g = l->group;
	if (a->spawning) {
		end_spawning(s, a);
	} else if (heap_node_in(&a->queue_node)) {
		lift(s, l);
		unqueue(s, a);
		settle(s, l);
	} else {
		stop_running(s, a);
	}
	a->lane = NULL;
	free_lane_if_unused(l);
	free_if_unused(s, g);
}
