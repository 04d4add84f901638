#include "daemon/backend/llm-error.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/utf8.h"
#include "daemon/backend/llm-dialect.h"

enum { ERROR, ERRORS, MESSAGE, DETAIL, TYPE, CODE, OBJECT, N_KEYS };

/* {"error":{"message":…,"type":…}} and {"type":"error","error":{…}}; {"error":"…"}; {"detail":…};
 * {"object":"error","message":…,"type":…}; {"errors":[{"message":…}]}. Beside each message there
 * may be a code. */
static const char *const keys[N_KEYS] = {
	[ERROR] = "error",
	[ERRORS] = "errors",
	[MESSAGE] = "message",
	[DETAIL] = "detail",
	[TYPE] = "type",
	[CODE] = "code",
	[OBJECT] = "object",
};

/* Of what stands behind "error". */
static void find_inner(JsonxText error, LlmError *ret)
{
	JsonxText found[N_KEYS];

	if (jsonx_pick(error, keys, found, N_KEYS) < 0) {
		ret->message = error;
		return;
	}
	ret->message = found[MESSAGE].text ? found[MESSAGE] : error;
	ret->type = found[TYPE];
	ret->code = found[CODE];
}

/* The first of several. */
static bool find_first(JsonxText errors, LlmError *ret)
{
	JsonxWalk w;

	if (!errors.text || *errors.text != '[' || jsonx_walk(&w, errors.text, errors.len) < 0 ||
		jsonx_walk_next(&w) <= 0)
		return false;
	find_inner(w.value, ret);
	return true;
}

bool llm_error_find(const char *text, size_t len, LlmError *ret)
{
	JsonxText found[N_KEYS];
	JsonxWalk w;

	*ret = (LlmError){ 0 };
	if (jsonx_walk(&w, text, len) < 0)
		return false;
	/* There is one that puts it into an array. */
	if (w.close == ']')
		return jsonx_walk_next(&w) > 0 && *w.value.text == '{' &&
		       llm_error_find(w.value.text, w.value.len, ret);
	if (jsonx_pick((JsonxText){ text, len }, keys, found, N_KEYS) < 0)
		return false;
	/* What a language takes for false is no error. */
	if (found[ERROR].text && !jsonx_text_is(found[ERROR], "\"\"") &&
		!jsonx_text_is(found[ERROR], "{}") && !jsonx_text_is(found[ERROR], "false")) {
		find_inner(found[ERROR], ret);
		ret->code = ret->code.text ? ret->code : found[CODE];
		return true;
	}
	if (find_first(found[ERRORS], ret))
		return true;
	ret->message = found[MESSAGE].text ? found[MESSAGE] : found[DETAIL];
	ret->type = found[TYPE];
	ret->code = found[CODE];
	return ret->message.text &&
	       (jsonx_text_is(found[OBJECT], "\"error\"") || !found[OBJECT].text);
}

static const struct {
	const char *word; /* in its quotes */
	unsigned status;
} words[] = {
	{ "\"api_error\"", 500 },
	{ "\"authentication_error\"", 401 },
	{ "\"invalid_api_key\"", 401 },
	{ "\"overloaded_error\"", 529 },
	{ "\"permission_error\"", 403 },
	{ "\"rate_limit_error\"", 429 },
	{ "\"rate_limit_exceeded\"", 429 },
	{ "\"server_error\"", 500 },
	{ "\"timeout_error\"", 504 },
};

/* A number, or a string of its digits, or a word; 0: none that is known. */
static unsigned status_of(JsonxText value)
{
	JsonxText bare = value;
	uint64_t number;

	if (value.len >= 2 && *value.text == '"')
		bare = (JsonxText){ value.text + 1, value.len - 2 };
	if (jsonx_text_uint(bare, &number))
		return number >= 400 && number <= 599 ? (unsigned)number : 0;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (jsonx_text_is(value, words[i].word))
			return words[i].status;
	return 0;
}

unsigned llm_error_status(const LlmError *error)
{
	unsigned status = status_of(error->code);

	return status > 0 ? status : status_of(error->type);
}

/* A space or a control, of which U+0080 to U+009F are some too. */
static bool is_space(const char *p, size_t n)
{
	unsigned char c = (unsigned char)*p;

	if (n == 1)
		return c <= 0x20 || c == 0x7f;
	return n == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0;
}

/* As one line of UTF-8: runs of spaces and controls become one space, and there are none at the
 * ends. */
static int append_clean(const char *text, size_t len, Buf *b)
{
	size_t begin = b->len;
	bool space = false;
	int r = 0;

	for (size_t n; r == 0 && len > 0; text += n, len -= n) {
		size_t valid = utf8_char_len(text, len), bytes = valid > 0 ? valid : 3;

		n = valid > 0 ? valid : 1;
		if (valid > 0 && is_space(text, n)) {
			space = b->len > begin;
			continue;
		}
		if (b->len - begin + space + bytes > LLM_MAX_ERROR_BYTES)
			return 0;
		if (space)
			r = buf_append_char(b, ' ');
		space = false;
		if (r == 0)
			r = buf_append(b, valid > 0 ? text : UTF8_REPLACEMENT, bytes);
	}
	return r;
}

/* What a page is called says most of it. */
static int append_title(const char *html, size_t len, Buf *b)
{
	static const char tag[] = "<title";

	for (const char *p = html, *end = html + len; (size_t)(end - p) >= strlen(tag); p++) {
		if (*p != '<' || strncasecmp(p, tag, strlen(tag)) != 0)
			continue;

		const char *text = memchr(p, '>', (size_t)(end - p));
		const char *after = text ? memchr(text, '<', (size_t)(end - text)) : NULL;

		return after ? append_clean(text + 1, (size_t)(after - text - 1), b) : 0;
	}
	return 0;
}

static int append_json(const char *body, size_t len, Buf *b)
{
	_cleanup_buf_ Buf scratch = { 0 };
	LlmError error;
	const char *text;
	size_t text_len;

	if (!llm_error_find(body, len, &error))
		return append_clean(body, len, b);

	int r = jsonx_text_string(error.message, &scratch, &text, &text_len);

	if (r == -EINVAL)
		return append_clean(error.message.text, error.message.len, b);
	return r < 0 ? r : append_clean(text, text_len, b);
}

int llm_error_message(const char *body, size_t len, Buf *b)
{
	const char *p = body;

	while (len > 0 && memchr(" \t\r\n", *p, 4)) {
		p++;
		len--;
	}
	if (len == 0)
		return 0;
	if (*p == '<')
		return append_title(p, len, b);
	return jsonx_valid_lax(p, len) ? append_json(p, len, b) : append_clean(p, len, b);
}
