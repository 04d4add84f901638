#include "daemon/agent/registry.h"

#include <errno.h>
#include <string.h>

#define FIRST_BUCKETS 1024

int registry_init(Registry *r)
{
	*r = (Registry){ .n_buckets = FIRST_BUCKETS };
	list_init(&r->by_seq);
	r->buckets = calloc(r->n_buckets, sizeof(*r->buckets));
	return r->buckets ? 0 : -ENOMEM;
}

void registry_foreach(Registry *r, void (*on_agent)(Agent *a, void *userdata), void *userdata)
{
	for (size_t i = 0; r->buckets && i < r->n_buckets; i++) {
		for (Agent *a = r->buckets[i], *next; a; a = next) {
			next = a->hash_next;
			on_agent(a, userdata);
		}
	}
}

static void free_one(Agent *a, void *userdata)
{
	(void)userdata;
	agent_free(a);
}

void registry_done(Registry *r)
{
	registry_foreach(r, free_one, NULL);
	free(r->buckets);
	r->buckets = NULL;
}

void registry_move(Registry *from, Registry *to)
{
	*to = *from;
	list_init(&to->by_seq);
	if (!list_empty(&from->by_seq)) {
		to->by_seq = from->by_seq;
		to->by_seq.next->prev = to->by_seq.prev->next = &to->by_seq;
	}
	*from = (Registry){ 0 };
}

/* Clients may choose ids, so not all of their bytes need be random: all of them count. */
static size_t hash(const Uuid *id)
{
	uint64_t a, b;

	memcpy(&a, id->bytes, 8);
	memcpy(&b, id->bytes + 8, 8);
	a ^= b * 0x9e3779b97f4a7c15ULL;
	a *= 0xff51afd7ed558ccdULL;
	return (size_t)(a ^ (a >> 32));
}

static Agent **bucket(const Registry *r, const Uuid *id)
{
	return &r->buckets[hash(id) & (r->n_buckets - 1)];
}

static void grow(Registry *r)
{
	size_t old_n = r->n_buckets;
	Agent **old = r->buckets;
	Agent **buckets = calloc(old_n * 2, sizeof(*buckets));

	if (!buckets)
		return; /* slower, not wrong */
	r->buckets = buckets;
	r->n_buckets = old_n * 2;
	for (size_t i = 0; i < old_n; i++) {
		for (Agent *a = old[i], *next; a; a = next) {
			Agent **head = bucket(r, &a->id);

			next = a->hash_next;
			a->hash_next = *head;
			*head = a;
		}
	}
	free(old);
}

void registry_add(Registry *r, Agent *a)
{
	Agent **head;

	if (r->n >= r->n_buckets)
		grow(r);
	head = bucket(r, &a->id);
	a->hash_next = *head;
	*head = a;
	r->n++;
}

void registry_accept(Registry *r, Agent *a)
{
	list_append(&r->by_seq, &a->by_seq);
}

void registry_remove(Registry *r, Agent *a)
{
	Agent **p = bucket(r, &a->id);

	while (*p && *p != a)
		p = &(*p)->hash_next;
	if (!*p)
		return;
	*p = a->hash_next;
	a->hash_next = NULL;
	list_remove(&a->by_seq);
	r->n--;
}

Agent *registry_find(const Registry *r, const Uuid *id)
{
	Agent *a = *bucket(r, id);

	while (a && !uuid_equal(&a->id, id))
		a = a->hash_next;
	return a;
}

/* The beginning of an id: whole bytes, and what the byte behind them has under its mask. */
typedef struct Prefix {
	Uuid id;
	size_t n_bytes;
	uint8_t mask, rest;
} Prefix;

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -EINVAL;
}

static int parse_prefix(const char *text, size_t len, Prefix *ret)
{
	Prefix p = { .n_bytes = 0 };
	size_t n = 0; /* nibbles */

	if (len > UUID_TEXT_LEN)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int value = nibble(text[i]);

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text[i] != '-')
				return -EINVAL;
			continue;
		}
		if (value < 0)
			return value;
		p.id.bytes[n / 2] |= (uint8_t)(n % 2 == 0 ? value << 4 : value);
		n++;
	}
	p.n_bytes = n / 2;
	p.mask = n % 2 == 0 ? 0 : 0xf0;
	p.rest = n % 2 == 0 ? 0 : p.id.bytes[n / 2];
	*ret = p;
	return 0;
}

static bool begins_with(const Uuid *id, const Prefix *p)
{
	return memcmp(id->bytes, p->id.bytes, p->n_bytes) == 0 &&
	       (p->mask == 0 || (id->bytes[p->n_bytes] & p->mask) == p->rest);
}

void registry_find_prefix(const Registry *r, const char *prefix, size_t len,
	bool (*on_agent)(Agent *a, void *userdata), void *userdata)
{
	Prefix p;

	if (parse_prefix(prefix, len, &p) < 0)
		return;
	for (size_t i = 0; i < r->n_buckets; i++)
		for (Agent *a = r->buckets[i]; a; a = a->hash_next)
			if (begins_with(&a->id, &p) && !on_agent(a, userdata))
				return;
}
