/* daemon/backend/exec-end.c: what becomes of an agent by how its program ended, and what its cgroup
 * says. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "daemon/backend/exec-end.h"
#include "tests/lib/check-main.h"

#define MEMORY 1048576

static ExecOptions limits = { .memory_bytes = MEMORY, .cpu_seconds = 3 };
static ExecOptions none;

static const struct {
	ExecEnd end;
	const ExecOptions *options;
	AgentErrorCode code; /* NONE: it has completed */
	const char *message, *details;
} ends[] = {
	{ { .status = 0 }, &none, AGENT_ERROR_NONE, "", ",\"exit_code\":0" },
	{ { .tally = { .known = true } }, &none, AGENT_ERROR_NONE, "",
		",\"exit_code\":0,\"resource\":{\"cpu_us\":0}" },
	{ { .tally = { .known = true,
		    .cpu_us = 7,
		    .memory_peak_bytes = 8,
		    .oom_kills = 1,
		    .forks_refused = 2 } },
		&limits, AGENT_ERROR_NONE, "",
		",\"exit_code\":0,\"resource\":{\"cpu_us\":7,\"memory_peak_bytes\":8,"
		"\"oom_kills\":1,\"forks_refused\":2}" },
	{ { .status = W_EXITCODE(2, 0), .tally = { .known = true, .forks_refused = 2 } }, &limits,
		AGENT_ERROR_EXIT, "it exited with status 2",
		",\"exit_code\":2,\"resource\":{\"cpu_us\":0,\"forks_refused\":2}" },
	/* Killed for its own limit, and one of its children for that. */
	{ { .status = SIGKILL, .tally = { .known = true, .memory_refused = 1, .oom_kills = 1 } },
		&limits, AGENT_ERROR_RESOURCE_LIMIT,
		"it used up its 1048576 bytes of memory (limits.memory_bytes); processes killed "
		"for "
		"it: 1",
		",\"signal\":9,\"resource\":{\"cpu_us\":0,\"oom_kills\":1}" },
	{ { .status = W_EXITCODE(137, 0),
		  .tally = { .known = true, .memory_refused = 4, .oom_kills = 2 } },
		&limits, AGENT_ERROR_RESOURCE_LIMIT,
		"it used up its 1048576 bytes of memory (limits.memory_bytes); processes killed "
		"for "
		"it: 2",
		",\"exit_code\":137,\"resource\":{\"cpu_us\":0,\"oom_kills\":2}" },
	/* For that of somebody else: it has none, or was within it. */
	{ { .status = SIGKILL, .tally = { .known = true, .memory_refused = 1, .oom_kills = 1 } },
		&none, AGENT_ERROR_RESOURCE_LIMIT,
		"the machine, or the daemon's service, ran out of memory; processes killed for it: "
		"1",
		",\"signal\":9,\"resource\":{\"cpu_us\":0,\"oom_kills\":1}" },
	{ { .status = SIGKILL, .tally = { .known = true, .oom_kills = 1 } }, &limits,
		AGENT_ERROR_RESOURCE_LIMIT,
		"the machine, or the daemon's service, ran out of memory; processes killed for it: "
		"1",
		",\"signal\":9,\"resource\":{\"cpu_us\":0,\"oom_kills\":1}" },
	/* All of them together have used it up, and who was told to end says that all is well. */
	{ { .status = 0, .tally = { .known = true, .cpu_over = true, .cpu_us = 3100000 } }, &limits,
		AGENT_ERROR_RESOURCE_LIMIT,
		"it used up its 3 s of processor time (limits.cpu_seconds)",
		",\"exit_code\":0,\"resource\":{\"cpu_us\":3100000}" },
	{ { .status = SIGXCPU }, &limits, AGENT_ERROR_RESOURCE_LIMIT,
		"it used up its 3 s of processor time (limits.cpu_seconds)", ",\"signal\":24" },
	{ { .status = SIGKILL, .cpu_seconds = 3 }, &limits, AGENT_ERROR_RESOURCE_LIMIT,
		"it used up its 3 s of processor time (limits.cpu_seconds)", ",\"signal\":9" },
	{ { .status = SIGKILL, .cpu_seconds = 2 }, &limits, AGENT_ERROR_SIGNAL,
		"it was ended by signal 9 (SIGKILL)", ",\"signal\":9" },
	/* Who asked for its end got it. */
	{ { .status = SIGKILL,
		  .cancelled = true,
		  .tally = { .known = true, .memory_refused = 1, .oom_kills = 1 } },
		&limits, AGENT_ERROR_CANCELLED, "it was cancelled",
		",\"signal\":9,\"resource\":{\"cpu_us\":0,\"oom_kills\":1}" },
};

START_TEST(describes_ends)
{
	ExecVerdict verdict;
	bool failed = ends[_i].code != AGENT_ERROR_NONE;
	exec_end_describe(&ends[_i].end, ends[_i].options, &verdict);
	ck_assert_int_eq(verdict.event.type, failed ? BACKEND_ERROR : BACKEND_DONE);
	ck_assert_str_eq(verdict.event.details, ends[_i].details);
	if (!failed)
		return;
	ck_assert_int_eq(verdict.event.code, ends[_i].code);
	ck_assert_str_eq(verdict.event.message, ends[_i].message);
}
END_TEST

/* The largest numbers there are. */
START_TEST(has_room)
{
	ExecVerdict verdict;
	ExecEnd end = {
		.status = W_EXITCODE(255, 0),
		.tally = { .known = true,
			.cpu_us = UINT64_MAX,
			.memory_peak_bytes = UINT64_MAX,
			.oom_kills = UINT64_MAX,
			.forks_refused = UINT64_MAX },
	};
	exec_end_describe(&end, &none, &verdict);
	ck_assert_str_eq(verdict.event.details + strlen(verdict.event.details) - 3, "15}");
}
END_TEST

static const struct {
	const char *what;
	int error;
	uint64_t processes;
	const char *message;
} failures[] = {
	{ "program", ENOENT, 0, "cannot start the program \"x\": No such file or directory" },
	{ "directory", EACCES, 0, "cannot change to the directory \"/d\": Permission denied" },
	{ "cgroup", EBUSY, 5, "cannot make a cgroup for the program: Device or resource busy" },
	{ "cgroup", EOPNOTSUPP, 5,
		"limits.processes needs cgroups of the daemon's own, which it does not have" },
};

START_TEST(describes_failures)
{
	char program[] = "x", directory[] = "/d";
	char *argv[] = { program, NULL };
	ExecOptions options = {
		.argv = argv,
		.cwd = directory,
		.processes = failures[_i].processes,
	};
	ExecVerdict verdict;
	exec_end_describe_failure(failures[_i].error, failures[_i].what, &options, &verdict);
	ck_assert_int_eq(verdict.event.code, AGENT_ERROR_SPAWN_FAILED);
	ck_assert_str_eq(verdict.event.message, failures[_i].message);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("exec-end");
	TCase *t = tcase_create("exec-end");
	tcase_add_loop_test(t, describes_ends, 0, ARRAY_SIZE(ends));
	tcase_add_test(t, has_room);
	tcase_add_loop_test(t, describes_failures, 0, ARRAY_SIZE(failures));
	suite_add_tcase(s, t);
	return s;
}
