#include "daemon/ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/temp-dir.h"

#define KIB  1024
#define MOST (2048 * KIB)

static TempDir dir;

static void setup(void)
{
	temp_dir_init(&dir);
}

static void teardown(void)
{
	fault_fallocate_above(SIZE_MAX, 0);
	temp_dir_done(&dir);
}

/* -1: there is none. */
static off_t size(void)
{
	struct stat st;

	return fstatat(dir.fd, "ballast", &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_size : -1;
}

static off_t room(void)
{
	struct stat st;

	ck_assert_int_eq(fstatat(dir.fd, "ballast", &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_blocks * 512;
}

START_TEST(test_take)
{
	ballast_take(dir.path);
	ck_assert_int_eq(size(), MOST);
	ck_assert_int_ge(room(), MOST);
	ballast_take(dir.path);
	ck_assert_int_eq(size(), MOST);
}
END_TEST

START_TEST(test_give)
{
	ck_assert(!ballast_give(dir.path, 2));
	ballast_take(dir.path);
	ck_assert(ballast_give(dir.path, 2));
	ck_assert_int_eq(size(), MOST / 2);
	ck_assert(ballast_give(dir.path, 0));
	ck_assert_int_eq(size(), -1);
	ck_assert(!ballast_give(dir.path, 0));
}
END_TEST

START_TEST(test_give_to_the_end)
{
	unsigned n = 0;

	ballast_take(dir.path);
	while (ballast_give(dir.path, 2))
		n++;
	ck_assert_uint_eq(n, 8); /* 1 MiB to 16 KiB, and what is below that goes */
	ck_assert_int_eq(size(), -1);
}
END_TEST

/* All that is left, to the last block; less than is worth keeping is not kept. */
START_TEST(test_full)
{
	fault_fallocate_above(64 * KIB, ENOSPC);
	ballast_take(dir.path);
	ck_assert_int_eq(size(), (64 + 32 + 16 + 8 + 4) * KIB);
	ck_assert(ballast_give(dir.path, 0));
	fault_fallocate_above(4 * KIB, ENOSPC);
	ballast_take(dir.path);
	ck_assert_int_eq(size(), -1);
	fault_fallocate_above(0, EOPNOTSUPP);
	ballast_take(dir.path);
	ck_assert_int_eq(size(), -1);
}
END_TEST

/* One that was smaller, and one that somebody has copied: a file of holes. */
START_TEST(test_grows)
{
	_cleanup_close_ int fd = openat(dir.fd, "ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, MOST / 4 * 3), 0);
	ck_assert_int_lt(room(), MOST / 2);
	ballast_take(dir.path);
	ck_assert_int_eq(size(), MOST);
	ck_assert_int_ge(room(), MOST);
}
END_TEST

START_TEST(test_symlink)
{
	_cleanup_close_ int fd = openat(dir.fd, "other", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(symlinkat("other", dir.fd, "ballast"), 0);
	ballast_take(dir.path);
	ck_assert(!ballast_give(dir.path, 2));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("ballast");
	TCase *tc = tcase_create("ballast");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_take);
	tcase_add_test(tc, test_give);
	tcase_add_test(tc, test_give_to_the_end);
	tcase_add_test(tc, test_full);
	tcase_add_test(tc, test_grows);
	tcase_add_test(tc, test_symlink);
	suite_add_tcase(s, tc);
	return s;
}
