/* The MockStreamingAgent: makes chunks up, at a rhythm of your choosing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/utf8.h"
#include "daemon/backend/backend.h"
#include "daemon/loop/worker.h"

typedef struct ScriptStep {
	uint64_t after_ms;
	size_t offset, len; /* of its chunk in MockRun.text */
} ScriptStep;

typedef struct MockRun {
	BackendRun base;
	Timer timer;
	Deferred next; /* for chunks without delay */
	uint64_t delay_ms;
	uint64_t chunks;
	uint64_t fail_after; /* UINT64_MAX: never */
	uint64_t done;       /* chunks that were given out */
	size_t chunk_bytes;  /* 0: as long as they are */
	ScriptStep *script;  /* NULL: none */
	uint64_t due_us;     /* of the chunk that is waited for, or of the one before; monotonic */
	uint64_t held_us;    /* while paused: what was left of it */
	bool paused, ended;
	size_t text_len;
	char text[]; /* the prompt, or the script's chunks one behind another */
} MockRun;

static MockRun *mock(BackendRun *run)
{
	return container_of(run, MockRun, base);
}

static size_t script_bytes(json_object *script)
{
	size_t n = 0;

	for (size_t i = 0; i < json_object_array_length(script); i++) {
		size_t len = 0;

		(void)jsonx_get_string(json_object_array_get_idx(script, i), "chunk", &len);
		n += len;
	}
	return n;
}

static int read_script(MockRun *m, json_object *script)
{
	size_t n = json_object_array_length(script), offset = 0;

	m->script = calloc(n > 0 ? n : 1, sizeof(*m->script));
	if (!m->script)
		return -ENOMEM;
	m->chunks = n;
	for (size_t i = 0; i < n; i++) {
		json_object *step = json_object_array_get_idx(script, i);
		size_t len = 0;
		const char *chunk = jsonx_get_string(step, "chunk", &len);

		m->script[i] = (ScriptStep){
			.after_ms = jsonx_get_uint(step, "after_ms", 0),
			.offset = offset,
			.len = len,
		};
		if (len > 0)
			memcpy(m->text + offset, chunk, len);
		offset += len;
	}
	return 0;
}

static int mock_run_new(const BackendSpec *spec, BackendRun **ret)
{
	json_object *script = jsonx_get(spec->options, "script", json_type_array);
	size_t len = script ? script_bytes(script) : spec->prompt_len;
	MockRun *m = calloc(1, sizeof(*m) + len);
	int r = 0;

	if (!m)
		return -ENOMEM;
	list_init(&m->next.node);
	m->chunks = jsonx_get_uint(spec->options, "chunks", 0);
	m->delay_ms = jsonx_get_uint(spec->options, "delay_ms", 0);
	m->chunk_bytes = (size_t)jsonx_get_uint(spec->options, "chunk_bytes", 0);
	m->fail_after = jsonx_get_uint(spec->options, "fail_after", UINT64_MAX);
	m->text_len = len;
	if (script)
		r = read_script(m, script);
	else if (len > 0)
		memcpy(m->text, spec->prompt, len);
	if (r < 0) {
		free(m);
		return r;
	}
	m->base.backend = &backend_mock;
	*ret = &m->base;
	return 0;
}

static void say_end(MockRun *m, AgentErrorCode code)
{
	BackendEvent event = { .type = BACKEND_DONE };
	char message[64];

	m->ended = true;
	timer_unset(worker_timers(m->base.worker), &m->timer);
	list_remove(&m->next.node);
	if (code == AGENT_ERROR_PROVIDER)
		snprintf(message, sizeof(message), "the mock failed after %llu chunks, as asked",
			(unsigned long long)m->done);
	else
		snprintf(message, sizeof(message), "the mock was ended");
	if (code != AGENT_ERROR_NONE) {
		event.type = BACKEND_ERROR;
		event.code = code;
		event.message = message;
	}
	m->base.on_event(&event, m->base.userdata);
}

static void say_chunk(MockRun *m, const char *chunk, size_t len)
{
	BackendEvent event = {
		.type = BACKEND_PARTIAL_OUTPUT,
		.channel = CHANNEL_OUTPUT,
		.chunk = chunk,
		.chunk_len = len,
	};

	m->done++;
	m->base.on_event(&event, m->base.userdata);
}

/* "Partial i from PROMPT". -ENOMEM. */
static int make_words(const MockRun *m, Buf *b)
{
	int r;

	if (m->done + 1 == m->chunks) {
		r = buf_append_str(b, "Final from ");
	} else {
		r = buf_append_str(b, "Partial ");
		if (r == 0)
			r = buf_reserve(b, 20);
		if (r == 0)
			b->len += jw_format_uint(b->data + b->len, m->done + 1);
		if (r == 0)
			r = buf_append_str(b, " from ");
	}
	return r < 0 ? r : buf_append(b, m->text, m->text_len);
}

/* Padded or cut to chunk_bytes. -ENOMEM. */
static int make_chunk(const MockRun *m, Buf *b)
{
	size_t len;
	int r = make_words(m, b);

	if (r < 0 || m->chunk_bytes == 0)
		return r;
	len = utf8_cut(b->data, b->len, m->chunk_bytes);
	r = buf_reserve(b, m->chunk_bytes);
	if (r < 0)
		return r;
	if (len < m->chunk_bytes)
		memset(b->data + len, '.', m->chunk_bytes - len);
	b->len = m->chunk_bytes;
	return 0;
}

static void say_made_chunk(MockRun *m)
{
	char small[4096];
	Buf b = { .data = small, .cap = sizeof(small) };
	size_t most = m->text_len + m->chunk_bytes + 64;
	Buf large = { 0 };

	if (most <= sizeof(small)) {
		if (make_chunk(m, &b) == 0)
			say_chunk(m, b.data, b.len);
		return;
	}
	if (buf_reserve(&large, most) == 0 && make_chunk(m, &large) == 0)
		say_chunk(m, large.data, large.len);
	else
		say_end(m, AGENT_ERROR_RESOURCE_LIMIT);
	buf_done(&large);
}

static void arm(MockRun *m, uint64_t due_us, uint64_t delay_ms)
{
	m->due_us = due_us;
	if (timer_set(worker_timers(m->base.worker), &m->timer, due_us, delay_ms) < 0)
		say_end(m, AGENT_ERROR_RESOURCE_LIMIT);
}

/* From when on its delay runs: one that is a little late is not late for ever. */
static uint64_t delayed_from_us(const MockRun *m, uint64_t delay_us)
{
	uint64_t now_us = worker_now_us(m->base.worker);

	return m->due_us + delay_us > now_us ? m->due_us : now_us;
}

/* Sees to it that what comes next comes in its time. */
static void plan(MockRun *m)
{
	uint64_t delay_ms = m->delay_ms;

	if (m->done == m->fail_after) {
		say_end(m, AGENT_ERROR_PROVIDER);
		return;
	}
	if (m->done == m->chunks) {
		say_end(m, AGENT_ERROR_NONE);
		return;
	}
	if (m->script)
		delay_ms = m->script[m->done].after_ms;
	if (m->paused)
		m->held_us = delay_ms * USEC_PER_MSEC;
	else if (delay_ms == 0)
		worker_defer(m->base.worker, &m->next);
	else
		arm(m, delayed_from_us(m, delay_ms * USEC_PER_MSEC) + delay_ms * USEC_PER_MSEC,
			delay_ms);
}

static void step(MockRun *m)
{
	if (m->script) {
		const ScriptStep *s = &m->script[m->done];

		say_chunk(m, m->text + s->offset, s->len);
	} else {
		say_made_chunk(m);
	}
	if (!m->ended)
		plan(m);
}

static void on_timer(Timer *t)
{
	step(container_of(t, MockRun, timer));
}

static void on_deferred(Deferred *d)
{
	step(container_of(d, MockRun, next));
}

static void mock_start(BackendRun *run)
{
	MockRun *m = mock(run);
	BackendEvent event = { .type = BACKEND_START };

	m->next.run = on_deferred;
	timer_init(&m->timer, on_timer);
	run->on_event(&event, run->userdata);
	if (!m->ended)
		plan(m);
}

static void mock_cancel(BackendRun *run, uint32_t kill_grace_ms)
{
	(void)kill_grace_ms;
	if (!mock(run)->ended)
		say_end(mock(run), AGENT_ERROR_CANCELLED);
}

static void mock_pause(BackendRun *run)
{
	MockRun *m = mock(run);
	uint64_t now_us = worker_now_us(run->worker);

	if (m->ended || m->paused)
		return;
	m->paused = true;
	m->held_us = m->due_us > now_us ? m->due_us - now_us : 0;
	timer_unset(worker_timers(run->worker), &m->timer);
	list_remove(&m->next.node);
}

static void mock_resume(BackendRun *run)
{
	MockRun *m = mock(run);

	if (m->ended || !m->paused)
		return;
	m->paused = false;
	if (m->held_us == 0)
		worker_defer(run->worker, &m->next);
	else
		arm(m, worker_now_us(run->worker) + m->held_us, m->held_us / USEC_PER_MSEC);
}

static void mock_free(BackendRun *run)
{
	MockRun *m;

	if (!run)
		return;
	m = mock(run);
	if (m->next.run) { /* it was started */
		timer_unset(worker_timers(run->worker), &m->timer);
		list_remove(&m->next.node);
	}
	free(m->script);
	free(m);
}

const Backend backend_mock = {
	.name = "mock",
	.run_new = mock_run_new,
	.start = mock_start,
	.cancel = mock_cancel,
	.pause = mock_pause,
	.resume = mock_resume,
	.free = mock_free,
};
