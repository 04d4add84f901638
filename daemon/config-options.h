/* The command line's names of keys: `max-running`, `limits.max_running`, `group.NAME.max_running`,
 * `provider.NAME.header.NAME`, `access.user.NAME`.
 *
 * Thread: main. */
#pragma once

#include "common/cleanup.h"

/* What stands before a message about the command line; those about files begin with the file. */
#define CONFIG_OPTION_FAULT "liongated: "

/* Section and name, as a file would have them, of the option whose name ends at '=' or at the end
 * of the text; the caller frees both. -ENOENT: there is no such key; -ENOMEM. */
int config_option_resolve(const char *option, char **ret_section, char **ret_name) _must_check_;
/* How long the name is. */
size_t config_option_name_len(const char *option);
