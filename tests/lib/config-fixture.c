#include "tests/lib/config-fixture.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/temp-dir.h"

static TempDir dir;
static Buf errors;

void config_fixture_setup(void)
{
	temp_dir_init(&dir);
}

void config_fixture_teardown(void)
{
	temp_dir_done(&dir);
	buf_done(&errors);
}

const char *config_fixture_path(const char *name)
{
	return temp_dir_path(&dir, name);
}

void config_fixture_write(const char *name, const char *text)
{
	FILE *f = fopen(config_fixture_path(name), "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
	ck_assert_int_eq(fclose(f), 0);
}

int config_fixture_load_with(Config **ret, const char *const *arguments)
{
	_cleanup_(config_options_done) ConfigOptions options = { 0 };
	char *argv[16] = { (char[]){ "liongated" } };
	int r, parsed, argc = 1;

	buf_done(&errors);
	while (arguments[argc - 1]) {
		ck_assert_int_lt(argc, (int)ARRAY_SIZE(argv) - 1);
		argv[argc] = (char *)(uintptr_t)arguments[argc - 1];
		argc++;
	}
	parsed = config_options_parse(argc, argv, &options, &errors);
	ck_assert(parsed == 0 || parsed == -EINVAL);
	r = config_load(&options, ret, &errors);
	if (r == 0 && parsed < 0) {
		config_free(*ret);
		*ret = NULL;
	}
	return r < 0 ? r : parsed;
}

int config_fixture_load(const char *text, Config **ret)
{
	config_fixture_write("c.conf", text);
	return config_fixture_load_with(
		ret, (const char *[]){ "--config", config_fixture_path("c.conf"), NULL });
}

Config *config_fixture_must_load(const char *text)
{
	Config *c = NULL;

	ck_assert_msg(config_fixture_load(text, &c) == 0, "%s", config_fixture_errors());
	return c;
}

const char *config_fixture_errors(void)
{
	ck_assert_int_eq(buf_terminate(&errors), 0);
	return errors.data;
}

void config_fixture_assert_error(const char *needle)
{
	ck_assert_msg(strstr(config_fixture_errors(), needle) != NULL, "no \"%s\" in:\n%s", needle,
		config_fixture_errors());
}
