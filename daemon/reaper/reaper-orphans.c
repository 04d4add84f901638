#include "daemon/reaper/reaper-orphans.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/reaper/reaper-member.h"
#include "daemon/reaper/reaper-tree.h"

/* What is killed takes no time to die, unless it waits for a disk that does not answer. */
#define GIVE_UP_US   (10 * USEC_PER_SEC)
#define PAUSE_US     (5 * USEC_PER_MSEC)
/* In the middle of an execve() a process shows no environment: one pass may miss it. */
#define QUIET_PASSES 2U

typedef struct Hunt {
	bool (*is_ours)(const char *agent_id, void *userdata);
	void *userdata;
	MemberList tree;
	size_t found; /* in this pass */
} Hunt;

static bool is_orphan(const Hunt *h, const ReaperProc *p)
{
	char agent_id[REAPER_AGENT_ID_SIZE];
	const char *own = getenv("LIONGATE_AGENT_ID");

	if (p->pid == getpid() || reaper_proc_agent_id(p->pid, agent_id, sizeof(agent_id)) < 0)
		return false;
	/* A program may have started this daemon, whose reaper has its environment. */
	if (own && p->ppid == getpid() && strcmp(own, agent_id) == 0)
		return false;
	return h->is_ours(agent_id, h->userdata);
}

static bool holds_us(const MemberList *tree)
{
	for (size_t i = 0; i < tree->n; i++)
		if (tree->members[i].pid == getpid())
			return true;
	return false;
}

static void visit(Hunt *h, pid_t pid)
{
	ReaperProc p;

	if (reaper_proc_stat(pid, &p) < 0 || !is_orphan(h, &p))
		return;
	member_list_collect(&h->tree, pid);
	if (holds_us(&h->tree))
		return;
	h->found++;
	/* Another by now that has its pid; the next pass looks at it. */
	if (h->tree.n == 0 || h->tree.members[0].start_time != p.start_time)
		return;
	for (size_t i = 0; i < h->tree.n; i++)
		member_kill(&h->tree.members[i], false);
}

static int run_pass(Hunt *h)
{
	DIR *proc = opendir("/proc");

	if (!proc)
		return -errno;
	h->found = 0;
	for (const struct dirent *e; (e = readdir(proc));) {
		struct stat st;

		if (isdigit((unsigned char)e->d_name[0]) &&
			fstatat(dirfd(proc), e->d_name, &st, 0) == 0 && st.st_uid == geteuid())
			visit(h, (pid_t)strtol(e->d_name, NULL, 10));
	}
	(void)closedir(proc);
	return 0;
}

void reaper_end_orphans(bool (*is_ours)(const char *agent_id, void *userdata), void *userdata)
{
	const struct timespec pause = { .tv_nsec = (long)(PAUSE_US * 1000) };
	Hunt h = { .is_ours = is_ours, .userdata = userdata };
	uint64_t until_us = clock_monotonic_us() + GIVE_UP_US;
	unsigned quiet = 0;
	bool any = false;
	int r = 0;

	while (quiet < QUIET_PASSES && (r = run_pass(&h)) == 0) {
		quiet = h.found == 0 ? quiet + 1 : 0;
		any = any || h.found > 0;
		if (clock_monotonic_us() >= until_us)
			break;
		(void)nanosleep(&pause, NULL);
	}
	member_list_done(&h.tree);
	if (r < 0)
		log_error("what a dead daemon may have left running cannot be looked for: %s",
			strerror(-r));
	else if (h.found > 0)
		log_error(
			"%zu processes of programs that a dead daemon left running cannot be ended",
			h.found);
	else if (any)
		log_warning("programs that a dead daemon and its reaper left running were ended");
}
