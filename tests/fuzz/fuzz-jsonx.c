/* What jsonx accepts, json-c parses too; and what it is written as again is accepted, and stays. */
#include <stdlib.h>
#include <string.h>

#include "common/jsonx.h"
#include "tests/fuzz/fuzz.h"

static void write_again(json_object *o, Buf *b)
{
	FUZZ_CHECK(jsonx_append(b, o) == 0);
	FUZZ_CHECK(jsonx_valid(b->data, b->len, NULL));
	FUZZ_CHECK(!memchr(b->data, '\n', b->len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	_cleanup_buf_ Buf once = { 0 }, twice = { 0 };
	_cleanup_json_ json_object *o = NULL, *again = NULL;
	JsonxError error = { 0 };
	bool valid = jsonx_valid(text, size, &error);

	FUZZ_CHECK(!valid || jsonx_valid_lax(text, size));
	FUZZ_CHECK(valid || (error.why && error.offset <= size));
	if (jsonx_parse(text, size, &o, &error) < 0) {
		/* The one thing that is refused though it is valid. */
		FUZZ_CHECK(!valid || strcmp(error.why, "U+0000 in a member's name") == 0);
		return 0;
	}
	FUZZ_CHECK(valid);
	write_again(o, &once);
	FUZZ_CHECK(jsonx_parse(once.data, once.len, &again, NULL) == 0);
	write_again(again, &twice);
	FUZZ_CHECK(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	return 0;
}
