#include "tests/lib/make-agent.h"

#include <check.h>
#include <string.h>

#include "common/jsonx.h"

Uuid make_agent_id(uint64_t n)
{
	Uuid id;

	memset(&id, 0, sizeof(id));
	for (int i = 0; i < 8; i++)
		id.bytes[15 - i] = (uint8_t)(n >> (8 * i));
	return id;
}

Agent *make_agent(uint64_t n, const char *members)
{
	_cleanup_buf_ Buf text = { 0 };
	_cleanup_json_ json_object *spec = NULL;
	Uuid id = make_agent_id(n);
	Agent *a = NULL;
	JsonxError why;

	/* Of equal names, the last counts. */
	ck_assert_int_eq(buf_printf(&text,
				 "{\"prompt\":\"p\",\"backend\":\"mock\",\"group\":\"default\","
				 "\"options\":{},\"labels\":{}%s}",
				 members ? members : ""),
		0);
	ck_assert_int_eq(jsonx_parse(text.data, text.len, &spec, &why), 0);
	ck_assert_int_eq(agent_new(&id, spec, 1000, &a), 0);
	return a;
}
