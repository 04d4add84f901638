/* Configurations out of files in a directory of the test's own, and out of command lines; and what
 * was wrong with the last one.
 *
 * One at a time: between config_fixture_setup() and config_fixture_teardown(), or without them for
 * command lines alone. */
#pragma once

#include "daemon/config.h"

void config_fixture_setup(void);
void config_fixture_teardown(void);

/* In the directory; good until the next call. */
const char *config_fixture_path(const char *name);
void config_fixture_write(const char *name, const char *text);

/* Loads by way of a command line that ends in NULL, without the name of the program. 0 or -EINVAL.
 */
int config_fixture_load_with(Config **ret, const char *const *arguments) _must_check_;
/* Loads `text` as the only file, c.conf. */
int config_fixture_load(const char *text, Config **ret) _must_check_;
Config *config_fixture_must_load(const char *text);

/* What was wrong; good until the next load. */
const char *config_fixture_errors(void);
void config_fixture_assert_error(const char *needle);
