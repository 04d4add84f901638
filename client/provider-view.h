/* What a person sees of provider.list: columns for a table of it.
 *
 * Thread: any; constant. */
#pragma once

#include "client/render-text.h"

extern const TextColumn provider_columns[];
/* Their addresses, too. */
extern const TextColumn provider_columns_long[];
