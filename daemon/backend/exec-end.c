#include "daemon/backend/exec-end.h"

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
	int sig = WTERMSIG(end->status);
	return limit > 0 && (sig == SIGXCPU || (sig == SIGKILL && end->cpu_seconds >= limit));
}

static AgentErrorCode describe_signal(
	const ExecEnd *end, uint64_t cpu_limit, char *message, size_t size)
{
	if (cpu_limit_hit(end, cpu_limit)) {
		(void)snprintf(message, size, "it used up its %llu s of processor time",
			(unsigned long long)cpu_limit);
		return AGENT_ERROR_RESOURCE_LIMIT;
	}
	int sig = WTERMSIG(end->status);
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
	if (WIFSIGNALED(end->status))
		return describe_signal(end, options->cpu_seconds, message, size);
	(void)snprintf(message, size, "it exited with status %d", WEXITSTATUS(end->status));
	return AGENT_ERROR_EXIT;
}

void exec_end_describe(const ExecEnd *end, const ExecOptions *options, ExecVerdict *ret)
{
	bool by_signal = WIFSIGNALED(end->status);
	(void)snprintf(ret->details, sizeof(ret->details), ",\"%s\":%d",
		by_signal ? "signal" : "exit_code",
		by_signal ? WTERMSIG(end->status) : WEXITSTATUS(end->status));
	ret->event = (BackendEvent){ .type = BACKEND_DONE, .details = ret->details };
	if (!end->over_limit && !end->cancelled && end->status == 0)
		return;
	ret->event.type = BACKEND_ERROR;
	ret->event.code = describe_error(end, options, ret->message, sizeof(ret->message));
	ret->event.message = ret->message;
}

void exec_end_describe_failure(
	int error, bool directory, const ExecOptions *options, ExecVerdict *ret)
{
	const char *name = directory ? options->cwd : options->argv[0];
	name = name ? name : "/";
	(void)snprintf(ret->message, sizeof(ret->message), "cannot %s \"%.*s\": %s",
		directory ? "change to the directory" : "start the program",
		(int)utf8_cut(name, strlen(name), SHOWN_BYTES), name, strerrordesc_np(error));
	ret->event = (BackendEvent){
		.type = BACKEND_ERROR,
		.code = AGENT_ERROR_SPAWN_FAILED,
		.message = ret->message,
	};
}
