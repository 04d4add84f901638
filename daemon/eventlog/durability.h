/* When the log is on the disk.
 *
 * Thread: any. */
#pragma once

#include "common/cleanup.h"

typedef enum Durability {
	DURABILITY_INTERVAL, /* written before it is seen, synced a little later */
	DURABILITY_FSYNC,    /* synced before it is seen */
	_DURABILITY_MAX,
} Durability;

/* NULL if it is none. */
const char *durability_to_string(Durability d);
/* -EINVAL */
int durability_from_string(const char *name) _must_check_;
