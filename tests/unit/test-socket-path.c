#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fd.h"
#include "common/socket-path.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

#define FROM_RUNTIME_DIR "(from the runtime directory)"

static TempDir dir;

static const struct {
	const char *given, *variable;
	bool runtime_dir, socket;
	const char *expected;
} cases[] = {
	{ NULL, NULL, false, false, SOCKET_PATH_SYSTEM },
	{ NULL, NULL, true, false, SOCKET_PATH_SYSTEM },
	{ NULL, NULL, true, true, FROM_RUNTIME_DIR },
	{ NULL, "", true, true, FROM_RUNTIME_DIR },
	{ NULL, "/v.sock", true, true, "/v.sock" },
	{ NULL, "/v.sock", false, false, "/v.sock" },
	{ "/g.sock", "/v.sock", true, true, "/g.sock" },
	{ "relative.sock", NULL, false, false, "relative.sock" },
};

static void setup(void)
{
	temp_dir_init(&dir);
	unsetenv("LIONGATE_SOCKET");
	unsetenv("XDG_RUNTIME_DIR");
}

static void teardown(void)
{
	temp_dir_done(&dir);
}

static void make_socket(void)
{
	ck_assert_int_eq(dir_make(temp_dir_path(&dir, "liongate"), 0700), 0);
	ck_assert_int_eq(file_replace(dir.fd, "liongate/control.sock", "", 0), 0);
}

START_TEST(order)
{
	const char *expected = cases[_i].expected;
	_cleanup_free_ char *path = NULL;

	if (cases[_i].variable)
		setenv("LIONGATE_SOCKET", cases[_i].variable, 1);
	if (cases[_i].runtime_dir)
		setenv("XDG_RUNTIME_DIR", dir.path, 1);
	if (cases[_i].socket)
		make_socket();
	if (strcmp(expected, FROM_RUNTIME_DIR) == 0)
		expected = temp_dir_path(&dir, "liongate/control.sock");
	ck_assert_int_eq(socket_path_find(cases[_i].given, &path), 0);
	ck_assert_str_eq(path, expected);
}
END_TEST

START_TEST(relative_runtime_dir_is_ignored)
{
	_cleanup_free_ char *path = NULL;

	make_socket();
	ck_assert_int_eq(chdir(dir.path), 0);
	setenv("XDG_RUNTIME_DIR", ".", 1);
	ck_assert_int_eq(socket_path_find(NULL, &path), 0);
	ck_assert_str_eq(path, SOCKET_PATH_SYSTEM);
}
END_TEST

START_TEST(too_long)
{
	_cleanup_free_ char *fits = NULL, *path = NULL;
	char name[109];

	memset(name, 'x', sizeof(name));
	name[107] = '\0';
	ck_assert_int_eq(socket_path_find(name, &fits), 0);
	name[107] = 'x';
	name[108] = '\0';
	ck_assert_int_eq(socket_path_find(name, &path), -ENAMETOOLONG);
	ck_assert_str_eq(path, name);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("socket-path");
	TCase *t = tcase_create("socket-path");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, order, 0, ARRAY_SIZE(cases));
	tcase_add_test(t, relative_runtime_dir_is_ignored);
	tcase_add_test(t, too_long);
	suite_add_tcase(s, t);
	return s;
}
