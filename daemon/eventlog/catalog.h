/* The catalog: one row an agent, in SQLite (STATE/catalog.db, WAL mode). A projection of the log:
 * when it is lost it is rebuilt from what the log holds.
 *
 * It knows nothing of threads, of the log's files or of JSON-RPC. Rows are keyed by the seq of the
 * agent's AgentSpawned. "Applied up to S" means: every row says what the events up to S say.
 *
 * Errors of SQLite come as -ENOSPC, -ENOMEM, -EBUSY, -EBADMSG (the file
 * is damaged: catalog_close(), catalog_set_aside(), and start anew) and else -EIO.
 *
 * Thread: the reader's (eventlog/reader); before that thread starts, main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/protocol.h"
#include "common/uuid.h"

typedef struct Catalog Catalog;

typedef struct CatalogRow {
	uint64_t seq; /* of AgentSpawned */
	Uuid agent_id;
	AgentState state;
	uint32_t attempt; /* 0: not started yet */
	const char *backend;
	const char *group;
	const char *correlation_id; /* NULL: none */
	uint32_t uid;
	int32_t priority;
	uint64_t spawned_us, started_us, ended_us; /* realtime; 0: not yet */
	uint64_t chunks, bytes;
	uint64_t last_seq;   /* of its newest event that the row knows of */
	uint64_t output_seq; /* of its last AgentStarted; 0: none */
	const char *spec;    /* the AgentSpawned event object, JSON text */
	size_t spec_len;     /* in catalog_put(): 0 leaves what the row has (it must exist) */
	const char *ending;  /* its last event's object, JSON text; NULL while it lives */
	size_t ending_len;
} CatalogRow;

/* Lent for the call. > 0 stops the walk, which then returns 0; < 0 stops it and is returned. */
typedef int (*CatalogOnRow)(const CatalogRow *row, void *userdata);

typedef struct CatalogLabel {
	const char *key, *value;
} CatalogLabel;

typedef struct CatalogQuery {
	uint64_t before; /* rows with a smaller seq; UINT64_MAX: from the newest */
	uint32_t limit;
	uint32_t states;                              /* bit (1 << AgentState); 0: all */
	const char *correlation_id, *backend, *group; /* NULL: any */
	const CatalogLabel *labels;                   /* all of them must be there */
	size_t n_labels;
} CatalogQuery;

typedef struct CatalogStats {
	uint64_t spawned, completed, failed, cancelled, chunks, bytes;
} CatalogStats;

/* Opens or makes STATE/catalog.db. One that is corrupt is set aside, one of another schema version
 * or of another log_id is removed, either is said in the diagnostics; then applied is 0. -errno. */
int catalog_open(const char *state_dir, const Uuid *log_id, Catalog **ret) _must_check_;
/* Opens what is there for looking only, also beside a daemon that runs: nothing is made, set aside
 * or removed. -ENOENT; -EBADMSG: no database, or none of this schema version. */
int catalog_open_readonly(const char *state_dir, Catalog **ret) _must_check_;
/* Bears NULL. */
void catalog_close(Catalog *c);
/* Renames STATE/catalog.db, which nobody may have open, to catalog.db.bad-N. `why`: what it is, for
 * the diagnostics. */
int catalog_set_aside(const char *state_dir, const char *why) _must_check_;

uint64_t catalog_applied(const Catalog *c);

/* A transaction: any number of puts between. catalog_commit() sets applied. Rolled back on failure,
 * after which puts and the commit return -EINVAL. */
int catalog_begin(Catalog *c) _must_check_;
/* A row that knows of less than what is there (its last_seq is lower) changes nothing. -ENOENT: no
 * spec, and no such row; that alone does not roll back. */
int catalog_put(Catalog *c, const CatalogRow *row) _must_check_;
/* The same, also for a row that knows of less: a power cut took events that the one there had seen.
 */
int catalog_put_back(Catalog *c, const CatalogRow *row) _must_check_;
int catalog_commit(Catalog *c, uint64_t applied) _must_check_;
void catalog_rollback(Catalog *c);
/* There is nothing more to be written for now: gives back the memory that writing took. */
void catalog_relax(Catalog *c);
/* Makes durable what is committed (a commit alone may be lost in a power cut): to be called before
 * that part of the log is deleted from which it could be made again. Outside of a transaction.
 * Costs an fsync; waits for other writers, never for readers. */
int catalog_sync(Catalog *c) _must_check_;

/* -ENOENT */
int catalog_get(Catalog *c, uint64_t seq, CatalogOnRow on_row, void *userdata) _must_check_;
/* The newest, should there be several. -ENOENT */
int catalog_get_by_id(Catalog *c, const Uuid *id, CatalogOnRow on_row, void *userdata) _must_check_;
/* Rows whose id begins with `prefix` (lower case, hyphens as in a UUID), at most `limit`. Anything
 * else finds nothing. */
int catalog_find_prefix(Catalog *c, const char *prefix, uint32_t limit, CatalogOnRow on_row,
	void *userdata) _must_check_;
/* Newest first. */
int catalog_list(
	Catalog *c, const CatalogQuery *q, CatalogOnRow on_row, void *userdata) _must_check_;
/* Only a stretch of it, which takes no longer where nothing matches: `before` and `limit` of the
 * query move on. 1: there is more, 0: that was all. */
int catalog_list_stretch(
	Catalog *c, CatalogQuery *q, CatalogOnRow on_row, void *userdata) _must_check_;
/* Those that have not ended, oldest first. */
int catalog_live(Catalog *c, CatalogOnRow on_row, void *userdata) _must_check_;
/* Counts over ended agents and live ones alike. NULL: of all. */
int catalog_stats(Catalog *c, const char *correlation_id, CatalogStats *ret) _must_check_;

/* Deletes ended agents all of whose events are older than `oldest_seq`: a slice of them, and how
 * many in *ret_n; to be called again while that is not 0. Outside of a transaction. */
int catalog_prune(Catalog *c, uint64_t oldest_seq, uint64_t *ret_n) _must_check_;
/* Looks at everything: a long read. What it finds, one a line, goes to `report`. 0: sound;
 * -EBADMSG. */
int catalog_check(Catalog *c, Buf *report) _must_check_;
