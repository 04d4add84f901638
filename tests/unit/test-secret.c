/* daemon/backend/secret.c. Each case has a process of its own: what is hidden stays hidden. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/backend/secret.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

#define MAX_BYTES 2048U

static TempDir dir;
static char out[MAX_BYTES + 2];

static void setup(void)
{
	temp_dir_init(&dir);
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", dir.path, 1), 0);
}

static void teardown(void)
{
	temp_dir_done(&dir);
}

static void write_file(const char *name, const void *bytes, size_t len)
{
	int fd = openat(dir.fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static const struct {
	const char *source;
	bool ok, ok_with_env;
} sources[] = {
	{ "file:/x", true, true },
	{ "credential:x", true, true },
	{ "env:X", false, true },
	{ "file:", false, false },
	{ "file:x", false, false },
	{ "credential:", false, false },
	{ "credential:.", false, false },
	{ "credential:..", false, false },
	{ "credential:a/b", false, false },
	{ "env:", false, false },
	{ "env:A=B", false, false },
	{ "FILE:/x", false, false },
	{ "sk-1234", false, false },
	{ "", false, false },
};

START_TEST(names_sources)
{
	ck_assert((secret_source_fault(sources[_i].source, false) == NULL) == sources[_i].ok);
	ck_assert(
		(secret_source_fault(sources[_i].source, true) == NULL) == sources[_i].ok_with_env);
}
END_TEST

static const struct {
	const char *text;
	size_t len;
	const char *expected;
} contents[] = {
	{ "abc\n", 4, "abc" },
	{ "abc", 3, "abc" },
	{ "abc\n\n", 5, "abc\n" },
	{ "\n", 1, "" },
	{ "", 0, "" },
};

START_TEST(reads_files)
{
	char source[128];

	write_file("key", contents[_i].text, contents[_i].len);
	snprintf(source, sizeof(source), "file:%s", temp_dir_path(&dir, "key"));
	ck_assert_int_eq(secret_read(source, MAX_BYTES, out), strlen(contents[_i].expected));
	ck_assert_str_eq(out, contents[_i].expected);
	memset(out, 'x', sizeof(out));
	ck_assert_int_eq(
		secret_read("credential:key", MAX_BYTES, out), strlen(contents[_i].expected));
	ck_assert_str_eq(out, contents[_i].expected);
}
END_TEST

START_TEST(reads_the_environment)
{
	ck_assert_int_eq(setenv("A_KEY", "abc", 1), 0);
	ck_assert_int_eq(secret_read("env:A_KEY", MAX_BYTES, out), 3);
	ck_assert_str_eq(out, "abc");
}
END_TEST

START_TEST(has_a_bound)
{
	static char text[MAX_BYTES + 2];

	memset(text, 'k', MAX_BYTES + 1);
	write_file("key", text, MAX_BYTES);
	ck_assert_int_eq(secret_read("credential:key", MAX_BYTES, out), MAX_BYTES);
	write_file("key", text, MAX_BYTES + 1);
	ck_assert_int_eq(secret_read("credential:key", MAX_BYTES, out), -EFBIG);
	ck_assert_int_eq(setenv("A_KEY", text, 1), 0);
	ck_assert_int_eq(secret_read("env:A_KEY", MAX_BYTES, out), -EFBIG);
}
END_TEST

static void assert_explained(int error, const char *expected)
{
	_cleanup_buf_ Buf why = { 0 };

	ck_assert_int_eq(secret_explain(error, MAX_BYTES, &why), 0);
	ck_assert_int_eq(buf_terminate(&why), 0);
	ck_assert_str_eq(why.data, expected);
}

START_TEST(says_why_not)
{
	char source[128];

	write_file("nul", "a\0b", 3);
	ck_assert_int_eq(mkfifoat(dir.fd, "fifo", 0600), 0);
	ck_assert_int_eq(secret_read("credential:none", MAX_BYTES, out), -ENOENT);
	ck_assert_int_eq(secret_read("credential:nul", MAX_BYTES, out), -EBADMSG);
	ck_assert_int_eq(secret_read("credential:fifo", MAX_BYTES, out), -EINVAL);
	snprintf(source, sizeof(source), "file:%s", dir.path);
	ck_assert_int_eq(secret_read(source, MAX_BYTES, out), -EINVAL);
	ck_assert_int_eq(secret_read("env:NO_SUCH_VARIABLE", MAX_BYTES, out), -ENODATA);
	ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	ck_assert_int_eq(secret_read("credential:nul", MAX_BYTES, out), -ENOKEY);

	assert_explained(-ENOENT, "No such file or directory");
	assert_explained(-EBADMSG, "a NUL byte in it");
	assert_explained(-EINVAL, "not a regular file");
	assert_explained(-ENODATA, "the daemon was started without that variable");
	assert_explained(-ENOKEY, "the daemon was given no credentials");
	assert_explained(-EFBIG, "longer than 2 KiB");
}
END_TEST

#define SOMEBODY 4242

/* A child of an unprivileged user, as the reaper may be one; with `program` it executes one, which
 * says when it runs. Returns who owns what /proc shows of it: root, where nobody else is to look.
 */
static uid_t owner_of_child(bool program)
{
	int pipes[2];
	char path[64], byte;
	struct stat st;
	pid_t pid;

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (dup2(pipes[1], STDOUT_FILENO) < 0)
			_exit(1);
		if (program)
			execlp("sh", "sh", "-c", "echo; exec sleep 1000", NULL);
		else if (write(STDOUT_FILENO, "\n", 1) == 1)
			pause();
		_exit(1);
	}
	close(pipes[1]);
	ck_assert_int_eq(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return st.st_uid;
}

START_TEST(hides_what_it_forks)
{
	if (getuid() == 0)
		ck_assert_int_eq(setresuid(SOMEBODY, SOMEBODY, SOMEBODY), 0);
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
	ck_assert_uint_eq(owner_of_child(false), getuid());
	secret_hide_process();
	ck_assert_uint_eq(owner_of_child(false), 0);
	ck_assert_uint_eq(owner_of_child(true), getuid());
}
END_TEST

START_TEST(leaves_no_core)
{
	struct rlimit limit = { 0 };
	int status = 0;
	pid_t pid;

	secret_hide_process();
	secret_limit_cores();
	ck_assert_int_eq(getrlimit(RLIMIT_CORE, &limit), 0);
	ck_assert_uint_eq(limit.rlim_cur, 0);
	/* Not because of the limit. */
	limit.rlim_cur = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_CORE, &limit), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (fchdir(dir.fd) < 0)
			_exit(1);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && !WCOREDUMP(status));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("secret");
	TCase *t = tcase_create("secret"), *user = tcase_create("user");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, names_sources, 0, ARRAY_SIZE(sources));
	tcase_add_loop_test(t, reads_files, 0, ARRAY_SIZE(contents));
	tcase_add_test(t, reads_the_environment);
	tcase_add_test(t, has_a_bound);
	tcase_add_test(t, says_why_not);
	tcase_add_test(t, leaves_no_core);
	tcase_add_test(user, hides_what_it_forks);
	suite_add_tcase(s, t);
	suite_add_tcase(s, user);
	return s;
}
