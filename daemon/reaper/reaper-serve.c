#include "daemon/reaper/reaper-serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/signalfd.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/reaper/reaper-cgroup.h"
#include "daemon/reaper/reaper-line.h"
#include "daemon/reaper/reaper-spawn.h"
#include "daemon/reaper/reaper-tree.h"

/* Starts take a millisecond and more; exits, and other lines, are not to wait for many. */
#define REQUESTS_AT_ONCE 8U

typedef struct Server {
	ReaperLine *lines;
	size_t n_lines;
	struct pollfd *polls; /* one for each line, and the signals */
	int signal_fd;
	const char *home;
	const Delegation *cgroups; /* NULL: none */
	ReaperTree tree;
} Server;

static void server_done(Server *s)
{
	reaper_tree_done(&s->tree);
	for (size_t i = 0; i < s->n_lines; i++)
		reaper_line_done(&s->lines[i]);
	free(s->lines);
	free(s->polls);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
}

static void on_exit_of(const TreeJob *job, int status, const struct rusage *usage, void *userdata)
{
	Server *s = userdata;
	ReaperReply reply = {
		.type = REAPER_REPLY_EXITED,
		.id = job->id,
		.value = status,
		.usage = *usage,
	};
	reaper_line_send(&s->lines[job->line], &reply);
}

static void on_gone(const TreeJob *job, void *userdata)
{
	Server *s = userdata;
	ReaperReply reply = {
		.type = REAPER_REPLY_GONE,
		.id = job->id,
		.tally = job->tally,
	};
	reaper_line_send(&s->lines[job->line], &reply);
}

static int server_init(
	Server *s, const int *line_fds, size_t n_lines, const char *home, const Delegation *cgroups)
{
	*s = (Server){ .signal_fd = -1, .home = home, .cgroups = cgroups };
	ReaperTreeHooks hooks = { .on_exit = on_exit_of, .on_gone = on_gone, .userdata = s };
	reaper_tree_init(&s->tree, cgroups, &hooks);

	s->lines = calloc(n_lines, sizeof(*s->lines));
	s->polls = calloc(n_lines + 1, sizeof(*s->polls));
	if (!s->lines || !s->polls)
		return -ENOMEM;
	for (size_t i = 0; i < n_lines; i++)
		reaper_line_init(&s->lines[i], line_fds[i]);
	s->n_lines = n_lines;

	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGCHLD);
	s->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? -errno : 0;
}

/* *ret stays as it is where there are no cgroups: nothing then takes `processes`. */
static int enter_cgroup(const Server *s, const ReaperRequest *request, TreeJob *job, int *ret)
{
	if (!s->cgroups)
		return request->processes > 0 ? -EOPNOTSUPP : 0;
	int fd = reaper_cgroup_make(s->cgroups, request);
	if (fd < 0)
		return fd;
	job->has_cgroup = true;
	*ret = fd;
	return 0;
}

static int start_job(Server *s, size_t line, const ReaperRequest *request, const int *fds,
	pid_t *ret_pid, ReaperStage *ret_stage)
{
	*ret_stage = REAPER_STAGE_PROGRAM;
	for (int i = 0; i < _REAPER_FD_MAX; i++)
		if (fds[i] < 0)
			return -EMFILE;

	_cleanup_close_ int cgroup_fd = -1;
	TreeJob *job;
	int r = reaper_tree_add(&s->tree, line, request, &job);
	if (r < 0)
		return r;
	r = enter_cgroup(s, request, job, &cgroup_fd);
	if (r < 0) {
		*ret_stage = REAPER_STAGE_CGROUP;
		reaper_tree_drop(job);
		return r;
	}
	SpawnPlace place = {
		.home = s->home,
		.cgroup_fd = cgroup_fd,
		.holds_memory = delegation_has(s->cgroups, CGROUP_MEMORY),
	};
	r = reaper_spawn(request, fds, &place, ret_pid, ret_stage);
	if (r < 0)
		reaper_tree_failed(&s->tree, job);
	else
		reaper_tree_started(&s->tree, job, *ret_pid);
	return r;
}

static void close_fds(int *fds)
{
	for (int i = 0; i < _REAPER_FD_MAX; i++)
		if (fds[i] >= 0)
			close(TAKE_FD(fds[i]));
}

static void answer_start(Server *s, size_t line, const ReaperRequest *request, int *fds)
{
	pid_t pid = 0;
	ReaperStage stage;
	int r = start_job(s, line, request, fds, &pid, &stage);
	close_fds(fds); /* before anyone hears that it failed, and finds the pipes still held */
	ReaperReply reply = {
		.type = r < 0 ? REAPER_REPLY_FAILED : REAPER_REPLY_STARTED,
		.id = request->id,
		.value = r < 0 ? -r : pid,
		.stage = stage,
	};
	reaper_line_send(&s->lines[line], &reply);
}

static void break_line(Server *s, size_t line)
{
	reaper_line_done(&s->lines[line]);
	reaper_tree_end_line(&s->tree, line);
}

static void read_line(Server *s, size_t line)
{
	for (unsigned i = 0; i < REQUESTS_AT_ONCE; i++) {
		ReaperRequest request;
		int fds[_REAPER_FD_MAX];
		int r = reaper_line_receive(&s->lines[line], &request, fds);
		if (r < 0)
			break_line(s, line);
		if (r <= 0)
			return;

		if (request.type == REAPER_REQUEST_START)
			answer_start(s, line, &request, fds);
		else
			reaper_tree_end(&s->tree, line, request.id, request.grace_ms);
		close_fds(fds);
	}
}

static void serve_line(Server *s, size_t line, short events)
{
	if ((events & POLLOUT) || reaper_line_timeout_us(&s->lines[line]) == 0)
		reaper_line_flush(&s->lines[line]);
	if (events & (POLLIN | POLLHUP | POLLERR))
		read_line(s, line);
}

static void drain_signals(const Server *s)
{
	struct signalfd_siginfo infos[8];
	while (read(s->signal_fd, infos, sizeof(infos)) > 0)
		;
}

/* Until there is something to do that nobody tells of; -1: for ever. */
static int64_t timeout_us(const Server *s)
{
	int64_t us = reaper_tree_timeout_us(&s->tree);
	for (size_t i = 0; i < s->n_lines; i++) {
		int64_t line_us = reaper_line_timeout_us(&s->lines[i]);
		if (line_us >= 0 && (us < 0 || line_us < us))
			us = line_us;
	}
	return us;
}

static void wait_for_work(Server *s)
{
	for (size_t i = 0; i < s->n_lines; i++) {
		bool waiting = reaper_line_waiting(&s->lines[i]);
		s->polls[i] = (struct pollfd){
			.fd = s->lines[i].fd,
			.events = (short)(POLLIN | (waiting ? POLLOUT : 0)),
		};
	}
	s->polls[s->n_lines] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };

	int64_t us = timeout_us(s);
	struct timespec timeout = {
		.tv_sec = (time_t)(us / (int64_t)USEC_PER_SEC),
		.tv_nsec = (long)(us % (int64_t)USEC_PER_SEC * 1000),
	};
	if (ppoll(s->polls, s->n_lines + 1, us < 0 ? NULL : &timeout, NULL) < 0)
		for (size_t i = 0; i <= s->n_lines; i++)
			s->polls[i].revents = 0;
}

static bool any_line(const Server *s)
{
	for (size_t i = 0; i < s->n_lines; i++)
		if (s->lines[i].fd >= 0)
			return true;
	return false;
}

/* False when the last line has broken and no process is left. */
static bool serve_turn(Server *s)
{
	wait_for_work(s);
	if (s->polls[s->n_lines].revents)
		drain_signals(s);
	for (size_t i = 0; i < s->n_lines; i++)
		serve_line(s, i, s->polls[i].revents);

	bool lines = any_line(s);
	if (!lines && !s->tree.kill_all)
		reaper_tree_end_all(&s->tree);
	if (!reaper_tree_reap(&s->tree) && !lines)
		return false;
	reaper_tree_turn(&s->tree);
	return true;
}

int reaper_serve(const int *line_fds, size_t n_lines, const char *home, const Delegation *cgroups)
{
	_cleanup_(server_done) Server server;
	if (cgroups->agents_fd < 0)
		cgroups = NULL;
	int r = server_init(&server, line_fds, n_lines, home, cgroups);
	if (r < 0) {
		log_error("reaper: cannot begin: %s", strerror(-r));
		return r;
	}
	while (serve_turn(&server))
		;
	if (cgroups)
		reaper_cgroup_clear(cgroups);
	return 0;
}
