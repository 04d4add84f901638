#include <errno.h>
#include <string.h>

#include "common/uuid.h"
#include "tests/lib/check-main.h"

#define EXAMPLE "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

static const char *const bad[] = {
	"",
	"f81d4fae",
	"f81d4fae-7dec-11d0-a765-00a0c91e6bf",
	"f81d4fae-7dec-11d0-a765-00a0c91e6bf60",
	"f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
	"g81d4fae-7dec-11d0-a765-00a0c91e6bf6",
	"f81d4fae07dec-11d0-a765-00a0c91e6bf6",
	"f81d4fae-7dec011d0-a765-00a0c91e6bf6",
	"f81d4fae-7dec-11d00a765-00a0c91e6bf6",
	"f81d4fae-7dec-11d0-a765000a0c91e6bf6",
	"f81d4fa-e7dec-11d0-a765-00a0c91e6bf6",
	"{81d4fae-7dec-11d0-a765-00a0c91e6bf}",
	" 81d4fae-7dec-11d0-a765-00a0c91e6bf6",
	"f81d4fae-7dec-11d0-a765-00a0c91e6bf ",
	"f81d4fae7dec11d0a76500a0c91e6bf6",
	"f81d4fae-7dec-11d0-a765-00a0c91e6b+6",
};

START_TEST(parse_and_format)
{
	static const uint8_t bytes[16] = { 0xf8, 0x1d, 0x4f, 0xae, 0x7d, 0xec, 0x11, 0xd0, 0xa7,
		0x65, 0x00, 0xa0, 0xc9, 0x1e, 0x6b, 0xf6 };
	char text[UUID_TEXT_LEN + 1];
	Uuid u;

	ck_assert_int_eq(uuid_parse(EXAMPLE, UUID_TEXT_LEN, &u), 0);
	ck_assert_mem_eq(u.bytes, bytes, sizeof(bytes));
	uuid_format(&u, text);
	ck_assert_str_eq(text, EXAMPLE);
	ck_assert_int_eq(uuid_parse("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", UUID_TEXT_LEN, &u), 0);
	ck_assert_mem_eq(u.bytes, bytes, sizeof(bytes));
}
END_TEST

START_TEST(refused)
{
	Uuid u, before;

	memset(&u, 0xaa, sizeof(u));
	before = u;
	ck_assert_int_eq(uuid_parse(bad[_i], strlen(bad[_i]), &u), -EINVAL);
	ck_assert(uuid_equal(&u, &before));
}
END_TEST

START_TEST(refused_with_nul)
{
	char text[UUID_TEXT_LEN] = EXAMPLE;
	Uuid u;

	text[20] = '\0';
	ck_assert_int_eq(uuid_parse(text, sizeof(text), &u), -EINVAL);
}
END_TEST

START_TEST(generate)
{
	Uuid seen[200];

	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		ck_assert_int_eq(uuid_generate(&seen[i]), 0);
		ck_assert_int_eq(seen[i].bytes[6] >> 4, 4);
		ck_assert_int_eq(seen[i].bytes[8] >> 6, 2);
		for (size_t j = 0; j < i; j++)
			ck_assert(!uuid_equal(&seen[i], &seen[j]));
	}
}
END_TEST

START_TEST(equal)
{
	Uuid a = { { 1, 2, 3 } }, b = a;

	ck_assert(uuid_equal(&a, &b));
	b.bytes[15] = 1;
	ck_assert(!uuid_equal(&a, &b));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("uuid");
	TCase *t = tcase_create("uuid");

	tcase_add_test(t, parse_and_format);
	tcase_add_loop_test(t, refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, refused_with_nul);
	tcase_add_test(t, generate);
	tcase_add_test(t, equal);
	suite_add_tcase(s, t);
	return s;
}
