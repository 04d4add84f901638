#include "common/heap.h"

#include <errno.h>
#include <stdint.h>

void heap_init(Heap *h, HeapLess less)
{
	*h = (Heap){ .less = less };
}

void heap_done(Heap *h)
{
	free(h->nodes);
	h->nodes = NULL;
	h->n = h->cap = 0;
}

void heap_node_init(HeapNode *n)
{
	n->index = HEAP_NOT_IN;
}

bool heap_node_in(const HeapNode *n)
{
	return n->index != HEAP_NOT_IN;
}

static void place(Heap *h, size_t i, HeapNode *n)
{
	h->nodes[i] = n;
	n->index = i;
}

static void sift_up(Heap *h, HeapNode *n)
{
	size_t i = n->index;

	while (i > 0) {
		size_t parent = (i - 1) / 2;

		if (!h->less(n, h->nodes[parent]))
			break;
		place(h, i, h->nodes[parent]);
		i = parent;
	}
	place(h, i, n);
}

static void sift_down(Heap *h, HeapNode *n)
{
	size_t i = n->index;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= h->n)
			break;
		if (child + 1 < h->n && h->less(h->nodes[child + 1], h->nodes[child]))
			child++;
		if (!h->less(h->nodes[child], n))
			break;
		place(h, i, h->nodes[child]);
		i = child;
	}
	place(h, i, n);
}

int heap_reserve(Heap *h, size_t n)
{
	HeapNode **nodes;
	size_t cap = h->cap > 0 ? h->cap : 16;

	if (n <= h->cap)
		return 0;
	while (cap < n) {
		if (cap > SIZE_MAX / sizeof(*nodes) / 4)
			return -ENOMEM;
		cap *= 2;
	}
	nodes = realloc(h->nodes, cap * sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	h->nodes = nodes;
	h->cap = cap;
	return 0;
}

int heap_add(Heap *h, HeapNode *n)
{
	int r = heap_reserve(h, h->n + 1);

	if (r < 0)
		return r;
	place(h, h->n++, n);
	sift_up(h, n);
	return 0;
}

void heap_remove(Heap *h, HeapNode *n)
{
	HeapNode *last;

	if (!heap_node_in(n))
		return;
	last = h->nodes[--h->n];
	if (last != n) {
		place(h, n->index, last);
		heap_update(h, last);
	}
	heap_node_init(n);
}

void heap_update(Heap *h, HeapNode *n)
{
	sift_up(h, n);
	sift_down(h, n);
}

void heap_rebuild(Heap *h)
{
	for (size_t i = h->n / 2; i > 0; i--)
		sift_down(h, h->nodes[i - 1]);
}

HeapNode *heap_top(const Heap *h)
{
	return h->n > 0 ? h->nodes[0] : NULL;
}
