#include "common/heap.h"

#include <errno.h>
#include <stdint.h>

#include "common/list.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

#define N 500

typedef struct Item {
	HeapNode node;
	unsigned key;
} Item;

static Heap heap;
static Item items[N];

static Item *item_of(const HeapNode *n)
{
	return container_of(n, Item, node);
}

static bool less(const HeapNode *a, const HeapNode *b)
{
	return item_of(a)->key < item_of(b)->key;
}

static void setup(void)
{
	heap_init(&heap, less);
	for (size_t i = 0; i < N; i++)
		heap_node_init(&items[i].node);
}

static void teardown(void)
{
	fault_realloc_after(-1);
	heap_done(&heap);
}

static unsigned next_random(void)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33);
}

static void assert_ordered(void)
{
	for (size_t i = 0; i < heap.n; i++) {
		ck_assert_uint_eq(heap.nodes[i]->index, i);
		if (i > 0)
			ck_assert(!less(heap.nodes[i], heap.nodes[(i - 1) / 2]));
	}
}

START_TEST(test_empty)
{
	ck_assert_ptr_null(heap_top(&heap));
	ck_assert(!heap_node_in(&items[0].node));
	heap_remove(&heap, &items[0].node);
	heap_done(&heap);
	heap_done(&heap);
}
END_TEST

START_TEST(test_sorts)
{
	unsigned last = 0;

	for (size_t i = 0; i < N; i++) {
		items[i].key = next_random() % 100;
		ck_assert_int_eq(heap_add(&heap, &items[i].node), 0);
		ck_assert(heap_node_in(&items[i].node));
	}
	assert_ordered();
	for (size_t i = 0; i < N; i++) {
		Item *top = item_of(heap_top(&heap));

		ck_assert_uint_ge(top->key, last);
		last = top->key;
		heap_remove(&heap, &top->node);
		ck_assert(!heap_node_in(&top->node));
	}
	ck_assert_ptr_null(heap_top(&heap));
}
END_TEST

static bool more(const HeapNode *a, const HeapNode *b)
{
	return less(b, a);
}

START_TEST(test_other_order)
{
	unsigned last = UINT32_MAX;

	heap_rebuild(&heap);
	for (size_t i = 0; i < N; i++) {
		items[i].key = next_random() % 100;
		ck_assert_int_eq(heap_add(&heap, &items[i].node), 0);
	}
	heap.less = more;
	heap_rebuild(&heap);
	while (heap_top(&heap)) {
		Item *top = item_of(heap_top(&heap));

		ck_assert_uint_le(top->key, last);
		last = top->key;
		heap_remove(&heap, &top->node);
	}
}
END_TEST

/* Against the slow way: anything may be added, taken out and changed at any time. */
START_TEST(test_random_steps)
{
	for (unsigned step = 0; step < 20000; step++) {
		Item *item = &items[next_random() % N];
		unsigned least = UINT32_MAX;
		size_t n = 0;

		if (!heap_node_in(&item->node)) {
			item->key = next_random() % 1000;
			ck_assert_int_eq(heap_add(&heap, &item->node), 0);
		} else if (next_random() % 2) {
			heap_remove(&heap, &item->node);
		} else {
			item->key = next_random() % 1000;
			heap_update(&heap, &item->node);
		}
		for (size_t i = 0; i < N; i++) {
			if (!heap_node_in(&items[i].node))
				continue;
			n++;
			if (items[i].key < least)
				least = items[i].key;
		}
		ck_assert_uint_eq(heap.n, n);
		if (n > 0)
			ck_assert_uint_eq(item_of(heap_top(&heap))->key, least);
		if (step % 100 == 0)
			assert_ordered();
	}
}
END_TEST

START_TEST(test_reserve)
{
	ck_assert_int_eq(heap_reserve(&heap, N), 0);
	fault_realloc_after(0);
	for (size_t i = 0; i < N; i++)
		ck_assert_int_eq(heap_add(&heap, &items[i].node), 0);
	ck_assert_int_eq(heap_reserve(&heap, N), 0);
	ck_assert_int_eq(heap_reserve(&heap, heap.cap + 1), -ENOMEM);
	assert_ordered();
}
END_TEST

START_TEST(test_out_of_memory)
{
	fault_realloc_after(0);
	ck_assert_int_eq(heap_add(&heap, &items[0].node), -ENOMEM);
	ck_assert(!heap_node_in(&items[0].node));
	ck_assert_ptr_null(heap_top(&heap));
	fault_realloc_after(-1);
	ck_assert_int_eq(heap_reserve(&heap, SIZE_MAX), -ENOMEM);
	ck_assert_int_eq(heap_add(&heap, &items[0].node), 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("heap");
	TCase *tc = tcase_create("heap");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_empty);
	tcase_add_test(tc, test_sorts);
	tcase_add_test(tc, test_other_order);
	tcase_add_test(tc, test_random_steps);
	tcase_add_test(tc, test_reserve);
	tcase_add_test(tc, test_out_of_memory);
	suite_add_tcase(s, tc);
	return s;
}
