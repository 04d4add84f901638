#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "tests/lib/check-main.h"

static const struct {
	const char *text;
	const char *encoded;
} vectors[] = {
	/* RFC 4648, section 10 */
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xfb\xff\xbf", "+/+/" },
};

static const char *const bad[] = {
	"Z",
	"Zg",
	"Zg=",
	"Zg===",
	"=",
	"==",
	"===",
	"====",
	"Z===",
	"Zm9vYg",
	"Zm9v=",
	"Zm9v====",
	/* not canonical: bits that are left over */
	"Zh==",
	"Zm9=",
	"Zm+=",
	"Z/==",
	/* padding before the end */
	"Zg==Zg==",
	"Zm8=Zm8=",
	"Z=g=",
	"=Zg=",
	"Zm=v",
	/* not in the alphabet */
	"Zm9-",
	"Zm9_",
	"Zm9 ",
	"Zm\n9",
	" Zm9",
	"Zm9v\n",
	"Zm9v\r\n\r\n",
	"Zm9\x80",
	"Zm9v*m9v",
	"\xff\xff\xff\xff",
};

START_TEST(encode_and_decode)
{
	const char *text = vectors[_i].text, *encoded = vectors[_i].encoded;
	size_t len = strlen(text), encoded_len = strlen(encoded);
	_cleanup_buf_ Buf b = { 0 };
	char out[16];

	ck_assert_uint_eq(BASE64_ENCODED_LEN(len), encoded_len);
	memset(out, '#', sizeof(out));
	base64_encode(text, len, out);
	ck_assert_mem_eq(out, encoded, encoded_len);
	ck_assert_int_eq(out[encoded_len], '#');

	ck_assert_int_eq(buf_append_str(&b, "<"), 0);
	ck_assert_int_eq(base64_decode(encoded, encoded_len, &b), 0);
	ck_assert_uint_eq(b.len, 1 + len);
	ck_assert_mem_eq(b.data + 1, text, len);
}
END_TEST

START_TEST(refused)
{
	_cleanup_buf_ Buf b = { 0 };

	ck_assert_int_eq(buf_append_str(&b, "<"), 0);
	ck_assert_int_eq(base64_decode(bad[_i], strlen(bad[_i]), &b), -EBADMSG);
	ck_assert_uint_eq(b.len, 1);
	ck_assert_int_eq(b.data[0], '<');
}
END_TEST

START_TEST(there_and_back)
{
	unsigned seed = 1;

	for (size_t len = 0; len < 300; len++) {
		_cleanup_buf_ Buf b = { 0 };
		uint8_t bytes[300];
		char out[BASE64_ENCODED_LEN(300)];

		for (size_t i = 0; i < len; i++)
			bytes[i] = (uint8_t)rand_r(&seed);
		base64_encode(bytes, len, out);
		ck_assert_int_eq(base64_decode(out, BASE64_ENCODED_LEN(len), &b), 0);
		ck_assert_uint_eq(b.len, len);
		if (len > 0)
			ck_assert_mem_eq(b.data, bytes, len);
	}
}
END_TEST

/* Whatever is accepted encodes to itself again: there is but one form. */
START_TEST(one_form_only)
{
	for (unsigned last = 0; last < 256; last++) {
		for (unsigned third = 0; third < 256; third++) {
			_cleanup_buf_ Buf b = { 0 };
			char text[4] = { 'Q', 'Q', (char)third, (char)last }, again[4];

			if (base64_decode(text, 4, &b) < 0)
				continue;
			ck_assert_uint_eq(BASE64_ENCODED_LEN(b.len), 4);
			base64_encode(b.data, b.len, again);
			ck_assert_mem_eq(again, text, 4);
		}
	}
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("base64");
	TCase *t = tcase_create("base64");

	tcase_add_loop_test(t, encode_and_decode, 0, ARRAY_SIZE(vectors));
	tcase_add_loop_test(t, refused, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, there_and_back);
	tcase_add_test(t, one_form_only);
	suite_add_tcase(s, t);
	return s;
}
