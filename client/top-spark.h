/* How a rate has been over the last minutes, as a line of bars.
 *
 * Embedded; all zero is an empty one. Thread: any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define TOP_SPARK_SECONDS 240

typedef struct TopSpark {
	uint32_t values[TOP_SPARK_SECONDS]; /* a ring */
	size_t n;                           /* of them are in use */
	size_t next;
} TopSpark;

void top_spark_add(TopSpark *s, uint64_t value);
/* Appends the newest `width` values, the newest last, each as a bar of eighths of the greatest of
 * them; what is more than nothing is seen. -ENOMEM. */
int top_spark_append(const TopSpark *s, size_t width, Buf *b) _must_check_;
