#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/temp-dir.h"

static TempDir dir;

static void setup(void)
{
	temp_dir_init(&dir);
}

static void teardown(void)
{
	temp_dir_done(&dir);
}

static unsigned entries(void)
{
	DIR *d = opendir(dir.path);
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void assert_file(const char *name, const char *expected)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(file_read(dir.fd, name, 1 << 20, &b), 0);
	ck_assert_uint_eq(b.len, strlen(expected));
	if (b.len > 0)
		ck_assert_mem_eq(b.data, expected, b.len);
}

START_TEST(flags)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(fd_set_nonblocking(fds[0], true), 0);
	ck_assert(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(fd_set_nonblocking(fds[0], true), 0);
	ck_assert_int_eq(fd_set_nonblocking(fds[0], false), 0);
	ck_assert(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(fd_set_nonblocking(-1, true), -EBADF);
}
END_TEST

static void *drain_slowly(void *arg)
{
	int fd = *(int *)arg;
	size_t total = 0;
	char bytes[3000];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		total += (size_t)n;
	return (void *)total;
}

START_TEST(write_all)
{
	enum { BYTES = 1000000 };
	_cleanup_free_ char *bytes = calloc(1, BYTES);
	pthread_t reader;
	void *total;
	int fds[2];

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&reader, NULL, drain_slowly, &fds[0]), 0);
	ck_assert_int_eq(fd_write_all(fds[1], bytes, BYTES), 0);
	ck_assert_int_eq(fd_write_all(fds[1], NULL, 0), 0);
	close(fds[1]);
	ck_assert_int_eq(pthread_join(reader, &total), 0);
	ck_assert_uint_eq((size_t)total, BYTES);
	close(fds[0]);
}
END_TEST

START_TEST(write_all_fails)
{
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	static char bytes[1 << 20];
	int fds[2];

	ck_assert_int_eq(fd_write_all(full, "x", 1), -ENOSPC);
	ck_assert_int_eq(fd_write_all(-1, "x", 1), -EBADF);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(fd_write_all(fds[1], bytes, sizeof(bytes)), -EAGAIN);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(pread_all)
{
	_cleanup_close_ int fd = openat(dir.fd, "f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char bytes[10];

	ck_assert_int_eq(fd_write_all(fd, "abcdef", 6), 0);
	ck_assert_int_eq(fd_pread_all(fd, bytes, 3, 1), 3);
	ck_assert_mem_eq(bytes, "bcd", 3);
	ck_assert_int_eq(fd_pread_all(fd, bytes, sizeof(bytes), 4), 2);
	ck_assert_mem_eq(bytes, "ef", 2);
	ck_assert_int_eq(fd_pread_all(fd, bytes, sizeof(bytes), 100), 0);
	ck_assert_int_eq(fd_pread_all(fd, bytes, 0, 0), 0);
	ck_assert_int_eq(fd_pread_all(-1, bytes, 1, 0), -EBADF);
}
END_TEST

START_TEST(read_file)
{
	_cleanup_buf_ Buf b = { 0 };
	static char big[100000];

	memset(big, 'b', sizeof(big));
	ck_assert_int_eq(file_replace(dir.fd, "f", "hello", 5), 0);
	ck_assert_int_eq(file_replace(dir.fd, "big", big, sizeof(big)), 0);
	ck_assert_int_eq(buf_append_str(&b, ">"), 0);
	ck_assert_int_eq(file_read(dir.fd, "f", 5, &b), 0);
	ck_assert_uint_eq(b.len, 6);
	ck_assert_mem_eq(b.data, ">hello", 6);
	ck_assert_int_eq(file_read(dir.fd, "f", 4, &b), -EFBIG);
	ck_assert_int_eq(file_read(dir.fd, "big", sizeof(big) - 1, &b), -EFBIG);
	ck_assert_int_eq(file_read(dir.fd, "none", 10, &b), -ENOENT);
	ck_assert_int_eq(file_read(dir.fd, ".", 10, &b), -EISDIR);
	ck_assert_uint_eq(b.len, 6);
	ck_assert_int_eq(file_read(dir.fd, "big", sizeof(big), &b), 0);
	ck_assert_uint_eq(b.len, 6 + sizeof(big));
	ck_assert_mem_eq(b.data + 6, big, sizeof(big));
}
END_TEST

START_TEST(read_without_memory)
{
	_cleanup_buf_ Buf b = { 0 };
	static char big[10000];

	ck_assert_int_eq(file_replace(dir.fd, "big", big, sizeof(big)), 0);
	ck_assert_int_eq(buf_append_str(&b, ">"), 0);
	for (int n = 0; n < 2; n++) {
		fault_realloc_after(n);
		ck_assert_int_eq(file_read(dir.fd, "big", sizeof(big), &b), -ENOMEM);
		fault_realloc_after(-1);
		ck_assert_uint_eq(b.len, 1);
	}
}
END_TEST

/* Files that say they are empty, and are not. */
START_TEST(read_proc_file)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &b), 0);
	ck_assert_uint_gt(b.len, 10);
	ck_assert_mem_eq(b.data, "Name:", 5);
}
END_TEST

START_TEST(replace_file)
{
	struct stat st;

	umask(0);
	ck_assert_int_eq(file_replace(dir.fd, "f", "one", 3), 0);
	assert_file("f", "one");
	ck_assert_int_eq(fstatat(dir.fd, "f", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(file_replace(dir.fd, "f", "two and more", 12), 0);
	assert_file("f", "two and more");
	ck_assert_int_eq(file_replace(dir.fd, "f", NULL, 0), 0);
	assert_file("f", "");
	ck_assert_uint_eq(entries(), 1);
}
END_TEST

START_TEST(replace_by_path)
{
	ck_assert_int_eq(mkdirat(dir.fd, "sub", 0700), 0);
	ck_assert_int_eq(file_replace(dir.fd, "sub/f", "one", 3), 0);
	assert_file("sub/f", "one");
	ck_assert_int_eq(file_replace(AT_FDCWD, temp_dir_path(&dir, "sub/f"), "two", 3), 0);
	assert_file("sub/f", "two");
	ck_assert_int_eq(file_replace(dir.fd, "none/f", "one", 3), -ENOENT);
	ck_assert_int_eq(chdir(dir.path), 0);
	ck_assert_int_eq(file_replace(AT_FDCWD, "g", "here", 4), 0);
	assert_file("g", "here");
}
END_TEST

/* The old file stays, and no other one is left. */
START_TEST(replace_fails)
{
	ck_assert_int_eq(mkdirat(dir.fd, "d", 0700), 0);
	ck_assert_int_eq(file_replace(dir.fd, "d", "x", 1), -EISDIR);
	ck_assert_int_eq(file_replace(-1, "f", "x", 1), -EBADF);
	ck_assert_uint_eq(entries(), 1);
}
END_TEST

static void assert_dir(const char *path, mode_t mode)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, mode);
}

START_TEST(make_dir)
{
	umask(022);
	ck_assert_int_eq(dir_make(temp_dir_path(&dir, "a/b/c"), 0700), 0);
	assert_dir(temp_dir_path(&dir, "a"), 0700);
	assert_dir(temp_dir_path(&dir, "a/b/c"), 0700);
	ck_assert_int_eq(dir_make(temp_dir_path(&dir, "a/b/c"), 0755), 0);
	assert_dir(temp_dir_path(&dir, "a/b/c"), 0700);
	ck_assert_int_eq(dir_make(temp_dir_path(&dir, "a//d///e/"), 0755), 0);
	assert_dir(temp_dir_path(&dir, "a/d/e"), 0755);
	ck_assert_int_eq(dir_make("/", 0755), 0);
	ck_assert_int_eq(chdir(dir.path), 0);
	ck_assert_int_eq(dir_make("x/y", 0700), 0);
	assert_dir(temp_dir_path(&dir, "x/y"), 0700);
	ck_assert_int_eq(dir_make("", 0700), -ENOENT);
}
END_TEST

START_TEST(make_dir_where_a_file_is)
{
	ck_assert_int_eq(file_replace(dir.fd, "f", "x", 1), 0);
	ck_assert_int_eq(dir_make(temp_dir_path(&dir, "f"), 0700), -ENOTDIR);
	ck_assert_int_eq(dir_make(temp_dir_path(&dir, "f/g"), 0700), -ENOTDIR);
	ck_assert_int_eq(symlinkat("nowhere", dir.fd, "l"), 0);
	ck_assert_int_eq(dir_make(temp_dir_path(&dir, "l/g"), 0700), -ENOENT);
	ck_assert_int_eq(symlinkat(".", dir.fd, "here"), 0);
	ck_assert_int_eq(dir_make(temp_dir_path(&dir, "here/g"), 0700), 0);
	assert_dir(temp_dir_path(&dir, "g"), 0700);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("fd");
	TCase *t = tcase_create("fd");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, flags);
	tcase_add_test(t, write_all);
	tcase_add_test(t, write_all_fails);
	tcase_add_test(t, pread_all);
	tcase_add_test(t, read_file);
	tcase_add_test(t, read_without_memory);
	tcase_add_test(t, read_proc_file);
	tcase_add_test(t, replace_file);
	tcase_add_test(t, replace_by_path);
	tcase_add_test(t, replace_fails);
	tcase_add_test(t, make_dir);
	tcase_add_test(t, make_dir_where_a_file_is);
	suite_add_tcase(s, t);
	return s;
}
