/* What goes over the line between a worker and the reaper: one struct a message, SOCK_SEQPACKET.
 * Both ends are the same program, forked; so there are no versions and no byte order.
 *
 * A start brings four descriptors along: the payload (a memfd with cwd, where there is one, then
 * argv, then the environment, each string with its NUL), and what is to be standard input,
 * output and error.
 *
 * Thread: any; nothing but declarations. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

/* A UUID's text with its NUL fits. */
#define REAPER_AGENT_ID_SIZE 64U

/* More than execve() takes. */
#define REAPER_PAYLOAD_MAX_BYTES (16U * 1024 * 1024)

/* Between SIGXCPU, or the SIGTERM of a tree, and the SIGKILL of a program that does not mind it. */
#define REAPER_CPU_GRACE_SECONDS 2U

enum {
	REAPER_FD_PAYLOAD,
	REAPER_FD_STDIN,
	REAPER_FD_STDOUT,
	REAPER_FD_STDERR,
	_REAPER_FD_MAX,
};

typedef enum ReaperRequestType {
	REAPER_REQUEST_START,
	REAPER_REQUEST_END,
} ReaperRequestType;

typedef struct ReaperRequest {
	uint32_t type;
	uint32_t grace_ms; /* END */
	uint64_t id;       /* unique on its line for as long as the job lives */

	/* START */
	uint64_t memory_bytes, cpu_seconds, processes, open_files; /* 0: no limit */
	uint32_t argc, envc;
	uint64_t payload_bytes;
	bool has_cwd;
	char agent_id[REAPER_AGENT_ID_SIZE];
} ReaperRequest;

typedef enum ReaperReplyType {
	REAPER_REPLY_STARTED, /* value: pid */
	REAPER_REPLY_FAILED,  /* value: errno; stage: at what. The job is over. */
	REAPER_REPLY_EXITED,  /* value: wait status; usage */
	REAPER_REPLY_GONE,    /* the job is over; tally */
} ReaperReplyType;

typedef enum ReaperStage {
	REAPER_STAGE_PROGRAM,
	REAPER_STAGE_DIRECTORY,
	REAPER_STAGE_CGROUP,
	_REAPER_STAGE_MAX,
} ReaperStage;

/* What a whole tree has used, and what was refused to it, where it had a cgroup. */
typedef struct ReaperTally {
	bool known;                 /* it had one; else all is 0 */
	bool cpu_over;              /* it was ended for its cpu_seconds */
	uint64_t cpu_us;            /* of user and kernel */
	uint64_t memory_peak_bytes; /* 0: it cannot be told */
	uint64_t memory_refused;    /* times that its limit left no room */
	uint64_t oom_kills;         /* processes of its that the kernel killed for memory */
	uint64_t forks_refused;     /* by its limit of processes */
} ReaperTally;

typedef struct ReaperReply {
	uint32_t type;
	int32_t value;
	uint64_t id;
	uint32_t stage;
	struct rusage usage;
	ReaperTally tally;
} ReaperReply;
