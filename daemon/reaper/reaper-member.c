#include "daemon/reaper/reaper-member.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>

void member_list_done(MemberList *l)
{
	free(l->members);
	*l = (MemberList){ 0 };
}

static int push(MemberList *l, const ReaperProc *m)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		ReaperProc *members = reallocarray(l->members, cap, sizeof(*members));
		if (!members)
			return -ENOMEM;
		l->members = members;
		l->cap = cap;
	}
	l->members[l->n++] = *m;
	return 0;
}

/* Adds the children of the one at `i`. One whose parent is another by now has been orphaned, or has
 * come into its pid later: the next pass will meet it where it is. */
static int expand(MemberList *l, size_t i, PidList *children)
{
	pid_t parent = l->members[i].pid;
	children->n = 0;
	int r = reaper_proc_children(parent, children);
	for (size_t k = 0; k < children->n; k++) {
		ReaperProc m;
		if (reaper_proc_stat(children->pids[k], &m) < 0 || m.ppid != parent)
			continue;
		if (push(l, &m) < 0)
			return -ENOMEM;
	}
	return r == -ENOMEM ? r : 0;
}

void member_list_collect(MemberList *l, pid_t root)
{
	ReaperProc m;
	l->n = 0;
	if (reaper_proc_stat(root, &m) < 0 || push(l, &m) < 0)
		return;

	_cleanup_(pid_list_done) PidList children = { 0 };
	for (size_t i = 0; i < l->n; i++)
		if (expand(l, i, &children) < 0)
			return;
}

/* Read after a pidfd was opened, the time of its start shows that it is the right one. */
static bool is_still(const ReaperProc *m)
{
	ReaperProc now;
	return reaper_proc_stat(m->pid, &now) == 0 && now.start_time == m->start_time;
}

/* A pidfd stays with its process. Some sandboxes have none: there only the look before tells. */
static bool signal_exactly(const ReaperProc *m, int signal)
{
	_cleanup_close_ int fd = pidfd_open(m->pid, 0);
	bool blind = fd < 0 && errno == ENOSYS;
	if ((fd < 0 && !blind) || !is_still(m))
		return false;
	return blind ? kill(m->pid, signal) == 0 : pidfd_send_signal(fd, signal, NULL, 0) == 0;
}

bool member_signal(const ReaperProc *m, bool direct, int signal)
{
	return direct ? kill(m->pid, signal) == 0 : signal_exactly(m, signal);
}

void member_kill(const ReaperProc *m, bool direct)
{
	if (member_signal(m, direct, SIGKILL) && m->pgrp > 1 && m->pgrp != getpgrp())
		(void)kill(-m->pgrp, SIGKILL);
}
