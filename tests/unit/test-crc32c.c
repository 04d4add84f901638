#include "daemon/eventlog/crc32c.h"

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "tests/lib/check-main.h"

/* Bit by bit: the definition. */
static uint32_t slow(const unsigned char *p, size_t n)
{
	uint32_t crc = ~0U;

	for (; n > 0; n--, p++) {
		crc ^= *p;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78U : crc >> 1;
	}
	return ~crc;
}

/* RFC 3720, appendix B.4. */
START_TEST(test_vectors)
{
	static const unsigned char read_command[48] = { 0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0,
		0, 0, 0, 0, 0x02 };
	unsigned char bytes[32];

	memset(bytes, 0, sizeof(bytes));
	ck_assert_uint_eq(crc32c(bytes, sizeof(bytes)), 0x8a9136aaU);
	memset(bytes, 0xff, sizeof(bytes));
	ck_assert_uint_eq(crc32c(bytes, sizeof(bytes)), 0x62a8ab43U);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	ck_assert_uint_eq(crc32c(bytes, sizeof(bytes)), 0x46dd794eU);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(31 - i);
	ck_assert_uint_eq(crc32c(bytes, sizeof(bytes)), 0x113fdb5cU);
	ck_assert_uint_eq(crc32c(read_command, sizeof(read_command)), 0xd9963a56U);
	ck_assert_uint_eq(crc32c("123456789", 9), 0xe3069283U);
	ck_assert_uint_eq(crc32c("", 0), 0);
}
END_TEST

/* Every length and alignment, by both ways. */
START_TEST(test_lengths)
{
	unsigned char bytes[300];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 167 + (i >> 3));
	for (size_t from = 0; from < 8; from++) {
		for (size_t n = 0; n + from <= sizeof(bytes); n++) {
			/* A copy of its own, so that a byte read too far is found. */
			_cleanup_free_ unsigned char *copy = malloc(n + 1);

			memcpy(copy, bytes + from, n);
			ck_assert_uint_eq(crc32c(copy, n), slow(bytes + from, n));
			ck_assert_uint_eq(crc32c_by_table(copy, n), slow(bytes + from, n));
		}
	}
}
END_TEST

/* Lanes of all kinds of lengths beside each other, none of them at all too. */
START_TEST(test_lanes)
{
	static const size_t lengths[][CRC32C_LANES] = {
		{ 0, 0, 0, 0 },
		{ 1, 0, 0, 0 },
		{ 8, 8, 8, 8 },
		{ 7, 9, 15, 300 },
		{ 299, 298, 297, 296 },
		{ 16, 300, 0, 3 },
		{ 0, 64, 65, 63 },
	};
	unsigned char bytes[300];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 91 + (i >> 2));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		unsigned char *copies[CRC32C_LANES];
		Crc32cLanes lanes;

		for (size_t k = 0; k < CRC32C_LANES; k++) {
			size_t n = lengths[i][k];

			copies[k] = malloc(n + 1);
			memcpy(copies[k], bytes + sizeof(bytes) - n, n);
			lanes.bytes[k] = copies[k];
			lanes.n[k] = n;
		}
		crc32c_lanes(&lanes);
		for (size_t k = 0; k < CRC32C_LANES; k++) {
			ck_assert_uint_eq(lanes.crc[k], slow(copies[k], lengths[i][k]));
			free(copies[k]);
		}
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("crc32c");
	TCase *tc = tcase_create("crc32c");

	tcase_add_test(tc, test_vectors);
	tcase_add_test(tc, test_lengths);
	tcase_add_test(tc, test_lanes);
	suite_add_tcase(s, tc);
	return s;
}
