#include "daemon/check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/eventlog/catalog.h"
#include "daemon/eventlog/log-check.h"
#include "daemon/eventlog/log-meta.h"
#include "daemon/state-dir.h"

#define CATALOG_FILE "catalog.db"
#define META_FILE    "log.json"

#define ROWS_AT_ONCE 1000

typedef struct StateCheck {
	const char *state_dir;
	Findings findings;
	LogCheck log;
	Catalog *catalog; /* NULL: none, or none that can be read */
	bool no_log;      /* nothing to look at */
	uint64_t rows, before;
	size_t page;
} StateCheck;

/* ---- The catalog ---- */

/* Before the log is read: what the catalog knows at this moment must then be found there. */
static int open_catalog(StateCheck *s)
{
	int r = catalog_open_readonly(s->state_dir, &s->catalog);

	findings_file(&s->findings, CATALOG_FILE);
	if (r == -ENOENT)
		findings_note(&s->findings, "there is none; the next start makes it");
	else if (r == -ENOMEM)
		return r;
	else if (r < 0)
		findings_problem(&s->findings, "it cannot be read: %s", strerror(-r));
	else
		s->log.applied = catalog_applied(s->catalog);
	return 0;
}

static void check_integrity(StateCheck *s)
{
	_cleanup_buf_ Buf report = { 0 };
	int r = catalog_check(s->catalog, &report);
	char *line = report.data, *newline;
	size_t left = report.len;

	for (; left > 0 && (newline = memchr(line, '\n', left)); line = newline + 1) {
		findings_problem(&s->findings, "%.*s", (int)(newline - line), line);
		left -= (size_t)(newline + 1 - line);
	}
	if (r < 0 && report.len == 0)
		findings_problem(&s->findings, "it cannot be read: %s", strerror(-r));
}

static void row_problem(
	StateCheck *s, const CatalogRow *row, const char *what, uint64_t in_row, uint64_t in_log)
{
	findings_problem(&s->findings,
		"row %" PRIu64 " has %s %" PRIu64 "; in the log it is %" PRIu64, row->seq, what,
		in_row, in_log);
}

static void compare_end(StateCheck *s, const CatalogRow *row, const Life *l)
{
	if (row->state != (AgentState)l->state)
		findings_problem(&s->findings,
			"row %" PRIu64 " says that the agent is %s; the log, that it is %s",
			row->seq, agent_state_to_string(row->state),
			agent_state_to_string(l->state));
	if (row->chunks != l->chunks)
		row_problem(s, row, "chunks", row->chunks, l->chunks);
	if (row->bytes != l->bytes)
		row_problem(s, row, "bytes", row->bytes, l->bytes);
	if (row->last_seq != l->last_seq)
		row_problem(s, row, "last_seq", row->last_seq, l->last_seq);
}

static void compare(StateCheck *s, const CatalogRow *row, Life *l)
{
	bool ended = agent_state_is_final(row->state);

	l->has_row = true;
	if (l->number != 0 && l->number != row->seq)
		findings_problem(&s->findings,
			"row %" PRIu64 " is of the agent that the log has as %" PRIu64, row->seq,
			l->number);
	else if (ended && l->stage == LIFE_ENDED)
		compare_end(s, row, l);
	else if (ended && row->last_seq < s->log.end_seq && s->log.lives.hole_seq <= row->last_seq)
		findings_problem(&s->findings,
			"row %" PRIu64 " says that the agent has ended; the log does not",
			row->seq);
	else if (row->last_seq < l->known_seq)
		findings_problem(&s->findings,
			"row %" PRIu64 " knows the agent up to %" PRIu64 "; it must up to %" PRIu64,
			row->seq, row->last_seq, l->known_seq);
}

static int on_row(const CatalogRow *row, void *userdata)
{
	StateCheck *s = userdata;
	Life *l;

	s->page++;
	s->rows++;
	s->before = row->seq;
	/* A daemon that is running has gone on since the log was looked at. */
	if (row->seq >= s->log.end_seq) {
		if (!s->log.running)
			findings_problem(&s->findings,
				"row %" PRIu64 " is beyond the end of the log", row->seq);
		return 0;
	}
	l = life_check_find(&s->log.lives, &row->agent_id);
	if (l)
		compare(s, row, l);
	else if (row->seq >= s->log.oldest_seq && row->seq >= s->log.lives.hole_seq)
		findings_problem(&s->findings,
			"row %" PRIu64 " is of an agent that is not in the log", row->seq);
	return 0;
}

static int walk_rows(StateCheck *s)
{
	CatalogQuery query = { .before = UINT64_MAX, .limit = ROWS_AT_ONCE };
	int r;

	do {
		s->page = 0;
		r = catalog_list(s->catalog, &query, on_row, s);
		query.before = s->before;
	} while (r == 0 && s->page == ROWS_AT_ONCE);
	return r;
}

static int check_missing_rows(StateCheck *s)
{
	uint64_t oldest = s->log.oldest_seq;
	int r = 0;

	/* Retention may have gone on meanwhile. */
	if (s->log.running)
		r = log_check_oldest(s->log.dirfd, &oldest);
	for (size_t i = 0; r == 0 && i < s->log.lives.cap; i++) {
		const Life *l = &s->log.lives.table[i];
		char id[UUID_TEXT_LEN + 1];

		if (l->stage == LIFE_NONE || l->has_row || l->known_seq == 0 ||
			l->last_seq < oldest)
			continue;
		uuid_format(&l->id, id);
		findings_problem(
			&s->findings, "there is no row for agent %s, seq %" PRIu64, id, l->number);
	}
	return r;
}

static int check_catalog(StateCheck *s)
{
	uint64_t newest = s->log.end_seq > 0 ? s->log.end_seq - 1 : 0;
	int r;

	if (!s->catalog)
		return 0;
	findings_file(&s->findings, CATALOG_FILE);
	/* A daemon that is running has gone on since the log was looked at. */
	if (s->log.applied > newest && !s->log.running)
		findings_problem(&s->findings,
			"it is applied up to %" PRIu64 ", beyond the end of the log, %" PRIu64,
			s->log.applied, newest);
	check_integrity(s);
	r = walk_rows(s);
	if (r < 0 && r != -ENOMEM) {
		findings_problem(&s->findings, "its rows cannot be read: %s", strerror(-r));
		return 0;
	}
	return r < 0 ? r : check_missing_rows(s);
}

/* ---- log.json ---- */

/* After the log was read: a daemon that is running raises the ceiling before it needs it. */
static int check_meta(StateCheck *s)
{
	LogMeta meta;
	int r = log_meta_read(s->log.dirfd, &meta);

	findings_file(&s->findings, META_FILE);
	if (r == -ENOENT && s->log.segments == 0)
		findings_note(&s->findings, "there is none, and no log either");
	else if (r == -ENOENT || r == -EBADMSG)
		findings_problem(&s->findings, "it is %s", r == -ENOENT ? "missing" : "damaged");
	else if (r < 0)
		return r;
	else if (meta.seq_ceiling < s->log.end_seq)
		findings_problem(&s->findings,
			"its seq_ceiling, %" PRIu64 ", is below the end of the log, %" PRIu64,
			meta.seq_ceiling, s->log.end_seq - 1);
	else if (!meta.clean && !s->log.running)
		findings_note(&s->findings, "the last daemon did not end in order");
	return 0;
}

/* ---- All of it ---- */

/* Asks who has the lock of the state directory, without taking it. */
static int is_running(int state_dirfd, bool *ret)
{
	_cleanup_close_ int fd = openat(state_dirfd, "daemon.lock", O_RDONLY | O_CLOEXEC);
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	*ret = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fcntl(fd, F_GETLK, &lock) < 0)
		return -errno;
	*ret = lock.l_type != F_UNLCK;
	return 0;
}

static int look(StateCheck *s)
{
	_cleanup_close_ int dirfd = open(s->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			    log_dirfd = -1;
	int r;

	if (dirfd < 0)
		return -errno;
	log_dirfd = openat(dirfd, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (log_dirfd < 0) {
		s->no_log = errno == ENOENT || errno == ENOTDIR;
		return -errno;
	}
	s->log.dirfd = log_dirfd;
	s->log.findings = &s->findings;
	r = is_running(dirfd, &s->log.running);
	if (r == 0)
		r = open_catalog(s);
	findings_file(&s->findings, NULL);
	if (r == 0)
		r = log_check_run(&s->log);
	if (r == 0)
		r = check_meta(s);
	if (r == 0)
		r = check_catalog(s);
	findings_file(&s->findings, NULL);
	return r;
}

static int describe_totals(const StateCheck *s, Buf *b)
{
	const LogCheck *log = &s->log;
	size_t ended = 0;
	int r;

	for (size_t i = 0; i < log->lives.cap; i++)
		ended += log->lives.table[i].stage == LIFE_ENDED;
	r = buf_append_count(b, log->events, "event");
	if (r == 0 && log->end_seq > log->oldest_seq)
		r = buf_printf(
			b, " (%" PRIu64 " to %" PRIu64 ")", log->oldest_seq, log->end_seq - 1);
	if (r == 0)
		r = buf_append_str(b, ", ");
	if (r == 0)
		r = buf_append_count(b, log->bytes, "byte");
	if (r == 0)
		r = buf_append_str(b, ", ");
	if (r == 0)
		r = buf_append_count(b, log->segments, "segment");
	if (r == 0)
		r = buf_append_str(b, ", ");
	if (r == 0)
		r = buf_append_count(b, log->lives.n, "agent");
	if (r == 0)
		r = buf_printf(b, " (%zu ended)", ended);
	if (r < 0 || !s->catalog)
		return r;
	r = buf_append_str(b, "; the catalog has ");
	if (r == 0)
		r = buf_append_count(b, s->rows, "row");
	return r < 0 ? r : buf_printf(b, " and is applied up to %" PRIu64, log->applied);
}

static int print_totals(const StateCheck *s)
{
	_cleanup_buf_ Buf totals = { 0 }, problems = { 0 };
	FILE *out = s->findings.out;
	int r;

	r = describe_totals(s, &totals);
	if (r == 0)
		r = buf_append_count(&problems, s->findings.problems, "problem");
	if (r < 0)
		return r;
	fprintf(out, "%s%s: %.*s\n", s->state_dir, s->log.running ? " (a daemon is running)" : "",
		(int)totals.len, totals.data);
	if (s->findings.problems == 0)
		fputs("all is well\n", out);
	else
		fprintf(out, "%.*s\n", (int)problems.len, problems.data);
	return 0;
}

int check_state(const Config *config, FILE *out)
{
	_cleanup_free_ char *state_dir = NULL;
	StateCheck s = { .findings.out = out };
	int r = state_dir_find(config, &state_dir);

	if (r < 0) {
		fprintf(out, "there is no state directory: %s\n", strerror(-r));
		return r;
	}
	s.state_dir = state_dir;
	r = look(&s);
	if (s.no_log)
		fprintf(out, "%s holds no log\n", state_dir);
	else if (r < 0)
		fprintf(out, "%s cannot be looked at: %s\n", state_dir, strerror(-r));
	else
		r = print_totals(&s);
	log_check_done(&s.log);
	catalog_close(s.catalog);
	if (fflush(out) != 0 && r == 0)
		r = -errno;
	return r == 0 && s.findings.problems > 0 ? -EBADMSG : r;
}
