/* Programs that have outlived their reaper: it was killed as well, and with it went what it knew of
 * them. What is left is LIONGATE_AGENT_ID in their environment.
 *
 * Only to be asked while no reaper has programs. Waits for what it kills.
 *
 * Thread: main. */
#pragma once

#include <stdbool.h>

/* Kills, pass after pass over /proc, every process of our user whose LIONGATE_AGENT_ID `is_ours`
 * knows, and all below it, until nothing is left. What cannot be ended within seconds, and what has
 * been, is said in the diagnostics. Never ends the caller, its reaper, or whom it descends from. */
void reaper_end_orphans(bool (*is_ours)(const char *agent_id, void *userdata), void *userdata);
