/* Any bytes as the answer of a model, in either dialect: what is given out is text, within its
 * bounds, and the same however the answer is cut. And the same bytes as an answer that is not
 * streamed, and as the body of an error.
 *
 * Input: a byte that says which dialect, four bytes the seed of the cuts, the rest the answer. */
#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/utf8.h"
#include "daemon/backend/llm-dialect.h"
#include "tests/fuzz/fuzz.h"

#define MAX_BYTES 16384

/* A whole call is one chunk here, for no answer is that long. */
static void check_call(const char *text, size_t len)
{
	_cleanup_json_ json_object *o = NULL;
	JsonxError why;
	int r = jsonx_parse(text, len, &o, &why);

	if (r < 0) {
		/* What is deep, or has that in a name, is deeper in there. */
		FUZZ_CHECK(strcmp(why.why, "nesting that is too deep") == 0 ||
			   strcmp(why.why, "U+0000 in a member's name") == 0);
		return;
	}
	FUZZ_CHECK(json_object_object_length(o) == 3);
	FUZZ_CHECK(jsonx_get_string(o, "name", NULL));
	FUZZ_CHECK(jsonx_get(o, "arguments", json_type_object) ||
		   jsonx_get_string(o, "arguments", NULL));
}

static int on_chunk(Channel channel, const char *text, size_t len, void *userdata)
{
	Buf *told = userdata;

	FUZZ_CHECK(len > 0 && len <= PROTOCOL_MAX_CHUNK_BYTES);
	FUZZ_CHECK(utf8_valid(text, len));
	if (channel == CHANNEL_TOOL_CALL)
		check_call(text, len);
	FUZZ_CHECK(buf_printf(told, "%s %zu ", channel_to_string(channel), len) == 0);
	FUZZ_CHECK(buf_append(told, text, len) == 0);
	return 0;
}

static int on_event(const SseEvent *event, void *userdata)
{
	LlmDecoder *d = userdata;
	int r = d->dialect->on_event(d, event);

	FUZZ_CHECK(d->tools.n <= LLM_MAX_TOOL_CALLS && d->tools.bytes <= LLM_MAX_TOOL_BYTES);
	return r;
}

static void tell_string(Buf *told, const char *text, size_t max)
{
	if (!text)
		return;
	FUZZ_CHECK(strlen(text) <= max && utf8_valid(text, strlen(text)));
	FUZZ_CHECK(buf_append_char(told, '=') == 0);
	FUZZ_CHECK(buf_append_str(told, text) == 0);
}

static void tell_end(const LlmAnswer *a, int r, Buf *told)
{
	FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -EREMOTEIO || r == -EMSGSIZE);
	FUZZ_CHECK(r < 0 || a->finished);
	FUZZ_CHECK(a->error_status == 0 || (a->error_status >= 400 && a->error_status <= 599));
	FUZZ_CHECK(buf_printf(told, "%d %d %llu %llu", r, a->has_usage,
			   (unsigned long long)a->input_tokens,
			   (unsigned long long)a->output_tokens) == 0);
	tell_string(told, a->finish_reason, LLM_MAX_NAME_BYTES);
	tell_string(told, a->model, LLM_MAX_NAME_BYTES);
	tell_string(told, a->error_type, LLM_MAX_NAME_BYTES);
	tell_string(told, a->error_message, LLM_MAX_ERROR_BYTES);
}

/* `random`: 0 for the whole in one piece. */
static void decode(
	const LlmDialect *dialect, uint32_t random, const char *p, const char *end, Buf *told)
{
	const LlmOutput out = { .on_chunk = on_chunk, .userdata = told };
	LlmDecoder d;
	Sse s;
	int r = 0;

	llm_decoder_init(&d, dialect, &out);
	sse_init(&s, MAX_BYTES, on_event, &d);
	while (r == 0 && p < end) {
		size_t left = (size_t)(end - p), n = left;

		if (random != 0) {
			random = random * 1664525 + 1013904223;
			n = (random >> 8) % (random >> 28 ? 64 : 4096);
		}
		n = n < left ? n : left;
		r = sse_feed(&s, p, n);
		p += n;
	}
	if (r == 0)
		r = sse_end(&s);
	if (r == 0)
		r = dialect->on_end(&d);
	tell_end(&d.answer, r, told);
	sse_done(&s);
	llm_decoder_done(&d);
}

static void decode_whole(const LlmDialect *dialect, const char *body, size_t len)
{
	_cleanup_buf_ Buf told = { 0 };
	const LlmOutput out = { .on_chunk = on_chunk, .userdata = &told };
	LlmDecoder d;

	llm_decoder_init(&d, dialect, &out);
	tell_end(&d.answer, dialect->on_whole(&d, body, len), &told);
	llm_decoder_done(&d);
}

static void check_message(const char *body, size_t len)
{
	_cleanup_buf_ Buf message = { 0 };

	FUZZ_CHECK(llm_error_message(body, len, &message) == 0);
	FUZZ_CHECK(message.len <= LLM_MAX_ERROR_BYTES && utf8_valid(message.data, message.len));
	for (size_t i = 0; i < message.len; i++)
		FUZZ_CHECK((unsigned char)message.data[i] >= ' ');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data + 5, *end = (const char *)data + size;
	_cleanup_buf_ Buf whole = { 0 }, cut = { 0 };
	const LlmDialect *dialect;
	uint32_t random;

	if (size < 5)
		return 0;
	dialect = data[0] & 1 ? &llm_anthropic : &llm_openai;
	memcpy(&random, data + 1, sizeof(random));
	decode(dialect, 0, p, end, &whole);
	decode(dialect, random | 1, p, end, &cut);
	FUZZ_CHECK(whole.len == cut.len && memcmp(whole.data, cut.data, whole.len) == 0);
	decode_whole(dialect, p, (size_t)(end - p));
	check_message(p, (size_t)(end - p));
	return 0;
}
