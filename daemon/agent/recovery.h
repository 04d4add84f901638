/* What a starting daemon has to find out: which agents there are that have not ended, and what the
 * catalog has missed.
 *
 * Reads the live agents out of the catalog, then the log from where the catalog ends, and brings
 * the catalog up to date.
 *
 * Thread: main, before the others start. */
#pragma once

#include "daemon/agent/registry.h"
#include "daemon/eventlog/eventlog.h"

/* Opens the catalog of the log and recovers both. What is found goes to *ret_registry (live agents)
 * and *ret_catalog (its owner is the caller from then on). -errno. */
int recovery_run(const char *state_dir, EventLog *log, Registry *ret_registry,
	Catalog **ret_catalog, uint64_t *ret_applied, CatalogStats *ret_stats) _must_check_;
