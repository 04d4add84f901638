/* daemon/reaper/reaper-delegation.c, on plain files that stand for those of the kernel's. */
#include "daemon/reaper/reaper-delegation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "common/fd.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

static TempDir dir;
static char own_pid[16];

static void put(const char *name, const char *text)
{
	int fd = openat(dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void assert_holds(const char *name, const char *text)
{
	_cleanup_buf_ Buf b = { 0 };
	ck_assert_int_eq(file_read(dir.fd, name, 4096, &b), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, text);
}

static void setup(void)
{
	temp_dir_init(&dir);
	snprintf(own_pid, sizeof(own_pid), "%d", (int)getpid());
	mkdirat(dir.fd, "own", 0700);
	mkdirat(dir.fd, "own/daemon", 0700);
	mkdirat(dir.fd, "own/agents", 0700);
	put("own/cgroup.procs", own_pid);
	put("own/cgroup.controllers", "cpuset cpu io memory hugetlb\n");
	put("own/cgroup.subtree_control", "");
	put("own/daemon/cgroup.procs", "");
	put("own/agents/cgroup.subtree_control", "");
}

static void teardown(void)
{
	temp_dir_done(&dir);
}

static int take(DelegationMode mode, const char *own, Delegation *ret)
{
	*ret = DELEGATION_NONE;
	return delegation_take_in(mode, dir.path, own, ret);
}

/* False: this file system cannot. */
static bool mark(const char *value)
{
	if (setxattr(temp_dir_path(&dir, "own"), "user.delegate", value, 1, 0) == 0)
		return true;
	printf("skipped: no extended attributes in %s\n", dir.path);
	return false;
}

static void assert_taken(DelegationMode mode, const char *own)
{
	Delegation d;
	ck_assert_int_eq(take(mode, own, &d), 0);
	ck_assert_str_eq(d.reason, "");
	ck_assert_int_ge(d.agents_fd, 0);
	ck_assert_str_eq(d.path, "/own/agents/");
	ck_assert(delegation_has(&d, CGROUP_MEMORY) && delegation_has(&d, CGROUP_CPU));
	ck_assert(!delegation_has(&d, CGROUP_PIDS) && !delegation_has(NULL, CGROUP_CPU));
	assert_holds("own/daemon/cgroup.procs", own_pid);
	/* The last of the two: what is a file here keeps both in the kernel. */
	assert_holds("own/cgroup.subtree_control", "+memory");
	assert_holds("own/agents/cgroup.subtree_control", "+memory");
	delegation_done(&d);
	delegation_done(&d);
}

static void assert_none(DelegationMode mode, const char *own, const char *reason)
{
	Delegation d;
	ck_assert_int_eq(take(mode, own, &d), 0);
	ck_assert_int_eq(d.agents_fd, -1);
	ck_assert_str_eq(d.reason, reason);
	ck_assert(!delegation_has(&d, CGROUP_MEMORY));
	assert_holds("own/daemon/cgroup.procs", "");
	assert_holds("own/cgroup.subtree_control", "");
	delegation_done(&d);
}

START_TEST(takes_what_is_ours_if_told_to)
{
	assert_taken(DELEGATION_ON, "/own");
}
END_TEST

START_TEST(takes_what_is_marked)
{
	if (mark("1"))
		assert_taken(DELEGATION_AUTO, "/own");
}
END_TEST

START_TEST(takes_it_from_within_the_leaf)
{
	if (!mark("1"))
		return;
	put("own/cgroup.procs", "");
	assert_taken(DELEGATION_AUTO, "/own/daemon");
}
END_TEST

START_TEST(leaves_what_is_not_marked)
{
	static const char none[] = "no cgroup is delegated to the daemon";
	assert_none(DELEGATION_AUTO, "/own", none);
	assert_none(DELEGATION_AUTO, "/own/daemon", none);
	assert_none(DELEGATION_AUTO, "/nowhere", none);
	if (mark("0"))
		assert_none(DELEGATION_AUTO, "/own", none);
}
END_TEST

START_TEST(leaves_where_others_live)
{
	static const char *const places[] = { "own/cgroup.procs", "own/daemon/cgroup.procs" };
	Delegation d;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char both[32];
		snprintf(both, sizeof(both), "%s\n1\n", own_pid);
		put(places[i], both);
		ck_assert_int_eq(take(DELEGATION_ON, "/own", &d), -EBUSY);
		assert_holds(places[i], both);
		put(places[i], "");
	}
	put("own/cgroup.procs", "1\n");
	if (mark("1"))
		assert_none(DELEGATION_AUTO, "/own",
			"there are other processes in the daemon's cgroup");
}
END_TEST

START_TEST(fails_if_it_must_have_one)
{
	Delegation d;
	ck_assert_int_eq(take(DELEGATION_ON, "/nowhere", &d), -ENOENT);
	ck_assert_int_eq(unlinkat(dir.fd, "own/daemon/cgroup.procs", 0), 0);
	ck_assert_int_eq(take(DELEGATION_ON, "/own", &d), -ENOENT);
	ck_assert_int_eq(d.agents_fd, -1);
}
END_TEST

START_TEST(goes_without_controllers)
{
	Delegation d;
	ck_assert_int_eq(unlinkat(dir.fd, "own/agents/cgroup.subtree_control", 0), 0);
	ck_assert_int_eq(take(DELEGATION_ON, "/own", &d), 0);
	ck_assert_uint_eq(d.controllers, 0);
	delegation_done(&d);
	ck_assert_int_eq(unlinkat(dir.fd, "own/cgroup.controllers", 0), 0);
	ck_assert_int_eq(take(DELEGATION_ON, "/own", &d), 0);
	ck_assert_uint_eq(d.controllers, 0);
	delegation_done(&d);
}
END_TEST

START_TEST(off_is_off)
{
	Delegation d;
	ck_assert_int_eq(delegation_take(DELEGATION_OFF, &d), 0);
	ck_assert_int_eq(d.agents_fd, -1);
	ck_assert_str_eq(d.reason, "the configuration says so");
	delegation_done(&d);
}
END_TEST

START_TEST(has_names)
{
	for (int i = 0; i < _DELEGATION_MAX; i++)
		ck_assert_int_eq(delegation_mode_from_string(delegation_mode_to_string(i)), i);
	ck_assert_int_eq(delegation_mode_from_string("yes"), -EINVAL);
	ck_assert_ptr_null(delegation_mode_to_string(_DELEGATION_MAX));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("reaper-delegation");
	TCase *t = tcase_create("reaper-delegation");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, takes_what_is_ours_if_told_to);
	tcase_add_test(t, takes_what_is_marked);
	tcase_add_test(t, takes_it_from_within_the_leaf);
	tcase_add_test(t, leaves_what_is_not_marked);
	tcase_add_test(t, leaves_where_others_live);
	tcase_add_test(t, fails_if_it_must_have_one);
	tcase_add_test(t, goes_without_controllers);
	tcase_add_test(t, off_is_off);
	tcase_add_test(t, has_names);
	suite_add_tcase(s, t);
	return s;
}
