/* liongated --check: verifies a log and its catalog, all of it, without changing anything.
 *
 * Thread: main. */
#pragma once

#include <stdio.h>

#include "daemon/config.h"

/* Looks at the state directory of the configuration (or the usual place), prints what it finds to `out`. 0: all is well; -EBADMSG: something is damaged;
 * -errno: it could not look. */
int check_state(const Config *config, FILE *out) _must_check_;
