/* What liongated was asked for: options and configuration are loaded, and what only has to be said
 * is said.
 *
 * Thread: main, before there is another. */
#pragma once

#include "daemon/config.h"

/* Reads options and configuration, and prints everything that is wrong, of both, in one go. *ret is
 * NULL where the action needs no configuration. The caller frees both, `options` also after an
 * error. */
int command_line_load(int argc, char *argv[], ConfigOptions *options, Config **ret) _must_check_;
/* Does what was asked for, anything but CONFIG_RUN. What did not get out of standard output was not
 * done: -EIO. */
int command_line_tell(ConfigAction action, const Config *config) _must_check_;
