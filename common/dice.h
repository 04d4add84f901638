/* Random numbers to spread what would come all at once, and to seed a hash; no secrets are made of
 * them.
 *
 * Thread: any. */
#pragma once

#include <stdint.h>

/* Never blocks, never fails: early at boot, when there are none yet, it is the time. */
uint64_t dice_throw(void);
