#include <errno.h>
#include <string.h>

#include "client/command.h"
#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/protocol.h"

enum {
	OPT_FORMAT,
};

static const Option options[] = {
	[OPT_FORMAT] = { .name = "format",
		.kind = OPTION_STRING,
		.arg = "FORMAT",
		.help = "openmetrics, or prometheus: the older text format",
		.choices = protocol_metrics_formats },
	{ 0 },
};

/* Names of groups may be anything: lines stay lines, and the rest is harmless on a terminal. */
static void view_harmless(Output *o, const char *text, size_t len)
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t n = end ? (size_t)(end - text) : len;

		output_safe(o, text, n);
		output_put(o, "\n", 1);
		n += end != NULL;
		text += n;
		len -= n;
	}
}

static void view(Output *o, json_object *result)
{
	size_t len = 0;
	const char *text = jsonx_get_string(result, "text", &len);

	if (o->terminal)
		view_harmless(o, text, len);
	else
		output_put(o, text, len);
}

static int write_params(const char *format, Buf *b)
{
	JsonWriter w;

	jw_init(&w, b);
	jw_object_begin(&w);
	if (format)
		jw_key_cstring(&w, "format", format);
	jw_object_end(&w);
	return jw_finish(&w);
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_buf_ Buf params = { 0 };
	_cleanup_json_ json_object *result = NULL;
	int r = write_params(args->values[OPT_FORMAT].string, &params);

	if (r == 0)
		r = context_call(ctx, "daemon.metrics", &params, &result);
	if (r == 0 && !jsonx_get_string(result, "text", NULL))
		r = context_lost(ctx, -EBADMSG);
	if (r == 0)
		output_result(&ctx->out, view, result);
	return r;
}

const Command command_metrics = {
	.name = "metrics",
	.summary = "Print the daemon's metrics, for Prometheus and the like",
	.details =
		"As OpenMetrics text. promtool and the textfile collector of node_exporter read\n"
		"the older format of Prometheus: --format prometheus.\n",
	.example = "  liongatectl metrics\n"
		   "  liongatectl metrics --format prometheus | promtool check metrics\n",
	.options = options,
	.run = run,
};
