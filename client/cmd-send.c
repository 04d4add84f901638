#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "client/command.h"
#include "client/interrupt.h"
#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/utf8.h"

#define PIECE_BYTES      (64U * 1024)
#define PIPE_HOLDS_BYTES (64U * 1024) /* pipe(7) */
#define FIRST_PAUSE_MS   20
#define LAST_PAUSE_MS    500

enum {
	OPT_EOF,
	OPT_LINE,
};

static const Option options[] = {
	[OPT_EOF] = { .name = "eof", .help = "close the agent's standard input afterwards" },
	[OPT_LINE] = { .name = "line", .letter = 'l', .help = "put a newline behind DATA" },
	{ 0 },
};

typedef struct Sender {
	Context *ctx;
	const char *id;
	json_object *result; /* of the last request; owned */
	size_t n;            /* bytes that it brought */
} Sender;

static int write_params(const Sender *sender, const char *bytes, size_t n, bool eof, Buf *b)
{
	JsonWriter w;

	jw_init(&w, b);
	jw_object_begin(&w);
	jw_key_cstring(&w, "agent_id", sender->id);
	if (utf8_valid(bytes, n)) {
		jw_key_string(&w, "data", bytes, n);
	} else {
		jw_key_cstring(&w, "encoding", "base64");
		jw_key(&w, "data");
		jw_base64(&w, bytes, n);
	}
	if (eof)
		jw_key_bool(&w, "eof", true);
	jw_object_end(&w);
	return jw_finish(&w);
}

static bool is_full(json_object *error)
{
	json_object *data = jsonx_get(error, "data", json_type_object);
	const char *reason = jsonx_get_string(data, "reason", NULL);

	return reason && strcmp(reason, "queue_full") == 0;
}

/* One piece. A program that reads slowly is waited for: the protocol has no event for it. */
static int send_piece(Sender *sender, const char *bytes, size_t n, bool eof)
{
	_cleanup_buf_ Buf params = { 0 };
	uint64_t pause_ms = FIRST_PAUSE_MS;
	int r;

	sender->n = n;
	r = write_params(sender, bytes, n, eof, &params);
	while (r == 0) {
		_cleanup_json_ json_object *error = NULL;

		json_object_put(sender->result);
		sender->result = NULL;
		r = call_request(sender->ctx->call, "agent.send", &params, &sender->result, &error);
		if (r <= 0)
			return r < 0 ? context_lost(sender->ctx, r) : 0;
		if (!is_full(error))
			return context_refused(sender->ctx, NULL, error);
		r = interrupt_sleep(pause_ms);
		pause_ms = pause_ms * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS : pause_ms * 2;
	}
	return r;
}

static int wait_stdin(void)
{
	struct pollfd p[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN },
	};

	while (poll(p, ARRAY_SIZE(p), -1) < 0 && errno == EINTR)
		;
	return interrupt_take() != 0 ? -EINTR : 0;
}

static int send_stdin(Sender *sender, bool eof)
{
	_cleanup_free_ char *piece = malloc(PIECE_BYTES);

	if (!piece)
		return -ENOMEM;
	for (;;) {
		ssize_t n;
		int r = wait_stdin();

		if (r < 0)
			return r;
		n = read(STDIN_FILENO, piece, PIECE_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return eof ? send_piece(sender, "", 0, true) : 0;
		r = send_piece(sender, piece, (size_t)n, false);
		if (r != 0)
			return r;
	}
}

static void view_nothing(Output *o _unused_, json_object *result _unused_)
{
}

/* A note, which is no output of anything. */
static void view_unread(Output *o _unused_, json_object *result)
{
	output_say("%" PRIu64 " bytes have not been read yet",
		jsonx_get_uint(result, "queued_bytes", 0));
}

/* What this call brought can hardly have been read yet, and what a pipe holds says nothing: a
 * program takes a moment until it reads. */
static bool lags_behind(const Sender *sender)
{
	return jsonx_get_uint(sender->result, "queued_bytes", 0) > sender->n + PIPE_HOLDS_BYTES;
}

static int send_data(Sender *sender, const char *data, const OptionValue *v)
{
	_cleanup_buf_ Buf bytes = { 0 };
	int r = 0;

	if (data)
		r = buf_append_str(&bytes, data);
	if (r == 0 && v[OPT_LINE].set)
		r = buf_append_char(&bytes, '\n');
	return r < 0 ? r
		     : send_piece(sender, bytes.data ? bytes.data : "", bytes.len, v[OPT_EOF].set);
}

static int run(Context *ctx, const Args *args)
{
	const OptionValue *v = args->values;
	const char *data = args->n_operands > 1 ? args->operands[1] : NULL;
	Sender sender = { .ctx = ctx, .id = args->operands[0] };
	int r = 0;

	if (!data && !v[OPT_EOF].set && !v[OPT_LINE].set)
		return context_fail(ctx, EXIT_CODE_USAGE,
			"send what? DATA, `-` for what is read from standard input, or --eof");
	if (!ctx->call)
		r = context_connect(ctx, &ctx->call);
	if (r == 0)
		r = data && strcmp(data, "-") == 0 ? send_stdin(&sender, v[OPT_EOF].set)
						   : send_data(&sender, data, v);
	if (r == 0 && sender.result)
		output_result(&ctx->out, lags_behind(&sender) ? view_unread : view_nothing,
			sender.result);
	json_object_put(sender.result);
	return r;
}

const Command command_send = {
	.name = "send",
	.operands = "AGENT [DATA|-]",
	.summary = "Send bytes to the standard input of a running program",
	.details =
		"The agent must have been spawned with `--option stdin=open`. With `-` everything\n"
		"that is read from standard input is sent, as fast as the program takes it.\n",
	.example = "  liongatectl send 3f2a 'yes, go on' --line\n"
		   "  liongatectl send 3f2a - --eof < answers.txt\n",
	.options = options,
	.min_operands = 1,
	.max_operands = 2,
	.complete = COMPLETE_LIVE_AGENT,
	.run = run,
};
