#include "client/command.h"
#include "client/provider-list.h"
#include "client/provider-view.h"
#include "common/jsonx.h"

enum {
	OPT_LONG,
};

static const Option options[] = {
	[OPT_LONG] = { .name = "long",
		.letter = 'l',
		.help = "their addresses, too, and whole errors" },
	{ 0 },
};

static void view(Output *o, json_object *list)
{
	render_text_table(
		o, provider_columns, jsonx_get(list, "providers", json_type_array), false);
}

static void view_long(Output *o, json_object *list)
{
	render_text_table(
		o, provider_columns_long, jsonx_get(list, "providers", json_type_array), true);
}

static int run(Context *ctx, const Args *args)
{
	_cleanup_json_ json_object *list = NULL;
	int r;

	r = provider_list_fetch(ctx, &list);
	if (r == 0)
		output_result(&ctx->out, args->values[OPT_LONG].set ? view_long : view, list);
	return r;
}

const Command command_providers = {
	.name = "providers",
	.summary = "Show whom the daemon can ask, and how they fare",
	.details =
		"RUNNING is how many agents ask it now, of how many at most; WAITING how many\n"
		"more would; HELD for how long it has asked to be left alone. Providers stand in\n"
		"the daemon's configuration, in sections [provider NAME].\n",
	.example = "  liongatectl providers\n"
		   "  liongatectl providers --json | jq -r '.providers[].name'\n",
	.options = options,
	.run = run,
};
