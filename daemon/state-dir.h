/* Where the state directory is.
 *
 * Thread: any. */
#pragma once

#include "daemon/config.h"

/* The one of the configuration, else the usual place (config-places.h). Whether it exists is not
 * looked at. The caller frees *ret. -ENOENT: there is none. */
int state_dir_find(const Config *config, char **ret) _must_check_;
