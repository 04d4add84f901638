#include "client/subscriber-view.h"

#include <inttypes.h>

#include "client/describe.h"
#include "client/text.h"
#include "common/jsonx.h"

static int cell_since(json_object *row, Buf *b)
{
	return describe_age(row, "since", b);
}

static int cell_lag_bytes(json_object *row, Buf *b)
{
	char amount[TEXT_AMOUNT_MAX];

	text_format_amount((double)jsonx_get_uint(row, "lag_bytes", 0), amount);
	return buf_append_str(b, amount);
}

static int append_member(
	json_object *row, const char *key, const char *before, size_t start, Buf *b)
{
	json_object *value;
	int r;

	if (!jsonx_member(row, key, &value) || !value)
		return 0;
	r = buf_printf(b, "%s%s", b->len > start ? ", " : "", before);
	return r < 0 ? r : render_text_cell(row, key, b);
}

/* "2 agents, types […]"; what wants everything says so. */
static int cell_filter(json_object *row, Buf *b)
{
	static const struct {
		const char *key, *before;
	} members[] = {
		{ "correlation_id", "correlation id " },
		{ "types", "types " },
		{ "until", "until " },
	};
	uint64_t agents = jsonx_get_uint(row, "agents", 0);
	uint64_t labels = jsonx_get_uint(row, "labels", 0);
	size_t start = b->len;
	int r = agents > 0 ? buf_append_count(b, agents, "agent") : 0;

	if (r == 0 && labels > 0 && b->len > start)
		r = buf_append_str(b, ", ");
	if (r == 0 && labels > 0)
		r = buf_append_count(b, labels, "label");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(members); i++)
		r = append_member(row, members[i].key, members[i].before, start, b);
	return r == 0 && b->len == start ? buf_append_str(b, "everything") : r;
}

const TextColumn subscriber_columns[] = {
	{ .title = "ID", .key = "id", .right = true },
	{ .title = "PID", .key = "pid", .right = true },
	{ .title = "UID", .key = "uid", .right = true },
	{ .title = "AGE", .cell = cell_since, .right = true },
	{ .title = "NEXT", .key = "next_seq", .right = true },
	{ .title = "LAG", .key = "lag_events", .right = true },
	{ .title = "BYTES", .cell = cell_lag_bytes, .right = true },
	{ .title = "WANTS", .cell = cell_filter },
	{ 0 },
};
