#include "daemon/reaper/reaper-tree.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/reaper/reaper-cgroup.h"
#include "daemon/reaper/reaper-member.h"
#include "daemon/reaper/reaper-proc.h"

/* How often orphans are looked for while nothing happens, and new members of a tree that is to
 * end. */
#define IDLE_PASS_US     (500 * USEC_PER_MSEC)
#define TERM_PASS_US     (50 * USEC_PER_MSEC)
/* Between passes that kill: doubled for as long as nothing dies. */
#define KILL_PASS_MIN_US (1 * USEC_PER_MSEC)
#define KILL_PASS_MAX_US (100 * USEC_PER_MSEC)
/* For this many times as long as a pass took there is no other. */
#define PASS_PAUSE       3U
/* How many passes an orphan may show no environment, as in an execve(), before it counts as
 * having none. */
#define SUSPECT_PASSES   4U
/* No longer than this does the end of a job wait for orphans that may be its own. */
#define SUSPECT_US       (1 * USEC_PER_SEC)
#define REAP_AT_ONCE     512U

void reaper_tree_init(ReaperTree *t, const Delegation *cgroups, const ReaperTreeHooks *hooks)
{
	*t = (ReaperTree){ .hooks = *hooks, .cgroups = cgroups, .backoff_us = KILL_PASS_MIN_US };
	list_init(&t->jobs);
}

void reaper_tree_done(ReaperTree *t)
{
	list_foreach_safe (node, &t->jobs)
		reaper_tree_drop(container_of(node, TreeJob, node));
	node_table_done(&t->nodes);
}

static void pass_by(ReaperTree *t, uint64_t at_us)
{
	if (t->due_us == 0 || at_us < t->due_us)
		t->due_us = at_us;
}

static void pass_soon(ReaperTree *t)
{
	t->backoff_us = KILL_PASS_MIN_US;
	pass_by(t, clock_monotonic_us());
}

int reaper_tree_add(ReaperTree *t, size_t line, const ReaperRequest *request, TreeJob **ret)
{
	_cleanup_free_ TreeJob *job = calloc(1, sizeof(*job));
	_cleanup_free_ TreeNode *program = calloc(1, sizeof(*program));
	if (!job || !program)
		return -ENOMEM;

	job->line = line;
	job->id = request->id;
	job->cpu_seconds = request->cpu_seconds;
	(void)snprintf(job->agent_id, sizeof(job->agent_id), "%s", request->agent_id);
	job->program = TAKE_PTR(program);
	list_prepend(&t->jobs, &job->node);
	*ret = TAKE_PTR(job);
	return 0;
}

void reaper_tree_started(ReaperTree *t, TreeJob *job, pid_t pid)
{
	job->pid = pid;
	node_table_remove(&t->nodes, pid); /* whoever had that pid before is no more */
	*job->program = (TreeNode){ .job = job, .pid = pid, .program = true, .direct = true };
	node_table_insert(&t->nodes, job->program);
	pass_by(t, clock_monotonic_us() + IDLE_PASS_US);
}

void reaper_tree_drop(TreeJob *job)
{
	list_remove(&job->node);
	if (job->pid == 0)
		free(job->program);
	free(job);
}

void reaper_tree_failed(ReaperTree *t, TreeJob *job)
{
	if (!job->has_cgroup) {
		reaper_tree_drop(job);
		return;
	}
	job->exited = true;
	pass_soon(t);
}

static void end_job(ReaperTree *t, TreeJob *job, uint32_t grace_ms)
{
	uint64_t at_us = clock_monotonic_us() + grace_ms * USEC_PER_MSEC;
	if (grace_ms == 0) {
		job->ending = TREE_ENDING_KILL;
	} else if (job->ending == TREE_ENDING_NONE) {
		job->ending = TREE_ENDING_TERM;
		job->kill_at_us = at_us;
	} else if (at_us < job->kill_at_us) {
		job->kill_at_us = at_us;
	}
	pass_soon(t);
}

void reaper_tree_end(ReaperTree *t, size_t line, uint64_t id, uint32_t grace_ms)
{
	list_foreach (node, &t->jobs) {
		TreeJob *job = container_of(node, TreeJob, node);
		if (job->line == line && job->id == id) {
			end_job(t, job, grace_ms);
			return;
		}
	}
}

void reaper_tree_end_line(ReaperTree *t, size_t line)
{
	list_foreach (node, &t->jobs) {
		TreeJob *job = container_of(node, TreeJob, node);
		if (job->line == line)
			end_job(t, job, 0);
	}
}

void reaper_tree_end_all(ReaperTree *t)
{
	t->kill_all = true;
	pass_soon(t);
}

bool reaper_tree_reap(ReaperTree *t)
{
	t->reap_more = false;
	for (unsigned i = 0; i < REAP_AT_ONCE; i++) {
		int status;
		struct rusage usage;
		pid_t pid = wait4(-1, &status, WNOHANG | __WALL, &usage);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return errno != ECHILD;
		if (pid == 0)
			return true;

		const TreeNode *n = node_table_find(&t->nodes, pid);
		TreeJob *job = n && n->program ? n->job : NULL;
		node_table_remove(&t->nodes, pid);
		if (job) {
			job->program = NULL;
			job->exited = true;
			t->hooks.on_exit(job, status, &usage, t->hooks.userdata);
		}
		pass_soon(t);
	}
	t->reap_more = true;
	return true;
}

static TreeJob *job_of_session(const ReaperTree *t, const ReaperProc *p)
{
	list_foreach (node, &t->jobs) {
		TreeJob *job = container_of(node, TreeJob, node);
		if (job->pid > 0 && (job->pid == p->session || job->pid == p->pgrp))
			return job;
	}
	return NULL;
}

static TreeJob *job_of_agent(const ReaperTree *t, const char *agent_id)
{
	list_foreach (node, &t->jobs) {
		TreeJob *job = container_of(node, TreeJob, node);
		if (strcmp(job->agent_id, agent_id) == 0)
			return job;
	}
	return NULL;
}

/* Finds out whose orphan `n` is. */
static void identify(ReaperTree *t, TreeNode *n, const ReaperProc *p)
{
	char agent_id[REAPER_AGENT_ID_SIZE];
	TreeJob *job = NULL;
	if (t->cgroups && reaper_cgroup_of(t->cgroups, p->pid, agent_id) == 0)
		job = job_of_agent(t, agent_id);
	if (!job)
		job = job_of_session(t, p);
	if (job)
		n->job = job;
	if (n->job)
		return;

	int r = reaper_proc_agent_id(n->pid, agent_id, sizeof(agent_id));
	if (r == 0)
		n->job = job_of_agent(t, agent_id);
	/* One that is ending by itself, be it slowly, is no stranger to be killed: that would hit
	 * its children, who are to be asked in their turn. */
	if (!n->job && !p->dying)
		n->tries = r == -EAGAIN ? n->tries + 1 : SUSPECT_PASSES;
}

/* The node of a child of the reaper's. NULL if it cannot be looked at now. */
static TreeNode *meet(ReaperTree *t, pid_t pid)
{
	TreeNode *n = node_table_find(&t->nodes, pid);
	if (n && n->direct && (n->job || n->tries >= SUSPECT_PASSES))
		return n;

	ReaperProc p;
	if (reaper_proc_stat(pid, &p) < 0)
		return NULL;
	if (!n || n->start_time != p.start_time)
		n = node_table_renew(&t->nodes, pid);
	if (!n)
		return NULL;
	n->start_time = p.start_time;
	n->direct = true;
	identify(t, n, &p);
	return n;
}

static void kill_below(pid_t pid, MemberList *scratch)
{
	member_list_collect(scratch, pid);
	for (size_t i = 0; i < scratch->n; i++)
		member_kill(&scratch->members[i], i == 0);
}

/* Remembers whose the process is, for the time when it has lost its parent. */
static TreeNode *note(ReaperTree *t, TreeJob *job, const ReaperProc *p)
{
	TreeNode *n = node_table_find(&t->nodes, p->pid);
	if (!n || (!n->direct && n->start_time != p->start_time)) {
		n = node_table_renew(&t->nodes, p->pid);
		if (!n)
			return NULL;
		n->start_time = p->start_time;
		n->job = job;
	}
	n->pass = t->pass;
	return n;
}

/* SIGTERM for those that had none. What is stopped is to notice it. */
static void terminate_below(ReaperTree *t, TreeJob *job, pid_t pid, MemberList *scratch)
{
	member_list_collect(scratch, pid);
	for (size_t i = 0; i < scratch->n; i++) {
		const ReaperProc *p = &scratch->members[i];
		TreeNode *n = note(t, job, p);
		if (!n || n->terminated)
			continue;
		n->terminated = member_signal(p, i == 0, SIGTERM);
		(void)member_signal(p, i == 0, SIGCONT);
	}
}

static void visit(ReaperTree *t, pid_t pid, MemberList *scratch)
{
	TreeNode *n = t->kill_all ? NULL : meet(t, pid);
	if (t->kill_all) {
		kill_below(pid, scratch);
	} else if (!n) {
		t->suspects = true;
	} else if (!n->job) {
		t->suspects = true;
		if (n->tries >= SUSPECT_PASSES)
			kill_below(pid, scratch);
	} else {
		n->job->present = true;
		if (n->job->ending == TREE_ENDING_KILL)
			kill_below(pid, scratch);
		else if (n->job->ending == TREE_ENDING_TERM)
			terminate_below(t, n->job, pid, scratch);
	}
}

static void begin_pass(ReaperTree *t, uint64_t now_us)
{
	t->pass++;
	t->due_us = 0;
	t->suspects = false;
	list_foreach (node, &t->jobs) {
		TreeJob *job = container_of(node, TreeJob, node);
		job->present = false;
		if (job->ending == TREE_ENDING_TERM && now_us >= job->kill_at_us)
			job->ending = TREE_ENDING_KILL;
		if (job->ending == TREE_ENDING_KILL && job->has_cgroup)
			reaper_cgroup_kill(t->cgroups, job->agent_id);
	}
}

/* The job's cgroup goes, and with it what only that knows. False: somebody is in it, who is to be
 * waited for. That may be a process that has not quite died yet, or one that the walk does not
 * reach. */
static bool leave_cgroup(ReaperTree *t, TreeJob *job, bool in_time)
{
	if (!job->has_cgroup)
		return true;
	reaper_cgroup_tally(t->cgroups, job->agent_id, &job->tally);
	int r = reaper_cgroup_remove(t->cgroups, job->agent_id);
	if (r == -EBUSY && in_time) {
		reaper_cgroup_kill(t->cgroups, job->agent_id);
		return false;
	}
	if (r < 0)
		log_error("reaper: the cgroup of agent %s stays: %s", job->agent_id, strerror(-r));
	return true;
}

/* The time of one process is the kernel's to limit, that of all together is ours. */
static void mind_cpu(ReaperTree *t, TreeJob *job, uint64_t now_us)
{
	if (!job->has_cgroup || job->cpu_seconds == 0 || job->tally.cpu_over ||
		now_us < job->cpu_due_us)
		return;
	job->cpu_due_us = now_us + IDLE_PASS_US;
	if (reaper_cgroup_cpu_us(t->cgroups, job->agent_id) / USEC_PER_SEC < job->cpu_seconds)
		return;
	job->tally.cpu_over = true;
	end_job(t, job, REAPER_CPU_GRACE_SECONDS * 1000);
}

/* Ends the job if it is over; else sees to it that there is another pass in time. */
static void settle(ReaperTree *t, TreeJob *job, uint64_t now_us)
{
	if (job->exited && !job->present) {
		if (job->empty_since_us == 0)
			job->empty_since_us = now_us;
		bool in_time = now_us - job->empty_since_us < SUSPECT_US;
		if ((!t->suspects || !in_time) && leave_cgroup(t, job, in_time)) {
			t->hooks.on_gone(job, t->hooks.userdata);
			reaper_tree_drop(job);
			return;
		}
		pass_by(t, now_us + t->backoff_us);
	} else {
		job->empty_since_us = 0;
		mind_cpu(t, job, now_us);
	}

	if (job->ending == TREE_ENDING_KILL) {
		pass_by(t, now_us + t->backoff_us);
	} else if (job->ending == TREE_ENDING_TERM) {
		pass_by(t, job->kill_at_us);
		pass_by(t, now_us + TERM_PASS_US);
	}
}

static void end_pass(ReaperTree *t, uint64_t began_us, bool any, bool complete)
{
	uint64_t now_us = clock_monotonic_us();
	if (complete) {
		node_table_sweep(&t->nodes, t->pass);
		list_foreach_safe (node, &t->jobs)
			settle(t, container_of(node, TreeJob, node), now_us);
	}
	if (t->kill_all || t->suspects || !complete)
		pass_by(t, now_us + t->backoff_us);
	if (any)
		pass_by(t, now_us + IDLE_PASS_US);

	t->backoff_us *= 2;
	if (t->backoff_us > KILL_PASS_MAX_US)
		t->backoff_us = KILL_PASS_MAX_US;
	t->not_before_us = now_us + (now_us - began_us) * PASS_PAUSE;
}

static void run_pass(ReaperTree *t)
{
	_cleanup_(pid_list_done) PidList children = { 0 };
	_cleanup_(member_list_done) MemberList scratch = { 0 };
	uint64_t now_us = clock_monotonic_us();

	if (t->kill_all && t->cgroups)
		reaper_cgroup_kill_all(t->cgroups);
	begin_pass(t, now_us);
	int r = reaper_proc_children(getpid(), &children);
	if (r < 0)
		log_error("reaper: cannot list its children: %s", strerror(-r));
	for (size_t i = 0; i < children.n; i++)
		visit(t, children.pids[i], &scratch);
	end_pass(t, now_us, children.n > 0, r >= 0);
}

/* -1: no pass is due at any time. */
static int64_t until_pass_us(const ReaperTree *t)
{
	if (t->due_us == 0)
		return -1;
	uint64_t at_us = t->due_us > t->not_before_us ? t->due_us : t->not_before_us;
	uint64_t now_us = clock_monotonic_us();
	return at_us > now_us ? (int64_t)(at_us - now_us) : 0;
}

int64_t reaper_tree_timeout_us(const ReaperTree *t)
{
	return t->reap_more ? 0 : until_pass_us(t);
}

void reaper_tree_turn(ReaperTree *t)
{
	if (until_pass_us(t) == 0)
		run_pass(t);
}
