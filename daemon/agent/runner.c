#include "daemon/agent/runner.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/agent/runner-internal.h"
#include "daemon/backend/http.h"

/* ---- Making and freeing ---- */

int agent_run_new(const AgentRunSpec *spec, AgentRun **ret)
{
	_cleanup_buf_ Buf members = { 0 };
	char id[UUID_TEXT_LEN + 1];
	AgentRun *run = NULL;
	JsonWriter w;

	jw_init(&w, &members);
	uuid_format(spec->id, id);
	jw_key_string(&w, "agent_id", id, UUID_TEXT_LEN);
	if (spec->correlation_id)
		jw_key_cstring(&w, "correlation_id", spec->correlation_id);
	if (jw_finish(&w) == 0)
		run = calloc(1, sizeof(*run) + members.len);
	if (!run) {
		spec->backend_run->backend->free(spec->backend_run);
		return -ENOMEM;
	}
	list_init(&run->node);
	run->backend_run = spec->backend_run;
	run->owner = spec->owner;
	run->agent = spec->agent;
	run->chunks = spec->chunks;
	run->bytes = spec->bytes;
	run->accepted_us = spec->accepted_us;
	run->total_ms = spec->total_ms;
	run->idle_ms = spec->idle_ms;
	run->attempt = spec->attempt;
	run->kill_grace_ms = spec->kill_grace_ms;
	run->on_trial = spec->on_trial;
	atomic_init(&run->traced, spec->traced);
	run->members_len = (uint16_t)members.len; /* a correlation_id has 256 bytes at most */
	memcpy(run->members, members.data, members.len);
	*ret = run;
	return 0;
}

static void free_timers(AgentRun *run)
{
	if (run->total_timer)
		event_free(run->total_timer);
	if (run->idle_timer)
		event_free(run->idle_timer);
	run->total_timer = run->idle_timer = NULL;
}

void agent_run_free(AgentRun *run)
{
	if (!run)
		return;
	list_remove(&run->node);
	free_timers(run);
	run->backend_run->backend->free(run->backend_run);
	free(run);
}

void agent_run_trace(AgentRun *run, bool traced)
{
	atomic_store_explicit(&run->traced, traced, memory_order_relaxed);
}

/* Its stream has a hole now: it ends, and says why; at the end of the turn, since the backend is in
 * the midst of its call. */
static void lose(AgentRun *run)
{
	Runner *r = run->runner;

	r->output_lost |= !run->out_of_memory; /* it is stopped once */
	run->out_of_memory = true;
	atomic_fetch_add_explicit(&r->lost_events, 1, memory_order_relaxed);
}

/* ---- Backpressure ---- */

static void pause_runs(Runner *r)
{
	if (r->paused)
		return;
	r->paused = true;
	list_foreach (node, &r->runs) {
		AgentRun *run = container_of(node, AgentRun, node);

		run->backend_run->backend->pause(run->backend_run);
	}
}

static void resume_runs(Runner *r)
{
	uint64_t now_us = worker_now_us(r->worker);

	if (!r->paused)
		return;
	r->paused = false;
	list_foreach_safe (node, &r->runs) {
		AgentRun *run = container_of(node, AgentRun, node);

		/* Idle time did not run meanwhile. */
		run->idle_since_us = now_us;
		run->backend_run->backend->resume(run->backend_run);
	}
}

/* ---- What the backend says ---- */

static void stop_run(AgentRun *run, AgentErrorCode code, uint32_t kill_grace_ms)
{
	if (run->ended)
		return;
	if (run->stopped == AGENT_ERROR_NONE)
		run->stopped = code;
	run->backend_run->backend->cancel(run->backend_run, kill_grace_ms);
}

static void on_output(AgentRun *run, const BackendEvent *e)
{
	if (run->out_of_memory || run_say_chunk(run, e) < 0) {
		lose(run);
		return;
	}
	run->chunks++;
	run->bytes += e->chunk_len;
	run->idle_since_us = worker_now_us(run->runner->worker);
	if (committer_is_full(run->runner->emitter.committer))
		pause_runs(run->runner);
}

typedef struct AnsweredMessage {
	MailboxItem item;
	const Runner *runner;
	void *owner;
} AnsweredMessage;

/* On main. */
static void deliver_answered(MailboxItem *item, void *receiver)
{
	AnsweredMessage *m = container_of(item, AnsweredMessage, item);

	(void)receiver;
	m->runner->hooks.on_answered(m->owner, m->runner->hooks.userdata);
	free(m);
}

/* Main reads it before all that the run has yet to say, which takes the way through the log. */
static void tell_answered(const AgentRun *run)
{
	AnsweredMessage *m = run->on_trial ? malloc(sizeof(*m)) : NULL;

	if (!m)
		return;
	*m = (AnsweredMessage){
		.item.deliver = deliver_answered, .runner = run->runner, .owner = run->owner
	};
	mailbox_post(run->runner->main, &m->item);
}

static int say_lost(AgentRun *run)
{
	const BackendEvent lost = {
		.type = BACKEND_ERROR,
		.code = AGENT_ERROR_RESOURCE_LIMIT,
		.message = "the daemon ran out of memory and lost some of its output",
	};

	return run_say_error(run, &lost);
}

static void on_end(AgentRun *run, const BackendEvent *e)
{
	Runner *r = run->runner;
	int error;

	run->ended = true;
	list_remove(&run->node);
	list_append(&r->done, &run->node);
	free_timers(run);
	if (run->out_of_memory)
		error = say_lost(run);
	else if (e->type == BACKEND_DONE)
		error = run_say_completed(run, e);
	else if (e->type == BACKEND_RETRY && run->stopped == AGENT_ERROR_NONE)
		error = run_say_retrying(run, e);
	else
		error = run_say_error(run, e);
	if (error == 0)
		return;
	list_remove(&run->node);
	list_append(&r->unsaid, &run->node);
	worker_defer(r->worker, &r->say_unsaid);
}

/* What the backend said of them is gone: that they have ended is what counts. Without memory again
 * in the next turn. */
static void say_unsaid(Deferred *d)
{
	Runner *r = container_of(d, Runner, say_unsaid);

	while (!list_empty(&r->unsaid)) {
		AgentRun *run = container_of(r->unsaid.next, AgentRun, node);

		if (say_lost(run) < 0) {
			worker_defer(r->worker, d);
			return;
		}
		list_remove(&run->node);
		list_append(&r->done, &run->node);
	}
}

static void on_event(const BackendEvent *e, void *userdata)
{
	AgentRun *run = userdata;

	switch (e->type) {
	case BACKEND_START:
		if (run_say_started(run, e->pid) < 0)
			lose(run);
		break;
	case BACKEND_ANSWERED:
		tell_answered(run);
		break;
	case BACKEND_PARTIAL_OUTPUT:
		on_output(run, e);
		break;
	case BACKEND_DONE:
	case BACKEND_ERROR:
	case BACKEND_RETRY:
		on_end(run, e);
		break;
	}
}

/* ---- Time-outs ---- */

static void arm_again(AgentRun *run, struct event *timer, uint64_t left_us)
{
	struct timeval left = {
		.tv_sec = (time_t)(left_us / USEC_PER_SEC),
		.tv_usec = (suseconds_t)(left_us % USEC_PER_SEC),
	};

	if (event_add(timer, &left) < 0)
		stop_run(run, AGENT_ERROR_RESOURCE_LIMIT, run->kill_grace_ms);
}

static void on_total(evutil_socket_t fd, short what, void *userdata)
{
	AgentRun *run = userdata;
	uint64_t took_us = run_elapsed_us(run->started_us, worker_now_us(run->runner->worker));

	(void)fd;
	(void)what;
	/* The loop's clock, which it was set by, may have been behind. */
	if (took_us < run->total_ms * USEC_PER_MSEC) {
		arm_again(run, run->total_timer, run->total_ms * USEC_PER_MSEC - took_us);
		return;
	}
	if (run->stopped == AGENT_ERROR_NONE)
		run->timeout = RUN_TIMEOUT_TOTAL;
	stop_run(run, AGENT_ERROR_TIMEOUT, run->kill_grace_ms);
}

static void arm_idle(AgentRun *run, uint64_t ms)
{
	struct timeval own;
	const struct timeval *tv = worker_timeout(run->runner->worker, ms, &own);

	if (event_add(run->idle_timer, tv) < 0)
		stop_run(run, AGENT_ERROR_RESOURCE_LIMIT, run->kill_grace_ms);
}

/* Set once for each idle_ms, not for each chunk: it looks how long it has really been. */
static void on_idle(evutil_socket_t fd, short what, void *userdata)
{
	AgentRun *run = userdata;
	uint64_t idle_us = run_elapsed_us(run->idle_since_us, worker_now_us(run->runner->worker));

	(void)fd;
	(void)what;
	if (run->runner->paused)
		idle_us = 0;
	if (idle_us + USEC_PER_MSEC > run->idle_ms * USEC_PER_MSEC) {
		if (run->stopped == AGENT_ERROR_NONE)
			run->timeout = RUN_TIMEOUT_IDLE;
		stop_run(run, AGENT_ERROR_TIMEOUT, run->kill_grace_ms);
		return;
	}
	arm_again(run, run->idle_timer, run->idle_ms * USEC_PER_MSEC - idle_us);
}

static void start_timers(AgentRun *run)
{
	struct event_base *base = worker_base(run->runner->worker);
	const struct timeval *tv;
	struct timeval own;

	if (run->total_ms > 0) {
		run->total_timer = event_new(base, -1, 0, on_total, run);
		tv = worker_timeout(run->runner->worker, run->total_ms, &own);
		if (!run->total_timer || event_add(run->total_timer, tv) < 0)
			stop_run(run, AGENT_ERROR_RESOURCE_LIMIT, run->kill_grace_ms);
	}
	if (run->idle_ms > 0 && !run->ended) {
		run->idle_timer = event_new(base, -1, 0, on_idle, run);
		if (!run->idle_timer)
			stop_run(run, AGENT_ERROR_RESOURCE_LIMIT, run->kill_grace_ms);
		else
			arm_idle(run, run->idle_ms);
	}
}

/* ---- Messages from main ---- */

static void deliver_start(MailboxItem *item, void *receiver)
{
	AgentRun *run = container_of(item, AgentRun, item);
	Runner *r = run->runner;
	const Backend *backend = run->backend_run->backend;

	(void)receiver;
	list_append(&r->runs, &run->node);
	run->started_us = run->idle_since_us = clock_monotonic_us();
	run->backend_run->worker = r->worker;
	run->backend_run->on_event = on_event;
	run->backend_run->userdata = run;
	backend->start(run->backend_run);
	if (run->ended)
		return;
	start_timers(run);
	if (!run->ended && r->paused)
		backend->pause(run->backend_run);
}

static void deliver_free(MailboxItem *item, void *receiver)
{
	(void)receiver;
	agent_run_free(container_of(item, AgentRun, item));
}

typedef struct StopMessage {
	MailboxItem item;
	AgentRun *run;
	AgentStop stop;
} StopMessage;

static void deliver_stop(MailboxItem *item, void *receiver)
{
	StopMessage *m = container_of(item, StopMessage, item);

	(void)receiver;
	stop_run(m->run, m->stop.code, m->stop.kill_grace_ms);
	free(m);
}

typedef struct SendMessage {
	MailboxItem item;
	AgentRun *run;
	RunnerOnSent on_sent;
	void *userdata;
	ssize_t queued;
	bool eof;
	size_t len;
	char bytes[];
} SendMessage;

/* On main. */
static void deliver_sent(MailboxItem *item, void *receiver)
{
	SendMessage *m = container_of(item, SendMessage, item);

	(void)receiver;
	m->on_sent(m->queued, m->userdata);
	free(m);
}

static void deliver_send(MailboxItem *item, void *receiver)
{
	SendMessage *m = container_of(item, SendMessage, item);
	AgentRun *run = m->run;
	const Backend *backend = run->backend_run->backend;

	(void)receiver;
	if (run->ended || !backend->send)
		m->queued = -EPIPE;
	else
		m->queued = backend->send(run->backend_run, m->bytes, m->len, m->eof);
	m->item.deliver = deliver_sent;
	mailbox_post(run->runner->main, &m->item);
}

static void deliver_wish(MailboxItem *item, void *receiver)
{
	Runner *r = container_of(item, Runner, wish_item);

	(void)receiver;
	atomic_store(&r->wish_posted, false);
	if (atomic_load(&r->pause_wish))
		pause_runs(r);
	else
		resume_runs(r);
}

static void wish(Runner *r, bool pause)
{
	atomic_store(&r->pause_wish, pause);
	if (!atomic_exchange(&r->wish_posted, true))
		worker_post(r->worker, &r->wish_item);
}

void runner_pause(Runner *r)
{
	wish(r, true);
}

void runner_resume(Runner *r)
{
	wish(r, false);
}

void runner_start(Runner *r, AgentRun *run)
{
	run->runner = r;
	run->item.deliver = deliver_start;
	r->load++;
	mailbox_list_add(&r->out, &run->item);
}

void runner_free_run(Runner *r, AgentRun *run)
{
	run->item.deliver = deliver_free;
	r->load--;
	mailbox_list_add(&r->out, &run->item);
}

int runner_stop_run(Runner *r, AgentRun *run, AgentStop stop)
{
	StopMessage *m = malloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	*m = (StopMessage){ .item.deliver = deliver_stop, .run = run, .stop = stop };
	mailbox_list_add(&r->out, &m->item);
	return 0;
}

int runner_send(Runner *r, AgentRun *run, const char *bytes, size_t len, bool eof,
	RunnerOnSent on_sent, void *userdata)
{
	SendMessage *m = malloc(sizeof(*m) + len);

	if (!m)
		return -ENOMEM;
	*m = (SendMessage){
		.item.deliver = deliver_send,
		.run = run,
		.on_sent = on_sent,
		.userdata = userdata,
		.eof = eof,
		.len = len,
	};
	if (len > 0)
		memcpy(m->bytes, bytes, len);
	mailbox_list_add(&r->out, &m->item);
	return 0;
}

void runner_flush(Runner *r)
{
	worker_post_list(r->worker, &r->out);
}

uint64_t runner_lost_events(const Runner *r)
{
	return atomic_load_explicit(&r->lost_events, memory_order_relaxed);
}

size_t runner_load(const Runner *r)
{
	return r->load;
}

/* ---- The worker's hooks ---- */

static int on_worker_start(Worker *w, void *userdata)
{
	Runner *r = userdata;
	int error = reaper_client_new(worker_base(w), TAKE_FD(r->reaper_fd), &r->reaper);

	if (error == 0)
		worker_set_reaper(w, r->reaper);
	return error;
}

static void stop_lost(Runner *r)
{
	r->output_lost = false;
	list_foreach_safe (node, &r->runs) {
		AgentRun *run = container_of(node, AgentRun, node);

		if (run->out_of_memory)
			stop_run(run, AGENT_ERROR_RESOURCE_LIMIT, run->kill_grace_ms);
	}
}

static void on_worker_turn(Worker *w, void *userdata)
{
	Runner *r = userdata;

	(void)w;
	if (r->output_lost)
		stop_lost(r);
	emitter_flush(&r->emitter);
}

static void deliver_broken(MailboxItem *item, void *receiver)
{
	const Runner *r = container_of(item, Runner, broken_item);

	(void)receiver;
	r->hooks.on_broken(r->hooks.userdata);
}

static void on_worker_broken(Worker *w, void *userdata)
{
	Runner *r = userdata;

	log_error("worker %u is broken: its event loop has failed", worker_index(w));
	mailbox_post(r->main, &r->broken_item);
}

static void free_runs(ListNode *runs)
{
	while (!list_empty(runs))
		agent_run_free(container_of(runs->next, AgentRun, node));
}

static void on_worker_stop(Worker *w, void *userdata)
{
	Runner *r = userdata;

	emitter_flush(&r->emitter);
	free_runs(&r->runs);
	free_runs(&r->done);
	free_runs(&r->unsaid);
	http_client_free(worker_http(w));
	worker_set_http(w, NULL);
	reaper_client_free(r->reaper);
	r->reaper = NULL;
}

int runner_new(const RunnerStart *start, Runner **ret)
{
	_cleanup_close_ int fd = start->reaper_fd;
	Runner *r = calloc(1, sizeof(*r));
	WorkerHooks hooks = {
		.on_start = on_worker_start,
		.on_turn = on_worker_turn,
		.on_broken = on_worker_broken,
		.on_stop = on_worker_stop,
		.userdata = r,
	};
	int error;

	if (!r)
		return -ENOMEM;
	r->main = start->main;
	r->hooks = start->hooks;
	mailbox_list_init(&r->out);
	r->reaper_fd = TAKE_FD(fd);
	r->wish_item.deliver = deliver_wish;
	r->broken_item.deliver = deliver_broken;
	list_init(&r->runs);
	list_init(&r->done);
	list_init(&r->unsaid);
	list_init(&r->say_unsaid.node);
	r->say_unsaid.run = say_unsaid;
	emitter_init(&r->emitter, start->committer);
	error = worker_new(start->index, &hooks, &r->worker);
	if (error == 0)
		error = worker_start(r->worker);
	if (error < 0) {
		runner_free(r);
		return error;
	}
	*ret = r;
	return 0;
}

void runner_stop(Runner *r)
{
	if (!r)
		return;
	runner_flush(r);
	worker_stop(r->worker);
}

void runner_free(Runner *r)
{
	if (!r)
		return;
	if (r->worker)
		runner_stop(r);
	worker_free(r->worker);
	emitter_done(&r->emitter);
	if (r->reaper_fd >= 0)
		close(r->reaper_fd);
	free(r);
}
