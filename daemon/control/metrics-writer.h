/* Writes metrics as text: as OpenMetrics 1.0 has it, or as Prometheus' own older format 0.0.4,
 * which promtool and the textfile collector of node_exporter read. They differ in the names of
 * counters' families, in units, and in how the text ends.
 *
 * Errors stick: after the first (-ENOMEM) every call does nothing, and metrics_writer_finish()
 * returns it. Owns nothing: the Buf lends itself.
 *
 * Thread: any (one at a time). */
#pragma once

#include "common/buf.h"
#include "common/histogram.h"

typedef enum MetricsFormat {
	METRICS_OPENMETRICS,
	METRICS_PROMETHEUS,
	_METRICS_FORMAT_MAX,
} MetricsFormat;

/* The media type of such a text. */
const char *metrics_format_content_type(MetricsFormat format);

typedef enum MetricType {
	METRIC_GAUGE,
	METRIC_COUNTER,
	METRIC_HISTOGRAM,
	_METRIC_TYPE_MAX,
} MetricType;

typedef enum MetricUnit {
	METRIC_NUMBER,  /* a number of what the name says */
	METRIC_BYTES,   /* the name ends in _bytes */
	METRIC_SECONDS, /* the name ends in _seconds; values are given in microseconds */
	_METRIC_UNIT_MAX,
} MetricUnit;

typedef struct MetricFamily {
	const char *name; /* of a counter without _total */
	const char *help; /* one sentence, without anything to escape */
	MetricType type;
	MetricUnit unit;
} MetricFamily;

typedef struct MetricLabel {
	const char *name;
	const char *value; /* UTF-8; escaped */
} MetricLabel;

typedef struct MetricsWriter {
	Buf *buf;
	int error;
	MetricsFormat format;
	const MetricFamily *family; /* whose samples follow */
} MetricsWriter;

void metrics_writer_init(MetricsWriter *w, Buf *buf, MetricsFormat format);
/* What stands before the samples of a family, which lends itself until the next one. */
void metrics_writer_family(MetricsWriter *w, const MetricFamily *family);
/* One sample of a gauge or a counter; `labels`: `n` of them, no two samples with the same. */
void metrics_writer_value(MetricsWriter *w, const MetricLabel *labels, size_t n, uint64_t value);
/* All samples of a histogram. */
void metrics_writer_histogram(MetricsWriter *w, const Histogram *h);
/* Ends the text. 0, or the first error that happened. */
int metrics_writer_finish(MetricsWriter *w) _must_check_;
