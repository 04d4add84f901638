/* The exec backend: any program as an agent.
 *
 * A run goes through: started by the reaper, exited, gone (nothing of its tree is left),
 * finished. What the pipes hold is read to their end, or for DRAIN_MS after the exit; then the
 * rest of the tree is ended, and what was written until then is still given out. So the last
 * event comes when the tree is gone and both streams have ended, in whatever order that happens. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/utf8.h"
#include "daemon/backend/backend.h"
#include "daemon/backend/exec-end.h"
#include "daemon/backend/exec-env.h"
#include "daemon/backend/exec-input.h"
#include "daemon/backend/exec-options.h"
#include "daemon/backend/exec-pipes.h"
#include "daemon/backend/exec-stream.h"
#include "daemon/loop/worker.h"
#include "daemon/reaper/reaper-client.h"

#define DRAIN_MS      500U
/* How long one that was cancelled while paused waits to be resumed, with its last output in the
 * pipes. */
#define PAUSED_END_MS 5000U

typedef struct ExecRun {
	BackendRun run;
	ExecOptions options;
	ExecEnv env;
	ExecInput input;
	ExecStream streams[2];
	char agent_id[UUID_TEXT_LEN + 1];
	uint32_t kill_grace_ms;
	uint64_t output_bytes; /* given out so far */
	ReaperJob *job;        /* lent; NULL before, and when it is over */
	struct event *timer;
	Deferred pump;
	pid_t pid;
	ExecEnd end;
	bool started;   /* the reaper has said so */
	bool announced; /* START was given out */
	bool paused;
	bool ending; /* the reaper was asked to end the tree */
	bool asked;  /* cancel() was called */
	bool exited, gone, finished;
} ExecRun;

static ExecRun *exec_run(BackendRun *run)
{
	return container_of(run, ExecRun, run);
}

static void emit(ExecRun *r, const BackendEvent *event)
{
	r->run.on_event(event, r->run.userdata);
}

static void fail(ExecRun *r, AgentErrorCode code, const char *message)
{
	BackendEvent event = { .type = BACKEND_ERROR, .code = code, .message = message };
	r->finished = true;
	emit(r, &event);
}

static void arm_timer(ExecRun *r, uint64_t ms)
{
	struct timeval scratch;
	(void)event_add(r->timer, worker_timeout(r->run.worker, ms, &scratch));
}

static void end_tree(ExecRun *r, uint32_t grace_ms)
{
	r->ending = true;
	if (r->job)
		reaper_job_end(r->job, grace_ms);
}

static void end_rest(ExecRun *r)
{
	end_tree(r, r->kill_grace_ms < DRAIN_MS ? r->kill_grace_ms : DRAIN_MS);
}

static void emit_start(ExecRun *r)
{
	BackendEvent event = { .type = BACKEND_START, .pid = r->pid };
	r->announced = true;
	emit(r, &event);
}

static void finish(ExecRun *r)
{
	ExecVerdict verdict;
	if (!r->announced) /* it was paused from before it started to its end */
		emit_start(r);
	exec_end_describe(&r->end, &r->options, &verdict);
	r->finished = true;
	(void)event_del(r->timer);
	emit(r, &verdict.event);
}

/* Goes on to whatever follows from what has happened. */
static void step(ExecRun *r)
{
	bool ended = r->streams[0].ended && r->streams[1].ended;
	if (r->finished)
		return;
	if (r->exited && ended && !r->ending) {
		(void)event_del(r->timer);
		end_rest(r);
	}
	if (r->gone && ended)
		finish(r);
}

/* Pausing is for a moment, but for a full disk; an agent must be able to end on that too, also with
 * output in its pipes. */
static void arm_paused_end(ExecRun *r)
{
	if (r->gone && r->paused && r->asked && !r->finished)
		arm_timer(r, PAUSED_END_MS);
}

static void close_streams(ExecRun *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->streams); i++)
		exec_stream_close(&r->streams[i]);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	ExecRun *r = userdata;
	if (!r->gone)
		end_rest(r);
	else if (r->paused)
		close_streams(r);
	step(r);
}

static void give(ExecRun *r, Channel channel, const char *bytes, size_t len)
{
	BackendEvent event = {
		.type = BACKEND_PARTIAL_OUTPUT,
		.channel = channel,
		.chunk = bytes,
		.chunk_len = len,
	};
	r->output_bytes += len;
	if (len > 0)
		emit(r, &event);
}

static bool on_chunk(ExecStream *s, const char *bytes, size_t len)
{
	ExecRun *r = s->userdata;
	uint64_t limit = r->options.output_bytes;
	if (limit == 0 || len <= limit - r->output_bytes) {
		give(r, s->channel, bytes, len);
		return !r->paused;
	}
	size_t rest = (size_t)(limit - r->output_bytes);
	give(r, s->channel, bytes, rest - utf8_incomplete_tail(bytes, rest));
	r->end.over_limit = true;
	close_streams(r);
	end_tree(r, r->kill_grace_ms);
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	ExecStream *s = userdata;
	ExecRun *r = s->userdata;
	if (exec_stream_pump(s) && !r->paused)
		worker_defer(r->run.worker, &r->pump);
	step(r);
}

static void listen_streams(ExecRun *r, bool on)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->streams); i++)
		exec_stream_listen(&r->streams[i], on);
}

static void announce(ExecRun *r)
{
	emit_start(r);
	if (!r->paused)
		listen_streams(r, true);
}

/* What needs no look at a descriptor: a START that was held, lines that are left of a read, the
 * rest of the pipes. */
static void run_pump(Deferred *d)
{
	ExecRun *r = container_of(d, ExecRun, pump);
	bool more = false;
	if (r->started && !r->announced && !r->paused)
		announce(r);
	for (size_t i = 0; i < ARRAY_SIZE(r->streams); i++)
		if (r->announced && !r->paused && !r->finished)
			more |= exec_stream_pump(&r->streams[i]);
	if (more && !r->paused)
		worker_defer(r->run.worker, &r->pump);
	step(r);
}

static void on_started(pid_t pid, void *userdata)
{
	ExecRun *r = userdata;
	r->pid = pid;
	r->started = true;
	(void)exec_input_flush(&r->input);
	if (!r->paused)
		announce(r);
}

static void on_failed(int error, const char *what, void *userdata)
{
	ExecRun *r = userdata;
	r->job = NULL;
	if (r->end.cancelled) {
		fail(r, AGENT_ERROR_CANCELLED, "it was cancelled");
		return;
	}
	ExecVerdict verdict;
	exec_end_describe_failure(error, what, &r->options, &verdict);
	r->finished = true;
	emit(r, &verdict.event);
}

static uint64_t seconds_used(const struct rusage *usage)
{
	struct timeval sum;
	timeradd(&usage->ru_utime, &usage->ru_stime, &sum);
	return (uint64_t)sum.tv_sec;
}

static void on_exited(int status, const struct rusage *usage, void *userdata)
{
	ExecRun *r = userdata;
	r->exited = true;
	r->end.status = status;
	r->end.cpu_seconds = seconds_used(usage);
	exec_input_close(&r->input);
	if (!r->ending)
		arm_timer(r, DRAIN_MS);
	step(r);
}

static void on_gone(const ReaperTally *tally, void *userdata)
{
	ExecRun *r = userdata;
	r->job = NULL;
	r->end.tally = *tally;
	r->gone = true;
	r->ending = true;
	(void)event_del(r->timer);
	for (size_t i = 0; i < ARRAY_SIZE(r->streams); i++)
		exec_stream_bound(&r->streams[i]);
	worker_defer(r->run.worker, &r->pump);
	arm_paused_end(r);
}

/* Takes the pipes' own ends. */
static int open_streams(ExecRun *r, ExecPipes *pipes)
{
	struct event_base *base = worker_base(r->run.worker);
	int res = 0;
	r->timer = event_new(base, -1, 0, on_timer, r);
	if (!r->timer)
		return -ENOMEM;
	if (pipes->ours[STDIN_FILENO] >= 0)
		res = exec_input_open(&r->input, base, TAKE_FD(pipes->ours[STDIN_FILENO]));
	for (size_t i = 0; res >= 0 && i < ARRAY_SIZE(r->streams); i++) {
		ExecStream *s = &r->streams[i];
		s->on_chunk = on_chunk;
		s->userdata = r;
		res = exec_stream_open(s, base, TAKE_FD(pipes->ours[i + 1]), on_readable, s);
	}
	return res;
}

static int ask_reaper(ExecRun *r, const ExecPipes *pipes)
{
	ReaperClient *client = worker_reaper(r->run.worker);
	if (!client)
		return -EPIPE;
	ReaperHooks hooks = {
		.on_started = on_started,
		.on_failed = on_failed,
		.on_exit = on_exited,
		.on_gone = on_gone,
		.userdata = r,
	};
	ReaperSpec spec = {
		.argv = (const char *const *)r->options.argv,
		.envp = (const char *const *)r->env.vars,
		.agent_id = r->agent_id,
		.cwd = r->options.cwd,
		.stdin_fd = pipes->theirs[STDIN_FILENO],
		.stdout_fd = pipes->theirs[STDOUT_FILENO],
		.stderr_fd = pipes->theirs[STDERR_FILENO],
		.memory_bytes = r->options.memory_bytes,
		.cpu_seconds = r->options.cpu_seconds,
		.processes = r->options.processes,
		.open_files = r->options.open_files,
	};
	return reaper_client_start(client, &spec, &hooks, &r->job);
}

static const char *explain(int error)
{
	switch (error) {
	case -EPIPE:
		return "the reaper has died";
	case -E2BIG:
		return "its arguments and environment are longer than 16 MiB";
	default:
		return strerrordesc_np(-error);
	}
}

static void exec_start(BackendRun *run)
{
	ExecRun *r = exec_run(run);
	_cleanup_buf_ Buf why = { 0 };
	_cleanup_(exec_pipes_done) ExecPipes pipes = EXEC_PIPES_NONE;

	int res = exec_env_resolve(&r->env, &why);
	if (res >= 0)
		res = exec_pipes_make(&pipes, r->options.input == EXEC_STDIN_NONE);
	if (res >= 0)
		res = open_streams(r, &pipes);
	if (res >= 0)
		res = ask_reaper(r, &pipes);
	exec_env_done(&r->env);
	if (res >= 0)
		return;

	char message[128];
	(void)snprintf(message, sizeof(message), "cannot start a program: %s", explain(res));
	fail(r, AGENT_ERROR_SPAWN_FAILED, why.len > 0 ? why.data : message);
}

static void exec_cancel(BackendRun *run, uint32_t kill_grace_ms)
{
	ExecRun *r = exec_run(run);
	if (r->finished)
		return;
	r->asked = true;
	if (!r->exited && !r->end.over_limit)
		r->end.cancelled = true;
	end_tree(r, kill_grace_ms);
	arm_paused_end(r);
}

static void exec_pause(BackendRun *run)
{
	ExecRun *r = exec_run(run);
	r->paused = true;
	listen_streams(r, false);
	arm_paused_end(r);
}

static void exec_resume(BackendRun *run)
{
	ExecRun *r = exec_run(run);
	r->paused = false;
	if (r->finished || !r->started)
		return;
	if (r->gone)
		(void)event_del(r->timer);
	if (r->announced)
		listen_streams(r, true);
	worker_defer(r->run.worker, &r->pump);
}

static ssize_t exec_send(BackendRun *run, const char *bytes, size_t len, bool eof)
{
	ExecRun *r = exec_run(run);
	if (r->options.input != EXEC_STDIN_OPEN || r->input.ending || r->exited || r->finished)
		return -EPIPE;
	size_t unread = exec_input_unread(&r->input) + len;
	if (len > 0 && unread > PROTOCOL_MAX_INPUT_BYTES)
		return -ENOBUFS;
	int res = exec_input_append(&r->input, bytes, len);
	if (res < 0)
		return res;
	if (eof)
		exec_input_end(&r->input);
	res = exec_input_flush(&r->input);
	return res < 0 ? res : (ssize_t)unread;
}

static void exec_free(BackendRun *run)
{
	if (!run)
		return;
	ExecRun *r = exec_run(run);
	if (r->job) {
		reaper_job_end(r->job, 0);
		reaper_job_forget(r->job);
	}
	if (r->timer)
		event_free(r->timer);
	list_remove(&r->pump.node);
	exec_input_done(&r->input);
	for (size_t i = 0; i < ARRAY_SIZE(r->streams); i++)
		exec_stream_done(&r->streams[i]);
	exec_env_done(&r->env);
	exec_options_done(&r->options);
	free(r);
}

static int exec_run_new(const BackendSpec *spec, BackendRun **ret)
{
	ExecRun *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->run.backend = &backend_exec;
	r->kill_grace_ms = spec->kill_grace_ms;
	r->pump.run = run_pump;
	list_init(&r->pump.node);
	uuid_format(&spec->agent_id, r->agent_id);
	exec_input_init(&r->input);

	int res = exec_options_init(&r->options, spec->options);
	exec_stream_init(&r->streams[0], CHANNEL_OUTPUT, r->options.by_line);
	exec_stream_init(&r->streams[1], CHANNEL_ERROR, r->options.by_line);
	if (res >= 0)
		res = exec_env_init(&r->env, r->agent_id, spec->options);
	if (res >= 0 && r->options.input != EXEC_STDIN_NONE && spec->prompt_len > 0)
		res = exec_input_append(&r->input, spec->prompt, spec->prompt_len);
	if (res >= 0 && spec->input_len > 0)
		res = exec_input_append(&r->input, spec->input, spec->input_len);
	if (res < 0) {
		exec_free(&r->run);
		return res;
	}
	if (r->options.input != EXEC_STDIN_OPEN || spec->input_ended)
		exec_input_end(&r->input);
	*ret = &r->run;
	return 0;
}

const Backend backend_exec = {
	.name = "exec",
	.check = exec_options_check,
	.takes_input = exec_options_take_input,
	.run_new = exec_run_new,
	.start = exec_start,
	.cancel = exec_cancel,
	.pause = exec_pause,
	.resume = exec_resume,
	.send = exec_send,
	.free = exec_free,
};
