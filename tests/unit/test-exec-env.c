/* daemon/backend/exec-env.c: how much of it there may be, and what is left of it in memory, all the
 * way through a real reaper. What a program sees of it is in test-exec.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "common/jsonx.h"
#include "daemon/backend/exec-env.h"
#include "daemon/reaper/reaper-client.h"
#include "daemon/reaper/reaper.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

#define AGENT_ID "aaaaaaaa-0000-4000-8000-000000000001"

static TempDir dir;
static Reaper reaper;

static void setup(void)
{
	temp_dir_init(&dir);
	setenv("CREDENTIALS_DIRECTORY", dir.path, 1);
	ck_assert_int_eq(reaper_fork(dir.path, 1, 0, DELEGATION_OFF, &reaper), 0);
}

static void teardown(void)
{
	reaper_stop(&reaper);
	temp_dir_done(&dir);
}

static void write_file(const char *name, const void *bytes, size_t len)
{
	int fd = openat(dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

/* With `n` variables that all come from the file "key". */
static void init_env(ExecEnv *e, unsigned n)
{
	_cleanup_buf_ Buf text = { 0 };
	ck_assert_int_eq(buf_append_str(&text, "{\"env_from\":{"), 0);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(
			buf_printf(&text, "%s\"V%u\":\"credential:key\"", i > 0 ? "," : "", i), 0);
	ck_assert_int_eq(buf_append_str(&text, "}}"), 0);

	json_object *options;
	JsonxError error;
	ck_assert_int_eq(jsonx_parse(text.data, text.len, &options, &error), 0);
	ck_assert_int_eq(exec_env_init(e, AGENT_ID, options), 0);
	json_object_put(options);
}

START_TEST(its_base_is_small)
{
	static const char *const allowed[] = { "LIONGATE_AGENT_ID=", "PATH=", "HOME=", "USER=",
		"LOGNAME=", "SHELL=", "LANG=", "LC_ALL=", "TMPDIR=" };
	setenv("SECRET_OF_THE_DAEMON", "1", 1);
	ExecEnv e;
	init_env(&e, 0);
	ck_assert_str_eq(e.vars[0], "LIONGATE_AGENT_ID=" AGENT_ID);
	for (size_t k = 0; k < e.n; k++) {
		bool known = false;
		for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
			known |= strncmp(e.vars[k], allowed[i], strlen(allowed[i])) == 0;
		ck_assert_msg(known, "%s", e.vars[k]);
	}
	ck_assert_ptr_null(e.vars[e.n]);
	exec_env_done(&e);
}
END_TEST

/* It is not all read before somebody counts. */
START_TEST(it_can_be_too_long)
{
	static char big[64 * 1024];
	_cleanup_buf_ Buf why = { 0 };
	ExecEnv e;
	memset(big, 'x', sizeof(big));
	write_file("key", big, sizeof(big));
	init_env(&e, 300);
	ck_assert_int_eq(exec_env_resolve(&e, &why), -E2BIG);
	ck_assert_msg(
		strstr(why.data, "read V255 from") && strstr(why.data, "16 MiB"), "%s", why.data);
	exec_env_done(&e);
}
END_TEST

/* A secret that is in memory only where the code under test has put it: the test makes each byte
 * of it anew to compare with. */
#define SECRET_BYTES 2000U
#define SOUGHT_BYTES 64U
/* What is larger is a sanitizer's own. */
#define SHADOW_BYTES (1UL << 30)

static char secret_char(size_t i)
{
	return (char)('A' + i * i % 23);
}

static bool holds_secret(const char *bytes, size_t len)
{
	for (size_t at = 0; at + SOUGHT_BYTES <= len; at++) {
		size_t n = 0;
		while (n < SOUGHT_BYTES && bytes[at + n] == secret_char(1000 + n))
			n++;
		if (n == SOUGHT_BYTES)
			return true;
	}
	return false;
}

/* Of a part of the memory of a process, as a line of its maps gives it. */
static bool part_holds_secret(int mem, const char *line)
{
	static char bytes[1024 * 1024];
	unsigned long from, to;
	char mode[5];
	bool found = false;
	if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w' ||
		to - from > SHADOW_BYTES)
		return false;
	while (!found && from < to) {
		size_t max = to - from < sizeof(bytes) ? to - from : sizeof(bytes);
		ssize_t n = pread(mem, bytes, max, (off_t)from);
		if (n <= (ssize_t)SOUGHT_BYTES)
			break;
		found = holds_secret(bytes, (size_t)n);
		from += (unsigned long)n - SOUGHT_BYTES;
	}
	explicit_bzero(bytes, sizeof(bytes));
	return found;
}

static bool process_holds_secret(pid_t pid)
{
	char path[64], line[512];
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	int mem = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(mem, 0);
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *maps = fopen(path, "re");
	ck_assert_ptr_nonnull(maps);
	bool found = false;
	while (!found && fgets(line, sizeof(line), maps))
		found = part_holds_secret(mem, line);
	fclose(maps);
	close(mem);
	return found;
}

static void on_started(pid_t pid, void *userdata)
{
	*(pid_t *)userdata = pid;
}

static void on_failed(int error, const char *what, void *userdata)
{
	(void)userdata;
	ck_abort_msg("cannot start the %s: %s", what, strerror(error));
}

static void start_sleep(struct event_base *base, ReaperClient *client, char *const *vars)
{
	const char *argv[] = { "sleep", "1000", NULL };
	pid_t pid = 0;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ReaperSpec spec = {
		.argv = argv,
		.envp = (const char *const *)vars,
		.agent_id = AGENT_ID,
		.stdin_fd = null,
		.stdout_fd = null,
		.stderr_fd = null,
	};
	ReaperHooks hooks = { .on_started = on_started, .on_failed = on_failed, .userdata = &pid };
	ReaperJob *job;
	ck_assert_int_eq(reaper_client_start(client, &spec, &hooks, &job), 0);
	close(null);
	while (pid == 0)
		event_base_loop(base, EVLOOP_ONCE);
	reaper_job_forget(job);
	ck_assert(process_holds_secret(pid));
}

START_TEST(it_is_wiped)
{
	char text[SECRET_BYTES];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = secret_char(i);
	write_file("key", text, sizeof(text));
	explicit_bzero(text, sizeof(text));

	struct event_base *base = event_base_new();
	_cleanup_buf_ Buf why = { 0 };
	ReaperClient *client;
	ExecEnv e;
	ck_assert_int_eq(reaper_client_new(base, TAKE_FD(reaper.line_fds[0]), &client), 0);
	init_env(&e, 3);
	ck_assert_int_eq(exec_env_resolve(&e, &why), 0);
	start_sleep(base, client, e.vars);
	ck_assert(process_holds_secret(getpid()));
	exec_env_done(&e);

	ck_assert(!process_holds_secret(reaper.pid));
	ck_assert(!process_holds_secret(getpid()));
	reaper_client_free(client);
	event_base_free(base);
}
END_TEST

/* Valgrind keeps copies of its own of what passes through it; a sanitizer has far more memory to
 * look through. */
static TCase *native_case(void)
{
	TCase *t = tcase_create("native");
	tcase_set_tags(t, "no-valgrind mass");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, it_is_wiped);
	return t;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("exec-env");
	TCase *t = tcase_create("exec-env");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, its_base_is_small);
	tcase_add_test(t, it_can_be_too_long);
	suite_add_tcase(s, t);
	suite_add_tcase(s, native_case());
	return s;
}
