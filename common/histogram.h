/* How many values fell between which bounds: what a histogram of the metrics is written from.
 *
 * Owns nothing. Thread: any (one at a time). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_MAX_BOUNDS 16

typedef struct Histogram {
	const uint64_t *bounds; /* ascending; a value on a bound is below it */
	size_t n_bounds;
	uint64_t counts[HISTOGRAM_MAX_BOUNDS + 1]; /* by bound; then those above all of them */
	uint64_t sum;                              /* of the values */
} Histogram;

/* `bounds` lends: HISTOGRAM_MAX_BOUNDS of them at the most. */
void histogram_init(Histogram *h, const uint64_t *bounds, size_t n_bounds);
/* For what is waited for, in microseconds: from 50 us to 5 s. */
void histogram_init_durations(Histogram *h);
void histogram_add(Histogram *h, uint64_t value);
