/* Programs of agents that nobody looks after any more, their reaper being dead.
 *
 * Thread: main. */
#pragma once

#include "daemon/agent/registry.h"

/* Ends what runs for any agent of the registry. Waits for it, some milliseconds where there is
 * nothing to end. */
void orphans_end(const Registry *registry);
