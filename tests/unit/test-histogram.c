#include "common/histogram.h"

#include "common/cleanup.h"
#include "tests/lib/check-main.h"

static const uint64_t bounds[] = { 1, 10, 100 };

static void assert_counts(const Histogram *h, const uint64_t counts[4])
{
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_eq(h->counts[i], counts[i]);
}

/* A value on a bound belongs below it. */
START_TEST(test_borders)
{
	static const uint64_t values[] = { 0, 1, 2, 10, 11, 100, 101, 1000000 };
	Histogram h;

	histogram_init(&h, bounds, ARRAY_SIZE(bounds));
	assert_counts(&h, (uint64_t[]){ 0, 0, 0, 0 });
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		histogram_add(&h, values[i]);
	assert_counts(&h, (uint64_t[]){ 2, 2, 2, 2 });
	ck_assert_uint_eq(h.sum, 1000225);
}
END_TEST

START_TEST(test_no_bounds)
{
	Histogram h;

	histogram_init(&h, NULL, 0);
	histogram_add(&h, 7);
	ck_assert_uint_eq(h.counts[0], 1);
	ck_assert_uint_eq(h.sum, 7);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("histogram");
	TCase *tc = tcase_create("histogram");

	tcase_add_test(tc, test_borders);
	tcase_add_test(tc, test_no_bounds);
	suite_add_tcase(s, tc);
	return s;
}
