#include "client/command.h"
#include "client/events-page.h"
#include "client/follow.h"

enum {
	OPT_AFTER,
	OPT_LIMIT,
	OPT_TAIL,
	OPT_TYPE,
	OPT_CORRELATION_ID,
	OPT_LABEL,
};

static const Option options[] = {
	[OPT_AFTER] = { .name = "after",
		.kind = OPTION_UINT,
		.arg = "SEQ",
		.help = "only events behind this one" },
	[OPT_LIMIT] = { .name = "limit",
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "at most so many, the oldest",
		.min = 1,
		.max = INT64_MAX },
	[OPT_TAIL] = { .name = "tail",
		.letter = 'n',
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "only the last N that match",
		.min = 1,
		.max = 10000 },
	[OPT_TYPE] = { .name = "type",
		.letter = 't',
		.kind = OPTION_LIST,
		.arg = "T",
		.help = "only events of this type; may be repeated",
		.complete = COMPLETE_EVENT_TYPE },
	[OPT_CORRELATION_ID] = { .name = "correlation-id",
		.kind = OPTION_STRING,
		.arg = "C",
		.help = "only events of agents that were spawned with it",
		.complete = COMPLETE_CORRELATION_ID },
	[OPT_LABEL] = { .name = "label",
		.kind = OPTION_LIST,
		.arg = "K=V",
		.help = "only events of agents with this label; may be repeated",
		.complete = COMPLETE_LABEL },
	{ 0 },
};

static int on_event(json_object *event, void *userdata)
{
	return output_event(userdata, event);
}

/* A subscription knows where the last N begin; it has caught up where the log ends. */
static int show_tail(Context *ctx, const Filter *filter, uint64_t n)
{
	_cleanup_(follow_free_p) Follow *follow = NULL;
	FollowRequest request = { .filter = filter, .last = n };
	FollowItem item = { 0 };
	Notice notice;
	int r;

	r = follow_new(ctx, &request, &follow);
	while (r == 0) {
		r = follow_next(follow, CALL_FOREVER, &item);
		if (r == 0 && item.kind == FOLLOW_LIVE)
			return 0;
		if (r == 0 && item.kind == FOLLOW_EVENT)
			r = output_event(&ctx->out, item.event);
		else if (r == 0 && follow_notice(&item, &notice))
			r = output_notice(&ctx->out, &notice);
	}
	return r;
}

static int dump(Context *ctx, const Filter *filter, const OptionValue *v)
{
	StreamStyle style = { .mode = STREAM_RECORDS };
	EventsPages pages = {
		.filter = filter,
		.after = v[OPT_AFTER].number,
		.limit = v[OPT_LIMIT].number,
		.on_event = on_event,
		.userdata = &ctx->out,
	};
	int r, ended;

	r = output_stream_begin(&ctx->out, &style);
	if (r < 0)
		return r;
	r = v[OPT_TAIL].set ? show_tail(ctx, filter, v[OPT_TAIL].number)
			    : events_page_all(ctx, &pages);
	ended = output_stream_end(&ctx->out);
	return r != 0 ? r : ended;
}

static int run(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	_cleanup_filter_ Filter filter = {
		.types = v[OPT_TYPE].list,
		.n_types = v[OPT_TYPE].n_list,
		.correlation_id = v[OPT_CORRELATION_ID].string,
	};
	int r;

	if (v[OPT_TAIL].set && (v[OPT_AFTER].set || v[OPT_LIMIT].set))
		return context_fail(
			ctx, EXIT_CODE_USAGE, "--tail stands alone: it begins where the last N do");
	r = filter_set_labels(ctx, &filter, &v[OPT_LABEL]);
	if (r == 0)
		r = filter_add_agents(ctx, &filter, args->operands, args->n_operands);
	return r == 0 ? dump(ctx, &filter, v) : r;
}

const Command command_events = {
	.name = "events",
	.operands = "[AGENT...]",
	.summary = "Print the events that the log holds, one a line",
	.details = "It ends where the log ends now; watch goes on. What the log no longer has is "
		   "shown as\n"
		   "`-- gap`, with --json as {\"gap\":{\"from\":N,\"to\":N}}.\n",
	.example = "  liongatectl events 3f2a\n"
		   "  liongatectl events --tail 20\n"
		   "  liongatectl events --type AgentError --json | jq -r .code | sort | uniq -c\n",
	.options = options,
	.max_operands = COMMAND_ANY_OPERANDS,
	.complete = COMPLETE_AGENT,
	.run = run,
};
