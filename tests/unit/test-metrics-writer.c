#include "daemon/control/metrics-writer.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

static const MetricFamily gauge = { "x_things", "Things.", METRIC_GAUGE, METRIC_NUMBER };
static const MetricFamily counter = { "x_bytes", "Bytes.", METRIC_COUNTER, METRIC_BYTES };
static const MetricFamily seconds = { "x_seconds", "Time.", METRIC_COUNTER, METRIC_SECONDS };

static Buf text;

static void teardown(void)
{
	buf_done(&text);
}

static void assert_text(const char *expected)
{
	ck_assert_int_eq(buf_terminate(&text), 0);
	ck_assert_str_eq(text.data, expected);
}

static void write_families(MetricsFormat format)
{
	MetricsWriter w;

	metrics_writer_init(&w, &text, format);
	metrics_writer_family(&w, &gauge);
	metrics_writer_value(&w, NULL, 0, UINT64_MAX);
	metrics_writer_family(&w, &counter);
	metrics_writer_value(&w, NULL, 0, 3);
	metrics_writer_family(&w, &seconds);
	ck_assert_int_eq(metrics_writer_finish(&w), 0);
}

START_TEST(test_openmetrics)
{
	write_families(METRICS_OPENMETRICS);
	assert_text("# TYPE x_things gauge\n"
		    "# HELP x_things Things.\n"
		    "x_things 18446744073709551615\n"
		    "# TYPE x_bytes counter\n"
		    "# UNIT x_bytes bytes\n"
		    "# HELP x_bytes Bytes.\n"
		    "x_bytes_total 3\n"
		    "# TYPE x_seconds counter\n"
		    "# UNIT x_seconds seconds\n"
		    "# HELP x_seconds Time.\n"
		    "# EOF\n");
}
END_TEST

START_TEST(test_prometheus)
{
	write_families(METRICS_PROMETHEUS);
	assert_text("# TYPE x_things gauge\n"
		    "# HELP x_things Things.\n"
		    "x_things 18446744073709551615\n"
		    "# TYPE x_bytes_total counter\n"
		    "# HELP x_bytes_total Bytes.\n"
		    "x_bytes_total 3\n"
		    "# TYPE x_seconds_total counter\n"
		    "# HELP x_seconds_total Time.\n");
}
END_TEST

START_TEST(test_content_types)
{
	ck_assert_ptr_nonnull(strstr(
		metrics_format_content_type(METRICS_OPENMETRICS), "application/openmetrics-text"));
	ck_assert_ptr_nonnull(
		strstr(metrics_format_content_type(METRICS_PROMETHEUS), "version=0.0.4"));
}
END_TEST

START_TEST(test_labels)
{
	const MetricLabel labels[] = {
		{ "a", "" },
		{ "b", "q\"b\\n\n{},=é" },
	};
	MetricsWriter w;

	metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
	w.family = &gauge;
	metrics_writer_value(&w, labels, 1, 1);
	metrics_writer_value(&w, labels, 2, 2);
	ck_assert_int_eq(metrics_writer_finish(&w), 0);
	assert_text("x_things{a=\"\"} 1\n"
		    "x_things{a=\"\",b=\"q\\\"b\\\\n\\n{},=é\"} 2\n");
}
END_TEST

START_TEST(test_seconds)
{
	static const struct {
		uint64_t us;
		const char *line;
	} cases[] = {
		{ 0, "x_seconds_total 0.0\n" },
		{ 1, "x_seconds_total 0.000001\n" },
		{ 250000, "x_seconds_total 0.25\n" },
		{ 1000000, "x_seconds_total 1.0\n" },
		{ 10000000, "x_seconds_total 10.0\n" },
		{ 1795956635913080, "x_seconds_total 1795956635.91308\n" },
		{ UINT64_MAX, "x_seconds_total 18446744073709.551615\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		MetricsWriter w;

		buf_clear(&text, SIZE_MAX);
		metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
		w.family = &seconds;
		metrics_writer_value(&w, NULL, 0, cases[i].us);
		ck_assert_int_eq(metrics_writer_finish(&w), 0);
		assert_text(cases[i].line);
	}
}
END_TEST

static void write_histogram(MetricUnit unit, const uint64_t *bounds, size_t n)
{
	const MetricFamily family = { "x", "X.", METRIC_HISTOGRAM, unit };
	MetricsWriter w;
	Histogram h;

	histogram_init(&h, bounds, n);
	for (uint64_t value = 1; value <= 1000000; value *= 10)
		histogram_add(&h, value);
	metrics_writer_init(&w, &text, METRICS_PROMETHEUS);
	w.family = &family;
	metrics_writer_histogram(&w, &h);
	ck_assert_int_eq(metrics_writer_finish(&w), 0);
}

/* Each bucket has all that is below it; the last one has all there is. */
START_TEST(test_histogram)
{
	write_histogram(METRIC_NUMBER, (const uint64_t[]){ 1, 50, 1000 }, 3);
	assert_text("x_bucket{le=\"1.0\"} 1\n"
		    "x_bucket{le=\"50.0\"} 2\n"
		    "x_bucket{le=\"1000.0\"} 4\n"
		    "x_bucket{le=\"+Inf\"} 7\n"
		    "x_count 7\n"
		    "x_sum 1111111\n");
}
END_TEST

START_TEST(test_histogram_of_seconds)
{
	write_histogram(METRIC_SECONDS, (const uint64_t[]){ 50, 2500000 }, 2);
	assert_text("x_bucket{le=\"0.00005\"} 2\n"
		    "x_bucket{le=\"2.5\"} 7\n"
		    "x_bucket{le=\"+Inf\"} 7\n"
		    "x_count 7\n"
		    "x_sum 1.111111\n");
}
END_TEST

/* Wherever the memory ends. */
START_TEST(test_out_of_memory)
{
	int failed = 0;

	for (int n = 0;; n++) {
		const MetricLabel label = { "a", "\"" };
		MetricsWriter w;
		int r;

		buf_done(&text);
		fault_realloc_after(n);
		metrics_writer_init(&w, &text, METRICS_OPENMETRICS);
		metrics_writer_family(&w, &counter);
		for (int i = 0; i < 100; i++)
			metrics_writer_value(&w, &label, 1, 1);
		r = metrics_writer_finish(&w);
		fault_realloc_after(-1);
		if (r == 0)
			break;
		ck_assert_int_eq(r, -ENOMEM);
		failed++;
	}
	ck_assert_int_gt(failed, 1);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("metrics-writer");
	TCase *tc = tcase_create("metrics-writer");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, test_openmetrics);
	tcase_add_test(tc, test_prometheus);
	tcase_add_test(tc, test_content_types);
	tcase_add_test(tc, test_labels);
	tcase_add_test(tc, test_seconds);
	tcase_add_test(tc, test_histogram);
	tcase_add_test(tc, test_histogram_of_seconds);
	tcase_add_test(tc, test_out_of_memory);
	suite_add_tcase(s, tc);
	return s;
}
