#include <errno.h>

#include "client/command.h"
#include "client/describe.h"
#include "client/filter.h"
#include "client/follow.h"
#include "client/label-prefix.h"
#include "common/jsonx.h"
#include "common/protocol.h"

enum {
	OPT_AFTER,
	OPT_FROM_START,
	OPT_TAIL,
	OPT_TYPE,
	OPT_CORRELATION_ID,
	OPT_LABEL,
	OPT_UNTIL_IDLE,
	OPT_TIMESTAMPS,
	OPT_CHUNKS,
	OPT_PREFIX,
};

static const Option options[] = {
	[OPT_AFTER] = { .name = "after",
		.kind = OPTION_UINT,
		.arg = "SEQ",
		.help = "go on behind this event",
		.max = INT64_MAX },
	[OPT_FROM_START] = { .name = "from-start", .help = "begin with the oldest event there is" },
	[OPT_TAIL] = { .name = "tail",
		.letter = 'n',
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "begin with the last N events that match",
		.min = 1,
		.max = 10000 },
	[OPT_TYPE] = { .name = "type",
		.letter = 't',
		.kind = OPTION_LIST,
		.arg = "T",
		.help = "only events of this type; may be repeated",
		.complete = COMPLETE_EVENT_TYPE },
	[OPT_CORRELATION_ID] = FILTER_OPTION_CORRELATION_ID,
	[OPT_LABEL] = FILTER_OPTION_LABEL,
	[OPT_UNTIL_IDLE] = { .name = "until-idle",
		.help = "end once every agent that matches has ended" },
	[OPT_TIMESTAMPS] = { .name = "timestamps", .help = "put the time before each line" },
	[OPT_CHUNKS] = { .name = "chunks",
		.help = "each chunk on a line of its own, as soon as it comes" },
	[OPT_PREFIX] = { .name = "prefix",
		.kind = OPTION_STRING,
		.arg = "KEY",
		.help = "put the label KEY before each line instead of the id",
		.complete = COMPLETE_LABEL_KEY },
	{ 0 },
};

typedef struct Watch {
	Context *ctx;
	const OptionValue *values;
	Filter filter;
	const char **types; /* what the filter lends; the array is owned */
	LabelPrefix prefix;
	StreamStyle style;
} Watch;

/* What is shown is what was asked for; but whoever wants the output needs to be told of its end,
 * too, so that an unfinished last line is not held back for ever. */
static int set_types(Watch *w)
{
	static const char *const ends[] = { "AgentCompleted", "AgentError" };
	const OptionValue *asked = &w->values[OPT_TYPE];
	size_t n = 0;

	if (asked->n_list == 0)
		return 0;
	w->types = calloc(asked->n_list + ARRAY_SIZE(ends), sizeof(*w->types));
	if (!w->types)
		return -ENOMEM;
	for (size_t i = 0; i < asked->n_list; i++) {
		/* The table of options has let nothing through that is no event. */
		w->style.types |= 1U << protocol_event_from_name(asked->list[i]);
		w->types[n++] = asked->list[i];
	}
	if (w->style.types & (1U << EVENT_TYPE_AGENT_PARTIAL_OUTPUT)) {
		for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
			w->types[n++] = ends[i];
	}
	w->filter.types = w->types;
	w->filter.n_types = n;
	return 0;
}

static void set_style(Watch *w)
{
	const OptionValue *v = w->values;
	bool single = w->filter.n_agents == 1 && !v[OPT_TIMESTAMPS].set && !v[OPT_CHUNKS].set;

	w->style.mode = single ? STREAM_SINGLE : STREAM_LINES;
	w->style.timestamps = v[OPT_TIMESTAMPS].set;
	w->style.each_chunk = v[OPT_CHUNKS].set;
	if (!v[OPT_PREFIX].set)
		return;
	w->prefix.ctx = w->ctx;
	w->prefix.key = v[OPT_PREFIX].string;
	w->style.prefix = label_prefix_append;
	w->style.userdata = &w->prefix;
}

/* From now on there is nothing to come of an agent that has ended: without a word that would look
 * as if it had never said any. */
static void tell_ended(json_object *agent, void *userdata)
{
	Output *o = &((Watch *)userdata)->ctx->out;
	json_object *ending = jsonx_get(agent, "ending", json_type_object);
	_cleanup_buf_ Buf words = { 0 };

	if (!ending || o->json || describe_event(ending, &words) < 0)
		return;
	output_color(o, COLOR_DIM);
	output_printf(o, "-- %.8s ended before: ", describe_agent_id(agent));
	output_put(o, words.data, words.len);
	output_printf(o, " (--from-start shows it)");
	output_color(o, COLOR_NONE);
	output_put(o, "\n", 1);
}

static int show_event(Watch *w, json_object *event)
{
	int r = w->values[OPT_PREFIX].set ? label_prefix_learn(&w->prefix, event) : 0;

	return r < 0 ? r : output_event(&w->ctx->out, event);
}

static int watch(Watch *w, Follow *follow)
{
	for (;;) {
		FollowItem item;
		Notice notice;
		int r = follow_next(follow, output_due_ms(&w->ctx->out), &item);

		if (r == 0 && item.kind == FOLLOW_END)
			return 0;
		if (r == 0 && item.kind == FOLLOW_EVENT)
			r = show_event(w, item.event);
		else if (r == 0 && item.kind == FOLLOW_IDLE)
			r = output_idle(&w->ctx->out);
		else if (r == 0 && follow_notice(&item, &notice))
			r = output_notice(&w->ctx->out, &notice);
		if (r != 0)
			return r;
	}
}

static int run_watch(Watch *w)
{
	const OptionValue *v = w->values;
	_cleanup_(follow_free_p) Follow *follow = NULL;
	FollowRequest request = {
		.filter = &w->filter,
		/* Agents that were named and have ended have nothing more to say. */
		.until_idle = v[OPT_UNTIL_IDLE].set || w->filter.n_agents > 0,
		.has_after = v[OPT_AFTER].set || v[OPT_FROM_START].set,
		.after = v[OPT_AFTER].number,
		.after_option = v[OPT_AFTER].set ? "--after" : NULL,
		.last = v[OPT_TAIL].number,
	};
	int r, ended;

	r = follow_new(w->ctx, &request, &follow);
	if (r == 0)
		r = output_stream_begin(&w->ctx->out, &w->style);
	if (r != 0)
		return r;
	r = watch(w, follow);
	ended = output_stream_end(&w->ctx->out);
	return r != 0 ? r : ended;
}

static int run(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	Watch w = {
		.ctx = ctx,
		.values = v,
		.filter = { .correlation_id = v[OPT_CORRELATION_ID].string },
	};
	int begins = v[OPT_AFTER].set + v[OPT_FROM_START].set + v[OPT_TAIL].set;
	int r;

	if (begins == 0) {
		w.filter.on_agent = tell_ended;
		w.filter.userdata = &w;
	}
	if (begins > 1)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"--after, --from-start and --tail exclude each other");
	r = set_types(&w);
	if (r == 0)
		r = filter_set_labels(ctx, &w.filter, &v[OPT_LABEL]);
	if (r == 0)
		r = filter_add_agents(ctx, &w.filter, args->operands, args->n_operands);
	if (r == 0) {
		set_style(&w);
		r = run_watch(&w);
	}
	free(w.types);
	filter_done(&w.filter);
	label_prefix_done(&w.prefix);
	return r;
}

const Command command_watch = {
	.name = "watch",
	.operands = "[AGENT...]",
	.summary = "Watch agents at work, many in one terminal",
	.details =
		"From now on, unless an option says where to begin. Of many agents whole lines "
		"are\n"
		"shown, each with its agent before it: `|` output, `!` error, `~` reasoning, "
		"`+` tool\n"
		"call, `*` what becomes of it. A line that stays unfinished for 200 ms is shown "
		"as far\n"
		"as it has come. Of exactly one agent its characters are shown as they come.\n"
		"It ends when the agents that were named have ended; otherwise it goes on, also "
		"when\n"
		"the daemon is restarted: no event is missed or shown twice. How they ended is "
		"not\n"
		"in its exit code, which is 0; see wait for that. What the log no longer has is\n"
		"shown as `-- gap`, with --json as {\"gap\":{\"from\":N,\"to\":N}}.\n",
	.example = "  liongatectl watch\n"
		   "  liongatectl watch --from-start --correlation-id nightly-build --until-idle\n"
		   "  liongatectl watch 3f2a --tail 20\n",
	.options = options,
	.max_operands = COMMAND_ANY_OPERANDS,
	.complete = COMPLETE_AGENT,
	.run = run,
};
