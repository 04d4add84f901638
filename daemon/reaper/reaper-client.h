/* A worker's line to the reaper: the process that starts, waits for and ends every program.
 *
 * One SOCK_SEQPACKET pair for each worker, made before the reaper is forked, so that answers
 * come straight to the loop that waits for them. Requests never block: what the socket does not
 * take waits in a queue.
 *
 * Thread: the worker's. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "common/cleanup.h"
#include "daemon/reaper/reaper-proto.h"

typedef struct ReaperClient ReaperClient;
typedef struct ReaperJob ReaperJob;

/* 0 in a limit: none. */
typedef struct ReaperSpec {
	const char *const *argv; /* NULL-terminated, at least one */
	const char *const *envp; /* NULL-terminated "KEY=VALUE", complete, with LIONGATE_AGENT_ID */
	const char *agent_id;    /* what LIONGATE_AGENT_ID says */
	const char *cwd;         /* NULL: home of the user, else / */
	int stdin_fd, stdout_fd, stderr_fd; /* lent; sent to the reaper */
	uint64_t memory_bytes, cpu_seconds, processes, open_files;
} ReaperSpec;

typedef struct ReaperHooks {
	void (*on_started)(pid_t pid, void *userdata);
	/* It could not be started; the job is over. `what` is "program",
	 * "directory" or "cgroup" (static). */
	void (*on_failed)(int error, const char *what, void *userdata);
	/* The program itself has ended (wait status); its descendants may live on. */
	void (*on_exit)(int status, const struct rusage *usage, void *userdata);
	/* Nothing of its tree is left: the job is over. Always after on_exit; without
	 * reaper_job_end() too, where the program leaves nothing behind. What all of it has used
	 * is lent. */
	void (*on_gone)(const ReaperTally *tally, void *userdata);
	void *userdata;
} ReaperHooks;

/* Takes `fd`. -errno. */
int reaper_client_new(struct event_base *base, int fd, ReaperClient **ret) _must_check_;
/* Bears NULL. Jobs that are left get no more callbacks, and the reaper kills them. Not from
 * within a callback. */
void reaper_client_free(ReaperClient *c);

/* *ret is lent until on_failed, on_gone, or reaper_job_forget(). No callback comes before this
 * has returned. -errno (then there is no job); -E2BIG: above REAPER_PAYLOAD_MAX_BYTES. */
int reaper_client_start(ReaperClient *c, const ReaperSpec *spec, const ReaperHooks *hooks,
	ReaperJob **ret) _must_check_;
/* Ends the whole tree: SIGTERM, after `grace_ms` SIGKILL, pass after pass until nothing is left.
 * Again with a shorter grace: that one counts. on_exit and on_gone follow. */
void reaper_job_end(ReaperJob *job, uint32_t grace_ms);
/* No more callbacks; the reaper goes on with what it was told.
 *
 * If the reaper dies, every job gets on_failed, or on_exit (as of a SIGKILL) and on_gone, and
 * reaper_client_start() fails with -EPIPE from then on. */
void reaper_job_forget(ReaperJob *job);
