#include "tests/lib/llm-fixture.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/utf8.h"

#define MAX_BYTES (4U * 1024 * 1024)

static int on_chunk(Channel channel, const char *text, size_t len, void *userdata)
{
	Buf *b = userdata;
	int r;

	/* Check writes down each place that it is at, and this is often. */
	ck_assert(len > 0 && len <= PROTOCOL_MAX_CHUNK_BYTES && utf8_valid(text, len));
	r = buf_printf(b, "%s: ", channel_to_string(channel));
	if (r == 0)
		r = buf_append(b, text, len);
	return r < 0 ? r : buf_append_char(b, '\n');
}

static int on_event(const SseEvent *event, void *userdata)
{
	LlmDecoder *d = userdata;

	return d->dialect->on_event(d, event);
}

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

static void tell_end(const LlmAnswer *a, int r, Buf *b)
{
	ck_assert_int_eq(buf_printf(b, "= %s %s %s ", r < 0 ? strerrorname_np(-r) : "ok",
				 or_dash(a->finish_reason), or_dash(a->model)),
		0);
	if (a->has_usage)
		ck_assert_int_eq(buf_printf(b, "%llu/%llu", (unsigned long long)a->input_tokens,
					 (unsigned long long)a->output_tokens),
			0);
	else
		ck_assert_int_eq(buf_append_char(b, '-'), 0);
	if (r == -EREMOTEIO)
		ck_assert_int_eq(
			buf_printf(b, " %s: %s", or_dash(a->error_type), or_dash(a->error_message)),
			0);
	if (a->error_status > 0)
		ck_assert_int_eq(buf_printf(b, " (%u)", a->error_status), 0);
}

/* Of exactly that size, for the sanitizer to see what is read beyond it; and gone afterwards. */
static int feed(Sse *s, const char *bytes, size_t len)
{
	char *exact = malloc(len > 0 ? len : 1);
	int r;

	if (!exact)
		return -ENOMEM;
	if (len > 0)
		memcpy(exact, bytes, len);
	r = sse_feed(s, exact, len);
	free(exact);
	return r;
}

void llm_tell(const LlmDialect *dialect, const char *stream, size_t len, size_t first, size_t piece,
	Buf *b)
{
	const LlmOutput out = { .on_chunk = on_chunk, .userdata = b };
	LlmDecoder d;
	Sse s;
	int r;

	llm_decoder_init(&d, dialect, &out);
	sse_init(&s, MAX_BYTES, on_event, &d);
	r = feed(&s, stream, first);
	for (size_t at = first, n; r == 0 && at < len; at += n) {
		n = piece < len - at ? piece : len - at;
		r = feed(&s, stream + at, n);
	}
	if (r == 0)
		r = sse_end(&s);
	if (r == 0)
		r = dialect->on_end(&d);
	tell_end(&d.answer, r, b);
	sse_done(&s);
	llm_decoder_done(&d);
}

static void check_split(
	const LlmDialect *dialect, const LlmCase *c, const Buf *stream, size_t first, size_t piece)
{
	_cleanup_buf_ Buf told = { 0 };

	llm_tell(dialect, stream->data, stream->len, first, piece, &told);
	ck_assert_msg(told.len == strlen(c->told) && memcmp(told.data, c->told, told.len) == 0,
		"%s\nsplit at %zu, in pieces of %zu:\n%.*s\ninstead of:\n%s", c->stream, first,
		piece, (int)told.len, told.data, c->told);
}

static void with_ends(const char *text, const char *line_end, Buf *b)
{
	int r = 0;

	for (; *text && r == 0; text++)
		r = *text == '\n' ? buf_append_str(b, line_end) : buf_append_char(b, *text);
	ck_assert_int_eq(r, 0);
}

void llm_check_case(const LlmDialect *dialect, const LlmCase *c)
{
	static const char *const line_ends[] = { "\n", "\r\n", "\r" };

	for (size_t i = 0; i < ARRAY_SIZE(line_ends); i++) {
		_cleanup_buf_ Buf stream = { 0 };

		with_ends(c->stream, line_ends[i], &stream);
		for (size_t piece = 1; piece <= 3; piece++)
			check_split(dialect, c, &stream, 0, piece);
		for (size_t first = 0; i == 0 && first <= stream.len; first++)
			check_split(dialect, c, &stream, first, stream.len + 1);
	}
}

void llm_check_whole(const LlmDialect *dialect, const LlmCase *c)
{
	_cleanup_buf_ Buf told = { 0 };
	const LlmOutput out = { .on_chunk = on_chunk, .userdata = &told };
	size_t len = strlen(c->stream);
	/* Of exactly that size, for the sanitizer to see what is read beyond it. */
	_cleanup_free_ char *body = malloc(len > 0 ? len : 1);
	LlmDecoder d;
	int r;

	ck_assert_ptr_nonnull(body);
	memcpy(body, c->stream, len);
	llm_decoder_init(&d, dialect, &out);
	r = dialect->on_whole(&d, body, len);
	ck_assert(r < 0 || d.answer.finished);
	tell_end(&d.answer, r, &told);
	llm_decoder_done(&d);
	ck_assert_msg(told.len == strlen(c->told) && memcmp(told.data, c->told, told.len) == 0,
		"%s\n%.*s\ninstead of:\n%s", c->stream, (int)told.len, told.data, c->told);
}

static json_object *parse(const char *text)
{
	json_object *o = NULL;

	ck_assert_int_eq(jsonx_parse(text, strlen(text), &o, NULL), 0);
	return o;
}

void llm_check_request(
	const LlmDialect *dialect, const char *options, const char *prompt, const char *expected)
{
	_cleanup_json_ json_object *given = parse(options);
	const LlmRequest request = {
		.options = given,
		.prompt = prompt,
		.prompt_len = strlen(prompt),
		.model = "m",
	};
	_cleanup_buf_ Buf b = { 0 }, compact = { 0 };
	_cleanup_json_ json_object *body = NULL, *wanted = parse(expected);

	ck_assert_int_eq(dialect->check(given, NULL), 0);
	ck_assert_int_eq(dialect->write_request(&request, &b), 0);
	ck_assert_msg(jsonx_parse(b.data, b.len, &body, NULL) == 0, "%.*s", (int)b.len, b.data);
	ck_assert_msg(
		jsonx_equal(body, wanted), "%.*s\ninstead of:\n%s", (int)b.len, b.data, expected);
	/* No member is there twice. */
	ck_assert_int_eq(jsonx_append(&compact, wanted), 0);
	ck_assert_uint_eq(b.len, compact.len);
}

void llm_check_options(const LlmDialect *dialect, const char *options, const char *param)
{
	_cleanup_json_ json_object *given = parse(options);
	_cleanup_rpc_error_ RpcError error = { 0 };
	_cleanup_buf_ Buf expected = { 0 };

	if (!param) {
		ck_assert_int_eq(dialect->check(given, &error), 0);
		return;
	}
	ck_assert_int_eq(dialect->check(given, &error), -EINVAL);
	ck_assert_int_eq(error.reason, RPC_INVALID_PARAMS);
	ck_assert_int_eq(buf_printf(&expected, "\"param\":\"%s\"", param), 0);
	ck_assert_msg(error.data.len == expected.len &&
			      memcmp(error.data.data, expected.data, expected.len) == 0,
		"%.*s instead of %s", (int)error.data.len, error.data.data, param);
}
