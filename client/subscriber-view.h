/* What a person sees of subscriber.list: columns for a table of it.
 *
 * Thread: any; constant. */
#pragma once

#include "client/render-text.h"

extern const TextColumn subscriber_columns[];
