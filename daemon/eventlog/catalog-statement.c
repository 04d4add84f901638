#include "daemon/eventlog/catalog-internal.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"

/* In the order of read_row() in catalog-query.c. */
#define COLUMNS                                                                             \
	"a.seq, a.agent_id, a.backend, a.group_name, a.correlation_id, a.uid, a.priority, " \
	"a.spawned_us, a.state, a.attempt, a.started_us, a.ended_us, a.chunks, a.bytes, "   \
	"a.last_seq, a.output_seq, a.ending, a.spec"

/* ?1 before, ?2 states, ?3 backend, ?4 group, ?5 labels (a JSON object of those that must be
 * there), ?6 limit, ?7 correlation, ?8 floor. A spec that is no JSON has no labels, and spoils
 * nobody else's query. */
#define FILTER                                                                                   \
	"a.seq < ?1 AND a.seq >= ?8 AND (?2 >> a.state) & 1"                                     \
	" AND (?3 IS NULL OR a.backend = ?3) AND (?4 IS NULL OR a.group_name = ?4)"              \
	" AND (?5 IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(?5) AS want WHERE NOT EXISTS (" \
	"SELECT 1 FROM json_each(CASE WHEN json_valid(a.spec) THEN a.spec ELSE '{}' END,"        \
	" '$.labels') AS has WHERE has.key = want.key AND has.value = want.value"                \
	" AND has.type = 'text')))"

/* ?1 before, ?2 how many rows, ?7 correlation: the oldest of so many. */
#define FLOOR(order) "a.seq < ?1 ORDER BY " order " LIMIT 1 OFFSET ?2 - 1"

#define COUNTS                                                                    \
	"count(*), coalesce(sum(a.state = 2), 0), coalesce(sum(a.state = 3), 0)," \
	" coalesce(sum(a.state = 4), 0), coalesce(sum(a.chunks), 0), coalesce(sum(a.bytes), 0)"

/* The walk over epochs is the outer loop, so rows come in the order of epochs without sorting. */
#define BY_EPOCH(index) "FROM epochs AS e CROSS JOIN agents AS a INDEXED BY " index " "

static const char *const texts[_CATALOG_STATEMENT_MAX] = {
	[CATALOG_BEGIN] = "BEGIN IMMEDIATE",
	[CATALOG_COMMIT] = "COMMIT",
	[CATALOG_ROLLBACK] = "ROLLBACK",
	[CATALOG_LOAD] = "SELECT applied, newest, epoch, epoch_rows, spawned, completed, failed,"
			 " cancelled, chunks, bytes, log_id FROM meta",
	[CATALOG_SAVE] = "UPDATE meta SET applied = ?, newest = ?, epoch = ?, epoch_rows = ?,"
			 " spawned = ?, completed = ?, failed = ?, cancelled = ?, chunks = ?,"
			 " bytes = ?",
	[CATALOG_ADD_EPOCH] = "INSERT INTO epochs (number, first_seq) VALUES (?, ?)",
	/* Below the first that is left when older ones were pruned: that one serves. */
	[CATALOG_FIND_EPOCH] = "SELECT coalesce((SELECT number FROM epochs WHERE first_seq <= ?"
			       " ORDER BY number DESC LIMIT 1), (SELECT min(number) FROM epochs))",
	[CATALOG_PEEK] = "SELECT state, chunks, bytes, last_seq FROM agents WHERE seq = ?",
	[CATALOG_INSERT] = "INSERT INTO agents (seq, agent_id, epoch, backend, group_name,"
			   " correlation_id, uid, priority, spawned_us, state, attempt, started_us,"
			   " ended_us, chunks, bytes, last_seq, output_seq, ending, spec)"
			   " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[CATALOG_UPDATE] = "UPDATE agents SET state = ?2, attempt = ?3, started_us = ?4,"
			   " ended_us = ?5, chunks = ?6, bytes = ?7, last_seq = ?8,"
			   " output_seq = ?9, ending = ?10, spec = coalesce(?11, spec)"
			   " WHERE seq = ?1",
	[CATALOG_PRUNE] = "DELETE FROM agents WHERE seq IN (SELECT seq FROM agents WHERE seq < ?1"
			  " AND state >= 2 AND last_seq < ?1 ORDER BY seq LIMIT ?2)"
			  " RETURNING state, chunks, bytes",
	[CATALOG_PRUNE_EPOCHS] = "DELETE FROM epochs WHERE first_seq < ?1 AND number < ?2"
				 " AND NOT EXISTS (SELECT 1 FROM agents WHERE epoch = number)",
	[CATALOG_GET] = "SELECT " COLUMNS " FROM agents AS a WHERE a.seq = ?",
	[CATALOG_FIND_ID] = "SELECT " COLUMNS " " BY_EPOCH(
		"agents_id") "WHERE a.epoch = e.number AND a.agent_id BETWEEN ?1 AND ?2"
			     " ORDER BY e.number DESC, a.agent_id DESC, a.seq DESC LIMIT ?3",
	[CATALOG_LIST_ALL] =
		"SELECT " COLUMNS " FROM agents AS a WHERE " FILTER " ORDER BY a.seq DESC LIMIT ?6",
	[CATALOG_LIST_LIVE] = "SELECT " COLUMNS " FROM agents AS a INDEXED BY agents_live"
			      " WHERE a.state < 2 AND " FILTER " ORDER BY a.seq DESC LIMIT ?6",
	[CATALOG_LIST_FAILED] = "SELECT " COLUMNS " FROM agents AS a INDEXED BY agents_failed"
				" WHERE a.state > 2 AND " FILTER " ORDER BY a.seq DESC LIMIT ?6",
	[CATALOG_LIST_CORRELATION] = "SELECT " COLUMNS " " BY_EPOCH(
		"agents_correlation") "WHERE a.epoch = e.number AND "
				      "a.correlation_id = ?7"
				      " AND " FILTER " ORDER BY e.number DESC, a.seq DESC LIMIT ?6",
	[CATALOG_FLOOR_ALL] = "SELECT a.seq FROM agents AS a WHERE " FLOOR("a.seq DESC"),
	[CATALOG_FLOOR_LIVE] = "SELECT a.seq FROM agents AS a INDEXED BY agents_live"
			       " WHERE a.state < 2 AND " FLOOR("a.seq DESC"),
	[CATALOG_FLOOR_FAILED] = "SELECT a.seq FROM agents AS a INDEXED BY agents_failed"
				 " WHERE a.state > 2 AND " FLOOR("a.seq DESC"),
	[CATALOG_FLOOR_CORRELATION] = "SELECT a.seq " BY_EPOCH(
		"agents_correlation") "WHERE a.epoch = e.number AND a.correlation_id = ?7 "
				      "AND " FLOOR("e.number DESC, a.seq DESC"),
	[CATALOG_LIVE] = "SELECT " COLUMNS " FROM agents AS a INDEXED BY agents_live"
			 " WHERE a.state < 2 ORDER BY a.seq",
	[CATALOG_CHECK_TOTALS] = "SELECT (spawned, completed, failed, cancelled, chunks, bytes)"
				 " IS (SELECT " COUNTS " FROM agents AS a) FROM meta",
	[CATALOG_STATS] = "SELECT " COUNTS " " BY_EPOCH(
		"agents_correlation") "WHERE a.epoch = e.number AND a.correlation_id = ?",
	[CATALOG_CHECK_INTEGRITY] = "PRAGMA integrity_check",
};

static int errno_of(Catalog *c, int rc)
{
	/* SQLite says only "I/O error" where it fails to grow its shared memory on a full disk. */
	int os = sqlite3_system_errno(c->db);

	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	/* The statements are what they are: it is tables, or what they hold, that do not fit them.
	 */
	case SQLITE_ERROR:
	case SQLITE_SCHEMA:
	case SQLITE_MISMATCH:
	case SQLITE_CONSTRAINT:
		return -EBADMSG;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_IOERR:
		if (rc == SQLITE_IOERR_NOMEM)
			return -ENOMEM;
		return os == ENOSPC || os == EDQUOT ? -ENOSPC : -EIO;
	case SQLITE_CANTOPEN:
		return os > 0 ? -os : -EIO;
	default:
		return -EIO;
	}
}

int catalog_error(Catalog *c, int rc)
{
	int r = errno_of(c, rc);

	if (r < 0)
		log_debug("catalog: %s (%s)", sqlite3_errmsg(c->db), sqlite3_errstr(rc));
	return r;
}

int catalog_statement(Catalog *c, CatalogStatement which, sqlite3_stmt **ret)
{
	int rc = SQLITE_OK;

	if (!c->statements[which])
		rc = sqlite3_prepare_v3(c->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT,
			&c->statements[which], NULL);
	if (rc != SQLITE_OK)
		return catalog_error(c, rc);
	*ret = c->statements[which];
	return 0;
}

int catalog_run(Catalog *c, sqlite3_stmt *s)
{
	(void)sqlite3_step(s);
	return catalog_error(c, sqlite3_reset(s));
}

int catalog_run_plain(Catalog *c, CatalogStatement which)
{
	sqlite3_stmt *s = NULL;
	int r = catalog_statement(c, which, &s);

	return r < 0 ? r : catalog_run(c, s);
}

int catalog_execute(Catalog *c, const char *sql)
{
	return catalog_error(c, sqlite3_exec(c->db, sql, NULL, NULL, NULL));
}

CatalogBind catalog_bind(sqlite3_stmt *s)
{
	return (CatalogBind){ .statement = s, .next = 1, .rc = SQLITE_OK };
}

static void keep_first(CatalogBind *b, int rc)
{
	b->next++;
	if (b->rc == SQLITE_OK)
		b->rc = rc;
}

void catalog_bind_uint(CatalogBind *b, uint64_t value)
{
	keep_first(b, sqlite3_bind_int64(b->statement, b->next, (sqlite3_int64)value));
}

void catalog_bind_int(CatalogBind *b, int64_t value)
{
	keep_first(b, sqlite3_bind_int64(b->statement, b->next, value));
}

void catalog_bind_text(CatalogBind *b, const char *text, size_t len)
{
	keep_first(b,
		sqlite3_bind_text64(b->statement, b->next, text, len, SQLITE_STATIC, SQLITE_UTF8));
}

void catalog_bind_cstring(CatalogBind *b, const char *text)
{
	catalog_bind_text(b, text, text ? strlen(text) : 0);
}

void catalog_bind_uuid(CatalogBind *b, const Uuid *u)
{
	keep_first(b, sqlite3_bind_blob(
			      b->statement, b->next, u->bytes, sizeof(u->bytes), SQLITE_STATIC));
}

int catalog_bind_done(CatalogBind *b, Catalog *c)
{
	return catalog_error(c, b->rc);
}
