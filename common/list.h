/* An intrusive, circular, doubly linked list. A head is a ListNode that points at itself.
 *
 * Owns nothing. Thread: any (one at a time). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct ListNode {
	struct ListNode *prev, *next;
} ListNode;

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define list_foreach(node, head) \
	for (ListNode *node = (head)->next; node != (head); node = node->next)
/* Bears that `node` is removed (or freed) in the body. */
#define list_foreach_safe(node, head)                                                  \
	for (ListNode *node = (head)->next, *node##_next = node->next; node != (head); \
		node = node##_next, node##_next = node->next)

static inline void list_init(ListNode *n)
{
	n->prev = n->next = n;
}

/* Of a node: it is in no list (it was initialised, or removed). */
static inline bool list_empty(const ListNode *head)
{
	return head->next == head;
}

static inline void list_insert_before(ListNode *where, ListNode *n)
{
	n->prev = where->prev;
	n->next = where;
	where->prev->next = n;
	where->prev = n;
}

static inline void list_append(ListNode *head, ListNode *n)
{
	list_insert_before(head, n);
}

static inline void list_prepend(ListNode *head, ListNode *n)
{
	list_insert_before(head->next, n);
}

/* All of `from`, which becomes empty, before what is in `to`. */
static inline void list_prepend_all(ListNode *to, ListNode *from)
{
	if (list_empty(from))
		return;
	from->prev->next = to->next;
	to->next->prev = from->prev;
	to->next = from->next;
	from->next->prev = to;
	list_init(from);
}

/* Safe on a node that is in no list, if it was initialised. */
static inline void list_remove(ListNode *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}
