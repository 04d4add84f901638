#include "daemon/agent/scheduler.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_BUCKETS 64

static Agent *queued_agent(const HeapNode *n)
{
	return container_of(n, Agent, queue_node);
}

static bool agent_before(const HeapNode *x, const HeapNode *y)
{
	const Agent *a = queued_agent(x), *b = queued_agent(y);

	return a->priority != b->priority ? a->priority > b->priority : a->seq < b->seq;
}

static Group *ready_group(const HeapNode *n)
{
	return container_of(n, Group, ready_node);
}

static bool group_before(const HeapNode *x, const HeapNode *y)
{
	return agent_before(heap_top(&ready_group(x)->queue), heap_top(&ready_group(y)->queue));
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

static int get_group(Scheduler *s, const char *name, Group **ret)
{
	size_t len = strlen(name);
	Group *g = find_group(s, name);

	if (!g) {
		/* Room for all groups, whenever they become ready. */
		int r = heap_reserve(&s->ready, s->n_groups + 1);

		g = r == 0 ? calloc(1, sizeof(*g) + len + 1) : NULL;
		if (!g)
			return -ENOMEM;
		memcpy(g->name, name, len);
		g->max_running = UINT32_MAX;
		heap_init(&g->queue, agent_before);
		heap_node_init(&g->ready_node);
		if (s->n_groups >= s->n_buckets)
			grow(s);
		list_append(&s->groups, &g->node);
		hash_add(s, g);
		s->n_groups++;
	}
	*ret = g;
	return 0;
}

static void free_group(Scheduler *s, Group *g)
{
	s->n_groups--;
	hash_remove(s, g);
	list_remove(&g->node);
	heap_done(&g->queue);
	free(g);
}

static void free_if_unused(Scheduler *s, Group *g)
{
	if (g->configured || g->running > 0 || g->spawning > 0 || g->queue.n > 0)
		return;
	heap_remove(&s->ready, &g->ready_node);
	free_group(s, g);
}

/* Puts the group where its first agent belongs, or takes it out. Room was reserved by get_group(). */
static int settle(Scheduler *s, Group *g)
{
	bool ready = g->queue.n > 0 && g->running < g->max_running;

	if (!ready)
		heap_remove(&s->ready, &g->ready_node);
	else if (heap_node_in(&g->ready_node))
		heap_update(&s->ready, &g->ready_node);
	else
		return heap_add(&s->ready, &g->ready_node);
	return 0;
}

int scheduler_init(Scheduler *s, const Config *config)
{
	*s = (Scheduler){ .n_buckets = FIRST_BUCKETS };
	list_init(&s->groups);
	heap_init(&s->ready, group_before);
	s->buckets = calloc(s->n_buckets, sizeof(*s->buckets));
	if (!s->buckets)
		return -ENOMEM;
	if (getrandom(&s->seed, sizeof(s->seed), GRND_NONBLOCK) < 0)
		s->seed = 0; /* works too */
	return scheduler_configure(s, config);
}

void scheduler_done(Scheduler *s)
{
	if (!s->groups.next)
		return;
	list_foreach_safe (node, &s->groups)
		free_group(s, container_of(node, Group, node));
	free(s->buckets);
	heap_done(&s->ready);
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

		if (r == 0)
			r = settle(s, g);
		free_if_unused(s, g);
	}
	return r;
}

/* As far as can be told now: it will not have to wait. `g` may be NULL: a new group. */
static bool starts_at_once(const Scheduler *s, const Group *g)
{
	/* What is queued in groups that are full does not compete. */
	uint32_t queued = s->ready.n > 0 ? s->queued : 0;

	if (g && (uint64_t)g->running + g->spawning + g->queue.n >= g->max_running)
		return false;
	return (uint64_t)s->running + s->spawning - s->waiting + queued < s->max_running;
}

bool scheduler_has_room(const Scheduler *s, const char *group)
{
	return starts_at_once(s, find_group(s, group)) ||
	       (uint64_t)s->queued + s->waiting < s->max_queued;
}

int scheduler_join(Scheduler *s, Agent *a, const char *group)
{
	int r = get_group(s, group, &a->group);

	if (r < 0)
		return r;
	/* From here on nothing that concerns it can fail for want of memory. */
	r = heap_reserve(&a->group->queue, a->group->queue.n + a->group->spawning + 1);
	if (r < 0) {
		free_if_unused(s, a->group);
		a->group = NULL;
		return r;
	}
	a->waits = !starts_at_once(s, a->group);
	s->waiting += a->waits;
	a->group->spawning++;
	a->spawning = true;
	s->spawning++;
	return 0;
}

static void end_spawning(Scheduler *s, Agent *a)
{
	if (!a->spawning)
		return;
	a->spawning = false;
	s->waiting -= a->waits;
	a->group->spawning--;
	s->spawning--;
}

int scheduler_enqueue(Scheduler *s, Agent *a)
{
	int r;

	end_spawning(s, a);
	r = heap_add(&a->group->queue, &a->queue_node);
	if (r < 0)
		return r;
	s->queued++;
	return settle(s, a->group);
}

Agent *scheduler_next(Scheduler *s)
{
	HeapNode *top = heap_top(&s->ready);
	Group *g;
	Agent *a;

	if (!top || s->running >= s->max_running)
		return NULL;
	g = ready_group(top);
	a = queued_agent(heap_top(&g->queue));
	/* Out first: the order of groups is by their first agents. */
	heap_remove(&s->ready, &g->ready_node);
	heap_remove(&g->queue, &a->queue_node);
	s->queued--;
	s->running++;
	g->running++;
	a->starting = true;
	if (settle(s, g) < 0)
		return a; /* the heap had room for the group a moment ago */
	return a;
}

static void stop_running(Scheduler *s, Agent *a)
{
	s->running--;
	a->group->running--;
	a->starting = false;
}

void scheduler_leave(Scheduler *s, Agent *a)
{
	Group *g = a->group;

	if (!g)
		return;
	if (a->spawning) {
		end_spawning(s, a);
	} else if (heap_node_in(&a->queue_node)) {
		heap_remove(&s->ready, &g->ready_node);
		heap_remove(&g->queue, &a->queue_node);
		s->queued--;
	} else {
		stop_running(s, a);
	}
	a->group = NULL;
	if (settle(s, g) == 0)
		free_if_unused(s, g);
}
