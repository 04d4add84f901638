/* Eight bytes at a time in an ordinary register: the questions that the scanners of text ask.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SWAR_ALL(byte) (0x0101010101010101ULL * (uint64_t)(byte))

static inline uint64_t swar_load(const char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Is any byte below `limit` (at most 0x80)? */
static inline bool swar_any_below(uint64_t v, uint8_t limit)
{
	return (v - SWAR_ALL(limit)) & ~v & SWAR_ALL(0x80);
}

static inline bool swar_any_equal(uint64_t v, uint8_t byte)
{
	return swar_any_below(v ^ SWAR_ALL(byte), 1);
}

static inline bool swar_any_not_ascii(uint64_t v)
{
	return v & SWAR_ALL(0x80);
}
