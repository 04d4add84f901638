#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json-writer.h"
#include "common/jsonx.h"
#include "common/utf8.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"

typedef struct Case {
	const char *text;
	size_t len;
	const char *json;
} Case;

#define CASE(text, json)                     \
	{                                    \
		text, sizeof(text) - 1, json \
	}

static const Case escapes[] = {
	CASE("", ""),
	CASE("plain", "plain"),
	CASE("\"", "\\\""),
	CASE("\\", "\\\\"),
	CASE("/", "/"),
	CASE("\b\f\n\r\t", "\\b\\f\\n\\r\\t"),
	CASE("\0", "\\u0000"),
	CASE("\x01\x0b\x1f", "\\u0001\\u000b\\u001f"),
	CASE("\x7f", "\x7f"),
	CASE("z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x92\xa9",
		"z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x92\xa9"),
	CASE("0123456789abcde\"", "0123456789abcde\\\""),
	CASE("0123456789abcdef\n0123456789abcdef", "0123456789abcdef\\n0123456789abcdef"),
	CASE("\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"",
		"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\"\\\""),
};

static void assert_holds(const Buf *b, const char *json)
{
	ck_assert_msg(b->len == strlen(json) && memcmp(b->data, json, b->len) == 0,
		"%.*s instead of %s", (int)b->len, b->data, json);
}

/* As a string, appended to `b`. */
static int write_string(Buf *b, const char *text, size_t len)
{
	JsonWriter w;

	jw_init(&w, b);
	jw_string(&w, text, len);
	return jw_finish(&w);
}

START_TEST(escape)
{
	const Case *c = &escapes[_i];
	_cleanup_buf_ Buf b = { 0 }, expected = { 0 };

	ck_assert_int_eq(write_string(&b, c->text, c->len), 0);
	ck_assert_int_eq(buf_printf(&expected, "\"%s\"", c->json), 0);
	ck_assert_int_eq(buf_terminate(&expected), 0);
	assert_holds(&b, expected.data);
}
END_TEST

/* Byte by byte, as RFC 8259 has it: what the fast one is compared with. */
static int escape_slowly(Buf *b, const char *text, size_t len)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	int r = buf_append_char(b, '"');

	for (size_t i = 0; i < len && r == 0; i++) {
		unsigned char c = (unsigned char)text[i];
		const char *at = c ? strchr(from, c) : NULL;

		if (at)
			r = buf_printf(b, "\\%c", to[at - from]);
		else if (c < 0x20)
			r = buf_printf(b, "\\u%04x", c);
		else
			r = buf_append_char(b, (char)c);
	}
	return r < 0 ? r : buf_append_char(b, '"');
}

/* Not by ck_assert_*(), each of which costs a write(2). */
static bool escapes_right(const char *text, size_t len)
{
	_cleanup_buf_ Buf fast = { 0 }, slow = { 0 };

	return write_string(&fast, text, len) == 0 && escape_slowly(&slow, text, len) == 0 &&
	       fast.len == slow.len && memcmp(fast.data, slow.data, slow.len) == 0;
}

/* Every byte at every place of texts of every length up to a few vectors. */
START_TEST(escape_every_byte_everywhere)
{
	char text[41];

	for (size_t len = 1; len < sizeof(text); len++) {
		for (size_t at = 0; at < len; at++) {
			memset(text, 'a', len);
			text[at] = (char)_i;
			if (!escapes_right(text, len))
				ck_abort_msg("byte %d at %zu of %zu", _i, at, len);
		}
	}
}
END_TEST

/* Random texts, behind random others in the same buffer, which so grows at all kinds of places. */
START_TEST(escape_at_random)
{
	unsigned seed = 1;

	for (unsigned round = 0; round < 3000; round++) {
		_cleanup_buf_ Buf fast = { 0 }, slow = { 0 };
		char text[300];

		for (unsigned n = 0; n < 3; n++) {
			size_t len = (size_t)rand_r(&seed) % sizeof(text);
			int rare = 1 + rand_r(&seed) % 40;

			for (size_t i = 0; i < len; i++)
				text[i] = (char)(rand_r(&seed) % rare ? 'a' : rand_r(&seed));
			ck_assert_int_eq(write_string(&fast, text, len), 0);
			ck_assert_int_eq(escape_slowly(&slow, text, len), 0);
		}
		ck_assert_uint_eq(fast.len, slow.len);
		if (slow.len > 0)
			ck_assert_mem_eq(fast.data, slow.data, slow.len);
	}
}
END_TEST

/* In an array, behind another string. */
static void assert_utf8_or_nothing(const char *text, size_t len)
{
	_cleanup_buf_ Buf b = { 0 }, expected = { 0 };
	bool valid = utf8_valid(text, len);
	JsonWriter w;

	ck_assert_int_eq(buf_append_str(&expected, "[\"a\""), 0);
	if (valid) {
		ck_assert_int_eq(buf_append_char(&expected, ','), 0);
		ck_assert_int_eq(escape_slowly(&expected, text, len), 0);
	}
	ck_assert_int_eq(buf_append_str(&expected, ",1]"), 0);
	jw_init(&w, &b);
	jw_array_begin(&w);
	jw_string(&w, "a", 1);
	ck_assert_int_eq(jw_utf8(&w, text, len), valid);
	jw_uint(&w, 1);
	jw_array_end(&w);
	ck_assert_int_eq(jw_finish(&w), 0);
	ck_assert_uint_eq(b.len, expected.len);
	ck_assert_mem_eq(b.data, expected.data, b.len);
}

START_TEST(utf8_at_random)
{
	static const char *const pieces[] = { "a", "\"", "\n", "0123456789abcdef", "\xc3\xa9",
		"\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff", "\x80", "\xc3", "\xed\xa0\x80" };
	unsigned seed = 1;

	for (unsigned round = 0; round < 20000; round++) {
		size_t n = (size_t)rand_r(&seed) % 12;
		/* Every other one is valid. */
		size_t kinds = ARRAY_SIZE(pieces) - (round % 2 ? 4 : 0);
		char text[256];
		size_t len = 0;

		for (size_t i = 0; i < n; i++) {
			const char *piece = pieces[(size_t)rand_r(&seed) % kinds];

			memcpy(text + len, piece, strlen(piece));
			len += strlen(piece);
		}
		assert_utf8_or_nothing(text, len);
	}
}
END_TEST

START_TEST(uints)
{
	static const uint64_t values[] = { 0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 12345, 99999,
		100000, 4294967295, 4294967296, 9999999999, 10000000000000000000U, UINT64_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char fast[20], slow[32];
		size_t n = jw_format_uint(fast, values[i]);

		snprintf(slow, sizeof(slow), "%llu", (unsigned long long)values[i]);
		ck_assert_uint_eq(n, strlen(slow));
		ck_assert_mem_eq(fast, slow, n);
	}
}
END_TEST

START_TEST(ints)
{
	_cleanup_buf_ Buf b = { 0 };
	JsonWriter w;

	jw_init(&w, &b);
	jw_array_begin(&w);
	jw_int(&w, 0);
	jw_int(&w, -1);
	jw_int(&w, 100);
	jw_int(&w, INT64_MIN);
	jw_int(&w, INT64_MAX);
	jw_uint(&w, UINT64_MAX);
	jw_array_end(&w);
	ck_assert_int_eq(jw_finish(&w), 0);
	assert_holds(
		&b, "[0,-1,100,-9223372036854775808,9223372036854775807,18446744073709551615]");
}
END_TEST

static void write_everything(JsonWriter *w)
{
	jw_object_begin(w);
	jw_key(w, "empty");
	jw_object_begin(w);
	jw_object_end(w);
	jw_key(w, "list");
	jw_array_begin(w);
	jw_array_begin(w);
	jw_array_end(w);
	jw_null(w);
	jw_bool(w, true);
	jw_bool(w, false);
	jw_object_begin(w);
	jw_key_bool(w, "a", true);
	jw_object_end(w);
	jw_string(w, "s", 1);
	jw_cstring(w, NULL);
	jw_raw(w, "{\"x\":[]}", 8);
	jw_base64(w, "\xff\x00", 2);
	jw_base64(w, NULL, 0);
	jw_array_end(w);
	jw_key_escaped(w, "k\"\n", 3);
	jw_int(w, -7);
	jw_key_string(w, "string", "a\0b", 3);
	jw_key_cstring(w, "cstring", "c");
	jw_key_cstring(w, "none", NULL);
	jw_key_name(w, "name", "n");
	jw_key_uint(w, "uint", 7);
	jw_key_int(w, "int", -8);
	jw_key_raw(w, "raw", "1.5", 3);
	jw_object_end(w);
}

#define EVERYTHING                                                                       \
	"{\"empty\":{},\"list\":[[],null,true,false,{\"a\":true},\"s\",null,{\"x\":[]}," \
	"\"/wA=\",\"\"],\"k\\\"\\n\":-7,\"string\":\"a\\u0000b\",\"cstring\":\"c\","     \
	"\"none\":null,\"name\":\"n\",\"uint\":7,\"int\":-8,\"raw\":1.5}"

START_TEST(structure)
{
	_cleanup_buf_ Buf b = { 0 };
	JsonWriter w;

	jw_init(&w, &b);
	write_everything(&w);
	ck_assert_int_eq(jw_finish(&w), 0);
	assert_holds(&b, EVERYTHING);
	ck_assert(jsonx_valid(b.data, b.len, NULL));
}
END_TEST

START_TEST(writes_behind_what_is_there)
{
	_cleanup_buf_ Buf b = { 0 };
	JsonWriter w;

	ck_assert_int_eq(buf_append_str(&b, "prefix "), 0);
	jw_init(&w, &b);
	jw_uint(&w, 1);
	ck_assert_int_eq(jw_finish(&w), 0);
	assert_holds(&b, "prefix 1");
}
END_TEST

/* Memory runs out at the first, the second, ... reallocation: the error sticks, and nothing breaks.
 */
START_TEST(errors_stick)
{
	char text[500];

	memset(text, '\1', sizeof(text));
	for (int n = 0;; n++) {
		_cleanup_buf_ Buf b = { 0 };
		JsonWriter w;

		jw_init(&w, &b);
		fault_realloc_after(n);
		jw_array_begin(&w);
		write_everything(&w);
		jw_string(&w, text, sizeof(text));
		jw_array_end(&w);
		fault_realloc_after(-1);
		if (jw_finish(&w) == 0) {
			ck_assert_int_ge(n, 3);
			ck_assert(jsonx_valid(b.data, b.len, NULL));
			break;
		}
		ck_assert_int_eq(jw_finish(&w), -ENOMEM);

		size_t len = b.len;

		write_everything(&w);
		jw_base64(&w, "x", 1);
		ck_assert_uint_eq(b.len, len);
		ck_assert_int_eq(jw_finish(&w), -ENOMEM);
	}
}
END_TEST

START_TEST(escape_without_memory_changes_nothing)
{
	char text[500];

	memset(text, '\1', sizeof(text));
	for (int n = 0; n < 2; n++) {
		_cleanup_buf_ Buf b = { 0 };

		ck_assert_int_eq(buf_append_str(&b, "abc"), 0);
		fault_realloc_after(n);
		ck_assert_int_eq(write_string(&b, text, sizeof(text)), -ENOMEM);
		fault_realloc_after(-1);
		assert_holds(&b, "abc");
	}
}
END_TEST

START_TEST(overflow)
{
	_cleanup_buf_ Buf b = { 0 };
	JsonWriter w;

	jw_init(&w, &b);
	jw_string(&w, "", SIZE_MAX);
	ck_assert_int_eq(jw_finish(&w), -EOVERFLOW);
	jw_init(&w, &b);
	jw_raw(&w, "", SIZE_MAX - 1);
	ck_assert_int_eq(jw_finish(&w), -EOVERFLOW);
	jw_init(&w, &b);
	jw_base64(&w, "", SIZE_MAX / 4 * 3);
	ck_assert_int_eq(jw_finish(&w), -EOVERFLOW);
	ck_assert_uint_eq(b.len, 0);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("json-writer");
	TCase *t = tcase_create("json-writer");

	tcase_add_loop_test(t, escape, 0, ARRAY_SIZE(escapes));
	tcase_add_loop_test(t, escape_every_byte_everywhere, 0, 256);
	tcase_add_test(t, escape_at_random);
	tcase_add_test(t, utf8_at_random);
	tcase_add_test(t, uints);
	tcase_add_test(t, ints);
	tcase_add_test(t, structure);
	tcase_add_test(t, writes_behind_what_is_there);
	tcase_add_test(t, errors_stick);
	tcase_add_test(t, escape_without_memory_changes_nothing);
	tcase_add_test(t, overflow);
	suite_add_tcase(s, t);
	return s;
}
