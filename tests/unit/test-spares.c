#include "daemon/eventlog/spares.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

#define LARGEST ((size_t)SPARES_MIN_BYTES << (SPARES_CLASSES - 1))

static Spares spares;

static void setup(void)
{
	ck_assert_int_eq(spares_init(&spares), 0);
}

static void teardown(void)
{
	spares_done(&spares);
}

static Buf take(size_t bytes)
{
	Buf b = { 0 };

	ck_assert_int_eq(spares_reserve(&spares, &b, bytes), 0);
	ck_assert_uint_ge(b.cap, bytes);
	ck_assert_uint_eq(b.len, 0);
	memset(b.data, 1, b.cap);
	return b;
}

static void give(Buf b)
{
	spares_give(&spares, b.data, b.cap);
}

/* What was given back last comes first, to whoever needs no more than that and not much less. */
START_TEST(test_goes_round)
{
	Buf a = take(100000), b = take(70000), other;

	ck_assert_uint_eq(a.cap, 131072);
	ck_assert_uint_eq(b.cap, 131072);
	give(a);
	give(b);
	ck_assert_uint_eq(spares.bytes, 2 * 131072);
	other = take(131073);
	ck_assert_ptr_ne(other.data, a.data);
	give(other);
	other = take(65537);
	ck_assert_ptr_eq(other.data, b.data);
	b = take(131072);
	ck_assert_ptr_eq(b.data, a.data);
	give(other);
	give(b);
}
END_TEST

/* What is small, large, or has no size of ours is left to malloc(). */
START_TEST(test_not_kept)
{
	static const size_t sizes[] = { 1, SPARES_MIN_BYTES / 2, LARGEST + 1 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		give(take(sizes[i]));
	spares_give(&spares, malloc(SPARES_MIN_BYTES + 1), SPARES_MIN_BYTES + 1);
	spares_give(&spares, NULL, 0);
	spares_give(&spares, NULL, SPARES_MIN_BYTES);
	ck_assert_uint_eq(spares.bytes, 0);
}
END_TEST

START_TEST(test_bound)
{
	Buf all[SPARES_MAX_BYTES / LARGEST + 4];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		all[i] = take(LARGEST);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		give(all[i]);
	ck_assert_uint_eq(spares.bytes, SPARES_MAX_BYTES);
	spares_drop(&spares);
	ck_assert_uint_eq(spares.bytes, 0);
	give(take(LARGEST));
	ck_assert_uint_eq(spares.bytes, LARGEST);
}
END_TEST

START_TEST(test_out_of_memory)
{
	Buf b = { 0 };

	fault_realloc_after(0);
	ck_assert_int_eq(spares_reserve(&spares, &b, 100000), -ENOMEM);
	ck_assert_int_eq(spares_reserve(&spares, &b, 10), -ENOMEM);
	fault_realloc_after(-1);
	ck_assert_ptr_null(b.data);
	give(take(100000));
	/* What is spare needs none. */
	fault_realloc_after(0);
	b = take(100000);
	fault_realloc_after(-1);
	give(b);
}
END_TEST

static void *take_and_give(void *userdata)
{
	(void)userdata;
	for (size_t i = 1; i < 2000; i++) {
		Buf b = take(i * 97), c = take(i * 151);

		give(b);
		give(c);
	}
	return NULL;
}

START_TEST(test_threads)
{
	pthread_t threads[3];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_le(spares.bytes, SPARES_MAX_BYTES);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("spares");
	TCase *tc = tcase_create("spares");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_goes_round);
	tcase_add_test(tc, test_not_kept);
	tcase_add_test(tc, test_bound);
	tcase_add_test(tc, test_out_of_memory);
	tcase_add_test(tc, test_threads);
	suite_add_tcase(s, tc);
	return s;
}
