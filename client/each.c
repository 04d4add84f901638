#include "client/each.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/interrupt.h"
#include "common/clock.h"
#include "common/json-writer.h"
#include "common/jsonx.h"

#define FIRST_PAUSE_MS 50
#define LAST_PAUSE_MS  2000

#define ANSWERED UINT64_MAX

typedef struct Round {
	Context *ctx;
	const EachRequest *request;
	uint64_t *sent; /* the id of the request about each agent; ANSWERED */
	size_t missing;
	uint64_t timeout_ms; /* of the requests of this round: what is left of it */
	uint64_t deadline_us;
	int code;
} Round;

static uint64_t time_left_ms(const Round *round)
{
	uint64_t now = clock_monotonic_us();

	return now >= round->deadline_us ? 0 : (round->deadline_us - now) / USEC_PER_MSEC;
}

static int send_one(Round *round, size_t i)
{
	_cleanup_buf_ Buf params = { 0 };
	JsonWriter w;
	int r;

	jw_init(&w, &params);
	jw_object_begin(&w);
	jw_key_cstring(&w, "agent_id", round->request->ids[i]);
	if (round->request->has_timeout)
		jw_key_uint(&w, "timeout_ms", round->timeout_ms);
	jw_object_end(&w);
	r = jw_finish(&w);
	return r < 0 ? r
		     : call_send(
			       round->ctx->call, round->request->method, &params, &round->sent[i]);
}

static int send_missing(Round *round)
{
	for (size_t i = 0; i < round->request->n; i++) {
		int r;

		if (round->sent[i] == ANSWERED)
			continue;
		r = send_one(round, i);
		if (r < 0)
			return r;
	}
	return 0;
}

static void note_code(Round *round, int code)
{
	if (round->code == 0)
		round->code = code;
}

static bool is_shutdown(json_object *error)
{
	json_object *data = jsonx_get(error, "data", json_type_object);
	const char *reason = jsonx_get_string(data, "reason", NULL);

	return reason && strcmp(reason, "shutting_down") == 0;
}

static int on_reply(Round *round, CallMessage kind, uint64_t id, json_object *payload)
{
	const char *about = NULL;
	size_t i = 0;
	int r;

	while (i < round->request->n && round->sent[i] != id)
		i++;
	/* A refusal of the connection itself answers everything. */
	if (i == round->request->n && (kind != CALL_ERROR || id != 0))
		return 0;
	if (kind == CALL_ERROR && round->request->patient && is_shutdown(payload))
		return -ECONNRESET;
	if (i < round->request->n) {
		about = round->request->ids[i];
		round->sent[i] = ANSWERED;
		round->missing--;
	} else {
		round->missing = 0;
	}
	r = kind == CALL_ERROR ? context_refused(round->ctx, about, payload)
			       : round->request->on_result(payload, round->request->userdata);
	if (r > 0)
		note_code(round, r);
	return r < 0 ? r : 0;
}

static int collect(Round *round)
{
	while (round->missing > 0) {
		_cleanup_json_ json_object *message = NULL;
		json_object *payload = NULL;
		const char *method = NULL;
		uint64_t id = 0;
		int r;

		r = call_receive(round->ctx->call, CALL_FOREVER, &message);
		if (r == 0)
			r = call_classify(message, &id, &method, &payload);
		if (r >= 0 && r != CALL_NOTIFICATION)
			r = on_reply(round, (CallMessage)r, id, payload);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Until the daemon is there again. An exit code when the time is over before. */
static int reconnect(Round *round)
{
	uint64_t pause_ms = FIRST_PAUSE_MS;
	const char *path = NULL;
	int r;

	call_free(round->ctx->call);
	round->ctx->call = NULL;
	r = context_socket(round->ctx, &path);
	if (r != 0)
		return r;
	while (call_connect(path, &round->ctx->call) < 0) {
		uint64_t left = round->request->has_timeout ? time_left_ms(round) : UINT64_MAX;

		if (left == 0)
			return context_fail(round->ctx, EXIT_CODE_TIMED_OUT,
				"the time is over, and the daemon is away");
		r = interrupt_sleep(pause_ms < left ? pause_ms : left);
		if (r < 0)
			return r;
		pause_ms = pause_ms * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS : pause_ms * 2;
	}
	round->timeout_ms = time_left_ms(round);
	return 0;
}

static int run(Round *round)
{
	int r = 0;

	if (!round->ctx->call)
		r = context_connect(round->ctx, &round->ctx->call);
	/* What was asked for goes out as it is: the daemon says how long it has waited. */
	round->timeout_ms = round->request->timeout_ms;
	round->deadline_us = clock_monotonic_us() + round->timeout_ms * USEC_PER_MSEC;
	while (r == 0) {
		r = send_missing(round);
		if (r == 0)
			r = collect(round);
		if (r == 0)
			return round->code;
		if (r != -ECONNRESET || !round->request->patient)
			return context_lost(round->ctx, r);
		r = reconnect(round);
	}
	return r;
}

int each_agent(Context *ctx, const EachRequest *request)
{
	_cleanup_free_ uint64_t *sent = calloc(request->n, sizeof(*sent));
	Round round = {
		.ctx = ctx,
		.request = request,
		.sent = sent,
		.missing = request->n,
	};

	int r;

	if (!sent)
		return -ENOMEM;
	r = context_check_ids(ctx, request->ids, request->n);
	return r == 0 ? run(&round) : r;
}
