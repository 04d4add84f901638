#include "common/histogram.h"

#include <assert.h>

#include "common/cleanup.h"

static const uint64_t duration_bounds_us[] = { 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000,
	50000, 100000, 250000, 1000000, 5000000 };

void histogram_init(Histogram *h, const uint64_t *bounds, size_t n_bounds)
{
	assert(n_bounds <= HISTOGRAM_MAX_BOUNDS);
	*h = (Histogram){ .bounds = bounds, .n_bounds = n_bounds };
}

void histogram_init_durations(Histogram *h)
{
	histogram_init(h, duration_bounds_us, ARRAY_SIZE(duration_bounds_us));
}

void histogram_add(Histogram *h, uint64_t value)
{
	size_t i = 0;

	while (i < h->n_bounds && value > h->bounds[i])
		i++;
	h->counts[i]++;
	h->sum += value;
}
