#include <errno.h>
#include <string.h>

#include "client/command.h"
#include "client/describe.h"
#include "client/events-page.h"
#include "client/interrupt.h"
#include "client/text.h"
#include "common/clock.h"
#include "common/jsonx.h"

enum {
	OPT_SPEED,
	OPT_CORRELATION_ID,
	OPT_TIMESTAMPS,
};

static const Option options[] = {
	[OPT_SPEED] = { .name = "speed",
		.letter = 's',
		.kind = OPTION_STRING,
		.arg = "SPEED",
		.help = "1x (as it was, the default), 10x, 0.5x, max",
		.complete = COMPLETE_SPEED },
	[OPT_CORRELATION_ID] = { .name = "correlation-id",
		.kind = OPTION_STRING,
		.arg = "C",
		.help = "the agents that were spawned with it",
		.complete = COMPLETE_CORRELATION_ID },
	[OPT_TIMESTAMPS] = { .name = "timestamps", .help = "put the time of each line before it" },
	{ 0 },
};

typedef struct Player {
	Output *out;
	double speed;       /* 0: as fast as it goes */
	uint64_t start_us;  /* monotonic; when the first event was shown */
	uint64_t last_us;   /* the newest time that an event had */
	uint64_t played_us; /* of the original, up to last_us */
	bool started;
} Player;

/* What is held back of a line does not wait longer than it would in a watch. */
static int pause_until(Output *out, uint64_t due_us)
{
	int r = 0;

	while (r == 0) {
		uint64_t now = clock_monotonic_us();
		uint64_t ms = due_us > now ? (due_us - now) / USEC_PER_MSEC : 0;
		int held_ms = output_due_ms(out);

		if (ms == 0)
			return 0;
		r = interrupt_sleep_watched(
			held_ms >= 0 && (uint64_t)held_ms < ms ? (uint64_t)held_ms : ms);
		if (r == 0)
			r = output_idle(out);
	}
	return r;
}

/* Counted from the start, so that small delays do not add up. A clock that stepped back counts as
 * one that stood still. */
static int keep_time(Player *p, uint64_t time_us)
{
	if (!p->started) {
		p->started = true;
		p->start_us = clock_monotonic_us();
		p->last_us = time_us;
	}
	if (time_us > p->last_us) {
		p->played_us += time_us - p->last_us;
		p->last_us = time_us;
	}
	return pause_until(p->out, p->start_us + (uint64_t)((double)p->played_us / p->speed));
}

static int on_event(json_object *event, void *userdata)
{
	Player *p = userdata;
	uint64_t time_us;
	int r;

	if (p->speed > 0 && describe_time(event, "time", &time_us)) {
		r = keep_time(p, time_us);
		if (r < 0)
			return r;
	}
	return output_event(p->out, event);
}

static int play(Context *ctx, const Filter *filter, const OptionValue *v, double speed)
{
	Player player = { .out = &ctx->out, .speed = speed };
	StreamStyle style = {
		.mode = filter->n_agents == 1 && !v[OPT_TIMESTAMPS].set ? STREAM_SINGLE
									: STREAM_LINES,
		.timestamps = v[OPT_TIMESTAMPS].set,
	};
	EventsPages pages = { .filter = filter, .on_event = on_event, .userdata = &player };
	int r, ended;

	r = output_stream_begin(&ctx->out, &style);
	if (r < 0)
		return r;
	r = events_page_all(ctx, &pages);
	ended = output_stream_end(&ctx->out);
	return r != 0 ? r : ended;
}

static int run(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	_cleanup_filter_ Filter filter = { .correlation_id = v[OPT_CORRELATION_ID].string };
	double speed = 1;
	int r;

	if (v[OPT_SPEED].set && text_parse_speed(v[OPT_SPEED].string, &speed) < 0)
		return context_fail(
			ctx, EXIT_CODE_USAGE, "--speed wants something like 1x, 10x, 0.5x or max");
	r = filter_add_agents(ctx, &filter, args->operands, args->n_operands);
	return r == 0 ? play(ctx, &filter, v, speed) : r;
}

const Command command_replay = {
	.name = "replay",
	.operands = "[AGENT...]",
	.summary = "Show again what happened, in its original rhythm",
	.details =
		"Of the agents named, or of everything that the log holds. What it no longer has "
		"is\n"
		"shown as `-- gap`, with --json as {\"gap\":{\"from\":N,\"to\":N}}.\n",
	.example = "  liongatectl replay 3f2a\n"
		   "  liongatectl replay --speed 10x --correlation-id nightly-build\n",
	.options = options,
	.max_operands = COMMAND_ANY_OPERANDS,
	.complete = COMPLETE_AGENT,
	.run = run,
};
