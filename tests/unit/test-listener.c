/* daemon/control/listener.c and listen-socket.c */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/control/listener.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

#define LISTEN_FDS_START 3

static TempDir dir;
static struct event_base *base;
static ConnServer *server;
static Listener *listener;
static Config config;
static char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

static void on_line(Conn *c, const char *line, size_t len, void *userdata)
{
	(void)userdata;
	ck_assert_int_eq(buf_append(conn_out(c), line, len), 0);
	ck_assert_int_eq(buf_append_char(conn_out(c), '\n'), 0);
	conn_kick(c);
}

static void on_line_too_long(Conn *c, void *userdata)
{
	(void)userdata;
	conn_close(c);
}

static void on_closed(Conn *c, void *userdata)
{
	(void)c;
	(void)userdata;
}

static void setup(void)
{
	const ConnHooks hooks = {
		.on_line = on_line, .on_line_too_long = on_line_too_long, .on_closed = on_closed
	};

	temp_dir_init(&dir);
	snprintf(path, sizeof(path), "%s", temp_dir_path(&dir, "control.sock"));
	config = (Config){ .socket = path, .socket_mode = 0640, .max_clients = 3 };
	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	ck_assert_int_eq(conn_server_new(base, &hooks, 4096, &server), 0);
	listener = NULL;
}

static void teardown(void)
{
	listener_free(listener);
	conn_server_free(server);
	event_base_free(base);
	temp_dir_done(&dir);
}

static void turn(void)
{
	for (unsigned i = 0; i < 5; i++) {
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		while (conn_server_flush(server))
			;
	}
}

static void start(void)
{
	ck_assert_int_eq(listener_new(base, server, &config, &listener), 0);
	ck_assert_int_eq(listener_start(listener), 0);
}

static int dial(const char *to)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_int_ge(fd, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", to);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void check_echo(int fd)
{
	char got[4];

	ck_assert_int_eq(send(fd, "abc\n", 4, MSG_NOSIGNAL), 4);
	turn();
	ck_assert_int_eq(recv(fd, got, 4, 0), 4);
	ck_assert_mem_eq(got, "abc\n", 4);
}

static void expect_refusal(int fd, const char *expected)
{
	char got[512] = "", more;

	turn();
	ck_assert_int_gt(recv(fd, got, sizeof(got) - 1, 0), 0);
	ck_assert_str_eq(got, expected);
	ck_assert_int_eq(recv(fd, &more, 1, 0), 0);
	close(fd);
}

START_TEST(accepts)
{
	struct stat st;
	int fd, other;

	start();
	ck_assert_str_eq(listener_path(listener), path);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	fd = dial(path);
	other = dial(path);
	turn();
	ck_assert_uint_eq(conn_server_count(server), 2);
	check_echo(fd);
	check_echo(other);
	close(fd);
	turn();
	ck_assert_uint_eq(conn_server_count(server), 1);
	close(other);
	listener_free(listener);
	listener = NULL;
	ck_assert_int_lt(stat(path, &st), 0);
}
END_TEST

START_TEST(clients_queue_before_the_start)
{
	int fd;

	ck_assert_int_eq(listener_new(base, server, &config, &listener), 0);
	fd = dial(path);
	ck_assert_int_ge(fd, 0);
	turn();
	ck_assert_uint_eq(conn_server_count(server), 0);
	ck_assert_int_eq(listener_start(listener), 0);
	check_echo(fd);
	close(fd);
}
END_TEST

START_TEST(too_many_clients)
{
	int fds[3], fd;

	start();
	for (int i = 0; i < 3; i++)
		fds[i] = dial(path);
	turn();
	fd = dial(path);
	/* What it has sent already does not make it miss the answer. */
	ck_assert_int_eq(send(fd, "abc\n", 4, MSG_NOSIGNAL), 4);
	expect_refusal(fd, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":429,"
			   "\"message\":\"there are 3 clients already\",\"data\":{"
			   "\"reason\":\"queue_full\",\"retryable\":true,\"limit\":3}}}\n");
	close(fds[0]);
	turn();
	fds[0] = dial(path);
	check_echo(fds[0]);
	config.max_clients = 4;
	fd = dial(path);
	check_echo(fd);
	close(fd);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}
END_TEST

START_TEST(no_role)
{
	int channel[2], status;
	char byte;
	pid_t pid;

	/* Only root can be somebody else. */
	if (geteuid() != 0)
		return;
	config.socket_mode = 0666;
	start();
	ck_assert_int_eq(chmod(dir.path, 0755), 0);
	ck_assert_int_eq(pipe2(channel, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		char got[512] = "", more;
		int fd;

		if (setresuid(60999, 60999, 60999) < 0)
			_exit(1);
		fd = dial(path);
		(void)!write(channel[1], "x", 1);
		(void)alarm(10);
		if (fcntl(fd, F_SETFL, 0) < 0 || recv(fd, got, sizeof(got) - 1, 0) <= 0 ||
			recv(fd, &more, 1, 0) != 0)
			_exit(2);
		_exit(strcmp(got, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":403,"
				  "\"message\":\"uid 60999 has no role here\",\"data\":{"
				  "\"reason\":\"permission_denied\",\"retryable\":false,"
				  "\"need\":\"observe\"}}}\n") == 0
				? 0
				: 3);
	}
	ck_assert_int_eq(read(channel[0], &byte, 1), 1);
	turn();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(conn_server_count(server), 0);
	close(channel[0]);
	close(channel[1]);
}
END_TEST

START_TEST(stale_file)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	start();
	fd = dial(path);
	check_echo(fd);
	close(fd);
}
END_TEST

START_TEST(live_socket)
{
	Listener *second = NULL;
	int fd;

	start();
	ck_assert_int_eq(listener_new(base, server, &config, &second), -EADDRINUSE);
	ck_assert_ptr_null(second);
	fd = dial(path);
	check_echo(fd);
	close(fd);
}
END_TEST

START_TEST(no_socket)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close(fd);
	ck_assert_int_eq(listener_new(base, server, &config, &listener), -EEXIST);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(replaced_file_is_left)
{
	Listener *second = NULL;

	start();
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(listener_new(base, server, &config, &second), 0);
	listener_free(listener);
	listener = second;
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

static const struct {
	const char *socket;
	int expected;
} bad_paths[] = {
	{ "", -EINVAL },
	{ "/nonexistent/control.sock", -ENOENT },
	{ "/tmp/0123456789012345678901234567890123456789012345678901234567890123456789"
	  "01234567890123456789012345678901234",
		-ENAMETOOLONG },
};

START_TEST(bad_path)
{
	char socket_path[256];

	snprintf(socket_path, sizeof(socket_path), "%s", bad_paths[_i].socket);
	config.socket = socket_path;
	ck_assert_int_eq(listener_new(base, server, &config, &listener), bad_paths[_i].expected);
}
END_TEST

START_TEST(longest_path)
{
	char socket_path[108];
	size_t len = strlen(dir.path);
	int fd;

	memset(socket_path, 'x', 107);
	memcpy(socket_path, dir.path, len);
	socket_path[len] = '/';
	socket_path[107] = '\0';
	config.socket = socket_path;
	start();
	fd = dial(socket_path);
	check_echo(fd);
	close(fd);
}
END_TEST

START_TEST(unknown_group)
{
	config.socket_group = (char[]){ "no-such-group-at-all" };
	ck_assert_int_eq(listener_new(base, server, &config, &listener), -ENOENT);
	ck_assert_int_lt(access(path, F_OK), 0);
}
END_TEST

START_TEST(usual_place)
{
	int fd;

	/* Root's is one that all tests would share. */
	if (getuid() == 0)
		return;
	config.socket = NULL;
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", dir.path, 1), 0);
	start();
	ck_assert_str_eq(listener_path(listener), temp_dir_path(&dir, "liongate/control.sock"));
	fd = dial(listener_path(listener));
	check_echo(fd);
	close(fd);
}
END_TEST

START_TEST(from_systemd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int saved = fcntl(LISTEN_FDS_START, F_DUPFD_CLOEXEC, 10);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char pid[16];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 10), 0);
	if (fd != LISTEN_FDS_START) {
		ck_assert_int_eq(dup2(fd, LISTEN_FDS_START), LISTEN_FDS_START);
		close(fd);
	}
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	config.socket = NULL;
	start();
	ck_assert_str_eq(listener_path(listener), path);
	fd = dial(path);
	check_echo(fd);
	close(fd);
	listener_free(listener);
	listener = NULL;
	/* It is systemd's file. */
	ck_assert_int_eq(access(path, F_OK), 0);
	if (saved >= 0) {
		ck_assert_int_eq(dup3(saved, LISTEN_FDS_START, O_CLOEXEC), LISTEN_FDS_START);
		close(saved);
	}
}
END_TEST

/* Without a descriptor for the next client it waits, and nothing spins. */
START_TEST(no_descriptors)
{
	struct rlimit old, tight;
	struct timeval tv = { .tv_usec = 250000 };
	int fd, first_free;
	unsigned n = 0;

	start();
	fd = dial(path);
	first_free = dup(fd);
	close(first_free);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = old;
	tight.rlim_cur = (rlim_t)first_free;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	event_base_loopexit(base, &tv);
	while (!event_base_got_exit(base)) {
		event_base_loop(base, EVLOOP_ONCE);
		conn_server_flush(server);
		n++;
	}
	ck_assert_uint_eq(conn_server_count(server), 0);
	ck_assert_uint_lt(n, 12);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (int i = 0; i < 20 && conn_server_count(server) == 0; i++)
		event_base_loop(base, EVLOOP_ONCE);
	check_echo(fd);
	close(fd);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("listener");
	TCase *tc = tcase_create("listener");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, accepts);
	tcase_add_test(tc, clients_queue_before_the_start);
	tcase_add_test(tc, too_many_clients);
	tcase_add_test(tc, no_role);
	tcase_add_test(tc, stale_file);
	tcase_add_test(tc, live_socket);
	tcase_add_test(tc, no_socket);
	tcase_add_test(tc, replaced_file_is_left);
	tcase_add_loop_test(tc, bad_path, 0, ARRAY_SIZE(bad_paths));
	tcase_add_test(tc, longest_path);
	tcase_add_test(tc, unknown_group);
	tcase_add_test(tc, usual_place);
	tcase_add_test(tc, from_systemd);
	suite_add_tcase(s, tc);
	/* Valgrind keeps the limit itself: it closes what accept() has got, and the client is gone.
	 */
	tc = tcase_create("no descriptors");
	tcase_set_tags(tc, "no-valgrind");
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, no_descriptors);
	suite_add_tcase(s, tc);
	return s;
}
