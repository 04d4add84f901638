#include <errno.h>
#include <string.h>

#include "client/command.h"
#include "common/base64.h"
#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/utf8.h"

enum {
	OPT_CHANNEL,
	OPT_OFFSET,
};

static const Option options[] = {
	[OPT_CHANNEL] = { .name = "channel",
		.letter = 'c',
		.kind = OPTION_STRING,
		.arg = "C",
		.help = "output (the default), error, reasoning or tool_call",
		.complete = COMPLETE_CHANNEL },
	[OPT_OFFSET] = { .name = "offset",
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "leave out the first N bytes" },
	{ 0 },
};

typedef struct Reader {
	Context *ctx;
	const char *id;
	const char *channel; /* NULL: the daemon's default */
	uint64_t offset;     /* of the next page */
	Buf bytes;           /* JSON: everything; text: one page */
	Buf whole_id, state; /* of the last page */
} Reader;

static int write_params(const Reader *reader, Buf *b)
{
	JsonWriter w;

	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key_cstring(&w, "agent_id", reader->id);
	if (reader->channel)
		jw_key_cstring(&w, "channel", reader->channel);
	jw_key_uint(&w, "offset", reader->offset);
	jw_object_end(&w);
	return jw_finish(&w);
}

static int add_bytes(Reader *reader, json_object *page)
{
	const char *encoding = jsonx_get_string(page, "encoding", NULL);
	size_t len;
	const char *text = jsonx_get_string(page, "text", &len);

	if (!text)
		return -EBADMSG;
	if (!encoding)
		return buf_append(&reader->bytes, text, len);
	if (strcmp(encoding, "base64") != 0)
		return -EBADMSG;
	return base64_decode(text, len, &reader->bytes);
}

static int copy_member(json_object *page, const char *key, Buf *b)
{
	size_t len;
	const char *text = jsonx_get_string(page, key, &len);

	buf_clear(b, SIZE_MAX);
	return text ? buf_append(b, text, len) : -EBADMSG;
}

static int take_page(Reader *reader, json_object *page, bool *ret_more)
{
	uint64_t next = jsonx_get_uint(page, "next", 0);
	int r;

	r = add_bytes(reader, page);
	if (r == 0)
		r = copy_member(page, "agent_id", &reader->whole_id);
	if (r == 0)
		r = copy_member(page, "state", &reader->state);
	/* A next page that does not lie further on would never end. */
	if (r == 0 && next > 0 && next <= reader->offset)
		r = -EBADMSG;
	if (r < 0)
		return context_lost(reader->ctx, r);
	*ret_more = next > 0;
	reader->offset = next;
	return 0;
}

static int read_page(Reader *reader, bool *ret_more)
{
	_cleanup_buf_ Buf params = { 0 };
	_cleanup_json_ json_object *page = NULL;
	int r;

	r = write_params(reader, &params);
	if (r == 0)
		r = context_call(reader->ctx, "agent.output", &params, &page);
	return r == 0 ? take_page(reader, page, ret_more) : r;
}

/* As it comes, page by page: raw bytes, for a file or a program. */
static int print_raw(Reader *reader)
{
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		r = read_page(reader, &more);
		if (r != 0)
			return r;
		output_put(&reader->ctx->out, reader->bytes.data, reader->bytes.len);
		buf_clear(&reader->bytes, SIZE_MAX);
		r = output_flush(&reader->ctx->out);
	}
	return r;
}

static void view_nothing(Output *o _unused_, json_object *result _unused_)
{
}

static int print_json(Reader *reader)
{
	_cleanup_buf_ Buf text = { 0 };
	_cleanup_json_ json_object *result = NULL;
	uint64_t offset = reader->offset;
	bool more = true;
	JsonWriter w;
	int r = 0;

	while (r == 0 && more)
		r = read_page(reader, &more);
	if (r != 0)
		return r;
	jw_init(&w, &text);
	jw_object_begin(&w);
	jw_key_string(&w, "agent_id", reader->whole_id.data, reader->whole_id.len);
	jw_key_string(&w, "state", reader->state.data, reader->state.len);
	jw_key_uint(&w, "offset", offset);
	if (utf8_valid(reader->bytes.data, reader->bytes.len)) {
		jw_key_string(&w, "text", reader->bytes.data, reader->bytes.len);
	} else {
		jw_key_cstring(&w, "encoding", "base64");
		jw_key(&w, "text");
		jw_base64(&w, reader->bytes.data, reader->bytes.len);
	}
	jw_object_end(&w);
	r = jw_finish(&w);
	if (r == 0)
		r = jsonx_parse(text.data, text.len, &result, NULL);
	if (r == 0)
		output_result(&reader->ctx->out, view_nothing, result);
	return r;
}

static int run(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	Reader reader = {
		.ctx = ctx,
		.id = args->operands[0],
		.channel = v[OPT_CHANNEL].string,
		.offset = v[OPT_OFFSET].number,
	};
	int r;

	r = ctx->out.json ? print_json(&reader) : print_raw(&reader);
	buf_done(&reader.bytes);
	buf_done(&reader.whole_id);
	buf_done(&reader.state);
	return r;
}

const Command command_output = {
	.name = "output",
	.operands = "AGENT",
	.summary = "Print what an agent has written so far",
	.details = "Its bytes as they are, whatever they are: no good idea on a terminal if the "
		   "agent\n"
		   "is not to be trusted (watch makes them harmless). Of several attempts, the "
		   "last.\n",
	.example = "  liongatectl output 3f2a > answer.txt\n"
		   "  liongatectl output 3f2a --channel error\n",
	.options = options,
	.min_operands = 1,
	.max_operands = 1,
	.complete = COMPLETE_AGENT,
	.run = run,
};
