#include "daemon/config-agents.h"

#include <string.h>

#include "tests/lib/check-main.h"

static const char id[] = "0a1b2c3d-4e5f-4678-9abc-def012345678";

static const struct {
	const char *list;
	bool ok, included;
} lists[] = {
	{ "", true, false },
	{ " , ,\t", true, false },
	{ "0a1b2c3d-4e5f-4678-9abc-def012345678", true, true },
	{ "0A1B2C3D-4E5F-4678-9ABC-DEF012345678", true, true },
	{ "0a1b", true, true },
	{ "0a1b2c3d-", true, true },
	{ "1a1b", true, false },
	{ "0a1b2c3d-4e5f-4678-9abc-def012345679", true, false },
	{ "ffff, 0a1b", true, true },
	{ "ffff 0a1b", true, true },
	{ "ffff,eeee", true, false },
	{ "0a1", false, false },
	{ "0a1b,", true, true },
	{ "0a1b,x", false, false },
	{ "0a1b2c3d4e5f", false, false },
	{ "0a1b-2c3d", false, false },
	{ "0a1g", false, false },
	{ "0a1b2c3d-4e5f-4678-9abc-def0123456789", false, false },
	{ "0a1b;ffff", false, false },
};

START_TEST(list)
{
	const char *text = lists[_i].list;
	Uuid uuid;

	ck_assert_int_eq(uuid_parse(id, strlen(id), &uuid), 0);
	ck_assert_msg((config_agents_fault(text) == NULL) == lists[_i].ok, "'%s'", text);
	if (lists[_i].ok)
		ck_assert_msg(
			config_agents_include(text, &uuid) == lists[_i].included, "'%s'", text);
}
END_TEST

START_TEST(none)
{
	Uuid uuid = { 0 };

	ck_assert(!config_agents_include(NULL, &uuid));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("config-agents");
	TCase *t = tcase_create("list");

	tcase_add_loop_test(t, list, 0, ARRAY_SIZE(lists));
	tcase_add_test(t, none);
	suite_add_tcase(s, t);
	return s;
}
