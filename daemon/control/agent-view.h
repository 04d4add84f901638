/* An agent as agent.get, agent.wait and agent.list show it.
 *
 * Thread: any. */
#pragma once

#include "common/json-writer.h"
#include "daemon/eventlog/catalog.h"

/* `row->spec` must be there, or `list_spec` for an entry of a list. `pid` 0: none. Errors stick to the writer. */
void agent_view_write(JsonWriter *w, const CatalogRow *row, int32_t pid);
/* Without options and context, the prompt cut. */
void agent_view_write_entry(JsonWriter *w, const CatalogRow *row, int32_t pid);
