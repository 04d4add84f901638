#include "client/ephemeral.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "client/interrupt.h"
#include "common/clock.h"
#include "common/fd.h"

#define START_TIMEOUT_MS 30000
#define STOP_TIMEOUT_MS  15000
#define MAX_DIR_BYTES    64 /* so that the socket below it fits into a sockaddr_un */
#define MAX_REASON_BYTES (64U * 1024)
#define DIR_PREFIX       "liongate-ephemeral-"
#define DIR_PATTERN      DIR_PREFIX "XXXXXX"
#define DIR_TRIES        10

struct Ephemeral {
	char *dir;
	int dir_fd; /* locked as long as this program lives */
	char *socket;
	pid_t parent; /* this program: whether it still is must be seen from the child */
	pid_t pid;    /* 0: not started */
	int pid_fd;
	int notify_fd;
};

const char *ephemeral_socket(const Ephemeral *e)
{
	return e->socket;
}

static int join(const char *a, const char *b, char **ret)
{
	return asprintf(ret, "%s/%s", a, b) < 0 ? -ENOMEM : 0;
}

/* $LIONGATED, what stands beside this program, what stands where the build tree or an installation
 * has it; else PATH is left to find it. */
static int find_program(char **ret)
{
	static const char *const beside[] = { "liongated", "../daemon/liongated",
		"../sbin/liongated" };
	const char *chosen = getenv("LIONGATED");
	char self[4096];
	ssize_t n;
	char *slash;

	if (chosen && *chosen)
		return (*ret = strdup(chosen)) ? 0 : -ENOMEM;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	for (size_t i = 0; slash && i < ARRAY_SIZE(beside); i++) {
		_cleanup_free_ char *path = NULL;
		struct stat st;

		if (join(self, beside[i], &path) < 0)
			return -ENOMEM;
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0) {
			*ret = TAKE_PTR(path);
			return 0;
		}
	}
	return (*ret = strdup("liongated")) ? 0 : -ENOMEM;
}

static int remove_one(const char *path, const struct stat *st _unused_, int type _unused_,
	struct FTW *ftw _unused_)
{
	(void)remove(path);
	return 0;
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The daemon itself may outlive its client for a moment, and holds the lock of its state meanwhile.
 */
static bool has_daemon(int dir_fd)
{
	_cleanup_close_ int fd =
		openat(dir_fd, "state/daemon.lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	if (fd < 0)
		return errno != ENOENT;
	return fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type != F_UNLCK;
}

/* A directory that a client left which was killed: it is ours, and nobody has a lock on it any
 * more. */
static void remove_if_stale(const char *parent, const char *name)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (strncmp(name, DIR_PREFIX, strlen(DIR_PREFIX)) != 0 ||
		strlen(name) != strlen(DIR_PATTERN) || join(parent, name, &path) < 0)
		return;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 0777) != 0700)
		return;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && !has_daemon(fd))
		remove_tree(path);
}

static void remove_stale(const char *parent)
{
	DIR *dir = opendir(parent);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		remove_if_stale(parent, entry->d_name);
	if (dir)
		(void)closedir(dir);
}

/* 0: made and locked. -EAGAIN: another client took it for a stale one before it was locked. */
static int try_directory(Ephemeral *e, const char *parent)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (join(parent, DIR_PATTERN, &dir) < 0)
		return -ENOMEM;
	if (!mkdtemp(dir))
		return -errno;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0) {
		(void)rmdir(dir);
		return -EAGAIN;
	}
	e->dir_fd = TAKE_FD(fd);
	e->dir = TAKE_PTR(dir);
	return join(e->dir, "control.sock", &e->socket);
}

static int make_directory(Ephemeral *e)
{
	const char *candidates[] = { getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		if (!candidates[i] || candidates[i][0] != '/' ||
			strlen(candidates[i]) > MAX_DIR_BYTES)
			continue;
		remove_stale(candidates[i]);
		r = -EAGAIN;
		for (int tries = 0; r == -EAGAIN && tries < DIR_TRIES; tries++)
			r = try_directory(e, candidates[i]);
		if (r == 0 || r == -ENOMEM)
			return r;
	}
	return r;
}

/* The daemon says READY=1 to this socket, as it would to a service manager. */
static int open_notify(Ephemeral *e, struct sockaddr_un *ret_address)
{
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret_address->sun_path, sizeof(ret_address->sun_path), "%s/notify", e->dir);
	e->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (e->notify_fd < 0)
		return -errno;
	if (bind(e->notify_fd, (struct sockaddr *)ret_address, sizeof(*ret_address)) < 0)
		return -errno;
	return 0;
}

/* In the child. When its client is gone there is nobody to run agents for, not even for a grace.
 * Its words go to a file: nobody is asked to read them unless it fails. */
static _Noreturn void run_daemon(
	const Ephemeral *e, const char *program, const char *notify, const char *state, int log_fd)
{
	static const char *const foreign[] = { "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
		"WATCHDOG_USEC", "WATCHDOG_PID" };
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	signal(SIGPIPE, SIG_DFL);
	(void)setsid();
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != e->parent)
		_exit(1);
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++)
		(void)unsetenv(foreign[i]);
	if (setenv("NOTIFY_SOCKET", notify, 1) < 0 || null_fd < 0 ||
		dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
		dup2(log_fd, STDERR_FILENO) < 0)
		_exit(1);
	execlp(program, program, "--no-config", "--socket", e->socket, "--state-dir", state,
		"--stop-grace=0", (char *)NULL);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

static int spawn(Ephemeral *e, const char *notify, int log_fd)
{
	_cleanup_free_ char *program = NULL, *state = NULL;
	pid_t pid;
	int r;

	r = find_program(&program);
	if (r == 0)
		r = join(e->dir, "state", &state);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		run_daemon(e, program, notify, state, log_fd);
	e->pid = pid;
	e->pid_fd = pidfd_open(pid, 0);
	return e->pid_fd < 0 ? -errno : 0;
}

static bool said_ready(int fd)
{
	char message[4096];
	ssize_t n;

	while ((n = recv(fd, message, sizeof(message) - 1, MSG_DONTWAIT)) > 0) {
		message[n] = '\0';
		if (strstr(message, "READY=1"))
			return true;
	}
	return false;
}

static int wait_ready(Ephemeral *e)
{
	uint64_t deadline = clock_monotonic_us() + START_TIMEOUT_MS * USEC_PER_MSEC;

	for (;;) {
		struct pollfd p[] = {
			{ .fd = e->notify_fd, .events = POLLIN },
			{ .fd = e->pid_fd, .events = POLLIN },
			{ .fd = interrupt_fd(), .events = POLLIN },
		};
		uint64_t now = clock_monotonic_us();

		if (now >= deadline)
			return -ETIME;
		if (poll(p, ARRAY_SIZE(p), (int)((deadline - now) / USEC_PER_MSEC + 1)) < 0 &&
			errno != EINTR)
			return -errno;
		if (interrupt_take() != 0)
			return -EINTR;
		if (said_ready(e->notify_fd))
			return 0;
		if (p[1].revents)
			return -ECHILD;
	}
}

/* The last line that the daemon wrote. */
static void explain(int log_fd, int r, Buf *why)
{
	_cleanup_buf_ Buf text = { 0 };
	off_t size = lseek(log_fd, 0, SEEK_END);
	off_t from = size > MAX_REASON_BYTES ? size - MAX_REASON_BYTES : 0;
	const char *last;
	ssize_t n;

	if (size > 0 && buf_reserve(&text, MAX_REASON_BYTES) == 0) {
		n = fd_pread_all(log_fd, text.data, (size_t)(size - from), from);
		text.len = n > 0 ? (size_t)n : 0;
	}
	while (text.len > 0 && text.data[text.len - 1] == '\n')
		text.len--;
	if (text.len == 0) {
		(void)!buf_append_str(
			why, r == -ECHILD || r == -ETIME ? "it did not get ready" : strerror(-r));
		return;
	}
	last = memrchr(text.data, '\n', text.len);
	last = last ? last + 1 : text.data;
	(void)!buf_append(why, last, (size_t)(text.data + text.len - last));
}

int ephemeral_start(Ephemeral **ret, Buf *why)
{
	_cleanup_(ephemeral_free_p) Ephemeral *e = calloc(1, sizeof(*e));
	_cleanup_free_ char *log_path = NULL;
	_cleanup_close_ int log_fd = -1;
	struct sockaddr_un notify;
	int r;

	if (!e)
		return -ENOMEM;
	e->dir_fd = e->pid_fd = e->notify_fd = -1;
	e->parent = getpid();
	/* The handler may no longer end this program before the daemon's end has been seen to. */
	interrupt_set_patience(3);
	r = make_directory(e);
	if (r == 0)
		r = join(e->dir, "daemon.log", &log_path);
	if (r == 0) {
		log_fd = open(log_path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
		r = log_fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = open_notify(e, &notify);
	if (r == 0)
		r = spawn(e, notify.sun_path, log_fd);
	if (r == 0)
		r = wait_ready(e);
	if (r < 0) {
		explain(log_fd, r, why);
		return r;
	}
	*ret = TAKE_PTR(e);
	return 0;
}

static bool ended_within(const Ephemeral *e, int ms)
{
	uint64_t deadline = clock_monotonic_us() + (uint64_t)ms * USEC_PER_MSEC;

	for (;;) {
		struct pollfd p = { .fd = e->pid_fd, .events = POLLIN };
		uint64_t now = clock_monotonic_us();

		if (now >= deadline)
			return false;
		if (poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC + 1)) > 0)
			return true;
	}
}

static void stop(const Ephemeral *e)
{
	if (e->pid <= 0)
		return;
	(void)kill(e->pid, SIGTERM);
	if (e->pid_fd < 0 || !ended_within(e, STOP_TIMEOUT_MS))
		(void)kill(e->pid, SIGKILL);
	while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void ephemeral_free(Ephemeral *e)
{
	if (!e)
		return;
	stop(e);
	cleanup_close(&e->pid_fd);
	cleanup_close(&e->notify_fd);
	if (e->dir)
		remove_tree(e->dir);
	cleanup_close(&e->dir_fd);
	free(e->dir);
	free(e->socket);
	free(e);
}
