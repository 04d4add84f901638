#include "client/foreground.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/describe.h"
#include "client/follow.h"
#include "client/interrupt.h"
#include "client/outcome.h"
#include "common/jsonx.h"

#define UNKNOWN (-1)

typedef struct Session {
	Context *ctx;
	const Foreground *fg;
	Follow *follow;
	int *codes;  /* of each agent; UNKNOWN until its end is seen */
	int signal;  /* that had them cancelled; 0: none */
	int refused; /* the exit code with which the daemon refused to go on */
} Session;

static int cancel_running(const Session *s)
{
	for (size_t i = 0; i < s->fg->n; i++) {
		_cleanup_buf_ Buf params = { 0 };
		int r;

		if (s->codes[i] != UNKNOWN)
			continue;
		r = spawn_write_id(s->fg->agents[i].id, &params);
		if (r == 0)
			r = follow_send(s->follow, "agent.cancel", &params);
		if (r < 0)
			return r;
	}
	return 0;
}

static void note_end(const Session *s, json_object *event)
{
	EventType type = describe_type(event);
	const char *id = describe_agent_id(event);

	if (type != EVENT_TYPE_AGENT_COMPLETED && type != EVENT_TYPE_AGENT_ERROR)
		return;
	for (size_t i = 0; i < s->fg->n; i++) {
		if (strcasecmp(s->fg->agents[i].id, id) == 0)
			s->codes[i] = outcome_exit_code(event, s->fg->own_exit_code);
	}
}

static int on_event(const Session *s, json_object *event)
{
	note_end(s, event);
	if (s->fg->on_event)
		s->fg->on_event(event, s->fg->userdata);
	return output_event(&s->ctx->out, event);
}

/* 0: go on. The first signal asks the agents to end, and stays to see it; the second one means this
 * program, but not before they have been asked. */
static int on_interrupt(Session *s)
{
	int r;

	if (s->signal != 0)
		return -EINTR;
	s->signal = interrupt_last();
	if (s->signal == SIGINT && isatty(STDERR_FILENO)) {
		if (s->ctx->want_ephemeral) {
			output_say("cancelling; Ctrl-C again ends it at once");
		} else {
			interrupt_set_last_words("liongatectl: left; the daemon sees to the end of "
						 "what still runs\n");
			output_say("cancelling; Ctrl-C again leaves the rest to the daemon");
		}
	}
	r = cancel_running(s);
	if (r == 0 && !s->ctx->want_ephemeral)
		interrupt_set_patience(2);
	return r;
}

/* 0: go on; 1: all have ended, or nothing more is to be had. */
static int step(Session *s)
{
	FollowItem item;
	Notice notice;
	int r;

	r = follow_next(s->follow, output_due_ms(&s->ctx->out), &item);
	if (r == -EINTR)
		return on_interrupt(s);
	if (r > 0) {
		s->refused = r;
		return 1;
	}
	if (r < 0)
		return r;
	if (item.kind == FOLLOW_EVENT)
		return on_event(s, item.event);
	if (item.kind == FOLLOW_IDLE)
		return output_idle(&s->ctx->out);
	if (item.kind == FOLLOW_END)
		return 1;
	/* What was asked for over the lost connection may never have arrived. */
	if (item.kind == FOLLOW_BACK && s->signal != 0) {
		r = cancel_running(s);
		if (r < 0)
			return r;
	}
	return follow_notice(&item, &notice) ? output_notice(&s->ctx->out, &notice) : 0;
}

/* For those whose last event was in a gap. */
static int ask_for_end(const Session *s, size_t i)
{
	_cleanup_json_ json_object *agent = NULL;
	_cleanup_buf_ Buf params = { 0 };
	int r;

	r = spawn_write_id(s->fg->agents[i].id, &params);
	if (r == 0)
		r = context_call(s->ctx, "agent.get", &params, &agent);
	if (r != 0)
		return r;
	s->codes[i] = outcome_of_agent(agent, s->fg->own_exit_code);
	return 0;
}

static int conclude(const Session *s)
{
	int code = s->refused;

	for (size_t i = 0; s->refused == 0 && i < s->fg->n; i++) {
		if (s->codes[i] == UNKNOWN) {
			int r = ask_for_end(s, i);

			if (r != 0)
				return r;
		}
		if (code == EXIT_CODE_OK)
			code = s->codes[i];
	}
	/* Which signal it was, as a shell would say it; of Ctrl-C it is the same number. */
	return code == EXIT_CODE_INTERRUPTED && s->signal != 0 ? 128 + s->signal : code;
}

static int run(Session *s, const FollowRequest *request)
{
	int r, ended;

	r = follow_new(s->ctx, request, &s->follow);
	if (r != 0)
		return r;
	r = output_stream_begin(&s->ctx->out, &s->fg->style);
	if (r < 0)
		return r;
	while ((r = step(s)) == 0)
		;
	/* Nobody is going to see what they write. */
	if (r < 0 && s->signal == 0)
		(void)!cancel_running(s);
	interrupt_set_last_words(NULL);
	ended = output_stream_end(&s->ctx->out);
	if (r < 0)
		return r;
	return ended < 0 ? ended : conclude(s);
}

int foreground_run(Context *ctx, const Foreground *fg)
{
	_cleanup_free_ int *codes = calloc(fg->n, sizeof(*codes));
	_cleanup_free_ char **ids = calloc(fg->n, sizeof(*ids));
	Filter filter = { .agents = ids, .n_agents = fg->n };
	FollowRequest request = { .filter = &filter, .until_idle = true, .has_after = true };
	Session s = { .ctx = ctx, .fg = fg, .codes = codes };
	int r;

	if (!codes || !ids)
		return -ENOMEM;
	interrupt_set_patience(3);
	request.after = UINT64_MAX;
	for (size_t i = 0; i < fg->n; i++) {
		codes[i] = UNKNOWN;
		ids[i] = fg->agents[i].id;
		if (fg->agents[i].seq - 1 < request.after)
			request.after = fg->agents[i].seq - 1;
	}
	r = run(&s, &request);
	follow_free(s.follow);
	return r;
}
