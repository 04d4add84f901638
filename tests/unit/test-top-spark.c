#include "client/top-spark.h"

#include <string.h>

#include "tests/lib/check-main.h"

static void assert_bars(const TopSpark *s, size_t width, const char *bars)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(top_spark_append(s, width, &b), 0);
	ck_assert_uint_eq(b.len, strlen(bars));
	ck_assert(b.len == 0 || memcmp(b.data, bars, b.len) == 0);
}

START_TEST(test_bars)
{
	TopSpark s = { 0 };

	assert_bars(&s, 10, "");
	top_spark_add(&s, 0);
	assert_bars(&s, 10, " ");
	for (uint64_t value = 1; value <= 8; value++)
		top_spark_add(&s, value * 100);
	assert_bars(&s, 10, " ▁▂▃▄▅▆▇█");
	assert_bars(&s, 3, "▆▇█");
	assert_bars(&s, 0, "");
	/* The least is seen beside the greatest. */
	top_spark_add(&s, 1);
	top_spark_add(&s, 1000000);
	assert_bars(&s, 2, "▁█");
	top_spark_add(&s, UINT64_MAX);
	assert_bars(&s, 2, "▁█");
}
END_TEST

START_TEST(test_ring)
{
	TopSpark s = { 0 };
	_cleanup_buf_ Buf b = { 0 };
	static const char newest[] = "▅▆▇";

	for (size_t i = 0; i < 3 * TOP_SPARK_SECONDS + 7; i++)
		top_spark_add(&s, i % 8 + 1);
	ck_assert_int_eq(top_spark_append(&s, SIZE_MAX, &b), 0);
	ck_assert_uint_eq(b.len, TOP_SPARK_SECONDS * strlen("█"));
	ck_assert_mem_eq(b.data + b.len - strlen(newest), newest, strlen(newest));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("top-spark");
	TCase *t = tcase_create("top-spark");

	tcase_add_test(t, test_bars);
	tcase_add_test(t, test_ring);
	suite_add_tcase(s, t);
	return s;
}
