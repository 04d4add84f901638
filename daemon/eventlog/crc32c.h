/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): what each line in the log is checked with.
 *
 * Thread: any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *bytes, size_t n);

/* Of several strings at once, which takes little longer than of one: each step waits for the one
 * before it, and meanwhile the processor has time for the others. */
#define CRC32C_LANES 4
typedef struct Crc32cLanes {
	const void *bytes[CRC32C_LANES];
	size_t n[CRC32C_LANES]; /* may be 0 */
	uint32_t crc[CRC32C_LANES];
} Crc32cLanes;

void crc32c_lanes(Crc32cLanes *lanes);

/* The same without the processor's help: what machines without the instruction use. */
uint32_t crc32c_by_table(const void *bytes, size_t n);
