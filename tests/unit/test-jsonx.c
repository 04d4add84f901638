#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonx.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/unit/jsonx-cases.h"

/* `open` n times, `inner`, `close` n times. */
static void nest(Buf *b, const char *open, const char *inner, const char *close, size_t n)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(buf_append_str(b, open), 0);
	ck_assert_int_eq(buf_append_str(b, inner), 0);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(buf_append_str(b, close), 0);
}

/* A copy of exactly that size, for the sanitizer to see what is read beyond it. */
static char *copy(const char *text, size_t len)
{
	char *exact = malloc(len > 0 ? len : 1);

	ck_assert_ptr_nonnull(exact);
	memcpy(exact, text, len);
	return exact;
}

START_TEST(accepted)
{
	const JsonxCase *c = &jsonx_accepted[_i];
	_cleanup_free_ char *text = copy(c->text, c->len);
	_cleanup_json_ json_object *o = NULL;
	JsonxError e = { 0 };

	ck_assert_msg(jsonx_valid(text, c->len, &e), "%s: %s at %zu", c->name, e.why, e.offset);
	ck_assert_msg(jsonx_parse(text, c->len, &o, &e) == 0, "%s: %s", c->name, e.why);
}
END_TEST

/* What json-c makes of it and writes again is valid, and the same when it comes back. */
START_TEST(accepted_comes_back)
{
	const JsonxCase *c = &jsonx_accepted[_i];
	_cleanup_json_ json_object *o = NULL, *again = NULL;
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(jsonx_parse(c->text, c->len, &o, NULL), 0);
	ck_assert_int_eq(jsonx_append(&b, o), 0);
	ck_assert_msg(jsonx_parse(b.data, b.len, &again, NULL) == 0, "%s: %.*s", c->name,
		(int)b.len, b.data);
	ck_assert_msg(json_object_equal(o, again), "%s: %.*s", c->name, (int)b.len, b.data);
}
END_TEST

/* What json-c itself would make of it. */
START_TEST(accepted_as_json_c_does)
{
	const JsonxCase *c = &jsonx_accepted[_i];
	_cleanup_json_ json_object *o = NULL, *theirs = NULL;
	json_tokener *t = json_tokener_new_ex(JSONX_MAX_DEPTH + 2);

	theirs = json_tokener_parse_ex(t, c->text, (int)c->len);
	if (json_tokener_get_error(t) == json_tokener_continue)
		theirs = json_tokener_parse_ex(t, " ", 1);
	ck_assert_int_eq(json_tokener_get_error(t), json_tokener_success);
	json_tokener_free(t);
	ck_assert_int_eq(jsonx_parse(c->text, c->len, &o, NULL), 0);
	ck_assert_msg(json_object_equal(o, theirs), "%s", c->name);
	ck_assert_str_eq(json_object_to_json_string(o), json_object_to_json_string(theirs));
}
END_TEST

/* All that can be escaped by \u, in both cases of its digits. */
START_TEST(every_character)
{
	for (unsigned code = 1; code < 0x110000; code += code < 0x3000 ? 1 : 61) {
		_cleanup_json_ json_object *o = NULL;
		char text[32], expected[8], *end = expected;
		int n;

		if (code >= 0xd800 && code < 0xe000)
			continue;
		if (code < 0x10000)
			n = snprintf(text, sizeof(text), "\"a\\u%c%03x\"",
				"0123456789abcDEF"[code >> 12], code & 0xfff);
		else
			n = snprintf(text, sizeof(text), "\"a\\u%04x\\u%04X\"",
				0xd800 + ((code - 0x10000) >> 10),
				0xdc00 + ((code - 0x10000) & 0x3ff));
		*end++ = 'a';
		if (code < 0x80) {
			*end++ = (char)code;
		} else {
			unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;

			*end++ = (char)(0xff00U >> (more + 1) | code >> (6 * more));
			while (more-- > 0)
				*end++ = (char)(0x80 | (code >> (6 * more) & 0x3f));
		}
		*end = '\0';
		ck_assert_int_eq(jsonx_parse(text, (size_t)n, &o, NULL), 0);
		ck_assert_str_eq(json_object_get_string(o), expected);
	}
}
END_TEST

START_TEST(refused)
{
	const JsonxCase *c = &jsonx_refused[_i];
	_cleanup_free_ char *text = copy(c->text, c->len);
	json_object *o = NULL;
	JsonxError e = { 0 };

	ck_assert_msg(!jsonx_valid(text, c->len, &e), "%s", c->name);
	ck_assert_ptr_nonnull(e.why);
	ck_assert_uint_le(e.offset, c->len);
	e = (JsonxError){ 0 };
	ck_assert_msg(jsonx_parse(text, c->len, &o, &e) == -EBADMSG, "%s", c->name);
	ck_assert_ptr_nonnull(e.why);
	ck_assert_ptr_null(o);
	ck_assert(!jsonx_valid(text, c->len, NULL));
}
END_TEST

/* No beginning of a value that ends in a bracket is one itself. */
START_TEST(cut_short)
{
	static const char text[] =
		"{\"a\":[1,-2.5e+3,\"x\\u00e9\\ud83d\\ude00\xc3\xbc\",true,null],\"b\":{}}";

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		_cleanup_free_ char *part = copy(text, len);

		ck_assert(!jsonx_valid(part, len, NULL));
	}
	ck_assert(jsonx_valid(text, sizeof(text) - 1, NULL));
}
END_TEST

/* Every byte at every place of strings as long as the fast lanes. */
START_TEST(every_byte_in_a_string)
{
	char text[44];

	for (size_t len = 1; len < sizeof(text) - 2; len++) {
		for (size_t at = 1; at <= len; at++) {
			bool valid = _i >= 0x20 && _i < 0x80 && _i != '"' && _i != '\\';

			memset(text, 'a', sizeof(text));
			text[0] = text[len + 1] = '"';
			text[at] = (char)_i;
			if (_i == '\\') /* which is good before the b's of the alphabet only */
				text[at + 1] = at < len ? 'b' : '"';

			bool expected = valid || (_i == '\\' && at < len);

			if (jsonx_valid(text, len + 2, NULL) != expected)
				ck_abort_msg("byte %d at %zu of %zu", _i, at, len);
		}
	}
}
END_TEST

START_TEST(reasons)
{
	static const struct {
		const char *text, *why;
		size_t offset;
	} table[] = {
		{ "", "an unexpected end", 0 },
		{ "[1,", "an unexpected end", 3 },
		{ "{\"a\"", "an unexpected end", 4 },
		{ "[1}", "an unexpected character", 2 },
		{ "[NaN]", "an unexpected character", 1 },
		{ "{} x", "something behind the value", 3 },
		{ "\"abc", "an unterminated string", 4 },
		{ "\"a\tb\"", "a control character in a string", 2 },
		{ "[\"\\x\"]", "an unknown escape", 3 },
		{ "\"\\u12\"", "an incomplete \\u escape", 2 },
		{ "\"\\ud800x\"", "a lone surrogate", 2 },
		{ "\"a\xff\"", "invalid UTF-8", 2 },
		{ "[-]", "a malformed number", 1 },
		{ "[ 18446744073709551616]", "an integer beyond 64 bits", 2 },
		{ "[1e309]", "a number too large for a double", 1 },
		{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
			"nesting that is too deep", 64 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		JsonxError e = { 0 };

		ck_assert(!jsonx_valid(table[i].text, strlen(table[i].text), &e));
		ck_assert_str_eq(e.why, table[i].why);
		ck_assert_uint_eq(e.offset, table[i].offset);
	}
}
END_TEST

START_TEST(lax)
{
	static const char *const taken[] = { "\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\n\"",
		"\"\\ud83d\\ud83d\\ude00\"", "{\"\\udfff\":\"\\ud800x\"}", "[18446744073709551616]",
		"-99999999999999999999.5e999", "{\"a\":NaN,\"b\":Infinity}", "[-Infinity , -1]",
		"NaN" };
	static const char *const not_taken[] = { "", "nan", "Na", "Infinit", "-Infinit", "-NaN",
		"+1", "Infinity1", "[-]", "[1.]", "[1e]", "[01]", "\"\\ud83\"", "\"\\ud83d",
		"\"\t\"", "\"\xff\"", "\"\xed\xa0\xbd\"", "[1,]", "{} {}" };

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		_cleanup_free_ char *text = copy(taken[i], strlen(taken[i]));

		ck_assert_msg(jsonx_valid_lax(text, strlen(taken[i])), "%s", taken[i]);
		ck_assert_msg(!jsonx_valid(text, strlen(taken[i]), NULL), "%s", taken[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(not_taken); i++) {
		_cleanup_free_ char *text = copy(not_taken[i], strlen(not_taken[i]));

		ck_assert_msg(!jsonx_valid_lax(text, strlen(not_taken[i])), "%s", not_taken[i]);
	}
	for (size_t i = 0; i < jsonx_accepted_count; i++)
		ck_assert(jsonx_valid_lax(jsonx_accepted[i].text, jsonx_accepted[i].len));
}
END_TEST

START_TEST(depth)
{
	static const struct {
		const char *open, *inner, *close;
	} kinds[] = {
		{ "[", "", "]" },
		{ "[", "1", "]" },
		{ "{\"a\":", "null", "}" },
		{ "[0,", "{\"a\":\"b\"}", "]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t most = JSONX_MAX_DEPTH - (i == 3);
		_cleanup_buf_ Buf deep = { 0 }, deeper = { 0 }, again = { 0 };
		_cleanup_json_ json_object *o = NULL, *none = NULL;
		JsonxError e;

		nest(&deep, kinds[i].open, kinds[i].inner, kinds[i].close, most);
		nest(&deeper, kinds[i].open, kinds[i].inner, kinds[i].close, most + 1);
		ck_assert_msg(jsonx_parse(deep.data, deep.len, &o, &e) == 0, "%zu: %s", i, e.why);
		ck_assert_int_eq(jsonx_append(&again, o), 0);
		ck_assert_uint_eq(again.len, deep.len);
		ck_assert_mem_eq(again.data, deep.data, deep.len);
		ck_assert_int_eq(jsonx_parse(deeper.data, deeper.len, &none, &e), -EBADMSG);
		ck_assert_str_eq(e.why, "nesting that is too deep");
	}
}
END_TEST

/* The brackets must match at each level. */
START_TEST(mixed_brackets)
{
	_cleanup_buf_ Buf b = { 0 };

	nest(&b, "[{\"a\":", "0", "}]", JSONX_MAX_DEPTH / 2);
	ck_assert(jsonx_valid(b.data, b.len, NULL));
	for (size_t i = 0; i < b.len; i++) {
		char before = b.data[i];

		if (before != ']' && before != '}')
			continue;
		b.data[i] = before == ']' ? '}' : ']';
		ck_assert(!jsonx_valid(b.data, b.len, NULL));
		b.data[i] = before;
	}
}
END_TEST

START_TEST(long_structures)
{
	_cleanup_buf_ Buf b = { 0 };
	_cleanup_json_ json_object *o = NULL;

	nest(&b, "[", "", "", 100000);
	ck_assert(!jsonx_valid(b.data, b.len, NULL));
	b.len = 0;
	nest(&b, "[{\"\":", "", "", 50000);
	ck_assert(!jsonx_valid(b.data, b.len, NULL));
	b.len = 0;
	ck_assert_int_eq(buf_append_str(&b, "["), 0);
	nest(&b, "\"text\",", "0]", "", 100000);
	ck_assert_int_eq(jsonx_parse(b.data, b.len, &o, NULL), 0);
	ck_assert_uint_eq(json_object_array_length(o), 100001);
}
END_TEST

/* is_finite() and strtod() are of one mind, right up to the last digit. */
START_TEST(finite_numbers)
{
	static const char *const numbers[] = {
		"1e308",
		"1.7976931348623157e308",
		"1.7976931348623158e308",
		"1.7976931348623159e308",
		"17976931348623157e292",
		"0.00017976931348623157e312",
		"0.00017976931348623159e312",
		"-1.7976931348623158e308",
		"-1.8e308",
		"1e309",
		"9e308",
		"1E+308",
		"1E+0000000308",
		"1e-400",
		"0e999999999999999999999",
		"0.0e+999",
		"-0.0e999",
		"1e-999999999999999999999",
		"1e999999999999999999999",
		"123e306",
		"123e307",
		"0.1e309",
		"0.1e310",
		"0.01e310",
		"10e307",
		"10e308",
		"100.00e306",
		"1.0",
		"4.9e-324",
		"0.000000000000000000000001e332",
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		ck_assert_msg(jsonx_valid(numbers[i], strlen(numbers[i]), NULL) ==
				      (isfinite(strtod(numbers[i], NULL)) != 0),
			"%s", numbers[i]);
}
END_TEST

/* Around 2^1024 - 2^970, which is where rounding to infinity begins. */
START_TEST(greatest_number)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "%.0Lf", 0x1p1024L - 0x1p970L);

	ck_assert_int_eq(n, 309);
	snprintf(text + n, sizeof(text) - (size_t)n, ".0000");
	ck_assert(!jsonx_valid(text, strlen(text), NULL));
	ck_assert(!isfinite(strtod(text, NULL)));
	text[n - 1]--;
	ck_assert(jsonx_valid(text, strlen(text), NULL));
	ck_assert(isfinite(strtod(text, NULL)));
	snprintf(text + n, sizeof(text) - (size_t)n, ".9999");
	ck_assert(jsonx_valid(text, strlen(text), NULL));
	ck_assert(isfinite(strtod(text, NULL)));
	snprintf(text + n, sizeof(text) - (size_t)n, ".9e1");
	ck_assert(!jsonx_valid(text, strlen(text), NULL));
}
END_TEST

static const struct {
	const char *text, *written;
} rewritten[] = {
	{ "null", "null" },
	{ " true ", "true" },
	{ "0", "0" },
	{ "-0", "0" },
	{ "-0.0", "-0.0" },
	{ "1.50", "1.50" },
	{ "1E+2", "1E+2" },
	{ "1e-400", "1e-400" },
	{ "0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827" },
	{ "-9223372036854775808", "-9223372036854775808" },
	{ "9223372036854775807", "9223372036854775807" },
	{ "9223372036854775808", "9223372036854775808" },
	{ "18446744073709551615", "18446744073709551615" },
	{ "[ 1 , [ ] , { } ]", "[1,[],{}]" },
	{ "{ \"b\" : 1 , \"a\" : 2 , \"b\" : 3 }", "{\"b\":3,\"a\":2}" },
	{ "{\"\":{\"a\\\"\\n\\u0001\":null}}", "{\"\":{\"a\\\"\\n\\u0001\":null}}" },
	{ "\"a\\/b\"", "\"a/b\"" },
	{ "\"\\u0000\\u001f\\u007f\"", "\"\\u0000\\u001f\x7f\"" },
	{ "\"\\u00fc\\u20ac\\ud83d\\ude00\"", "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\"" },
	{ "\"\\uDBFF\\uDFFF\\uFFFF\"", "\"\xf4\x8f\xbf\xbf\xef\xbf\xbf\"" },
};

START_TEST(append)
{
	_cleanup_json_ json_object *o = NULL;
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(jsonx_parse(rewritten[_i].text, strlen(rewritten[_i].text), &o, NULL), 0);
	ck_assert_int_eq(jsonx_append(&b, o), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, rewritten[_i].written);
}
END_TEST

START_TEST(append_what_was_made_here)
{
	_cleanup_json_ json_object *o = json_object_new_array();
	_cleanup_buf_ Buf b = { 0 };

	json_object_array_add(o, json_object_new_double(1.0));
	json_object_array_add(o, json_object_new_double((double)NAN));
	json_object_array_add(o, json_object_new_double((double)INFINITY));
	json_object_array_add(o, json_object_new_boolean(true));
	json_object_array_add(o, NULL);
	ck_assert_int_eq(jsonx_append(&b, o), 0);
	ck_assert_int_eq(buf_terminate(&b), 0);
	ck_assert_str_eq(b.data, "[1.0,null,null,true,null]");
}
END_TEST

START_TEST(append_without_memory)
{
	_cleanup_json_ json_object *o = NULL;
	_cleanup_buf_ Buf b = { 0 };
	static const char text[] = "[\""
				   "0123456789012345678901234567890123456789012345678901234567"
				   "\",\"0123456789012345678901234567890123456789012345678901\"]";

	ck_assert_int_eq(jsonx_parse(text, sizeof(text) - 1, &o, NULL), 0);
	ck_assert_int_eq(buf_append_str(&b, "abc"), 0);
	fault_realloc_after(0);
	ck_assert_int_eq(jsonx_append(&b, o), -ENOMEM);
	fault_realloc_after(-1);
	ck_assert_uint_eq(b.len, 3);
}
END_TEST

/* A name, a string and a number that have to be worked on. */
START_TEST(parse_without_memory)
{
	static const char *const texts[] = { "{\"a\":1}", "[\"\\n\"]", "{\"a\":{\"b\":[1.5]}}" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		json_object *o = NULL;

		fault_realloc_after(0);
		ck_assert_int_eq(jsonx_parse(texts[i], strlen(texts[i]), &o, NULL), -ENOMEM);
		fault_realloc_after(-1);
		ck_assert_ptr_null(o);
	}
}
END_TEST

START_TEST(nul_in_a_name)
{
	static const char text[] = "[{\"x\":0},{\"prompt\\u0000x\":1}]";
	json_object *o = NULL;
	JsonxError e;

	ck_assert(jsonx_valid(text, sizeof(text) - 1, NULL));
	ck_assert_int_eq(jsonx_parse(text, sizeof(text) - 1, &o, &e), -EBADMSG);
	ck_assert_str_eq(e.why, "U+0000 in a member's name");
	ck_assert_uint_eq(e.offset, 10);
	ck_assert_ptr_null(o);
}
END_TEST

/* One text leaves nothing behind that the next one could stumble over. */
START_TEST(one_after_the_other)
{
	static const char *const texts[] = { "1", "12", "\"a\"", "[1", "null", "-", "2.5",
		"{\"a\":1}", "tru" };
	_cleanup_free_ char *big = malloc(1000002);

	ck_assert_ptr_nonnull(big);
	memset(big, 'x', 1000002);
	big[0] = big[1000001] = '"';
	for (size_t i = 0; i < 1000; i++) {
		_cleanup_json_ json_object *o = NULL, *same = NULL;
		const char *text = texts[i * 7 % ARRAY_SIZE(texts)];
		int r = jsonx_parse(text, strlen(text), &o, NULL);

		ck_assert_int_eq(r == 0, jsonx_valid(text, strlen(text), NULL));
		if (i % 100 == 50) {
			ck_assert_int_eq(jsonx_parse(big, 1000002, &same, NULL), 0);
			ck_assert_int_eq(json_object_get_string_len(same), 1000000);
		}
	}
}
END_TEST

START_TEST(too_long)
{
	json_object *o = NULL;
	JsonxError e;

	ck_assert_int_eq(jsonx_parse("1", (size_t)INT32_MAX + 1, &o, &e), -EBADMSG);
	ck_assert_str_eq(e.why, "a text that is too long");
}
END_TEST

static void *parse_often(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		_cleanup_json_ json_object *o = NULL;

		if (jsonx_parse("{\"n\":17}", 8, &o, NULL) < 0 || jsonx_get_int(o, "n", 0) != 17)
			return arg;
	}
	return NULL;
}

START_TEST(threads)
{
	pthread_t ids[4];

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		ck_assert_int_eq(pthread_create(&ids[i], NULL, parse_often, ids), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		void *failed;

		ck_assert_int_eq(pthread_join(ids[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
}
END_TEST

START_TEST(members)
{
	static const char text[] =
		"{\"s\":\"a\\u0000b\",\"i\":-5,\"u\":18446744073709551615,"
		"\"max\":9223372036854775807,\"d\":1.0,\"t\":true,\"n\":null,\"o\":{}}";
	_cleanup_json_ json_object *o = NULL;
	size_t len = 0;

	ck_assert_int_eq(jsonx_parse(text, sizeof(text) - 1, &o, NULL), 0);
	ck_assert_ptr_nonnull(jsonx_get(o, "o", json_type_object));
	ck_assert_ptr_null(jsonx_get(o, "o", json_type_array));
	ck_assert_ptr_null(jsonx_get(o, "none", json_type_object));
	ck_assert_ptr_null(jsonx_get(o, "n", json_type_null));
	ck_assert_ptr_null(jsonx_get(NULL, "o", json_type_object));
	ck_assert_ptr_null(jsonx_get(jsonx_get(o, "s", json_type_string), "o", json_type_object));
	ck_assert_mem_eq(jsonx_get_string(o, "s", &len), "a\0b", 4);
	ck_assert_uint_eq(len, 3);
	ck_assert_ptr_nonnull(jsonx_get_string(o, "s", NULL));
	ck_assert_ptr_null(jsonx_get_string(o, "i", &len));
	ck_assert_int_eq(jsonx_get_int(o, "i", 1), -5);
	ck_assert_int_eq(jsonx_get_int(o, "max", 1), INT64_MAX);
	ck_assert_int_eq(jsonx_get_int(o, "u", 1), 1);
	ck_assert_int_eq(jsonx_get_int(o, "d", 1), 1);
	ck_assert_int_eq(jsonx_get_int(o, "s", 2), 2);
	ck_assert_uint_eq(jsonx_get_uint(o, "u", 1), UINT64_MAX);
	ck_assert_uint_eq(jsonx_get_uint(o, "max", 1), INT64_MAX);
	ck_assert_uint_eq(jsonx_get_uint(o, "i", 3), 3);
	ck_assert_uint_eq(jsonx_get_uint(o, "n", 3), 3);
	ck_assert(jsonx_get_bool(o, "t", false));
	ck_assert(jsonx_get_bool(o, "i", true));
	ck_assert(!jsonx_get_bool(o, "none", false));
}
END_TEST

static const struct {
	const char *a, *b;
	bool equal;
} compared[] = {
	{ "null", "null", true },
	{ "null", "0", false },
	{ "true", "true", true },
	{ "true", "1", false },
	{ "\"1\"", "1", false },
	{ "\"a\\u0000b\"", "\"a\\u0000b\"", true },
	{ "\"a\\u0000b\"", "\"a\\u0000c\"", false },
	{ "1", "1.0", true },
	{ "1", "10e-1", true },
	{ "1", "1.5", false },
	{ "-1", "-1.0", true },
	{ "-1", "1.0", false },
	{ "-1", "-1.5", false },
	{ "0", "-0.0", true },
	{ "0", "1e-300", false },
	{ "0", "-1e-300", false },
	{ "1.50", "1.5", true },
	{ "9007199254740992", "9007199254740992.0", true },
	{ "9007199254740993", "9007199254740992.0", false },
	{ "9223372036854775807", "9223372036854775808.0", false },
	{ "9223372036854775808", "9223372036854775808.0", true },
	{ "-9223372036854775808", "-9223372036854775808.0", true },
	{ "-9223372036854775807", "-9223372036854775808.0", false },
	{ "-9223372036854775808", "-1e300", false },
	{ "18446744073709551615", "18446744073709551616.0", false },
	{ "18446744073709551615", "1e300", false },
	{ "18446744073709551615", "-1.0", false },
	{ "18446744073709551615", "-1", false },
	{ "18446744073709549568", "18446744073709549568.0", true },
	{ "[1,[2]]", "[1.0,[2.0]]", true },
	{ "[1,2]", "[1]", false },
	{ "[1,2]", "[2,1]", false },
	{ "[]", "{}", false },
	{ "{\"a\":1,\"b\":{\"c\":null}}", "{\"b\":{\"c\":null},\"a\":1.0}", true },
	{ "{\"a\":null}", "{\"b\":null}", false },
	{ "{\"a\":1}", "{\"a\":1,\"b\":1}", false },
};

START_TEST(equal)
{
	_cleanup_json_ json_object *a = NULL, *b = NULL;
	const char *left = compared[_i].a, *right = compared[_i].b;

	ck_assert_int_eq(jsonx_parse(left, strlen(left), &a, NULL), 0);
	ck_assert_int_eq(jsonx_parse(right, strlen(right), &b, NULL), 0);
	ck_assert_msg(jsonx_equal(a, b) == compared[_i].equal, "%s, %s", left, right);
	ck_assert_msg(jsonx_equal(b, a) == compared[_i].equal, "%s, %s", right, left);
	ck_assert(jsonx_equal(a, a) && jsonx_equal(b, b));
}
END_TEST

START_TEST(text_bytes)
{
	static const char text[] =
		"{\"a\":\"xy\",\"b\":[1,null,\"\\u00e4\",{\"c\":\"z\"}],\"d\":true}";
	_cleanup_json_ json_object *o = NULL;

	ck_assert_int_eq(jsonx_parse(text, strlen(text), &o, NULL), 0);
	ck_assert_uint_eq(jsonx_text_bytes(o), 2 + 2 + 1);
	ck_assert_uint_eq(jsonx_text_bytes(NULL), 0);
}
END_TEST

static TCase *values_case(void)
{
	TCase *t = tcase_create("values");

	tcase_add_loop_test(t, append, 0, ARRAY_SIZE(rewritten));
	tcase_add_test(t, text_bytes);
	tcase_add_test(t, append_what_was_made_here);
	tcase_add_test(t, append_without_memory);
	tcase_add_test(t, parse_without_memory);
	tcase_add_test(t, nul_in_a_name);
	tcase_add_test(t, one_after_the_other);
	tcase_add_test(t, too_long);
	tcase_add_test(t, threads);
	tcase_add_test(t, members);
	tcase_add_loop_test(t, equal, 0, ARRAY_SIZE(compared));
	return t;
}

/* Valgrind computes long doubles as doubles, so it leaves this one out. */
static TCase *wide_case(void)
{
	TCase *t = tcase_create("wide");

	tcase_set_tags(t, "no-valgrind");
	tcase_add_test(t, greatest_number);
	return t;
}

Suite *test_suite(void)
{
	Suite *s = suite_create("jsonx");
	TCase *t = tcase_create("texts");

	tcase_add_loop_test(t, accepted, 0, (int)jsonx_accepted_count);
	tcase_add_loop_test(t, accepted_comes_back, 0, (int)jsonx_accepted_count);
	tcase_add_loop_test(t, accepted_as_json_c_does, 0, (int)jsonx_accepted_count);
	tcase_add_test(t, every_character);
	tcase_add_loop_test(t, refused, 0, (int)jsonx_refused_count);
	tcase_add_test(t, cut_short);
	tcase_add_loop_test(t, every_byte_in_a_string, 0, 256);
	tcase_add_test(t, reasons);
	tcase_add_test(t, lax);
	tcase_add_test(t, depth);
	tcase_add_test(t, mixed_brackets);
	tcase_add_test(t, long_structures);
	tcase_add_test(t, finite_numbers);
	suite_add_tcase(s, t);
	suite_add_tcase(s, wide_case());
	suite_add_tcase(s, values_case());
	return s;
}
