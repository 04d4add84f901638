/* liongated --check: verifies a log and its catalog, all of it, without changing anything. (SQLite
 * may leave an empty catalog.db-wal and a catalog.db-shm beside the catalog, as it does for every
 * reader.)
 *
 * Thread: main. */
#pragma once

#include <stdio.h>

#include "daemon/config.h"

/* Looks at the state directory of the configuration (or the usual place), also beside a daemon that
 * is running on it, and prints what it finds to `out`. 0: all is well; -EBADMSG: something is
 * damaged; -errno: it could not look, which is printed too. */
int check_state(const Config *config, FILE *out) _must_check_;
