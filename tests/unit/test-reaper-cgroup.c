/* daemon/reaper/reaper-cgroup.c, on plain files that stand for those of the kernel's; the real ones
 * have tests/integration/test_cgroup.py. */
#include "daemon/reaper/reaper-cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/fd.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

#define ID "aaaaaaaa-0000-4000-8000-000000000001"

static TempDir dir;
static Delegation cgroups;

static void put(const char *name, const char *text)
{
	int fd = openat(dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static bool there(const char *name)
{
	return faccessat(dir.fd, name, F_OK, 0) == 0;
}

static void setup(void)
{
	temp_dir_init(&dir);
	cgroups = (Delegation){ .agents_fd = dir.fd };
}

static void teardown(void)
{
	temp_dir_done(&dir);
}

START_TEST(tallies)
{
	ReaperTally t = { .cpu_over = true };
	mkdirat(dir.fd, ID, 0700);
	put(ID "/cpu.stat", "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\n");
	put(ID "/memory.peak", "104857600\n");
	put(ID "/memory.events", "low 0\nhigh 0\nmax 31\noom 2\noom_kill 3\noom_group_kill 0\n");
	put(ID "/pids.events", "max 17\n");
	reaper_cgroup_tally(&cgroups, ID, &t);
	ck_assert(t.known && t.cpu_over);
	ck_assert_uint_eq(t.cpu_us, 1234567);
	ck_assert_uint_eq(t.memory_peak_bytes, 104857600);
	ck_assert_uint_eq(t.memory_refused, 2);
	ck_assert_uint_eq(t.oom_kills, 3);
	ck_assert_uint_eq(t.forks_refused, 17);
	ck_assert_uint_eq(reaper_cgroup_cpu_us(&cgroups, ID), 1234567);
}
END_TEST

/* Of an older kernel, without controllers, or with words that nobody knows yet. */
START_TEST(tallies_what_there_is)
{
	ReaperTally t = { 0 };
	mkdirat(dir.fd, ID, 0700);
	put(ID "/memory.events", "");
	put(ID "/pids.events", "max_of_something 5\nmax 0");
	put(ID "/cpu.stat", "core_sched.force_idle_usec 0\nusage_usec 7");
	reaper_cgroup_tally(&cgroups, ID, &t);
	ck_assert(t.known);
	ck_assert_uint_eq(t.cpu_us, 7);
	ck_assert_uint_eq(t.memory_peak_bytes + t.memory_refused + t.oom_kills, 0);
	ck_assert_uint_eq(t.forks_refused, 0);
	reaper_cgroup_tally(&cgroups, "nobody", &t);
	ck_assert(t.known);
	ck_assert_uint_eq(t.cpu_us, 0);
	ck_assert_uint_eq(reaper_cgroup_cpu_us(&cgroups, "nobody"), 0);
}
END_TEST

START_TEST(makes_and_removes)
{
	ReaperRequest q = { .agent_id = ID };
	int fd = reaper_cgroup_make(&cgroups, &q);
	ck_assert_int_ge(fd, 0);
	ck_assert(there(ID));
	/* One of that name is not to be shared with what an earlier life has left. */
	ck_assert_int_eq(reaper_cgroup_make(&cgroups, &q), -EBUSY);
	ck_assert_int_eq(mkdirat(fd, "a", 0700) + mkdirat(fd, "a/b", 0700), 0);
	ck_assert_int_eq(mkdirat(fd, "c", 0700), 0);
	close(fd);
	ck_assert_int_eq(reaper_cgroup_remove(&cgroups, ID), 0);
	ck_assert(!there(ID));
	ck_assert_int_eq(reaper_cgroup_remove(&cgroups, ID), 0);
}
END_TEST

START_TEST(what_cannot_be_limited_is_not_made)
{
	static const struct {
		unsigned controllers;
		uint64_t processes, memory_bytes;
		int error;
	} cases[] = {
		{ 0, 5, 0, -EOPNOTSUPP },
		{ 1U << CGROUP_MEMORY | 1U << CGROUP_CPU, 5, 0, -EOPNOTSUPP },
		/* The kernel's files are not there. */
		{ 1U << CGROUP_PIDS, 5, 0, -ENOENT },
		{ 1U << CGROUP_MEMORY, 0, 4096, -ENOENT },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ReaperRequest q = {
			.agent_id = ID,
			.processes = cases[i].processes,
			.memory_bytes = cases[i].memory_bytes,
		};
		cgroups.controllers = cases[i].controllers;
		ck_assert_int_eq(reaper_cgroup_make(&cgroups, &q), cases[i].error);
		ck_assert(!there(ID));
	}
	/* Without that controller each process has its own limit. */
	ReaperRequest q = { .agent_id = ID, .memory_bytes = 4096 };
	cgroups.controllers = 0;
	int fd = reaper_cgroup_make(&cgroups, &q);
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

START_TEST(kills_where_it_can)
{
	_cleanup_buf_ Buf b = { 0 };
	mkdirat(dir.fd, ID, 0700);
	reaper_cgroup_kill(&cgroups, ID);
	reaper_cgroup_kill_all(&cgroups);
	ck_assert(!there(ID "/cgroup.kill") && !there("cgroup.kill"));
	put(ID "/cgroup.kill", "");
	reaper_cgroup_kill(&cgroups, ID);
	ck_assert_int_eq(file_read(dir.fd, ID "/cgroup.kill", 16, &b), 0);
	ck_assert(b.len == 1 && b.data[0] == '1');
}
END_TEST

START_TEST(clears)
{
	_cleanup_buf_ Buf b = { 0 };
	reaper_cgroup_clear(&cgroups);
	put("cgroup.kill", "");
	mkdirat(dir.fd, ID, 0700);
	mkdirat(dir.fd, ID "/below", 0700);
	mkdirat(dir.fd, "other", 0700);
	reaper_cgroup_clear(&cgroups);
	ck_assert(!there(ID) && !there("other"));
	ck_assert_int_eq(file_read(dir.fd, "cgroup.kill", 16, &b), 0);
	ck_assert(b.len == 1 && b.data[0] == '1');
}
END_TEST

START_TEST(a_process_elsewhere_is_nobodys)
{
	char id[REAPER_AGENT_ID_SIZE];
	static char path[] = "/no/such/cgroup/agents/";
	cgroups.path = path;
	ck_assert_int_eq(reaper_cgroup_of(&cgroups, getpid(), id), -ENOENT);
	ck_assert_int_eq(reaper_cgroup_of(&cgroups, 0, id), -ENOENT);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("reaper-cgroup");
	TCase *t = tcase_create("reaper-cgroup");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, tallies);
	tcase_add_test(t, tallies_what_there_is);
	tcase_add_test(t, makes_and_removes);
	tcase_add_test(t, what_cannot_be_limited_is_not_made);
	tcase_add_test(t, kills_where_it_can);
	tcase_add_test(t, clears);
	tcase_add_test(t, a_process_elsewhere_is_nobodys);
	suite_add_tcase(s, t);
	return s;
}
