#include <errno.h>
#include <string.h>

#include "client/option.h"
#include "common/protocol.h"
#include "tests/lib/check-main.h"

#define MAX_WORDS 8

enum {
	OPT_FLAG,
	OPT_TEXT,
	OPT_LIST,
	OPT_COUNT,
	OPT_SIGNED,
	OPT_TIME,
	OPT_CHOICE,
	OPT_STATE,
	OPT_WAIT,
	OPT_NAME,
};

static const char *const choices[] = { "one", "two", NULL };

static const Option own[] = {
	[OPT_FLAG] = { .name = "flag", .letter = 'f', .help = "a flag" },
	[OPT_TEXT] = { .name = "text",
		.letter = 't',
		.kind = OPTION_STRING,
		.arg = "T",
		.help = "" },
	[OPT_LIST] = { .name = "list", .kind = OPTION_LIST, .arg = "L", .help = "" },
	[OPT_COUNT] = { .name = "count",
		.kind = OPTION_UINT,
		.arg = "N",
		.help = "",
		.min = 1,
		.max = 9 },
	[OPT_SIGNED] = { .name = "signed", .kind = OPTION_INT, .arg = "N", .help = "" },
	[OPT_TIME] = { .name = "time", .kind = OPTION_DURATION, .arg = "T", .help = "" },
	[OPT_CHOICE] = { .name = "choice",
		.kind = OPTION_STRING,
		.arg = "C",
		.help = "",
		.choices = choices },
	[OPT_STATE] = { .name = "state",
		.kind = OPTION_LIST,
		.arg = "S",
		.help = "",
		.complete = COMPLETE_STATE },
	[OPT_WAIT] = { .name = "wait", .kind = OPTION_DURATION, .arg = "T", .help = "", .min = 1 },
	[OPT_NAME] = { .name = "name", .kind = OPTION_STRING, .arg = "N", .help = "", .min = 1 },
	{ 0 },
};

static const Option global[] = {
	{ .name = "json", .help = "" },
	{ 0 },
};

static Args args, global_values;
static Buf why;
static int next_word;

static int parse(const ArgsRequest *how, const char *const *words)
{
	ArgsRequest request = *how;
	static char *argv[MAX_WORDS + 2]; /* what is parsed lends from it */
	int argc = 1;

	memset(argv, 0, sizeof(argv));
	argv[0] = (char *)"program";
	args_done(&args);
	args_done(&global_values);
	buf_clear(&why, SIZE_MAX);
	for (; words[argc - 1]; argc++)
		argv[argc] = (char *)words[argc - 1];
	request.global = global;
	request.global_values = &global_values;
	return args_parse(&args, &request, argc, argv, &next_word, &why);
}

#define PARSE(...) parse(&(ArgsRequest){ .own = own }, (const char *const[]){ __VA_ARGS__, NULL })
#define PARSE_REST(...)                                         \
	parse(&(ArgsRequest){ .own = own, .takes_rest = true }, \
		(const char *const[]){ __VA_ARGS__, NULL })

START_TEST(test_values)
{
	ck_assert_int_eq(PARSE("-f", "--text", "a", "--text=b", "--list", "x", "--list=y"), 0);
	ck_assert(args.values[OPT_FLAG].set);
	ck_assert_str_eq(args.values[OPT_TEXT].string, "b");
	ck_assert_uint_eq(args.values[OPT_LIST].n_list, 2);
	ck_assert_str_eq(args.values[OPT_LIST].list[1], "y");
	ck_assert(!args.values[OPT_COUNT].set);
	ck_assert_int_eq(PARSE("--count", "9", "--signed", "-5", "--time", "2m", "--json"), 0);
	ck_assert_uint_eq(args.values[OPT_COUNT].number, 9);
	ck_assert_int_eq(args.values[OPT_SIGNED].integer, -5);
	ck_assert_uint_eq(args.values[OPT_TIME].number, 120000);
	ck_assert(global_values.values[0].set);
	ck_assert_int_eq(PARSE("--state=queued", "--state", "failed"), 0);
	ck_assert_uint_eq(args.values[OPT_STATE].n_list, 2);
	ck_assert_int_eq(PARSE("--text=", "--time", "0", "--wait=1ms", "--name", "n"), 0);
	ck_assert_uint_eq(args.values[OPT_TIME].number, 0);
	ck_assert_uint_eq(args.values[OPT_WAIT].number, 1);
	ck_assert_str_eq(args.values[OPT_NAME].string, "n");
}
END_TEST

START_TEST(test_words)
{
	static const struct {
		Completion kind;
		size_t n;
	} kinds[] = {
		{ COMPLETE_BACKEND, 4 },
		{ COMPLETE_CHANNEL, _CHANNEL_MAX },
		{ COMPLETE_EVENT_TYPE, _EVENT_TYPE_MAX - 1 },
		{ COMPLETE_STATE, _AGENT_STATE_MAX },
		{ COMPLETE_FILE, 0 },
		{ COMPLETE_AGENT, 0 },
		{ COMPLETE_PROVIDER, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (size_t k = 0; k < kinds[i].n; k++)
			ck_assert_ptr_nonnull(option_word(kinds[i].kind, k));
		ck_assert_ptr_null(option_word(kinds[i].kind, kinds[i].n));
	}
}
END_TEST

START_TEST(test_operands)
{
	ck_assert_int_eq(PARSE("a", "-f", "-", "b"), 0);
	ck_assert(args.values[OPT_FLAG].set);
	ck_assert_uint_eq(args.n_operands, 3);
	ck_assert_str_eq(args.operands[1], "-");
	ck_assert_str_eq(args.operands[2], "b");
	ck_assert_ptr_null(args.rest);
}
END_TEST

START_TEST(test_rest)
{
	ck_assert_int_eq(PARSE_REST("-", "--", "ls", "-f", "--"), 0);
	ck_assert(!args.values[OPT_FLAG].set);
	ck_assert_uint_eq(args.n_operands, 1);
	ck_assert_uint_eq(args.n_rest, 3);
	ck_assert_str_eq(args.rest[1], "-f");
	/* Not every `--` ends the options. */
	ck_assert_int_eq(PARSE_REST("--text", "--", "-f", "x"), 0);
	ck_assert_str_eq(args.values[OPT_TEXT].string, "--");
	ck_assert(args.values[OPT_FLAG].set);
	ck_assert_uint_eq(args.n_operands, 1);
	ck_assert_ptr_null(args.rest);
	/* Where there is no program, they are operands. */
	ck_assert_int_eq(PARSE("a", "--", "-f"), 0);
	ck_assert_uint_eq(args.n_operands, 2);
	ck_assert_str_eq(args.operands[1], "-f");
}
END_TEST

START_TEST(test_stops_early)
{
	static const char *const words[] = { "--json", "command", "--json", NULL };

	ck_assert_int_eq(parse(&(ArgsRequest){ .stop_early = true }, words), 0);
	ck_assert_int_eq(next_word, 2);
	ck_assert(global_values.values[0].set);
}
END_TEST

static const struct {
	const char *words[2];
	const char *why;
} wrong[] = {
	{ { "--nope" }, "there is no option --nope" },
	{ { "--nope=x" }, "there is no option --nope" },
	{ { "--t" }, "--t could be --text, --time" },
	{ { "--t=x" }, "--t could be --text, --time" },
	{ { "-x" }, "there is no option -x" },
	{ { "--text" }, "--text wants an argument" },
	{ { "-t" }, "-t wants an argument" },
	{ { "--flag=1" }, "--flag takes no argument" },
	{ { "--count=0" }, "--count must be 1 to 9" },
	{ { "--count=x" }, "--count wants a whole number" },
	{ { "--count=-1" }, "--count wants a whole number" },
	{ { "--count=1x" }, "--count wants a whole number" },
	{ { "--signed=" }, "--signed wants a whole number" },
	{ { "--time=5x" }, "--time wants a duration such as 500ms, 30s or 2min" },
	{ { "--wait=0" }, "--wait must be longer than nothing" },
	{ { "--wait=0min" }, "--wait must be longer than nothing" },
	{ { "--name=" }, "--name must not be empty" },
	{ { "--choice=three" }, "--choice must be one of: one two" },
	{ { "--state=asleep" },
		"--state must be one of: queued running completed failed cancelled" },
};

START_TEST(test_wrong)
{
	ck_assert_int_eq(PARSE(wrong[_i].words[0]), -EINVAL);
	ck_assert_int_eq(buf_terminate(&why), 0);
	ck_assert_str_eq(why.data, wrong[_i].why);
}
END_TEST

START_TEST(test_help)
{
	_cleanup_buf_ Buf help = { 0 };

	ck_assert_int_eq(option_append_help(global, &help), 0);
	ck_assert_int_eq(option_append_help(own, &help), 0);
	ck_assert_int_eq(buf_terminate(&help), 0);
	ck_assert_ptr_nonnull(strstr(help.data, "      --json"));
	ck_assert_ptr_nonnull(strstr(help.data, "  -f, --flag"));
	ck_assert_ptr_nonnull(strstr(help.data, "--count N"));
}
END_TEST

static void teardown(void)
{
	args_done(&args);
	args_done(&global_values);
	buf_done(&why);
}

Suite *test_suite(void)
{
	Suite *suite = suite_create("option");
	TCase *tc = tcase_create("option");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, test_values);
	tcase_add_test(tc, test_words);
	tcase_add_test(tc, test_operands);
	tcase_add_test(tc, test_rest);
	tcase_add_test(tc, test_stops_early);
	tcase_add_loop_test(tc, test_wrong, 0, (int)ARRAY_SIZE(wrong));
	tcase_add_test(tc, test_help);
	suite_add_tcase(suite, tc);
	return suite;
}
