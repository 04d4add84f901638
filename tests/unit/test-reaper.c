/* daemon/reaper/: a real one, and its client. A pipe tells when all processes of a job are gone. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "daemon/reaper/reaper-client.h"
#include "daemon/reaper/reaper-proc.h"
#include "daemon/reaper/reaper.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/libc-signals.h"
#include "tests/lib/temp-dir.h"

#define AGENT_A "aaaaaaaa-0000-4000-8000-000000000001"
#define AGENT_B "bbbbbbbb-0000-4000-8000-000000000002"
#define AGENT_C "cccccccc-0000-4000-8000-000000000003"
#define LONG_MS 50000U

typedef struct Job {
	ReaperJob *handle;
	pid_t pid;
	int error;
	const char *what;
	int status;
	bool started, failed, exited, gone;
	int pipe_fd; /* the reading end of its standard output and error */
} Job;

static TempDir dir;
static Reaper reaper;
static struct event_base *base;
static ReaperClient *client;

static void on_started(pid_t pid, void *userdata)
{
	Job *j = userdata;
	ck_assert_int_eq(j->pid, 0);
	j->pid = pid;
	j->started = true;
}

static void on_failed(int error, const char *what, void *userdata)
{
	Job *j = userdata;
	ck_assert(!j->failed && !j->pid);
	j->failed = true;
	j->error = error;
	j->what = what;
}

static void on_exit_status(int status, const struct rusage *usage, void *userdata)
{
	Job *j = userdata;
	ck_assert(j->pid && !j->exited);
	ck_assert_int_ge(usage->ru_utime.tv_sec, 0);
	j->exited = true;
	j->status = status;
}

static void on_gone(const ReaperTally *tally, void *userdata)
{
	Job *j = userdata;
	ck_assert(j->exited && !j->gone && !tally->known);
	j->gone = true;
}

static void on_timeout(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	*(bool *)userdata = true;
}

/* Runs the loop until the flag is set. False if that takes longer. */
static bool wait_for(const bool *flag, unsigned ms)
{
	bool late = false;
	struct event *timer = event_new(base, -1, 0, on_timeout, &late);
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	event_add(timer, &tv);
	while (!*flag && !late)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
	return *flag;
}

static void run_for(unsigned ms)
{
	wait_for(&(bool){ false }, ms);
}

static void setup(void)
{
	libc_signals_ignore();
	temp_dir_init(&dir);
	setenv("HOME", "/usr/bin", 1);
	ck_assert_int_eq(reaper_fork(dir.path, 1, 0, DELEGATION_OFF, &reaper), 0);
	base = event_base_new();
	ck_assert_int_eq(reaper_client_new(base, TAKE_FD(reaper.line_fds[0]), &client), 0);
}

static void teardown(void)
{
	reaper_client_free(client);
	reaper_stop(&reaper);
	event_base_free(base);
	temp_dir_done(&dir);
}

typedef struct Start {
	const char *agent_id, *cwd;
	uint64_t memory_bytes, cpu_seconds, open_files;
} Start;

static void start_with(Job *j, const Start *s, const char *const *argv)
{
	/* No two that live have the same: it is what an orphan is told by. */
	static unsigned n_started;
	char own_id[40];
	snprintf(own_id, sizeof(own_id), "00000000-0000-4000-8000-%012u", ++n_started);
	const char *agent_id = s->agent_id ? s->agent_id : own_id;
	char variable[64];
	snprintf(variable, sizeof(variable), "LIONGATE_AGENT_ID=%s", agent_id);
	const char *envp[] = { variable, "PATH=/usr/local/bin:/usr/bin:/bin", NULL };
	int fds[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);

	*j = (Job){ .pipe_fd = fds[0] };
	ReaperSpec spec = {
		.argv = argv,
		.envp = envp,
		.agent_id = agent_id,
		.cwd = s->cwd,
		.stdin_fd = null,
		.stdout_fd = fds[1],
		.stderr_fd = fds[1],
		.memory_bytes = s->memory_bytes,
		.cpu_seconds = s->cpu_seconds,
		.open_files = s->open_files,
	};
	ReaperHooks hooks = {
		.on_started = on_started,
		.on_failed = on_failed,
		.on_exit = on_exit_status,
		.on_gone = on_gone,
		.userdata = j,
	};
	ck_assert_int_eq(reaper_client_start(client, &spec, &hooks, &j->handle), 0);
	close(fds[1]);
	close(null);
}

static void start_shell(Job *j, const char *script)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	start_with(j, &(Start){ 0 }, argv);
}

/* What it wrote, up to the end of the file, which must come in time. */
static const char *output_of(Job *j, unsigned ms)
{
	static char text[65536];
	size_t len = 0;
	for (;;) {
		struct pollfd p = { .fd = j->pipe_fd, .events = POLLIN };
		ck_assert_msg(poll(&p, 1, (int)ms) == 1, "a process is left");
		ssize_t n = read(j->pipe_fd, text + len, sizeof(text) - 1 - len);
		ck_assert_int_ge(n, 0);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	close(j->pipe_fd);
	text[len] = '\0';
	return text;
}

/* Waits until it has written a first line: what is to be tested is set up by then. */
static void wait_ready(Job *j)
{
	for (char c = 0; c != '\n';) {
		struct pollfd p = { .fd = j->pipe_fd, .events = POLLIN };
		ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
		ck_assert_int_eq(read(j->pipe_fd, &c, 1), 1);
	}
}

static void assert_gone(Job *j, unsigned ms)
{
	ck_assert(wait_for(&j->gone, ms));
	output_of(j, 0);
}

static void assert_no_children(void)
{
	PidList children = { 0 };
	ck_assert_int_eq(reaper_proc_children(reaper.pid, &children), 0);
	ck_assert_uint_eq(children.n, 0);
	pid_list_done(&children);
}

START_TEST(runs_to_its_end)
{
	Job j;
	start_shell(&j, "echo out; echo err >&2; exit 3");
	ck_assert(wait_for(&j.gone, LONG_MS));
	ck_assert_int_gt(j.pid, 0);
	ck_assert(WIFEXITED(j.status) && WEXITSTATUS(j.status) == 3);
	ck_assert_str_eq(output_of(&j, 0), "out\nerr\n");
	assert_no_children();
}
END_TEST

START_TEST(says_what_could_not_be_started)
{
	static const struct {
		const char *program, *cwd, *what;
		int error;
	} cases[] = {
		{ "no-such-program", NULL, "program", ENOENT },
		{ "/nowhere/at-all", NULL, "program", ENOENT },
		{ "/etc/passwd", NULL, "program", EACCES },
		{ "true", "/no/such/directory", "directory", ENOENT },
		{ "true", "/etc/passwd", "directory", ENOTDIR },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Job j;
		const char *argv[] = { cases[i].program, NULL };
		start_with(&j, &(Start){ .cwd = cases[i].cwd }, argv);
		ck_assert(wait_for(&j.failed, LONG_MS));
		ck_assert_int_eq(j.error, cases[i].error);
		ck_assert_str_eq(j.what, cases[i].what);
		output_of(&j, 0);
	}
	assert_no_children();
}
END_TEST

/* A session of its own, no signal blocked or ignored, no stray descriptor, the given environment.
 */
START_TEST(gives_a_clean_start)
{
	static const struct {
		const char *script, *expected;
	} cases[] = {
		{ "read p c s pp pg sid r </proc/self/stat; test $p = $pg -a $p = $sid && echo ok",
			"ok\n" },
		{ "grep -E 'Sig(Blk|Ign)' /proc/self/status",
			"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n" },
		{ "exec ls /proc/self/fd", "0\n1\n2\n3\n" },
		{ "exec env", "LIONGATE_AGENT_ID=" AGENT_A "\n"
			      "PATH=/usr/local/bin:/usr/bin:/bin\n" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		Job j;
		if (strncmp(cases[i].script, "exec ", 5) == 0) {
			char words[64], *rest = words;
			snprintf(words, sizeof(words), "%s", cases[i].script + 5);
			const char *program = strsep(&rest, " ");
			const char *argv[] = { program, rest, NULL };
			start_with(&j, &(Start){ .agent_id = AGENT_A }, argv);
		} else {
			start_shell(&j, cases[i].script);
		}
		ck_assert(wait_for(&j.gone, LONG_MS));
		ck_assert_str_eq(output_of(&j, 0), cases[i].expected);
	}
}
END_TEST

START_TEST(enters_the_directory)
{
	Job j;
	const char *argv[] = { "pwd", NULL };
	start_with(&j, &(Start){ .cwd = "/usr/bin/.." }, argv);
	ck_assert(wait_for(&j.gone, LONG_MS));
	ck_assert_str_eq(output_of(&j, 0), "/usr\n");

	start_with(&j, &(Start){ 0 }, argv);
	ck_assert(wait_for(&j.gone, LONG_MS));
	ck_assert_str_eq(output_of(&j, 0), "/usr/bin\n");
}
END_TEST

START_TEST(sets_limits)
{
	Job j;
	const char *argv[] = { "sh", "-c", "ulimit -v; ulimit -n; ulimit -S -t", NULL };
	Start s = { .memory_bytes = 1ULL << 30, .open_files = 20, .cpu_seconds = 7 };
	start_with(&j, &s, argv);
	ck_assert(wait_for(&j.gone, LONG_MS));
	ck_assert_str_eq(output_of(&j, 0), "1048576\n20\n7\n");

	const char *busy[] = { "sh", "-c", "while :; do :; done", NULL };
	start_with(&j, &(Start){ .cpu_seconds = 1 }, busy);
	ck_assert(wait_for(&j.gone, LONG_MS));
	ck_assert(WIFSIGNALED(j.status) && WTERMSIG(j.status) == SIGXCPU);
	output_of(&j, 0);

	/* Too little to be executed with: an error or a signal, but not the end of the reaper. */
	start_with(&j, &(Start){ .memory_bytes = 4096 }, argv);
	for (unsigned i = 0; i < 100 && !j.gone && !j.failed; i++)
		run_for(50);
	ck_assert(j.gone || j.failed);
	output_of(&j, 0);
}
END_TEST

START_TEST(runs_a_script_without_interpreter)
{
	Job j;
	const char *path = temp_dir_path(&dir, "script");
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	ck_assert_int_eq(write(fd, "echo $1\n", 8), 8);
	close(fd);
	const char *argv[] = { path, "word", NULL };
	start_with(&j, &(Start){ 0 }, argv);
	ck_assert(wait_for(&j.gone, LONG_MS));
	ck_assert_str_eq(output_of(&j, 0), "word\n");
}
END_TEST

/* Each tells when it is set up; none may be left when its job has been ended. A grace of a minute
 * is one that no tree may need: LONG_MS is over before it. */
static const struct {
	const char *script;
	uint32_t grace_ms;
	unsigned at_least_ms;
} trees[] = {
	{ "echo ready; exec sleep 1000", 60000, 0 },
	{ "sleep 1000 & sleep 1000 & echo ready; wait", 60000, 0 },
	{ "trap '' TERM; echo ready; while :; do sleep 1; done", 300, 300 },
	{ "trap '' TERM; echo ready; while :; do sleep 1; done", 0, 0 },
	{ "(setsid sleep 1000 &); (setsid sh -c 'setsid sleep 1000 & exit' &);"
	  "sleep 0.2; echo ready; exec sleep 1000",
		60000, 0 },
	{ "(setsid sh -c 'trap \"\" TERM; echo ready; sleep 1000; sleep 1000' &); exit 0", 200,
		200 },
	{ "echo ready; kill -STOP $$", 60000, 0 },
	{ "sh -c 'kill -STOP $$' & sleep 0.1; echo ready; wait", 60000, 0 },
	{ "trap 'trap \"\" TERM; (setsid sleep 1000 &)' TERM; echo ready; while :; do sleep 0.05; "
	  "done",
		300, 300 },
};

START_TEST(ends_whole_trees)
{
	Job j;
	start_shell(&j, trees[_i].script);
	wait_ready(&j);
	run_for(50);
	ck_assert(!j.gone);
	uint64_t began_us = clock_monotonic_us();
	reaper_job_end(j.handle, trees[_i].grace_ms);
	assert_gone(&j, LONG_MS);
	uint64_t took_ms = (clock_monotonic_us() - began_us) / 1000;
	ck_assert_uint_ge(took_ms + 1, trees[_i].at_least_ms);
	assert_no_children();
}
END_TEST

/* Processes that are never the same from one look to the next. */
static const char *const loops[] = {
	"import os\nprint('ready', flush=True)\nwhile True:\n if os.fork(): os._exit(0)\n",
	"import os\nprint('ready', flush=True)\nwhile True:\n if os.fork(): os._exit(0)\n "
	"os.setsid()\n",
	("import os, signal\nsignal.signal(15, signal.SIG_IGN)\nprint('ready', flush=True)\n"
	 "for i in range(5): os.fork()\nwhile True:\n if os.fork(): os._exit(0)\n os.setsid()\n"),
};

START_TEST(ends_fork_loops)
{
	Job j;
	const char *argv[] = { "python3", "-c", loops[_i], NULL };
	start_with(&j, &(Start){ 0 }, argv);
	wait_ready(&j);
	run_for(100);
	ck_assert(!j.gone);
	reaper_job_end(j.handle, 100);
	assert_gone(&j, LONG_MS);
	assert_no_children();
}
END_TEST

START_TEST(waits_with_the_rest_for_the_client)
{
	Job j;
	start_shell(&j, "(setsid sleep 1000 &); sleep 1000 & sleep 0.1; exit 5");
	ck_assert(wait_for(&j.exited, LONG_MS));
	ck_assert_int_eq(WEXITSTATUS(j.status), 5);
	run_for(800);
	ck_assert(!j.gone);
	reaper_job_end(j.handle, 1000);
	assert_gone(&j, LONG_MS);
}
END_TEST

START_TEST(gives_time_to_clean_up)
{
	Job j;
	start_shell(&j, "exec 2>&-; trap 'sleep 0.2; echo clean; exit 0' TERM; echo ready; while "
			":; do sleep 0.05; done");
	wait_ready(&j);
	reaper_job_end(j.handle, 10000);
	ck_assert(wait_for(&j.gone, LONG_MS));
	ck_assert(WIFEXITED(j.status));
	ck_assert_str_eq(output_of(&j, 0), "clean\n");
}
END_TEST

START_TEST(shorter_grace_counts)
{
	Job j;
	start_shell(&j, "trap '' TERM; echo ready; while :; do sleep 1; done");
	wait_ready(&j);
	reaper_job_end(j.handle, 60000);
	run_for(100);
	ck_assert(!j.exited);
	reaper_job_end(j.handle, 100);
	run_for(10);
	reaper_job_end(j.handle, 60000);
	assert_gone(&j, LONG_MS);
}
END_TEST

/* Another's orphans are left alone; what shows nobody's mark is not. */
START_TEST(tells_whose_orphans_are_whose)
{
	Job a, b, stranger;
	const char *script =
		"(setsid sh -c 'echo ready; exec sleep 1000' &); exec sleep 1000 >/dev/null 2>&1";
	const char *argv[] = { "sh", "-c", script, NULL };
	start_with(&a, &(Start){ 0 }, argv);
	start_with(&b, &(Start){ .agent_id = AGENT_B }, argv);
	wait_ready(&a);
	wait_ready(&b);
	/* It loses its parent only when it shows nothing any more: the reaper never sees it with a
	 * mark. */
	const char *clearing[] = { "sh", "-c",
		"env -i setsid sh -c 'sleep 1000 &'; exec sleep 1000 >/dev/null 2>&1", NULL };
	start_with(&stranger, &(Start){ .agent_id = AGENT_C }, clearing);
	output_of(&stranger, LONG_MS);
	ck_assert(wait_for(&stranger.started, LONG_MS));
	ck_assert(stranger.pid > 0 && !stranger.exited);

	reaper_job_end(a.handle, 1000);
	assert_gone(&a, LONG_MS);
	run_for(600);
	struct pollfd p = { .fd = b.pipe_fd };
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert(!b.exited);
	reaper_job_end(b.handle, 1000);
	assert_gone(&b, LONG_MS);
	reaper_job_end(stranger.handle, 1000);
	ck_assert(wait_for(&stranger.gone, LONG_MS));
	assert_no_children();
}
END_TEST

START_TEST(runs_many_at_once)
{
	static Job jobs[50];
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		start_shell(&jobs[i], i % 2 ? "(setsid sleep 1000 &); sleep 1000" : "exit 7");
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i += 2) {
		ck_assert(wait_for(&jobs[i].gone, LONG_MS));
		ck_assert_int_eq(WEXITSTATUS(jobs[i].status), 7);
		output_of(&jobs[i], 0);
	}
	for (size_t i = 1; i < ARRAY_SIZE(jobs); i += 2)
		reaper_job_end(jobs[i].handle, 5000);
	for (size_t i = 1; i < ARRAY_SIZE(jobs); i += 2)
		assert_gone(&jobs[i], LONG_MS);
	assert_no_children();
}
END_TEST

/* While the reaper does not read, nothing blocks, and nothing is lost or overtakes. */
START_TEST(queues_what_the_line_does_not_take)
{
	static Job jobs[150];
	size_t extra = 1000;
	kill(reaper.pid, SIGSTOP);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		start_shell(&jobs[i], "exec sleep 1000");
	for (size_t n = 0; n < extra; n++)
		for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
			reaper_job_end(jobs[i].handle, 0);
	run_for(50);
	kill(reaper.pid, SIGCONT);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		assert_gone(&jobs[i], LONG_MS);
	assert_no_children();
}
END_TEST

/* What is too long is not copied, and the rest once: nothing is left of it in memory that was
 * outgrown. */
START_TEST(takes_what_a_start_brings_in_one_piece)
{
	static char long_text[64 * 1024];
	const char *strings[300] = { "true" };
	memset(long_text, 'x', sizeof(long_text) - 1);
	for (size_t i = 1; i < ARRAY_SIZE(strings) - 1; i++)
		strings[i] = long_text;
	const char *argv[] = { "true", NULL };
	ReaperSpec spec = { .argv = argv, .envp = strings, .agent_id = AGENT_A };
	ReaperHooks hooks = { 0 };
	ReaperJob *handle;
	Job j;
	start_with(&j, &(Start){ 0 }, argv);
	assert_gone(&j, LONG_MS);

	fault_realloc_after(0);
	ck_assert_int_eq(reaper_client_start(client, &spec, &hooks, &handle), -E2BIG);
	start_with(&j, &(Start){ 0 }, argv);
	fault_realloc_after(-1);
	assert_gone(&j, LONG_MS);
}
END_TEST

START_TEST(forgotten_jobs_end_silently)
{
	Job j;
	start_shell(&j, "echo ready; (setsid sleep 1000 &); exec sleep 1000");
	wait_ready(&j);
	reaper_job_end(j.handle, 0);
	reaper_job_forget(j.handle);
	run_for(100);
	ck_assert(!j.exited && !j.gone);
	output_of(&j, LONG_MS);
	run_for(10);
	ck_assert(!j.exited && !j.gone);
}
END_TEST

START_TEST(stays_where_the_daemon_is_told_to_go)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE };
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		ck_assert_int_eq(kill(reaper.pid, signals[i]), 0);
	ck_assert_int_eq(getsid(reaper.pid), reaper.pid);
	struct pollfd p = { .fd = reaper.alive_fd, .events = POLLIN };
	ck_assert_int_eq(poll(&p, 1, 50), 0);

	char path[64], comm[64] = "";
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)reaper.pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_gt(read(fd, comm, sizeof(comm) - 1), 0);
	close(fd);
	ck_assert_str_eq(comm, "liongate-reap\n");

	Job j;
	start_shell(&j, "exit 0");
	assert_gone(&j, LONG_MS);
}
END_TEST

START_TEST(kills_all_when_the_line_breaks)
{
	Job jobs[4];
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		start_shell(&jobs[i],
			"trap '' TERM; (setsid sleep 1000 &); (env -i setsid sleep 1000 &);"
			"echo ready; while :; do sleep 1; done");
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		wait_ready(&jobs[i]);
	reaper_client_free(TAKE_PTR(client));
	reaper_stop(&reaper);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		output_of(&jobs[i], 0);
}
END_TEST

START_TEST(lock_is_the_reapers_until_its_end)
{
	Reaper other;
	ck_assert_int_eq(reaper_fork(dir.path, 1, 50, DELEGATION_OFF, &other), -EBUSY);

	Job j;
	start_shell(
		&j, "trap '' TERM; (setsid sleep 1000 &); echo ready; while :; do sleep 1; done");
	wait_ready(&j);
	ck_assert_int_eq(reaper_fork(dir.path, 1, 0, DELEGATION_OFF, &other), -EBUSY);
	kill(reaper.pid, SIGSTOP);
	reaper_client_free(TAKE_PTR(client));
	ck_assert_int_eq(reaper_fork(dir.path, 1, 50, DELEGATION_OFF, &other), -EBUSY);
	kill(reaper.pid, SIGCONT);
	ck_assert_int_eq(reaper_fork(dir.path, 2, LONG_MS, DELEGATION_OFF, &other), 0);
	output_of(&j, 0);
	reaper_stop(&other);
	ck_assert_int_eq(other.pid, 0);
}
END_TEST

START_TEST(ends_the_jobs_of_one_line)
{
	Reaper two;
	TempDir other_dir;
	temp_dir_init(&other_dir);
	ck_assert_int_eq(reaper_fork(other_dir.path, 2, 0, DELEGATION_OFF, &two), 0);
	ReaperClient *first = client, *second;
	Job a, b;
	ck_assert_int_eq(reaper_client_new(base, TAKE_FD(two.line_fds[0]), &client), 0);
	start_shell(&a, "echo ready; exec sleep 1000");
	wait_ready(&a);
	ReaperClient *broken = client;
	ck_assert_int_eq(reaper_client_new(base, TAKE_FD(two.line_fds[1]), &second), 0);
	client = second;
	start_shell(&b, "echo ready; exec sleep 1000");
	wait_ready(&b);

	reaper_client_free(broken);
	output_of(&a, LONG_MS);
	run_for(50);
	ck_assert(!b.exited);
	reaper_job_end(b.handle, 0);
	assert_gone(&b, LONG_MS);
	reaper_client_free(second);
	reaper_stop(&two);
	temp_dir_done(&other_dir);
	client = first;
}
END_TEST

/* Nothing could be found to be ended. */
START_TEST(does_not_begin_without_proc)
{
	enum { REFUSED = ENOTSUP, CANNOT_TELL = 1 };
	TempDir other_dir;
	temp_dir_init(&other_dir);
	pid_t pid = fork();
	if (pid == 0) {
		Reaper other;
		if (unshare(CLONE_NEWNS) < 0 ||
			mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
			mount("none", "/proc", "tmpfs", 0, "") < 0)
			_exit(CANNOT_TELL);
		_exit(-reaper_fork(other_dir.path, 1, 0, DELEGATION_OFF, &other));
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	temp_dir_done(&other_dir);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT_TELL)
		printf("skipped: no mount of its own for a test\n");
	else
		ck_assert_int_eq(WEXITSTATUS(status), REFUSED);
}
END_TEST

/* A reaper whose kernel is short of buffers when it wants to answer. */
START_TEST(no_reply_is_lost)
{
	static const int errors[] = { ENOBUFS, ENOMEM, EAGAIN };
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		TempDir other_dir;
		Reaper other;
		ReaperClient *usual = client;
		Job j;
		temp_dir_init(&other_dir);
		fault_send(2, errors[i]);
		ck_assert_int_eq(reaper_fork(other_dir.path, 1, 0, DELEGATION_OFF, &other), 0);
		fault_send(0, 0);
		ck_assert_int_eq(reaper_client_new(base, TAKE_FD(other.line_fds[0]), &client), 0);
		start_shell(&j, "exit 3");
		assert_gone(&j, LONG_MS);
		ck_assert(j.pid > 0 && WIFEXITED(j.status) && WEXITSTATUS(j.status) == 3);
		reaper_client_free(client);
		reaper_stop(&other);
		temp_dir_done(&other_dir);
		client = usual;
	}
}
END_TEST

START_TEST(nothing_hangs_when_the_reaper_dies)
{
	Job running, starting, over;
	start_shell(&over, "exit 1");
	assert_gone(&over, LONG_MS);
	start_shell(&running, "echo ready; exec sleep 1000");
	wait_ready(&running);
	ck_assert(wait_for(&running.started, LONG_MS));
	kill(reaper.pid, SIGSTOP);
	start_shell(&starting, "exit 0");
	kill(reaper.pid, SIGKILL);
	ck_assert(wait_for(&starting.failed, LONG_MS));
	ck_assert(wait_for(&running.gone, LONG_MS));
	ck_assert(WIFSIGNALED(running.status));
	output_of(&running, LONG_MS);

	struct pollfd p = { .fd = reaper.alive_fd, .events = POLLIN };
	ck_assert_int_eq(poll(&p, 1, LONG_MS), 1);
	const char *argv[] = { "true", NULL }, *envp[] = { NULL };
	ReaperSpec spec = { .argv = argv, .envp = envp, .agent_id = AGENT_A };
	ReaperHooks hooks = { 0 };
	ReaperJob *handle;
	ck_assert_int_eq(reaper_client_start(client, &spec, &hooks, &handle), -EPIPE);
}
END_TEST

/* kill -9 of a whole daemon: not a word can be said any more. */
START_TEST(no_program_outlives_a_killed_daemon)
{
	Job j = { 0 };
	TempDir other_dir;
	temp_dir_init(&other_dir);
	int fds[2];
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	pid_t daemon_pid = fork();
	if (daemon_pid == 0) {
		Reaper own;
		if (reaper_fork(other_dir.path, 1, 0, DELEGATION_OFF, &own) < 0)
			_exit(1);
		struct event_base *own_base = event_base_new();
		ReaperClient *c;
		const char *argv[] = { "sh", "-c",
			"(setsid sleep 1000 &); echo ready; exec sleep 1000", NULL };
		const char *envp[] = { "LIONGATE_AGENT_ID=" AGENT_A, "PATH=/usr/bin:/bin", NULL };
		ReaperSpec spec = { .argv = argv,
			.envp = envp,
			.agent_id = AGENT_A,
			.stdin_fd = fds[0],
			.stdout_fd = fds[1],
			.stderr_fd = fds[1] };
		ReaperHooks hooks = { on_started, on_failed, on_exit_status, on_gone, &j };
		if (reaper_client_new(own_base, own.line_fds[0], &c) < 0 ||
			reaper_client_start(c, &spec, &hooks, &j.handle) < 0)
			_exit(1);
		event_base_dispatch(own_base);
		_exit(0);
	}
	close(fds[1]);
	j.pipe_fd = fds[0];
	wait_ready(&j);
	kill(daemon_pid, SIGKILL);
	waitpid(daemon_pid, NULL, 0);
	output_of(&j, LONG_MS);
	Reaper next;
	ck_assert_int_eq(reaper_fork(other_dir.path, 1, LONG_MS, DELEGATION_OFF, &next), 0);
	reaper_stop(&next);
	temp_dir_done(&other_dir);
}
END_TEST

/* Valgrind makes a fork() of clone(CLONE_VM | CLONE_VFORK), so that what keeps a program from
 * starting is told to nobody; and it needs more memory and descriptors than these limits leave it.
 */
static TCase *native_case(void)
{
	TCase *t = tcase_create("native");
	tcase_set_tags(t, "no-valgrind");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, says_what_could_not_be_started);
	tcase_add_test(t, sets_limits);
	return t;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("reaper");
	TCase *t = tcase_create("reaper");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, runs_to_its_end);
	tcase_add_test(t, gives_a_clean_start);
	tcase_add_test(t, enters_the_directory);
	tcase_add_test(t, runs_a_script_without_interpreter);
	tcase_add_loop_test(t, ends_whole_trees, 0, ARRAY_SIZE(trees));
	tcase_add_loop_test(t, ends_fork_loops, 0, ARRAY_SIZE(loops));
	tcase_add_test(t, waits_with_the_rest_for_the_client);
	tcase_add_test(t, gives_time_to_clean_up);
	tcase_add_test(t, shorter_grace_counts);
	tcase_add_test(t, tells_whose_orphans_are_whose);
	tcase_add_test(t, runs_many_at_once);
	tcase_add_test(t, queues_what_the_line_does_not_take);
	tcase_add_test(t, takes_what_a_start_brings_in_one_piece);
	tcase_add_test(t, forgotten_jobs_end_silently);
	tcase_add_test(t, stays_where_the_daemon_is_told_to_go);
	tcase_add_test(t, kills_all_when_the_line_breaks);
	tcase_add_test(t, lock_is_the_reapers_until_its_end);
	tcase_add_test(t, ends_the_jobs_of_one_line);
	tcase_add_test(t, does_not_begin_without_proc);
	tcase_add_test(t, no_reply_is_lost);
	tcase_add_test(t, nothing_hangs_when_the_reaper_dies);
	tcase_add_test(t, no_program_outlives_a_killed_daemon);
	suite_add_tcase(s, t);
	suite_add_tcase(s, native_case());
	return s;
}
