#include "client/top-spark.h"

static const char *const bars[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
#define HIGHEST (ARRAY_SIZE(bars) - 1)

void top_spark_add(TopSpark *s, uint64_t value)
{
	s->values[s->next] = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
	s->next = (s->next + 1) % TOP_SPARK_SECONDS;
	if (s->n < TOP_SPARK_SECONDS)
		s->n++;
}

/* `age` 0 is the newest. */
static uint32_t value_at(const TopSpark *s, size_t age)
{
	return s->values[(s->next + TOP_SPARK_SECONDS - 1 - age) % TOP_SPARK_SECONDS];
}

int top_spark_append(const TopSpark *s, size_t width, Buf *b)
{
	size_t n = width < s->n ? width : s->n;
	uint32_t greatest = 0;
	int r = 0;

	for (size_t age = 0; age < n; age++)
		if (value_at(s, age) > greatest)
			greatest = value_at(s, age);
	for (size_t age = n; r == 0 && age-- > 0;) {
		uint64_t value = value_at(s, age);
		size_t bar =
			greatest > 0 ? (size_t)((value * HIGHEST + greatest - 1) / greatest) : 0;

		r = buf_append_str(b, bars[bar]);
	}
	return r;
}
