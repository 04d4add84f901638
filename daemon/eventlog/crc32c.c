#include "daemon/eventlog/crc32c.h"

#include <string.h>

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t n)
{
	/* Sixteen entries, a nibble at a time: the slow way is for machines without the instruction
	 * only. */
	static const uint32_t nibble[16] = {
		0x00000000,
		0x105ec76f,
		0x20bd8ede,
		0x30e349b1,
		0x417b1dbc,
		0x5125dad3,
		0x61c69362,
		0x7198540d,
		0x82f63b78,
		0x92a8fc17,
		0xa24bb5a6,
		0xb21572c9,
		0xc38d26c4,
		0xd3d3e1ab,
		0xe330a81a,
		0xf36e6f75,
	};

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		crc = nibble[crc & 15] ^ (crc >> 4);
		crc = nibble[crc & 15] ^ (crc >> 4);
	}
	return crc;
}

#if defined(__x86_64__)
static inline uint64_t load(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(
	uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t wide = crc;

	for (; n >= 8; p += 8, n -= 8)
		wide = __builtin_ia32_crc32di(wide, load(p));
	crc = (uint32_t)wide;
	for (; n > 0; p++, n--)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}

/* Side by side as far as the shortest goes; the rest of each by itself. */
__attribute__((target("sse4.2"))) static void lanes_by_instruction(Crc32cLanes *lanes)
{
	const unsigned char *const p0 = lanes->bytes[0], *const p1 = lanes->bytes[1],
				   *const p2 = lanes->bytes[2], *const p3 = lanes->bytes[3];
	uint64_t crc[CRC32C_LANES] = { UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX };
	size_t shared = lanes->n[0];

	for (size_t i = 1; i < CRC32C_LANES; i++)
		if (lanes->n[i] < shared)
			shared = lanes->n[i];
	shared -= shared % 8;
	for (size_t at = 0; at < shared; at += 8) {
		crc[0] = __builtin_ia32_crc32di(crc[0], load(p0 + at));
		crc[1] = __builtin_ia32_crc32di(crc[1], load(p1 + at));
		crc[2] = __builtin_ia32_crc32di(crc[2], load(p2 + at));
		crc[3] = __builtin_ia32_crc32di(crc[3], load(p3 + at));
	}
	for (size_t i = 0; i < CRC32C_LANES; i++)
		lanes->crc[i] = ~by_instruction((uint32_t)crc[i],
			(const unsigned char *)lanes->bytes[i] + shared, lanes->n[i] - shared);
}
#endif

uint32_t crc32c(const void *bytes, size_t n)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~by_instruction(~0U, bytes, n);
#endif
	return crc32c_by_table(bytes, n);
}

void crc32c_lanes(Crc32cLanes *lanes)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2")) {
		lanes_by_instruction(lanes);
		return;
	}
#endif
	for (size_t i = 0; i < CRC32C_LANES; i++)
		lanes->crc[i] = crc32c_by_table(lanes->bytes[i], lanes->n[i]);
}

uint32_t crc32c_by_table(const void *bytes, size_t n)
{
	return ~by_table(~0U, bytes, n);
}
