#include "daemon/control/metrics-writer.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/clock.h"

/* 2^64 microseconds, as a decimal fraction of a second. */
#define NUMBER_MAX 32

static const char *const content_types[_METRICS_FORMAT_MAX] = {
	[METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	[METRICS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
};

static const char *const types[_METRIC_TYPE_MAX] = {
	[METRIC_GAUGE] = "gauge",
	[METRIC_COUNTER] = "counter",
	[METRIC_HISTOGRAM] = "histogram",
};

static const char *const units[_METRIC_UNIT_MAX] = {
	[METRIC_BYTES] = "bytes",
	[METRIC_SECONDS] = "seconds",
};

const char *metrics_format_content_type(MetricsFormat format)
{
	return content_types[format];
}

void metrics_writer_init(MetricsWriter *w, Buf *buf, MetricsFormat format)
{
	*w = (MetricsWriter){ .buf = buf, .format = format };
}

static void note(MetricsWriter *w, int r)
{
	if (r < 0 && w->error == 0)
		w->error = r;
}

static void put(MetricsWriter *w, const char *text)
{
	if (w->error == 0)
		note(w, buf_append_str(w->buf, text));
}

static const char *sample_suffix(const MetricFamily *family)
{
	return family->type == METRIC_COUNTER ? "_total" : "";
}

/* `# TYPE liongate_events counter` */
static void put_metadata(MetricsWriter *w, const char *keyword, const char *text)
{
	put(w, "# ");
	put(w, keyword);
	put(w, " ");
	put(w, w->family->name);
	if (w->format == METRICS_PROMETHEUS)
		put(w, sample_suffix(w->family));
	put(w, " ");
	put(w, text);
	put(w, "\n");
}

void metrics_writer_family(MetricsWriter *w, const MetricFamily *family)
{
	const char *unit = units[family->unit];

	w->family = family;
	put_metadata(w, "TYPE", types[family->type]);
	if (unit && w->format == METRICS_OPENMETRICS)
		put_metadata(w, "UNIT", unit);
	put_metadata(w, "HELP", family->help);
}

static void put_label(MetricsWriter *w, const MetricLabel *label)
{
	put(w, label->name);
	put(w, "=\"");
	for (const char *p = label->value; *p && w->error == 0; p++) {
		if (*p == '\n')
			put(w, "\\n");
		else if (*p == '"' || *p == '\\')
			note(w, buf_append(w->buf, (char[]){ '\\', *p }, 2));
		else
			note(w, buf_append_char(w->buf, *p));
	}
	put(w, "\"");
}

/* A number of the family's unit, as OpenMetrics has those of buckets: "0.0025", "1.0". */
static void format_decimal(const MetricFamily *family, uint64_t value, char out[NUMBER_MAX])
{
	uint64_t per_unit = family->unit == METRIC_SECONDS ? USEC_PER_SEC : 1;
	int n = snprintf(
		out, NUMBER_MAX, "%" PRIu64 ".%06" PRIu64, value / per_unit, value % per_unit);

	while (out[n - 1] == '0' && out[n - 2] != '.')
		n--;
	out[n] = '\0';
}

static void put_sample(MetricsWriter *w, const char *suffix, const MetricLabel *labels, size_t n,
	const char *number)
{
	put(w, w->family->name);
	put(w, suffix);
	for (size_t i = 0; i < n; i++) {
		put(w, i == 0 ? "{" : ",");
		put_label(w, &labels[i]);
	}
	put(w, n > 0 ? "} " : " ");
	put(w, number);
	put(w, "\n");
}

static void format_number(const MetricFamily *family, uint64_t value, char out[NUMBER_MAX])
{
	if (family->unit == METRIC_SECONDS)
		format_decimal(family, value, out);
	else
		(void)snprintf(out, NUMBER_MAX, "%" PRIu64, value);
}

void metrics_writer_value(MetricsWriter *w, const MetricLabel *labels, size_t n, uint64_t value)
{
	char number[NUMBER_MAX];

	format_number(w->family, value, number);
	put_sample(w, sample_suffix(w->family), labels, n, number);
}

void metrics_writer_histogram(MetricsWriter *w, const Histogram *h)
{
	char bound[NUMBER_MAX], number[NUMBER_MAX];
	uint64_t below = 0;

	for (size_t i = 0; i <= h->n_bounds; i++) {
		MetricLabel le = { "le", i < h->n_bounds ? bound : "+Inf" };

		if (i < h->n_bounds)
			format_decimal(w->family, h->bounds[i], bound);
		below += h->counts[i];
		(void)snprintf(number, sizeof(number), "%" PRIu64, below);
		put_sample(w, "_bucket", &le, 1, number);
	}
	put_sample(w, "_count", NULL, 0, number);
	format_number(w->family, h->sum, number);
	put_sample(w, "_sum", NULL, 0, number);
}

int metrics_writer_finish(MetricsWriter *w)
{
	if (w->format == METRICS_OPENMETRICS)
		put(w, "# EOF\n");
	return w->error;
}
