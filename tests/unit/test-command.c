#include <string.h>

#include "client/command.h"
#include "tests/lib/check-main.h"

/* command_find() looks for it by bisection. */
START_TEST(test_sorted)
{
	for (size_t i = 1; command_table[i]; i++)
		ck_assert_str_lt(command_table[i - 1]->name, command_table[i]->name);
}
END_TEST

START_TEST(test_entries)
{
	for (size_t i = 0; command_table[i]; i++) {
		const Command *c = command_table[i];
		_cleanup_buf_ Buf help = { 0 };

		ck_assert_ptr_eq(command_find(c->name), c);
		ck_assert(c->run != NULL);
		ck_assert_uint_le(c->min_operands, c->max_operands);
		ck_assert(c->operands != NULL || (c->max_operands == 0 && !c->takes_rest));
		ck_assert_uint_lt(option_count(c->options), OPTIONS_MAX);
		ck_assert_int_eq(command_append_help(c, &help), 0);
		ck_assert_int_eq(buf_terminate(&help), 0);
		/* An example, and of this command. */
		ck_assert_ptr_nonnull(strstr(help.data, "Example:\n  "));
		ck_assert_ptr_nonnull(strstr(c->example, c->name));
		ck_assert_ptr_nonnull(strstr(help.data, "Exit codes:"));
	}
}
END_TEST

/* No option hides a global one, and none is there twice. */
START_TEST(test_options)
{
	for (size_t i = 0; command_table[i]; i++) {
		const Option *own = command_table[i]->options;

		for (size_t j = 0; j < option_count(own); j++) {
			const Option *o = &own[j];

			ck_assert((o->kind == OPTION_FLAG) == (o->arg == NULL));
			ck_assert_ptr_nonnull(o->help);
			for (size_t k = 0; k < option_count(command_global_options); k++)
				ck_assert_str_ne(o->name, command_global_options[k].name);
			for (size_t k = 0; k < j; k++) {
				ck_assert_str_ne(o->name, own[k].name);
				ck_assert(o->letter == 0 || o->letter != own[k].letter);
			}
			ck_assert_int_ne(o->letter, 'h');
		}
	}
}
END_TEST

START_TEST(test_find)
{
	ck_assert_ptr_eq(command_find("watch"), &command_watch);
	ck_assert_ptr_null(command_find("wat"));
	ck_assert_ptr_null(command_find(""));
}
END_TEST

START_TEST(test_guess)
{
	ck_assert_ptr_eq(command_guess("wach"), &command_watch);
	ck_assert_ptr_eq(command_guess("spawn"), &command_spawn_agent);
	ck_assert_ptr_eq(command_guess("spawn_agent"), &command_spawn_agent);
	ck_assert_ptr_eq(command_guess("lst"), &command_list);
	ck_assert_ptr_eq(command_guess("canecl"), &command_cancel);
	ck_assert_ptr_null(command_guess("foo"));
	ck_assert_ptr_null(command_guess(""));
	ck_assert_ptr_null(command_guess("a-very-long-word-that-is-no-command-at-all"));
}
END_TEST

Suite *test_suite(void)
{
	Suite *suite = suite_create("command");
	TCase *tc = tcase_create("command");

	tcase_add_test(tc, test_sorted);
	tcase_add_test(tc, test_entries);
	tcase_add_test(tc, test_options);
	tcase_add_test(tc, test_find);
	tcase_add_test(tc, test_guess);
	suite_add_tcase(suite, tc);
	return suite;
}
