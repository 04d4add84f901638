/* Times. Microseconds everywhere; 64 bits of them last for 290,000 years.
 *
 * Thread: any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC  1000000ULL

/* "2026-01-02T03:04:05.678901Z" */
#define CLOCK_RFC3339_LEN 27

uint64_t clock_monotonic_us(void);
uint64_t clock_realtime_us(void);

/* RFC 3339 in UTC with microseconds, and a NUL. */
void clock_format_rfc3339(uint64_t realtime_us, char out[CLOCK_RFC3339_LEN + 1]);
/* The reverse, of exactly that form. -EINVAL. */
int clock_parse_rfc3339(const char *text, size_t len, uint64_t *ret_us) _must_check_;
