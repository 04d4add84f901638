#include "daemon/reaper/reaper-spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/fd.h"
#include "daemon/reaper/reaper-cgroup.h"
#include "daemon/reaper/reaper-clone.h"

/* execvpe() may put a path and, for a script without an interpreter, a copy of argv on it. */
#define STACK_BYTES (64U * 1024)

typedef struct Payload {
	char *text; /* with the secrets of the environment */
	size_t len;
	const char *cwd;
	char **argv, **envp;
} Payload;

/* Shared by both processes while the parent is held: no memory is copied. */
typedef struct Plan {
	const ReaperRequest *request;
	const int *fds;
	const SpawnPlace *place;
	const Payload *payload;
	bool join; /* its cgroup is still to be entered */
	int error;
	ReaperStage stage;
} Plan;

static void payload_done(Payload *p)
{
	if (p->text)
		explicit_bzero(p->text, p->len);
	free(p->text);
	free(p->argv);
	free(p->envp);
}

/* Takes `n` strings off `*at`. */
static int take_strings(const char **at, const char *end, uint32_t n, char ***ret)
{
	char **strings = calloc((size_t)n + 1, sizeof(*strings));
	if (!strings)
		return -ENOMEM;

	const char *p = *at;
	for (uint32_t i = 0; i < n; i++) {
		const char *nul = p < end ? memchr(p, '\0', (size_t)(end - p)) : NULL;
		if (!nul) {
			free(strings);
			return -EBADMSG;
		}
		strings[i] = (char *)p;
		p = nul + 1;
	}
	*at = p;
	*ret = strings;
	return 0;
}

static int payload_read(const ReaperRequest *request, int fd, Payload *p)
{
	size_t len = (size_t)request->payload_bytes;
	if (request->payload_bytes > REAPER_PAYLOAD_MAX_BYTES || request->argc == 0 ||
		request->argc > len || request->envc > len)
		return -E2BIG;
	p->text = malloc(len);
	if (!p->text)
		return -ENOMEM;
	p->len = len;
	ssize_t n = fd_pread_all(fd, p->text, len, 0);
	if (n < 0)
		return (int)n;
	if ((size_t)n != len)
		return -EBADMSG;

	const char *at = p->text, *end = p->text + len;
	if (request->has_cwd) {
		char **cwd;
		int r = take_strings(&at, end, 1, &cwd);
		if (r < 0)
			return r;
		p->cwd = cwd[0];
		free(cwd);
	}
	int r = take_strings(&at, end, request->argc, &p->argv);
	if (r < 0)
		return r;
	return take_strings(&at, end, request->envc, &p->envp);
}

/* Never above what the daemon itself may have: so it cannot fail for want of privilege. */
static int limit(__rlimit_resource_t resource, uint64_t soft, uint64_t hard)
{
	struct rlimit now;
	if (getrlimit(resource, &now) < 0)
		return -errno;
	struct rlimit wanted = {
		.rlim_cur = soft < now.rlim_max ? soft : now.rlim_max,
		.rlim_max = hard < now.rlim_max ? hard : now.rlim_max,
	};
	return setrlimit(resource, &wanted) < 0 ? -errno : 0;
}

static int set_limits(const Plan *plan)
{
	const ReaperRequest *q = plan->request;
	int r = 0;
	if (q->open_files > 0)
		r = limit(RLIMIT_NOFILE, q->open_files, q->open_files);
	if (r >= 0 && q->cpu_seconds > 0 &&
		q->cpu_seconds < RLIM_INFINITY - REAPER_CPU_GRACE_SECONDS)
		r = limit(RLIMIT_CPU, q->cpu_seconds, q->cpu_seconds + REAPER_CPU_GRACE_SECONDS);
	if (r >= 0 && q->memory_bytes > 0 && !plan->place->holds_memory)
		r = limit(RLIMIT_AS, q->memory_bytes, q->memory_bytes);
	return r;
}

static int reset_signals(void)
{
	/* Not by sigaction(), which refuses the two that the C library keeps for itself: an ignored
	 * one would stay so in a program whose C library uses it. Zero is the default in every
	 * architecture's layout of the kernel's struct sigaction, see rt_sigaction(2). */
	static const uint64_t action[8];
	for (int sig = 1; sig < NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, action, NULL,
			NSIG / 8); /* some cannot be changed: they are as they should be */

	sigset_t none;
	(void)sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

static int enter_directory(const Plan *plan)
{
	if (plan->payload->cwd)
		return chdir(plan->payload->cwd) < 0 ? -errno : 0;
	if (plan->place->home && chdir(plan->place->home) == 0)
		return 0;
	return chdir("/") < 0 ? -errno : 0;
}

static int take_stdio(const int *fds)
{
	for (int i = 0; i < 3; i++)
		if (dup2(fds[REAPER_FD_STDIN + i], i) < 0)
			return -errno;
	/* Everything is O_CLOEXEC already; this is for what a library may have opened. */
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	return 0;
}

/* The new process, on a stack of its own in the reaper's memory. It may call nothing but what is
 * safe in a signal handler, and leaves by returning. */
static int child(void *arg)
{
	Plan *plan = arg;
	plan->stage = REAPER_STAGE_PROGRAM;

	if (setsid() < 0) {
		plan->error = errno;
		return 127;
	}
	/* Should the reaper itself be killed, its programs do not outlive it unwatched. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);

	int r = plan->join ? reaper_cgroup_write(plan->place->cgroup_fd, "cgroup.procs", "0") : 0;
	if (r < 0)
		plan->stage = REAPER_STAGE_CGROUP;
	if (r >= 0)
		r = take_stdio(plan->fds);
	if (r >= 0) {
		r = enter_directory(plan);
		if (r < 0)
			plan->stage = REAPER_STAGE_DIRECTORY;
	}
	if (r >= 0)
		r = set_limits(plan);
	if (r >= 0)
		r = reset_signals();
	if (r >= 0) {
		(void)execvpe(plan->payload->argv[0], plan->payload->argv, plan->payload->envp);
		r = -errno;
	}
	plan->error = -r;
	return 127;
}

/* Straight into its cgroup where the kernel can do that, else it has to go there. */
static pid_t make_process(Plan *plan, char *stack, size_t size)
{
	size_t used = ((uintptr_t)stack + size) % 64; /* of the top, which is to be aligned */
	pid_t pid = -ENOSYS;
	if (plan->place->cgroup_fd >= 0)
		pid = reaper_clone(child, plan, stack, size - used, plan->place->cgroup_fd);
	if (pid != -ENOSYS)
		return pid;
	plan->join = plan->place->cgroup_fd >= 0;
	pid = clone(child, stack + size - used, CLONE_VM | CLONE_VFORK | SIGCHLD, plan);
	return pid < 0 ? -errno : pid;
}

/* clone() rather than vfork(), for the stack: a limit on memory that is set already must not hit
 * the reaper's own while it grows. The parent is held until the program is executed or has
 * failed, however long a mount takes for it: fork() costs nearly twice as much. */
static int run_child(Plan *plan, pid_t *ret)
{
	size_t size = STACK_BYTES + ((size_t)plan->request->argc + 2) * sizeof(char *);
	char *stack = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;

	sigset_t all, old;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &old);
	pid_t pid = make_process(plan, stack, size);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)munmap(stack, size);
	if (pid < 0)
		return pid;

	if (plan->error != 0) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return -plan->error;
	}
	*ret = pid;
	return 0;
}

int reaper_spawn(const ReaperRequest *request, const int *fds, const SpawnPlace *place, pid_t *ret,
	ReaperStage *ret_stage)
{
	*ret_stage = REAPER_STAGE_PROGRAM;

	_cleanup_(payload_done) Payload payload = { 0 };
	int r = payload_read(request, fds[REAPER_FD_PAYLOAD], &payload);
	if (r < 0)
		return r;

	Plan plan = { .request = request, .fds = fds, .place = place, .payload = &payload };
	r = run_child(&plan, ret);
	if (r < 0)
		*ret_stage = plan.stage;
	return r;
}
