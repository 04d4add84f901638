#include "daemon/eventlog/catalog.h"

#include <assert.h>
#include <errno.h>

#include "daemon/eventlog/catalog-internal.h"

/* See the head of catalog-schema.c. More of them make puts dearer (their part of the indexes no
 * longer fits into the page cache), fewer make searches by id dearer. */
#define EPOCH_ROWS 16384U
#define PRUNE_ROWS 2000U

uint64_t catalog_applied(const Catalog *c)
{
	return c->committed.applied;
}

int catalog_begin(Catalog *c)
{
	int r;

	assert(!c->in_transaction);
	r = catalog_run_plain(c, CATALOG_BEGIN);
	if (r == 0)
		c->in_transaction = true;
	return r;
}

void catalog_rollback(Catalog *c)
{
	c->in_transaction = false;
	c->state = c->committed;
	/* SQLite has rolled back by itself after some errors. */
	if (c->db && !sqlite3_get_autocommit(c->db))
		(void)!catalog_run_plain(c, CATALOG_ROLLBACK);
}

static int fail(Catalog *c, int r)
{
	catalog_rollback(c);
	return r;
}

static void count(CatalogStats *t, AgentState state, uint64_t chunks, uint64_t bytes, uint64_t sign)
{
	uint64_t *const by_state[_AGENT_STATE_MAX] = {
		[AGENT_STATE_COMPLETED] = &t->completed,
		[AGENT_STATE_FAILED] = &t->failed,
		[AGENT_STATE_CANCELLED] = &t->cancelled,
	};

	t->spawned += sign;
	t->chunks += sign * chunks;
	t->bytes += sign * bytes;
	if (state < _AGENT_STATE_MAX && by_state[state])
		*by_state[state] += sign;
}

static void count_in(Catalog *c, AgentState state, uint64_t chunks, uint64_t bytes)
{
	count(&c->state.totals, state, chunks, bytes, 1);
}

static void count_out(Catalog *c, AgentState state, uint64_t chunks, uint64_t bytes)
{
	count(&c->state.totals, state, chunks, bytes, UINT64_MAX);
}

static int save_state(Catalog *c)
{
	const CatalogState *st = &c->state;
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, CATALOG_SAVE, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, st->applied);
	catalog_bind_uint(&b, st->newest);
	catalog_bind_uint(&b, st->epoch);
	catalog_bind_uint(&b, st->epoch_rows);
	catalog_bind_uint(&b, st->totals.spawned);
	catalog_bind_uint(&b, st->totals.completed);
	catalog_bind_uint(&b, st->totals.failed);
	catalog_bind_uint(&b, st->totals.cancelled);
	catalog_bind_uint(&b, st->totals.chunks);
	catalog_bind_uint(&b, st->totals.bytes);
	r = catalog_bind_done(&b, c);
	return r < 0 ? r : catalog_run(c, s);
}

int catalog_commit(Catalog *c, uint64_t applied)
{
	int r;

	if (!c->in_transaction)
		return -EINVAL;
	c->state.applied = applied;
	if ((r = save_state(c)) < 0 || (r = catalog_run_plain(c, CATALOG_COMMIT)) < 0)
		return fail(c, r);
	c->in_transaction = false;
	c->committed = c->state;
	return 0;
}

void catalog_relax(Catalog *c)
{
	(void)sqlite3_db_release_memory(c->db);
}

int catalog_sync(Catalog *c)
{
	int r, restored;

	/* No checkpoint: any reader, `liongated --check` for one, could hold that up. */
	if (c->in_transaction)
		return -EINVAL;
	r = catalog_execute(c, "PRAGMA synchronous = FULL");
	/* Changes nothing, but writes a page: a commit without any syncs nothing. The WAL is one
	 * file, so whatever was committed before is synced with it. */
	if (r == 0)
		r = catalog_execute(c, "PRAGMA application_id = 0");
	restored = catalog_execute(c, CATALOG_PRAGMA_SYNCHRONOUS);
	return r < 0 ? r : restored;
}

static int add_epoch(Catalog *c, uint64_t first_seq)
{
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, CATALOG_ADD_EPOCH, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, c->state.epoch + 1);
	catalog_bind_uint(&b, first_seq);
	if ((r = catalog_bind_done(&b, c)) < 0 || (r = catalog_run(c, s)) < 0)
		return r;
	c->state.epoch++;
	c->state.epoch_rows = 0;
	return 0;
}

static int find_epoch(Catalog *c, uint64_t seq, uint64_t *ret)
{
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, CATALOG_FIND_EPOCH, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, seq);
	r = catalog_bind_done(&b, c);
	if (r < 0)
		return r;
	*ret = sqlite3_step(s) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
	return catalog_error(c, sqlite3_reset(s));
}

static int choose_epoch(Catalog *c, uint64_t seq, uint64_t *ret)
{
	CatalogState *st = &c->state;
	uint64_t epoch = st->epoch;
	int r = 0;

	if (seq <= st->newest)
		r = find_epoch(c, seq, &epoch);
	else if (st->epoch == 0 || st->epoch_rows >= EPOCH_ROWS)
		r = add_epoch(c, st->epoch == 0 ? 0 : seq);
	if (r < 0)
		return r;
	if (seq > st->newest)
		epoch = st->epoch;
	st->epoch_rows += epoch == st->epoch;
	*ret = epoch;
	return 0;
}

/* What INSERT and UPDATE have in common, in the order of both. */
static void bind_progress(CatalogBind *b, const CatalogRow *row)
{
	catalog_bind_uint(b, row->state);
	catalog_bind_uint(b, row->attempt);
	catalog_bind_uint(b, row->started_us);
	catalog_bind_uint(b, row->ended_us);
	catalog_bind_uint(b, row->chunks);
	catalog_bind_uint(b, row->bytes);
	catalog_bind_uint(b, row->last_seq);
	catalog_bind_uint(b, row->output_seq);
	catalog_bind_text(b, row->ending, row->ending ? row->ending_len : 0);
	catalog_bind_text(b, row->spec_len > 0 ? row->spec : NULL, row->spec_len);
}

static int insert_row(Catalog *c, const CatalogRow *row)
{
	uint64_t epoch = 0;
	sqlite3_stmt *s;
	CatalogBind b;
	int r;

	if ((r = catalog_statement(c, CATALOG_INSERT, &s)) < 0 ||
		(r = choose_epoch(c, row->seq, &epoch)) < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, row->seq);
	catalog_bind_uuid(&b, &row->agent_id);
	catalog_bind_uint(&b, epoch);
	catalog_bind_cstring(&b, row->backend);
	catalog_bind_cstring(&b, row->group);
	catalog_bind_cstring(&b, row->correlation_id);
	catalog_bind_uint(&b, row->uid);
	catalog_bind_int(&b, row->priority);
	catalog_bind_uint(&b, row->spawned_us);
	bind_progress(&b, row);
	if ((r = catalog_bind_done(&b, c)) < 0 || (r = catalog_run(c, s)) < 0)
		return r;

	if (row->seq > c->state.newest)
		c->state.newest = row->seq;
	count_in(c, row->state, row->chunks, row->bytes);
	return 0;
}

static int update_row(Catalog *c, const CatalogRow *row)
{
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, CATALOG_UPDATE, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, row->seq);
	bind_progress(&b, row);
	if ((r = catalog_bind_done(&b, c)) < 0 || (r = catalog_run(c, s)) < 0)
		return r;
	count_in(c, row->state, row->chunks, row->bytes);
	return 0;
}

/* 1: *ret has what the row says now. 0: there is none. */
static int peek(Catalog *c, uint64_t seq, CatalogRow *ret)
{
	bool found = false;
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, CATALOG_PEEK, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, seq);
	r = catalog_bind_done(&b, c);
	if (r < 0)
		return r;
	if (sqlite3_step(s) == SQLITE_ROW) {
		ret->state = (AgentState)sqlite3_column_int(s, 0);
		ret->chunks = (uint64_t)sqlite3_column_int64(s, 1);
		ret->bytes = (uint64_t)sqlite3_column_int64(s, 2);
		ret->last_seq = (uint64_t)sqlite3_column_int64(s, 3);
		found = true;
	}
	r = catalog_error(c, sqlite3_reset(s));
	return r < 0 ? r : found;
}

static int put(Catalog *c, const CatalogRow *row, bool back)
{
	CatalogRow was = { 0 };
	int r;

	assert(row->state < _AGENT_STATE_MAX);
	if (!c->in_transaction)
		return -EINVAL;
	/* Most puts are of a row that is new, and need not look for an old one. */
	r = row->seq > c->state.newest ? 0 : peek(c, row->seq, &was);
	if (r < 0)
		return fail(c, r);
	if (r == 0 && row->spec_len == 0)
		return -ENOENT;
	if (r > 0 && !back && row->last_seq < was.last_seq)
		return 0;
	if (r > 0)
		count_out(c, was.state, was.chunks, was.bytes);
	r = r > 0 ? update_row(c, row) : insert_row(c, row);
	return r < 0 ? fail(c, r) : 0;
}

int catalog_put(Catalog *c, const CatalogRow *row)
{
	return put(c, row, false);
}

int catalog_put_back(Catalog *c, const CatalogRow *row)
{
	return put(c, row, true);
}

static int delete_slice(Catalog *c, uint64_t oldest_seq, uint64_t *ret_n)
{
	uint64_t n = 0;
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, CATALOG_PRUNE, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, oldest_seq);
	catalog_bind_uint(&b, PRUNE_ROWS);
	r = catalog_bind_done(&b, c);
	if (r < 0)
		return r;
	for (; sqlite3_step(s) == SQLITE_ROW; n++)
		count_out(c, (AgentState)sqlite3_column_int(s, 0),
			(uint64_t)sqlite3_column_int64(s, 1), (uint64_t)sqlite3_column_int64(s, 2));
	*ret_n = n;
	return catalog_error(c, sqlite3_reset(s));
}

static int prune_epochs(Catalog *c, uint64_t oldest_seq)
{
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, CATALOG_PRUNE_EPOCHS, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, oldest_seq);
	catalog_bind_uint(&b, c->state.epoch);
	r = catalog_bind_done(&b, c);
	return r < 0 ? r : catalog_run(c, s);
}

int catalog_prune(Catalog *c, uint64_t oldest_seq, uint64_t *ret_n)
{
	uint64_t n = 0;
	int r = catalog_begin(c);

	if (r < 0)
		return r;
	if ((r = delete_slice(c, oldest_seq, &n)) < 0)
		return fail(c, r);
	if (n == 0) {
		catalog_rollback(c);
	} else if ((r = prune_epochs(c, oldest_seq)) < 0 ||
		   (r = catalog_commit(c, c->state.applied)) < 0) {
		return fail(c, r);
	}
	*ret_n = n;
	return 0;
}
