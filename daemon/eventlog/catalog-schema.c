/* The file STATE/catalog.db: opening, making, setting aside.
 *
 * One row an agent in `agents`, keyed by the seq of its AgentSpawned: rows are appended, and go
 * from the front when the log is pruned.
 *
 * Epochs keep the indexes on agent_id and correlation_id fast. Both are random, and an index on
 * either alone touches another page with each row: with a million rows, 37 µs a row where the table
 * itself costs 5. So every EPOCH_ROWS (catalog.c) rows begin a new epoch, whose number stands
 * before the key in these indexes: the part of them that grows is as small as the page cache, and a
 * row costs 8 µs however many there are. A search looks into each epoch, newest first (about 1 µs
 * each). Epochs divide the seqs into stretches: epoch N has those from its first_seq up to that of
 * N + 1. So the order of epochs is the order of seqs too. */
#include "daemon/eventlog/catalog-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"

#define SCHEMA_VERSION  1
#define MAX_SET_ASIDE   100
#define BUSY_TIMEOUT_MS 2000

/* An open of another schema version, or of another log: to be made anew. */
#define STALE 1

/* The WAL is long enough that pages written by many transactions are copied back once. */
static const char pragmas[] =
	"PRAGMA journal_mode = WAL;" CATALOG_PRAGMA_SYNCHRONOUS "PRAGMA wal_autocheckpoint = 4000;"
	"PRAGMA journal_size_limit = 33554432;";

/* The cache holds what a transaction of some thousand rows changes, or pages are written several
 * times over. */
static const char pragmas_common[] = "PRAGMA cache_size = -2048;"
				     "PRAGMA mmap_size = 0;"
				     "PRAGMA temp_store = MEMORY;"
				     "PRAGMA foreign_keys = OFF;"
				     "PRAGMA trusted_schema = OFF;"
				     "PRAGMA cell_size_check = ON;";

/* The big columns stand last, so that a walk over the others does not read them. */
static const char schema[] =
	"CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), log_id BLOB NOT NULL,"
	" applied INTEGER NOT NULL DEFAULT 0, newest INTEGER NOT NULL DEFAULT 0,"
	" epoch INTEGER NOT NULL DEFAULT 0, epoch_rows INTEGER NOT NULL DEFAULT 0,"
	" spawned INTEGER NOT NULL DEFAULT 0, completed INTEGER NOT NULL DEFAULT 0,"
	" failed INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,"
	" chunks INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE epochs (number INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL);"
	"CREATE TABLE agents (seq INTEGER PRIMARY KEY, agent_id BLOB NOT NULL,"
	" epoch INTEGER NOT NULL, backend TEXT NOT NULL, group_name TEXT NOT NULL,"
	" correlation_id TEXT, uid INTEGER NOT NULL, priority INTEGER NOT NULL,"
	" spawned_us INTEGER NOT NULL, state INTEGER NOT NULL, attempt INTEGER NOT NULL,"
	" started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL, chunks INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL, last_seq INTEGER NOT NULL, output_seq INTEGER NOT NULL,"
	" ending TEXT, spec TEXT NOT NULL);"
	"CREATE INDEX agents_id ON agents (epoch, agent_id);"
	"CREATE INDEX agents_correlation ON agents (epoch, correlation_id)"
	" WHERE correlation_id IS NOT NULL;"
	"CREATE INDEX agents_live ON agents (seq) WHERE state < 2;"
	"CREATE INDEX agents_failed ON agents (seq) WHERE state > 2;";

static int catalog_path(const char *state_dir, const char *suffix, char **ret)
{
	if (asprintf(ret, "%s/catalog.db%s", state_dir, suffix) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* The first column of the first row. */
static int query_int(Catalog *c, const char *sql, int64_t *ret)
{
	sqlite3_stmt *s = NULL;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &s, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(s);
		if (rc == SQLITE_ROW)
			*ret = sqlite3_column_int64(s, 0);
	}
	sqlite3_finalize(s);
	return rc == SQLITE_ROW ? 0 : catalog_error(c, rc);
}

static int create_tables(Catalog *c, const Uuid *log_id)
{
	_cleanup_free_ char *version = NULL;
	sqlite3_stmt *s = NULL;
	int r;

	if (asprintf(&version, "PRAGMA user_version = %d", SCHEMA_VERSION) < 0) {
		version = NULL;
		return -ENOMEM;
	}
	/* A crash before the commit leaves an empty file, which is then filled. */
	if ((r = catalog_execute(c, "BEGIN IMMEDIATE")) < 0 ||
		(r = catalog_execute(c, schema)) < 0 || (r = catalog_execute(c, version)) < 0)
		return r;

	r = catalog_error(c, sqlite3_prepare_v2(c->db,
				     "INSERT INTO meta (id, log_id) VALUES (1, ?)", -1, &s, NULL));
	if (r == 0) {
		CatalogBind b = catalog_bind(s);

		catalog_bind_uuid(&b, log_id);
		r = catalog_bind_done(&b, c);
	}
	if (r == 0)
		r = catalog_run(c, s);
	sqlite3_finalize(s);
	return r < 0 ? r : catalog_execute(c, "COMMIT");
}

/* STALE if it is another log's; `log_id` NULL: any will do. */
static int read_meta(Catalog *c, sqlite3_stmt *s, const Uuid *log_id)
{
	const void *id;
	uint64_t *into[] = { &c->state.applied, &c->state.newest, &c->state.epoch,
		&c->state.epoch_rows, &c->state.totals.spawned, &c->state.totals.completed,
		&c->state.totals.failed, &c->state.totals.cancelled, &c->state.totals.chunks,
		&c->state.totals.bytes };
	int rc = sqlite3_step(s), column = 0;

	if (rc == SQLITE_DONE)
		return -EBADMSG;
	if (rc != SQLITE_ROW)
		return catalog_error(c, rc);

	for (; column < (int)ARRAY_SIZE(into); column++)
		*into[column] = (uint64_t)sqlite3_column_int64(s, column);
	id = sqlite3_column_blob(s, column);
	if (!id || sqlite3_column_bytes(s, column) != sizeof(Uuid))
		return -EBADMSG;
	if (log_id && memcmp(id, log_id->bytes, sizeof(Uuid)) != 0)
		return STALE;
	c->committed = c->state;
	return 0;
}

static int load(Catalog *c, const Uuid *log_id)
{
	sqlite3_stmt *s;
	int64_t epochs = 0;
	int r;

	if ((r = catalog_statement(c, CATALOG_LOAD, &s)) < 0)
		return r;
	r = read_meta(c, s, log_id);
	/* What the inserts rely on. Until its statement is reset, both are of one moment, whatever
	 * a daemon beside us commits. */
	if (r == 0)
		r = query_int(c, "SELECT coalesce(max(number), 0) FROM epochs", &epochs);
	(void)sqlite3_reset(s);
	if (r != 0)
		return r;
	return (uint64_t)epochs == c->state.epoch ? 0 : -EBADMSG;
}

static int connect_to(Catalog *c, const char *path, int flags)
{
	int rc = sqlite3_open_v2(
		path, &c->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);

	if (!c->db)
		return -ENOMEM;
	if (rc != SQLITE_OK)
		return catalog_error(c, rc);
	(void)sqlite3_extended_result_codes(c->db, 1);
	(void)sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
	return catalog_execute(c, pragmas_common);
}

/* SQLite gives the WAL and its shared memory the mode of the database. */
static int make_private(const char *path)
{
	_cleanup_close_ int fd =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0)
		return -errno;
	return fchmod(fd, 0600) < 0 ? -errno : 0;
}

static int open_file(Catalog *c, const char *path, const Uuid *log_id)
{
	int64_t version = 0, tables = 0;
	int r;

	if ((r = make_private(path)) < 0 || (r = connect_to(c, path, SQLITE_OPEN_READWRITE)) < 0 ||
		(r = catalog_execute(c, pragmas)) < 0 ||
		(r = query_int(c, "PRAGMA user_version", &version)) < 0 ||
		(r = query_int(c, "SELECT count(*) FROM sqlite_schema", &tables)) < 0)
		return r;
	if (version == 0 && tables == 0) {
		r = create_tables(c, log_id);
		if (r < 0)
			return r;
	} else if (version != SCHEMA_VERSION) {
		log_warning("catalog: %s has version %lld, not %d: it is made anew", path,
			(long long)version, SCHEMA_VERSION);
		return STALE;
	}
	r = load(c, log_id);
	if (r == STALE)
		log_warning("catalog: %s belongs to another log: it is made anew", path);
	return r;
}

static int remove_file(const char *state_dir)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_free_ char *path = NULL;
		int r = catalog_path(state_dir, suffixes[i], &path);

		if (r < 0)
			return r;
		if (unlink(path) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* The first name that is free; the last one is given to all further ones, lest they fill the disk.
 */
static int free_name(const char *state_dir, char **ret)
{
	for (int n = 1;; n++) {
		_cleanup_free_ char *path = NULL;
		char suffix[32];
		struct stat st;
		int r;

		(void)snprintf(suffix, sizeof(suffix), ".bad-%d", n);
		r = catalog_path(state_dir, suffix, &path);
		if (r < 0)
			return r;
		if (n == MAX_SET_ASIDE || lstat(path, &st) < 0) {
			*ret = TAKE_PTR(path);
			return 0;
		}
	}
}

int catalog_set_aside(const char *state_dir, const char *why)
{
	_cleanup_free_ char *path = NULL, *wal = NULL, *aside = NULL, *aside_wal = NULL;
	int r;

	if ((r = catalog_path(state_dir, "", &path)) < 0 ||
		(r = catalog_path(state_dir, "-wal", &wal)) < 0 ||
		(r = free_name(state_dir, &aside)) < 0)
		return r;
	if (asprintf(&aside_wal, "%s-wal", aside) < 0) {
		aside_wal = NULL;
		return -ENOMEM;
	}
	log_warning("catalog: %s is %s, and set aside as %s: it is made anew", path, why, aside);
	if (rename(path, aside) < 0 && errno != ENOENT)
		return -errno;
	if (rename(wal, aside_wal) < 0 && errno != ENOENT)
		return -errno;
	return remove_file(state_dir);
}

static int open_once(const char *state_dir, const Uuid *log_id, Catalog **ret)
{
	_cleanup_free_ char *path = NULL;
	Catalog *c;
	int r = catalog_path(state_dir, "", &path);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	r = open_file(c, path, log_id);
	if (r != 0)
		catalog_close(c);
	else
		*ret = c;
	return r;
}

int catalog_open(const char *state_dir, const Uuid *log_id, Catalog **ret)
{
	int r = open_once(state_dir, log_id, ret);

	if (r != STALE && r != -EBADMSG)
		return r;
	r = r == STALE ? remove_file(state_dir) : catalog_set_aside(state_dir, "damaged");
	if (r < 0)
		return r;
	r = open_once(state_dir, log_id, ret);
	return r == STALE ? -EBADMSG : r;
}

static int open_existing(Catalog *c, const char *path)
{
	int64_t version = 0;
	int r;

	if ((r = connect_to(c, path, SQLITE_OPEN_READONLY)) < 0 ||
		(r = query_int(c, "PRAGMA user_version", &version)) < 0)
		return r;
	return version == SCHEMA_VERSION ? load(c, NULL) : -EBADMSG;
}

int catalog_open_readonly(const char *state_dir, Catalog **ret)
{
	_cleanup_free_ char *path = NULL;
	Catalog *c;
	int r = catalog_path(state_dir, "", &path);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	r = open_existing(c, path);
	if (r < 0)
		catalog_close(c);
	else
		*ret = c;
	return r;
}

void catalog_close(Catalog *c)
{
	if (!c)
		return;
	catalog_rollback(c);
	for (size_t i = 0; i < ARRAY_SIZE(c->statements); i++)
		sqlite3_finalize(c->statements[i]);
	(void)sqlite3_close(c->db);
	free(c);
}
