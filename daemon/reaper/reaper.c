#include "daemon/reaper/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "daemon/reaper/reaper-proc.h"
#include "daemon/reaper/reaper-serve.h"

#define LOCK_NAME     "exec.lock"
#define LOCK_RETRY_US (10 * USEC_PER_MSEC)
#define TITLE         "liongate-reap"

/* All that both processes hold between the making of it and the fork. */
typedef struct Halves {
	int lock_fd;
	int alive_fds[2];
	int *ours, *theirs; /* the two ends of each line */
	size_t n;
	Delegation cgroups;
} Halves;

static void close_fds(int *fds, size_t n)
{
	for (size_t i = 0; fds && i < n; i++)
		if (fds[i] >= 0)
			close(TAKE_FD(fds[i]));
}

static void wait_for_end(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void halves_done(Halves *h)
{
	close_fds(&h->lock_fd, 1);
	close_fds(h->alive_fds, 2);
	close_fds(h->ours, h->n);
	close_fds(h->theirs, h->n);
	free(h->ours);
	free(h->theirs);
	delegation_done(&h->cgroups);
}

/* flock() rather than a lock of fcntl(): it belongs to the open file, which the reaper inherits,
 * so that it stays when the daemon closes its descriptor. */
static int take_lock(const char *state_dir, unsigned timeout_ms, int *ret_fd)
{
	_cleanup_free_ char *path = NULL;
	if (asprintf(&path, "%s/" LOCK_NAME, state_dir) < 0)
		return -ENOMEM;
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Whatever the umask is: the next daemon has to open it. */
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return -errno;

	uint64_t until_us = clock_monotonic_us() + timeout_ms * USEC_PER_MSEC;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (clock_monotonic_us() >= until_us)
			return -EBUSY;
		struct timespec pause = { .tv_nsec = (long)(LOCK_RETRY_US * 1000) };
		(void)nanosleep(&pause, NULL);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int make_lines(Halves *h, size_t n)
{
	h->ours = malloc(n * sizeof(*h->ours));
	h->theirs = malloc(n * sizeof(*h->theirs));
	if (!h->ours || !h->theirs)
		return -ENOMEM;

	for (; h->n < n; h->n++) {
		int pair[2];
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
			return -errno;
		h->ours[h->n] = pair[0];
		h->theirs[h->n] = pair[1];
	}
	return pipe2(h->alive_fds, O_CLOEXEC) < 0 ? -errno : 0;
}

static int compare_fds(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	return (x > y) - (x < y);
}

/* Closes everything above standard error but what the reaper needs. */
static int close_others(const Halves *h)
{
	size_t n = h->n + 3;
	_cleanup_free_ int *keep = malloc(n * sizeof(*keep));
	if (!keep)
		return -ENOMEM;
	memcpy(keep, h->theirs, h->n * sizeof(*keep));
	keep[h->n] = h->lock_fd;
	keep[h->n + 1] = h->alive_fds[1];
	keep[h->n + 2] = h->cgroups.agents_fd;
	qsort(keep, n, sizeof(*keep), compare_fds);

	unsigned first = 3;
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < 0)
			continue;
		if ((unsigned)keep[i] > first && close_range(first, (unsigned)keep[i] - 1, 0) < 0)
			return -errno;
		first = (unsigned)keep[i] + 1;
	}
	return close_range(first, ~0U, 0) < 0 ? -errno : 0;
}

/* Standard input and output lead nowhere; standard error stays, for diagnostics. */
static int detach_stdio(void)
{
	int fd = open("/dev/null", O_RDWR);
	if (fd < 0)
		return -errno;
	int r = 0;
	for (int i = 0; i < 3; i++)
		if ((i < 2 || fcntl(i, F_GETFD) < 0) && dup2(fd, i) < 0)
			r = -errno;
	if (fd > 2)
		close(fd);
	return r;
}

static int set_signals(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1,
		SIGUSR2 };
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		if (signal(ignored[i], SIG_IGN) == SIG_ERR)
			return -errno;
	if (signal(SIGCHLD, SIG_DFL) == SIG_ERR)
		return -errno;

	sigset_t blocked;
	(void)sigemptyset(&blocked);
	(void)sigaddset(&blocked, SIGCHLD);
	return sigprocmask(SIG_SETMASK, &blocked, NULL) < 0 ? -errno : 0;
}

/* Of the daemon's user; NULL: none is known. */
static const char *find_home(void)
{
	const char *home = getenv("HOME");
	if (!home || home[0] != '/') {
		const struct passwd *user = getpwuid(getuid());
		home = user ? user->pw_dir : NULL;
	}
	return home;
}

static int become_reaper(const Halves *h)
{
	/* A sink may hold a descriptor that is about to be closed. */
	log_set_sink(NULL);
	(void)prctl(PR_SET_NAME, TITLE);
	if (setsid() < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -errno;
	int r = set_signals();
	if (r >= 0)
		r = close_others(h);
	return r < 0 ? r : detach_stdio();
}

/* Tells the daemon how it went, once no signal meant for that one can hit it any more. */
static int be_reaper(Halves *h, const char *home)
{
	int r = become_reaper(h);
	int told = fd_write_all(h->alive_fds[1], &r, sizeof(r));
	if (r < 0 || told < 0)
		return -1;
	return reaper_serve(h->theirs, h->n, home, &h->cgroups);
}

/* What the reaper tells. */
static int await_reaper(int alive_fd)
{
	int result;
	ssize_t n;
	do
		n = read(alive_fd, &result, sizeof(result));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(result) ? result : -ECHILD;
}

int reaper_fork(const char *state_dir, size_t n_lines, unsigned lock_timeout_ms,
	DelegationMode mode, Reaper *ret)
{
	if (n_lines == 0)
		return -EINVAL;
	int r = reaper_proc_check();
	if (r < 0) {
		log_error("no process could be found to be ended: /proc has no lists of children "
			  "(the kernel's CONFIG_PROC_CHILDREN)");
		return r;
	}

	_cleanup_(halves_done) Halves h = {
		.lock_fd = -1,
		.alive_fds = { -1, -1 },
		.cgroups = DELEGATION_NONE,
	};
	r = take_lock(state_dir, lock_timeout_ms, &h.lock_fd);
	if (r >= 0)
		r = make_lines(&h, n_lines);
	if (r >= 0)
		r = delegation_take(mode, &h.cgroups);
	if (r < 0)
		return r;

	_cleanup_free_ char *home = NULL;
	const char *found = find_home();
	if (found && !(home = strdup(found)))
		return -ENOMEM;

	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		r = be_reaper(&h, home);
		free(TAKE_PTR(home)); /* a leak checker looks here too */
		_exit(r < 0);
	}

	close_fds(&h.alive_fds[1], 1);
	r = await_reaper(h.alive_fds[0]);
	if (r < 0) {
		wait_for_end(pid);
		return r;
	}
	*ret = (Reaper){
		.pid = pid,
		.alive_fd = TAKE_FD(h.alive_fds[0]),
		.line_fds = TAKE_PTR(h.ours),
		.n_lines = n_lines,
		.cgroups = h.cgroups,
	};
	h.cgroups = DELEGATION_NONE;
	return 0;
}

void reaper_stop(Reaper *r)
{
	close_fds(r->line_fds, r->n_lines);
	free(r->line_fds);
	if (r->pid > 0) {
		wait_for_end(r->pid);
		close_fds(&r->alive_fd, 1);
		delegation_done(&r->cgroups);
	}
	*r = (Reaper){ .alive_fd = -1, .cgroups = DELEGATION_NONE };
}
