/* CRC-32C (Castagnoli, RFC 3720 appendix B.4): what each line in the log is checked with.
 *
 * Thread: any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *bytes, size_t n);
/* The same without the processor's help: what machines without the instruction use. */
uint32_t crc32c_by_table(const void *bytes, size_t n);
