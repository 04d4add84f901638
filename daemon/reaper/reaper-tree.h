/* Which process belongs to which job, and the end of whole trees.
 *
 * The reaper is a child subreaper and the only one that waits. So every process of every job
 * hangs below it, and no direct child's pid is given to another before the reaper has waited for
 * it. A direct child is a job's program or an orphan; an orphan belongs to the job whose session
 * or process group it is in, else to the one that it was seen in before, else to the one that
 * its LIONGATE_AGENT_ID names. What shows none of these is killed. Below a direct child all is
 * its job's.
 *
 * A job is over when its program has ended and no direct child is its own: what lives deeper has
 * one above it. Ends run in passes over /proc, for nothing there stands still: each signals what
 * it finds, and the next one finds what was forked meanwhile.
 *
 * Where jobs have cgroups, an orphan belongs to the one whose cgroup it is in, before all else;
 * each pass that kills kills all of that cgroup first; and a job is not over before it is empty.
 *
 * Owns the jobs.
 *
 * Thread: the reaper's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "common/list.h"
#include "daemon/reaper/reaper-delegation.h"
#include "daemon/reaper/reaper-node.h"
#include "daemon/reaper/reaper-proto.h"

typedef enum TreeEnding {
	TREE_ENDING_NONE,
	TREE_ENDING_TERM, /* each of its processes has got SIGTERM, or will when it is found */
	TREE_ENDING_KILL,
} TreeEnding;

typedef struct TreeJob {
	ListNode node;
	size_t line; /* whose it is, and what it is called there */
	uint64_t id;
	char agent_id[REAPER_AGENT_ID_SIZE];
	bool has_cgroup;
	uint64_t cpu_seconds; /* of all its processes together; 0: no limit */
	uint64_t cpu_due_us;  /* when they are looked at next */
	ReaperTally tally;    /* whole once the job is over */
	TreeNode *program;    /* lent by the table once the program runs, and until it has ended */
	pid_t pid;            /* 0: not started */
	bool exited;
	TreeEnding ending;
	uint64_t kill_at_us;
	bool present;            /* a direct child of it was found in this pass */
	uint64_t empty_since_us; /* 0: one was found in the last */
} TreeJob;

/* May not change the tree. The job is lent. */
typedef struct ReaperTreeHooks {
	void (*on_exit)(const TreeJob *job, int status, const struct rusage *usage, void *userdata);
	void (*on_gone)(const TreeJob *job, void *userdata);
	void *userdata;
} ReaperTreeHooks;

typedef struct ReaperTree {
	ReaperTreeHooks hooks;
	const Delegation *cgroups; /* NULL: there are none */
	ListNode jobs;             /* newest first */
	NodeTable nodes;
	uint32_t pass;
	bool kill_all;
	bool suspects; /* some orphans may turn out to be anyone's */
	bool reap_more;
	uint64_t due_us;        /* of the next pass; 0: none */
	uint64_t not_before_us; /* passes leave time for the rest */
	uint64_t backoff_us;
} ReaperTree;

/* `cgroups` is lent, and may be NULL. */
void reaper_tree_init(ReaperTree *t, const Delegation *cgroups, const ReaperTreeHooks *hooks);
/* Forgets everything; ends nothing. */
void reaper_tree_done(ReaperTree *t);

/* In two steps, so that nothing can fail once the program runs: a job, and then its program or,
 * if that could not be started, the job's end without a callback. */
int reaper_tree_add(
	ReaperTree *t, size_t line, const ReaperRequest *request, TreeJob **ret) _must_check_;
void reaper_tree_started(ReaperTree *t, TreeJob *job, pid_t pid);
/* There is no program, but there may be a cgroup: on_gone comes once that is gone, or never. */
void reaper_tree_failed(ReaperTree *t, TreeJob *job);
void reaper_tree_drop(TreeJob *job);

/* See reaper_job_end(). No-op if the job is over. */
void reaper_tree_end(ReaperTree *t, size_t line, uint64_t id, uint32_t grace_ms);
/* Kills all jobs of a line. */
void reaper_tree_end_line(ReaperTree *t, size_t line);
/* From now on every process is to die. */
void reaper_tree_end_all(ReaperTree *t);

/* Waits for what has ended. False if there is no child at all. */
bool reaper_tree_reap(ReaperTree *t);
/* How long until there is something to do without a signal; -1: for ever. */
int64_t reaper_tree_timeout_us(const ReaperTree *t);
/* A pass, if one is due. */
void reaper_tree_turn(ReaperTree *t);
