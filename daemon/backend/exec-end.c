#include "daemon/backend/exec-end.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/utf8.h"

/* Of a path in a message. */
#define SHOWN_BYTES 200U

/* A SIGKILL at the hard limit is told from others by the time that was used. */
static bool cpu_limit_hit(const ExecEnd *end, uint64_t limit)
{
	if (end->tally.cpu_over)
		return true;
	int sig = WIFSIGNALED(end->status) ? WTERMSIG(end->status) : 0;
	return limit > 0 && (sig == SIGXCPU || (sig == SIGKILL && end->cpu_seconds >= limit));
}

/* Puts what a limit has done to it into `message`. False: nothing that would explain its end. */
static bool describe_limit(
	const ExecEnd *end, const ExecOptions *options, char *message, size_t size)
{
	bool own = options->memory_bytes > 0 && end->tally.memory_refused > 0;
	if (cpu_limit_hit(end, options->cpu_seconds))
		(void)snprintf(message, size,
			"it used up its %llu s of processor time (limits.cpu_seconds)",
			(unsigned long long)options->cpu_seconds);
	else if (end->tally.oom_kills > 0 && own)
		(void)snprintf(message, size,
			"it used up its %llu bytes of memory (limits.memory_bytes); processes "
			"killed for it: %llu",
			(unsigned long long)options->memory_bytes,
			(unsigned long long)end->tally.oom_kills);
	else if (end->tally.oom_kills > 0)
		(void)snprintf(message, size,
			"the machine, or the daemon's service, ran out of memory; processes "
			"killed for it: %llu",
			(unsigned long long)end->tally.oom_kills);
	else
		return false;
	return true;
}

static AgentErrorCode describe_signal(int sig, char *message, size_t size)
{
	const char *name = sigabbrev_np(sig);
	(void)snprintf(message, size, "it was ended by signal %d (%s%s)", sig, name ? "SIG" : "",
		name ? name : "real-time");
	return AGENT_ERROR_SIGNAL;
}

static AgentErrorCode describe_error(
	const ExecEnd *end, const ExecOptions *options, char *message, size_t size)
{
	if (end->over_limit) {
		(void)snprintf(message, size, "its output passed its limit of %llu bytes",
			(unsigned long long)options->output_bytes);
		return AGENT_ERROR_OUTPUT_LIMIT;
	}
	if (end->cancelled) {
		(void)snprintf(message, size, "it was cancelled");
		return AGENT_ERROR_CANCELLED;
	}
	if (describe_limit(end, options, message, size))
		return AGENT_ERROR_RESOURCE_LIMIT;
	if (WIFSIGNALED(end->status))
		return describe_signal(WTERMSIG(end->status), message, size);
	(void)snprintf(message, size, "it exited with status %d", WEXITSTATUS(end->status));
	return AGENT_ERROR_EXIT;
}

static void add_count(char *out, size_t size, const char *name, uint64_t value)
{
	size_t len = strlen(out);
	if (value > 0)
		(void)snprintf(
			out + len, size - len, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void describe_resource(const ReaperTally *tally, char *out, size_t size)
{
	size_t len = strlen(out);
	if (!tally->known)
		return;
	(void)snprintf(out + len, size - len, ",\"resource\":{\"cpu_us\":%llu",
		(unsigned long long)tally->cpu_us);
	add_count(out, size, "memory_peak_bytes", tally->memory_peak_bytes);
	add_count(out, size, "oom_kills", tally->oom_kills);
	add_count(out, size, "forks_refused", tally->forks_refused);
	len = strlen(out);
	(void)snprintf(out + len, size - len, "}");
}

void exec_end_describe(const ExecEnd *end, const ExecOptions *options, ExecVerdict *ret)
{
	bool by_signal = WIFSIGNALED(end->status);
	(void)snprintf(ret->details, sizeof(ret->details), ",\"%s\":%d",
		by_signal ? "signal" : "exit_code",
		by_signal ? WTERMSIG(end->status) : WEXITSTATUS(end->status));
	describe_resource(&end->tally, ret->details, sizeof(ret->details));
	ret->event = (BackendEvent){ .type = BACKEND_DONE, .details = ret->details };
	if (!end->over_limit && !end->cancelled && !end->tally.cpu_over && end->status == 0)
		return;
	ret->event.type = BACKEND_ERROR;
	ret->event.code = describe_error(end, options, ret->message, sizeof(ret->message));
	ret->event.message = ret->message;
}

static void describe_cgroup(int error, const ExecOptions *options, char *message, size_t size)
{
	if (error == EOPNOTSUPP && options->processes > 0)
		(void)snprintf(message, size, "limits.processes %s", exec_options_no_cgroups);
	else
		(void)snprintf(message, size, "cannot make a cgroup for the program: %s",
			strerrordesc_np(error));
}

void exec_end_describe_failure(
	int error, const char *what, const ExecOptions *options, ExecVerdict *ret)
{
	bool directory = strcmp(what, "directory") == 0;
	const char *name = directory ? options->cwd : options->argv[0];
	name = name ? name : "/";
	(void)snprintf(ret->message, sizeof(ret->message), "cannot %s \"%.*s\": %s",
		directory ? "change to the directory" : "start the program",
		(int)utf8_cut(name, strlen(name), SHOWN_BYTES), name, strerrordesc_np(error));
	if (strcmp(what, "cgroup") == 0)
		describe_cgroup(error, options, ret->message, sizeof(ret->message));
	ret->event = (BackendEvent){
		.type = BACKEND_ERROR,
		.code = AGENT_ERROR_SPAWN_FAILED,
		.message = ret->message,
	};
}
