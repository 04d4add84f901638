#include "daemon/agent/projection.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "daemon/eventlog/scan.h"

#define ROWS_AT_ONCE 2000

/* How many events a start may have to read again for the sake of running agents' counters. */
#define MAX_LAG_EVENTS 262144U

/* Between two tries of what fails. */
#define RETRY_MIN_US (1 * USEC_PER_SEC)
#define RETRY_MAX_US (30 * USEC_PER_SEC)

/* Rows that wait while none can be written: a few kilobytes each, for as long as it lasts. */
#define MAX_UNWRITTEN 10000U

typedef struct RowsJob {
	ReaderJob job;
	Projection *projection;
	LogView view;
	uint64_t applied;
	int error;
	size_t n;
	Agent **agents;  /* their strings are lent to the rows: in_flight holds them */
	uint64_t *since; /* dirty_since of each, for the case that it fails */
	CatalogRow rows[];
} RowsJob;

void projection_init(Projection *p, EventLog *log, Reader *reader, uint64_t applied)
{
	*p = (Projection){ .log = log, .reader = reader, .applied = applied };
	list_init(&p->dirty);
	list_init(&p->begun);
	list_init(&p->ended);
}

void projection_done(Projection *p)
{
	free(p->doomed);
}

static void mark(Projection *p, Agent *a, uint64_t since, bool urgent)
{
	if (a->dirty_since == 0) {
		a->dirty_since = since;
		list_append(&p->dirty, &a->dirty);
		p->n_dirty++;
	}
	if (!urgent)
		return;
	if (list_empty(&a->urgent))
		p->n_urgent++;
	else if (agent_is_live(a))
		return;
	list_remove(&a->urgent);
	list_append(agent_is_live(a) ? &p->begun : &p->ended, &a->urgent);
}

static void clean(Projection *p, Agent *a)
{
	if (a->dirty_since > 0) {
		a->dirty_since = 0;
		list_remove(&a->dirty);
		p->n_dirty--;
	}
	if (!list_empty(&a->urgent)) {
		list_remove(&a->urgent);
		p->n_urgent--;
	}
}

/* Back to where it was, since its row was not written: the list stays in order. */
static void mark_again(Projection *p, Agent *a, uint64_t since)
{
	ListNode *where;

	mark(p, a, since, true);
	a->dirty_since = since;
	list_remove(&a->dirty);
	where = p->dirty.next;
	while (where != &p->dirty && container_of(where, Agent, dirty)->dirty_since < since)
		where = where->next;
	list_insert_before(where, &a->dirty);
}

void projection_note(Projection *p, Agent *a, uint64_t seq, bool urgent)
{
	mark(p, a, seq, urgent);
}

bool projection_knows(const Agent *a)
{
	return a->in_catalog && a->dirty_since == 0 && !a->in_flight;
}

bool projection_idle(const Projection *p)
{
	return !p->in_flight && !p->pruning && p->n_dirty == 0;
}

/* ---- Failures ---- */

/* Whether or not there turns out to be something to try, the next time is later. */
static bool may_try(Retry *t)
{
	uint64_t now_us = t->error < 0 ? clock_monotonic_us() : 0;

	if (t->error < 0 && now_us < t->at_us)
		return false;
	t->at_us = now_us + t->wait_us;
	return true;
}

/* Says so if that is news. */
static void note_result(Retry *t, int error, const char *subject, const char *what)
{
	if (error == 0) {
		if (t->error < 0)
			log_notice("%s can be %s again", subject, what);
		*t = (Retry){ 0 };
		return;
	}
	if (t->error != error)
		log_error("%s cannot be %s, which is tried again: %s", subject, what,
			strerror(-error));
	t->error = error;
	t->wait_us = t->wait_us == 0 ? RETRY_MIN_US : t->wait_us * 2;
	if (t->wait_us > RETRY_MAX_US)
		t->wait_us = RETRY_MAX_US;
	t->at_us = clock_monotonic_us() + t->wait_us;
}

int projection_error(const Projection *p)
{
	return p->writing.error;
}

static int64_t sooner(int64_t us, const Retry *t, uint64_t now_us)
{
	int64_t left_us = t->at_us > now_us ? (int64_t)(t->at_us - now_us) : 0;

	if (t->error == 0)
		return us;
	return us < 0 || left_us < us ? left_us : us;
}

int64_t projection_retry_us(const Projection *p)
{
	uint64_t now_us;
	int64_t us;

	if (p->writing.error == 0 && p->syncing.error == 0 && p->removing.error == 0)
		return -1;
	now_us = clock_monotonic_us();
	us = sooner(sooner(-1, &p->writing, now_us), &p->syncing, now_us);
	return sooner(us, &p->removing, now_us);
}

void projection_forgive(Projection *p)
{
	p->writing = p->syncing = p->removing = (Retry){ 0 };
}

bool projection_is_full(const Projection *p)
{
	return p->writing.error < 0 && p->n_urgent >= MAX_UNWRITTEN;
}

/* ---- On the reader's thread ---- */

/* A spec that is not kept in memory is read from where it stands. */
static int read_spec(RowsJob *j, Reader *reader, CatalogRow *row, Buf *line)
{
	ScanEvent event;
	int r = scan_find(reader, &j->view, row->seq, &event);

	line->len = 0;
	if (r == 0)
		r = scan_read_line(&event, line);
	if (r == 0)
		row->spec = line_event(line->data, line->len, &row->spec_len);
	return r;
}

static int write_rows(RowsJob *j, Reader *reader)
{
	_cleanup_buf_ Buf line = { 0 };
	Catalog *catalog = reader_catalog(reader);
	int r = catalog_begin(catalog);

	for (size_t i = 0; r == 0 && i < j->n; i++) {
		CatalogRow row = j->rows[i];

		if (!row.spec && !j->agents[i]->in_catalog &&
			read_spec(j, reader, &row, &line) < 0) {
			/* Lost to the disk: what is left of it is better than no row, and than no
			 * row of all the others. */
			row.spec = j->agents[i]->list_spec;
			row.spec_len = j->agents[i]->list_spec_len;
		}
		r = catalog_put(catalog, &row);
	}
	if (r == 0)
		r = catalog_commit(catalog, j->applied);
	if (r < 0)
		catalog_rollback(catalog);
	return r;
}

static bool rows_run(ReaderJob *job, Reader *reader)
{
	RowsJob *j = container_of(job, RowsJob, job);

	j->error = write_rows(j, reader);
	if (j->n < ROWS_AT_ONCE)
		catalog_relax(reader_catalog(reader));
	return false;
}

/* ---- Back on main ---- */

static void rows_failed(RowsJob *j)
{
	Projection *p = j->projection;

	for (size_t i = 0; i < j->n; i++)
		mark_again(p, j->agents[i], j->since[i]);
}

static void rows_done(ReaderJob *job)
{
	RowsJob *j = container_of(job, RowsJob, job);
	Projection *p = j->projection;

	p->in_flight = false;
	log_view_release(&j->view);
	for (size_t i = 0; i < j->n; i++) {
		j->agents[i]->in_flight = false;
		if (j->error == 0)
			j->agents[i]->in_catalog = true;
	}
	note_result(&p->writing, j->error, "the catalog", "written");
	if (j->error < 0) {
		rows_failed(j);
	} else {
		p->applied = j->applied;
		projection_run(p);
	}
	free(j->agents);
	free(j->since);
	free(j);
}

static int rows_new(Projection *p, size_t n, RowsJob **ret)
{
	RowsJob *j = calloc(1, sizeof(*j) + n * sizeof(j->rows[0]));

	if (!j)
		return -ENOMEM;
	j->agents = malloc(n * sizeof(*j->agents));
	j->since = malloc(n * sizeof(*j->since));
	if (!j->agents || !j->since) {
		free(j->agents);
		free(j->since);
		free(j);
		return -ENOMEM;
	}
	j->projection = p;
	j->job.run = rows_run;
	j->job.done = rows_done;
	*ret = j;
	return 0;
}

static void add_row(Projection *p, RowsJob *j, Agent *a)
{
	CatalogRow *row = &j->rows[j->n];

	j->agents[j->n] = a;
	j->since[j->n] = a->dirty_since;
	*row = agent_row(a);
	if (a->in_catalog) {
		row->spec = NULL;
		row->spec_len = 0;
	}
	a->in_flight = true;
	clean(p, a);
	j->n++;
}

/* What ended must be synced; what lives will be counted anew if a power cut takes some of it. */
static bool is_synced(const Projection *p, const Agent *a)
{
	uint64_t seq = agent_is_live(a) ? a->seq : a->last_seq;

	return seq <= eventlog_synced_seq(p->log);
}

static uint64_t applied_now(const Projection *p)
{
	uint64_t applied = eventlog_synced_seq(p->log);

	/* The syncer may be ahead of what main has been told of. */
	if (eventlog_end_seq(p->log) - 1 < applied)
		applied = eventlog_end_seq(p->log) - 1;
	if (!list_empty(&p->dirty)) {
		uint64_t first = container_of(p->dirty.next, Agent, dirty)->dirty_since;

		if (first - 1 < applied)
			applied = first - 1;
	}
	return applied > p->applied ? applied : p->applied;
}

/* Of who has begun, those that have not ended since: most agents have one row written, not three.
 */
static void gather_begun(Projection *p, RowsJob *j, size_t room, bool all)
{
	list_foreach_safe (node, &p->begun) {
		Agent *a = container_of(node, Agent, urgent);

		if (j->n == room || (!all && a->dirty_since > p->settled_seq))
			return;
		if (is_synced(p, a))
			add_row(p, j, a);
	}
}

static void gather(Projection *p, RowsJob *j, size_t room, bool all)
{
	uint64_t end = eventlog_end_seq(p->log);
	uint64_t lag = MAX_LAG_EVENTS > 10 * p->n_dirty ? MAX_LAG_EVENTS : 10 * p->n_dirty;

	/* In the order of their last events, but for rows that failed. */
	list_foreach_safe (node, &p->ended) {
		Agent *a = container_of(node, Agent, urgent);

		if (j->n == room || !is_synced(p, a))
			break;
		add_row(p, j, a);
	}
	gather_begun(p, j, room, all);
	list_foreach_safe (node, &p->dirty) {
		Agent *a = container_of(node, Agent, dirty);

		if (j->n == room || (!all && a->dirty_since + lag > end))
			return;
		if (is_synced(p, a))
			add_row(p, j, a);
	}
}

static void note_synced(Projection *p)
{
	uint64_t synced_seq = eventlog_synced_seq(p->log);

	if (synced_seq != p->synced_seq) {
		p->settled_seq = p->synced_seq;
		p->synced_seq = synced_seq;
	}
	/* All of the log is: there may be no later sync. */
	if (synced_seq + 1 == eventlog_end_seq(p->log))
		p->settled_seq = synced_seq;
}

/* ---- Retention ---- */

/* The catalog is synced, and only then is the log asked what may go: else rows would be lost in a
 * power cut of which the log had the only other copy. A sync that fails leaves the segments where
 * they are. */
typedef struct SyncJob {
	ReaderJob job;
	Projection *projection;
	uint64_t applied;
} SyncJob;

static void prune(Projection *p);

static bool sync_run(ReaderJob *job, Reader *reader)
{
	job->error = catalog_sync(reader_catalog(reader));
	return false;
}

static void sync_done(ReaderJob *job)
{
	SyncJob *j = container_of(job, SyncJob, job);
	Projection *p = j->projection;

	p->pruning = false;
	note_result(&p->syncing, job->error, "the catalog", "synced");
	if (job->error == 0) {
		p->durable = j->applied;
		prune(p);
	}
	free(j);
}

static void post_sync(Projection *p)
{
	SyncJob *j = calloc(1, sizeof(*j));

	if (!j)
		return; /* tried again with the next event that is synced */
	j->job.run = sync_run;
	j->job.done = sync_done;
	j->projection = p;
	j->applied = p->applied;
	p->pruning = true;
	reader_post(p->reader, &j->job);
}

typedef struct PruneJob {
	ReaderJob job;
	Projection *projection;
	uint64_t *bases;
	size_t n, n_removed;
	uint64_t oldest_seq;
	CatalogStats pruned;
} PruneJob;

static int remove_file(int log_dirfd, uint64_t base, const char *suffix)
{
	char name[SEGMENT_NAME_LEN + 16];

	segment_name(base, suffix, name);
	return unlinkat(log_dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static void add_difference(CatalogStats *sum, const CatalogStats *more, const CatalogStats *less)
{
	sum->spawned += more->spawned - less->spawned;
	sum->completed += more->completed - less->completed;
	sum->failed += more->failed - less->failed;
	sum->cancelled += more->cancelled - less->cancelled;
	sum->chunks += more->chunks - less->chunks;
	sum->bytes += more->bytes - less->bytes;
}

/* A slice. 1: there may be more. */
static int prune_rows(PruneJob *j, Catalog *catalog)
{
	CatalogStats before, after;
	uint64_t deleted = 0;
	int r = catalog_stats(catalog, NULL, &before);

	if (r >= 0)
		r = catalog_prune(catalog, j->oldest_seq, &deleted);
	if (r >= 0)
		r = catalog_stats(catalog, NULL, &after);
	if (r < 0)
		return r;
	add_difference(&j->pruned, &before, &after);
	return deleted > 0;
}

/* Oldest first, and none past one that stays: a crash in the middle leaves no hole. */
static int remove_segments(PruneJob *j, int log_dirfd)
{
	int r = 0;

	while (r == 0 && j->n_removed < j->n) {
		r = remove_file(log_dirfd, j->bases[j->n_removed], ".post");
		if (r == 0)
			r = remove_file(log_dirfd, j->bases[j->n_removed], ".ndjson");
		if (r == 0)
			r = remove_file(log_dirfd, j->bases[j->n_removed], ".idx");
		if (r == 0)
			j->n_removed++;
	}
	return r;
}

static bool prune_run(ReaderJob *job, Reader *reader)
{
	PruneJob *j = container_of(job, PruneJob, job);
	int r;

	job->error = remove_segments(j, reader_log_dirfd(reader));
	reader_forget(reader, j->oldest_seq);
	if (job->error < 0)
		return false;
	r = prune_rows(j, reader_catalog(reader));
	if (r < 0)
		log_warning("the catalog cannot be pruned: %s", strerror(-r));
	return r > 0;
}

static void prune_done(ReaderJob *job)
{
	PruneJob *j = container_of(job, PruneJob, job);
	Projection *p = j->projection;
	const CatalogStats none = { 0 };

	p->pruning = false;
	add_difference(&p->pruned, &j->pruned, &none);
	note_result(&p->removing, job->error, "old segments", "removed");
	p->n_doomed = j->n - j->n_removed;
	if (p->n_doomed > 0) {
		p->doomed = TAKE_PTR(j->bases);
		memmove(p->doomed, p->doomed + j->n_removed, p->n_doomed * sizeof(*p->doomed));
	}
	free(j->bases);
	free(j);
	prune(p);
}

static void post_prune(Projection *p)
{
	PruneJob *j = calloc(1, sizeof(*j));

	if (!j)
		return; /* tried again with the next event that is synced */
	j->job.run = prune_run;
	j->job.done = prune_done;
	j->projection = p;
	j->bases = TAKE_PTR(p->doomed);
	j->n = p->n_doomed;
	p->n_doomed = 0;
	j->oldest_seq = eventlog_oldest_seq(p->log);
	p->pruning = true;
	reader_post(p->reader, &j->job);
}

static void prune(Projection *p)
{
	bool may_sync = may_try(&p->syncing), may_remove = may_try(&p->removing);

	if (p->pruning)
		return;
	if (p->n_doomed == 0 &&
		eventlog_prune(p->log, p->durable + 1, &p->doomed, &p->n_doomed) < 0)
		return;
	if (p->n_doomed > 0 && may_remove)
		post_prune(p);
	else if (p->n_doomed == 0 && may_sync && p->applied > p->durable &&
		 eventlog_prune_due(p->log))
		post_sync(p);
}

/* `all`: also the counters of who runs. Retention takes nothing that the catalog does not know. */
static void run(Projection *p, bool all)
{
	size_t room = p->n_dirty < ROWS_AT_ONCE ? p->n_dirty : ROWS_AT_ONCE;
	bool may_write = may_try(&p->writing);
	RowsJob *j;

	note_synced(p);
	prune(p);
	if (p->in_flight || room == 0 || !may_write || rows_new(p, room, &j) < 0)
		return;
	gather(p, j, room, all || eventlog_prune_due(p->log));
	if (j->n == 0) {
		free(j->agents);
		free(j->since);
		free(j);
		return;
	}
	j->applied = applied_now(p);
	j->view = eventlog_view(p->log);
	p->in_flight = true;
	reader_post(p->reader, &j->job);
}

void projection_run(Projection *p)
{
	run(p, false);
}

void projection_flush(Projection *p)
{
	run(p, true);
}
