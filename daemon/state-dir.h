/* Where the state directory is.
 *
 * Thread: any. */
#pragma once

#include "daemon/config.h"

/* The one of the configuration, else the usual place: $STATE_DIRECTORY, /var/lib/liongate for root, $XDG_STATE_HOME/liongate,
 * ~/.local/state/liongate. Whether it exists is not looked at. The caller frees *ret. -ENOENT: none of them makes
 * sense. */
int state_dir_find(const Config *config, char **ret) _must_check_;
