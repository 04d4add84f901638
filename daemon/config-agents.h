/* A list of agents in the configuration: ids, or their beginnings of 4 or more characters,
 * separated by commas or blanks. Agents need not be there yet: clients may choose ids.
 *
 * Owns nothing. Thread: any. */
#pragma once

#include <stdbool.h>

#include "common/uuid.h"

/* NULL: it is one. Else why not, as what follows its text. */
const char *config_agents_fault(const char *list);
/* `list` without a fault; NULL: none. */
bool config_agents_include(const char *list, const Uuid *id);
