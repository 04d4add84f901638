#include "common/dlib.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/check-main.h"

/* The C library's own: it is there wherever this runs. */
#define LIBRARY "libm.so.6"

typedef struct Api {
	double (*floor)(double x);
	double (*hypot)(double x, double y);
} Api;

static const DlibFunction functions[] = {
	{ "floor", offsetof(Api, floor) },
	{ "hypot", offsetof(Api, hypot) },
	{ "no_such_function", offsetof(Api, floor) },
};

START_TEST(test_load)
{
	_cleanup_buf_ Buf why = { 0 };
	void *library = NULL;
	Api api = { 0 };

	ck_assert_int_eq(dlib_load(LIBRARY, functions, 2, &api, &library, &why), 0);
	ck_assert_ptr_nonnull(library);
	ck_assert_uint_eq(why.len, 0);
	ck_assert_double_eq(api.floor(2.5), 2);
	ck_assert_double_eq(api.hypot(3, 4), 5);
	dlib_unload(library);
}
END_TEST

static void assert_refused(const char *name, size_t n, const char *words)
{
	_cleanup_buf_ Buf why = { 0 };
	void *library = NULL;
	Api api = { 0 };

	ck_assert_int_eq(dlib_load(name, functions, n, &api, &library, &why), -ENOENT);
	ck_assert_ptr_null(library);
	ck_assert_int_eq(buf_terminate(&why), 0);
	ck_assert_ptr_nonnull(strstr(why.data, words));
}

START_TEST(test_refused)
{
	assert_refused("libno-such-library.so.1", 2, "libno-such-library.so.1 cannot be loaded: ");
	assert_refused(LIBRARY, 3, LIBRARY " has no no_such_function()");
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("dlib");
	TCase *t = tcase_create("dlib");

	tcase_add_test(t, test_load);
	tcase_add_test(t, test_refused);
	suite_add_tcase(s, t);
	return s;
}
