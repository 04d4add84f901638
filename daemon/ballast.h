/* STATE/ballast: room on the disk that a daemon keeps for the next start. A start needs some
 * (log.json is replaced, SQLite makes its files beside the catalog, the log wants a reserve); on a
 * disk that others have filled there would be none.
 *
 * Thread: main, before the others start and after they have ended. */
#pragma once

#include <stdbool.h>

/* As much of it as there is room for. A failure is no harm, and is not told. */
void ballast_take(const char *state_dir);
/* Gives it back to the disk but for one part in `keep` (0: all of it): what the log then takes for
 * its reserve must not be all that there is for the start after this one. False: there was none. */
bool ballast_give(const char *state_dir, unsigned keep);
