#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

static void assert_holds(const Buf *b, const char *text)
{
	ck_assert_uint_eq(b->len, strlen(text));
	ck_assert_mem_eq(b->data, text, b->len);
}

START_TEST(append)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(buf_append(&b, NULL, 0), 0);
	ck_assert_ptr_null(b.data);
	ck_assert_int_eq(buf_append(&b, "ab", 2), 0);
	ck_assert_int_eq(buf_append_str(&b, "cd"), 0);
	ck_assert_int_eq(buf_append_str(&b, ""), 0);
	ck_assert_int_eq(buf_append_char(&b, 'e'), 0);
	ck_assert_int_eq(buf_append_char(&b, '\0'), 0);
	ck_assert_uint_eq(b.len, 6);
	ck_assert_mem_eq(b.data, "abcde\0", 6);
}
END_TEST

START_TEST(grows_geometrically)
{
	_cleanup_buf_ Buf b = { 0 };
	unsigned moves = 0;
	size_t cap = 0;

	for (size_t i = 0; i < 1000 * 1000; i++) {
		if (buf_append_char(&b, (char)i) < 0)
			ck_abort_msg("at %zu", i);
		moves += b.cap != cap;
		cap = b.cap;
	}
	ck_assert_uint_le(moves, 20);
	for (size_t i = 0; i < b.len; i++) {
		if (b.data[i] != (char)i)
			ck_abort_msg("at %zu", i);
	}
}
END_TEST

START_TEST(print)
{
	_cleanup_buf_ Buf b = { 0 };
	char longer[1000];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(buf_printf(&b, "%s", ""), 0);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_int_eq(buf_printf(&b, "%d-%s", 42, "y"), 0);
	assert_holds(&b, "42-y");
	ck_assert_int_eq(buf_printf(&b, "%s|", longer), 0);
	ck_assert_uint_eq(b.len, 4 + 999 + 1);
	ck_assert_int_eq(b.data[b.len - 1], '|');
}
END_TEST

/* The text just fits, but for the NUL that vsnprintf() puts behind it. */
START_TEST(print_to_the_brim)
{
	for (size_t before = 100; before < 130; before++) {
		_cleanup_buf_ Buf b = { 0 };
		char fill[130];

		memset(fill, '.', sizeof(fill));
		ck_assert_int_eq(buf_append(&b, fill, before), 0);
		ck_assert_int_eq(buf_printf(&b, "%s-%d", "text", 12345), 0);
		ck_assert_uint_eq(b.len, before + 10);
		ck_assert_mem_eq(b.data + before, "text-12345", 10);
	}
}
END_TEST

START_TEST(terminate)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, "");
	ck_assert_uint_eq(b.len, 0);
	while (b.len < b.cap)
		ck_assert_int_eq(buf_append_char(&b, 'a'), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_uint_eq(strlen(b.data), b.len);
}
END_TEST

START_TEST(consume)
{
	_cleanup_buf_ Buf b = { 0 };

	buf_consume(&b, 0);
	ck_assert_int_eq(buf_append_str(&b, "abcdef"), 0);
	buf_consume(&b, 2);
	assert_holds(&b, "cdef");
	buf_consume(&b, 4);
	ck_assert_uint_eq(b.len, 0);
}
END_TEST

START_TEST(clear)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(buf_reserve(&b, 1000), 0);
	b.len = 10;
	buf_clear(&b, b.cap);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_uint_ge(b.cap, 1000);
	buf_clear(&b, b.cap - 1);
	ck_assert_uint_eq(b.cap, 0);
	ck_assert_ptr_null(b.data);
}
END_TEST

START_TEST(take)
{
	_cleanup_buf_ Buf b = { 0 };
	size_t len = 1;

	ck_assert_ptr_null(buf_take(&b, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(buf_append_str(&b, "abc"), 0);

	_cleanup_free_ char *data = buf_take(&b, &len);

	ck_assert_uint_eq(len, 3);
	ck_assert_mem_eq(data, "abc", 3);
	ck_assert_ptr_null(b.data);
	ck_assert_uint_eq(b.len + b.cap, 0);
}
END_TEST

START_TEST(overflow)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(buf_reserve(&b, SIZE_MAX), -EOVERFLOW);
	ck_assert_int_eq(buf_append_str(&b, "abc"), 0);
	ck_assert_int_eq(buf_reserve(&b, SIZE_MAX), -EOVERFLOW);
	ck_assert_int_eq(buf_reserve(&b, SIZE_MAX - 2), -EOVERFLOW);
	ck_assert_int_eq(buf_reserve(&b, (size_t)PTRDIFF_MAX), -EOVERFLOW);
	assert_holds(&b, "abc");
}
END_TEST

START_TEST(without_memory_nothing_changes)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(buf_append_str(&b, "abc"), 0);
	while (b.len < b.cap)
		ck_assert_int_eq(buf_append_char(&b, '.'), 0);

	Buf before = b;

	fault_realloc_after(0);
	ck_assert_int_eq(buf_reserve(&b, 1), -ENOMEM);
	ck_assert_int_eq(buf_append(&b, "x", 1), -ENOMEM);
	ck_assert_int_eq(buf_append_str(&b, "x"), -ENOMEM);
	ck_assert_int_eq(buf_append_char(&b, 'x'), -ENOMEM);
	ck_assert_int_eq(buf_printf(&b, "%d", 1), -ENOMEM);
	ck_assert_int_eq(buf_terminate(&b), -ENOMEM);
	fault_realloc_after(-1);
	ck_assert_mem_eq(&b, &before, sizeof(b));
	ck_assert_mem_eq(b.data, "abc", 3);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("buf");
	TCase *t = tcase_create("buf");

	tcase_add_test(t, append);
	tcase_add_test(t, grows_geometrically);
	tcase_add_test(t, print);
	tcase_add_test(t, print_to_the_brim);
	tcase_add_test(t, terminate);
	tcase_add_test(t, consume);
	tcase_add_test(t, clear);
	tcase_add_test(t, take);
	tcase_add_test(t, overflow);
	tcase_add_test(t, without_memory_nothing_changes);
	suite_add_tcase(s, t);
	return s;
}
