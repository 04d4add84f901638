/* STATE/ballast: room on the disk that a daemon keeps for the next start. A start needs some (log.json is replaced, SQLite makes its
 * files beside the catalog, the log wants a reserve); on a disk that others have filled there would be none.
 *
 * Thread: main, before the others start and after they have ended. */
#pragma once

#include <stdbool.h>

/* As much of it as there is room for, if it is not there. A failure is no harm, and is not told. */
void ballast_take(const char *state_dir);
/* Gives it back to the disk. False: there was none. */
bool ballast_drop(const char *state_dir);
