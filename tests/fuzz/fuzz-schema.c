/* Any object as the parameters of any method, and as the options of any backend: what passes is
 * complete, what does not has a reason, and either can be written. */
#include <errno.h>
#include <string.h>

#include "common/jsonx.h"
#include "common/protocol.h"
#include "tests/fuzz/fuzz.h"

static void check_error(const RpcError *e)
{
	_cleanup_buf_ Buf b = { 0 };
	JsonxError where;

	FUZZ_CHECK(e->reason == RPC_INVALID_PARAMS || e->reason == RPC_TOO_LARGE);
	FUZZ_CHECK(memchr(e->message, '\0', sizeof(e->message)) && e->message[0] != '\0');
	FUZZ_CHECK(rpc_error_write(e, &b) == 0);
	FUZZ_CHECK(jsonx_valid(b.data, b.len, &where));
}

static void check_passed(const SchemaField *fields, json_object *o)
{
	_cleanup_buf_ Buf once = { 0 }, twice = { 0 };
	_cleanup_rpc_error_ RpcError e = { 0 };

	FUZZ_CHECK(jsonx_append(&once, o) == 0);
	FUZZ_CHECK(jsonx_valid(once.data, once.len, NULL));
	/* With the defaults filled in it passes again, and there is nothing more to fill in. */
	FUZZ_CHECK(schema_check(fields, o, "", &e) == 0);
	FUZZ_CHECK(jsonx_append(&twice, o) == 0);
	FUZZ_CHECK(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
}

static void check_table(const SchemaField *fields, const char *text, size_t len, const char *prefix)
{
	_cleanup_json_ json_object *o = NULL;
	_cleanup_rpc_error_ RpcError e = { 0 };
	int r;

	if (!fields || jsonx_parse(text, len, &o, NULL) < 0 ||
		!json_object_is_type(o, json_type_object))
		return;
	r = schema_check(fields, o, prefix, &e);
	FUZZ_CHECK(r == 0 || r == -EINVAL);
	if (r == 0)
		check_passed(fields, o);
	else
		check_error(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *const *names = protocol_backend_names();

	if (!jsonx_valid((const char *)data, size, NULL))
		return 0;
	for (int id = 0; id < _METHOD_MAX; id++)
		check_table(protocol_method((MethodId)id)->params, (const char *)data, size, "");
	for (; *names; names++)
		check_table(protocol_backend_find(*names)->options, (const char *)data, size,
			"options");
	return 0;
}
