/* An intrusive binary heap: the smallest node first, O(log n) to add and to take out any node.
 *
 * Owns only its array of pointers. Thread: any (one at a time). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"

#define HEAP_NOT_IN ((size_t)-1)

typedef struct HeapNode {
	size_t index; /* HEAP_NOT_IN: in no heap */
} HeapNode;

typedef bool (*HeapLess)(const HeapNode *a, const HeapNode *b);

typedef struct Heap {
	HeapNode **nodes;
	size_t n, cap;
	HeapLess less;
} Heap;

void heap_init(Heap *h, HeapLess less);
void heap_done(Heap *h);
void heap_node_init(HeapNode *n);
bool heap_node_in(const HeapNode *n);

/* Makes sure that `n` nodes in all can be added without failing. -ENOMEM. */
int heap_reserve(Heap *h, size_t n) _must_check_;
int heap_add(Heap *h, HeapNode *n) _must_check_;
/* No-op if it is in no heap. */
void heap_remove(Heap *h, HeapNode *n);
/* To be called when what `n` is ordered by has changed. */
void heap_update(Heap *h, HeapNode *n);
/* To be called when `less` itself judges otherwise. O(n). */
void heap_rebuild(Heap *h);
/* NULL if it is empty. */
HeapNode *heap_top(const Heap *h);
