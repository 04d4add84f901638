/* What the files of the catalog share: catalog-schema (file, tables, statements), catalog
 * (writing), catalog-query (reading). For nobody else.
 *
 * Thread: the catalog's. */
#pragma once

#include <sqlite3.h>

#include "daemon/eventlog/catalog.h"

/* A column of the file, so append only (or raise SCHEMA_VERSION). The partial indexes name them. */
_Static_assert(AGENT_STATE_QUEUED == 0 && AGENT_STATE_RUNNING == 1 && AGENT_STATE_COMPLETED == 2 &&
		       AGENT_STATE_FAILED == 3 && AGENT_STATE_CANCELLED == 4,
	"the catalog's file has these numbers");

/* A commit waits for no disk. */
#define CATALOG_PRAGMA_SYNCHRONOUS "PRAGMA synchronous = NORMAL;"

typedef enum CatalogStatement {
	CATALOG_BEGIN,
	CATALOG_COMMIT,
	CATALOG_ROLLBACK,
	CATALOG_LOAD,
	CATALOG_SAVE,
	CATALOG_ADD_EPOCH,
	CATALOG_FIND_EPOCH,
	CATALOG_PEEK,
	CATALOG_INSERT,
	CATALOG_UPDATE,
	CATALOG_PRUNE,
	CATALOG_PRUNE_EPOCHS,
	CATALOG_GET,
	CATALOG_FIND_ID,
	CATALOG_LIST_ALL,
	CATALOG_LIST_LIVE,
	CATALOG_LIST_FAILED,
	CATALOG_LIST_CORRELATION,
	CATALOG_FLOOR_ALL, /* these four in the order of those above */
	CATALOG_FLOOR_LIVE,
	CATALOG_FLOOR_FAILED,
	CATALOG_FLOOR_CORRELATION,
	CATALOG_LIVE,
	CATALOG_STATS,
	CATALOG_CHECK_INTEGRITY,
	CATALOG_CHECK_TOTALS,
	_CATALOG_STATEMENT_MAX,
} CatalogStatement;

/* The one row of the table `meta`. Kept in memory, written by each commit, and put back by a
 * rollback. */
typedef struct CatalogState {
	uint64_t applied;
	uint64_t newest;     /* no row ever had a greater seq */
	uint64_t epoch;      /* the newest one; 0: none yet */
	uint64_t epoch_rows; /* how many were put into it */
	CatalogStats totals;
} CatalogState;

struct Catalog {
	sqlite3 *db;
	sqlite3_stmt *statements[_CATALOG_STATEMENT_MAX]; /* prepared when first asked for */
	CatalogState state;
	CatalogState committed;
	bool in_transaction;
};

/* The -errno for what SQLite returned, and its message to the diagnostics at level debug. */
int catalog_error(Catalog *c, int rc) _must_check_;
int catalog_statement(Catalog *c, CatalogStatement which, sqlite3_stmt **ret) _must_check_;
/* Steps once and resets: for statements that give no row. */
int catalog_run(Catalog *c, sqlite3_stmt *s) _must_check_;
int catalog_run_plain(Catalog *c, CatalogStatement which) _must_check_;
/* For what is rare, and for what must not stay prepared. */
int catalog_execute(Catalog *c, const char *sql) _must_check_;

/* Binds one parameter after the other. Errors stick; catalog_bind_done() gives the first as -errno.
 * Texts are lent until the statement is reset. */
typedef struct CatalogBind {
	sqlite3_stmt *statement;
	int next;
	int rc;
} CatalogBind;

CatalogBind catalog_bind(sqlite3_stmt *s);
void catalog_bind_uint(CatalogBind *b, uint64_t value);
void catalog_bind_int(CatalogBind *b, int64_t value);
void catalog_bind_text(CatalogBind *b, const char *text, size_t len);
void catalog_bind_cstring(CatalogBind *b, const char *text); /* NULL: null */
void catalog_bind_uuid(CatalogBind *b, const Uuid *u);
int catalog_bind_done(CatalogBind *b, Catalog *c) _must_check_;
