#include <errno.h>
#include <string.h>

#include "common/json-writer.h"
#include "daemon/eventlog/catalog-internal.h"

#define ALL_STATES  ((1U << _AGENT_STATE_MAX) - 1)
#define LIVE_STATES ((1U << AGENT_STATE_QUEUED) | (1U << AGENT_STATE_RUNNING))
#define COMPLETED   (1U << AGENT_STATE_COMPLETED)

/* Of a list: well below a millisecond, unless specs are very long. */
#define STRETCH_ROWS 128U

/* Takes one column after the other. */
typedef struct Columns {
	sqlite3_stmt *statement;
	int next;
} Columns;

static uint64_t column_uint(Columns *k)
{
	return (uint64_t)sqlite3_column_int64(k->statement, k->next++);
}

static const char *column_string(Columns *k)
{
	return (const char *)sqlite3_column_text(k->statement, k->next++);
}

/* As a blob, of which SQLite makes no copy to put a NUL behind it. */
static const char *column_bytes(Columns *k, size_t *ret_len)
{
	const char *bytes = sqlite3_column_blob(k->statement, k->next);

	*ret_len = (size_t)sqlite3_column_bytes(k->statement, k->next++);
	return bytes;
}

static int read_row(Catalog *c, sqlite3_stmt *s, CatalogRow *row)
{
	Columns k = { .statement = s };
	const char *id;
	size_t id_len;
	uint64_t state;

	row->seq = column_uint(&k);
	id = column_bytes(&k, &id_len);
	row->backend = column_string(&k);
	row->group = column_string(&k);
	row->correlation_id = column_string(&k);
	row->uid = (uint32_t)column_uint(&k);
	row->priority = (int32_t)column_uint(&k);
	row->spawned_us = column_uint(&k);
	state = column_uint(&k);
	row->attempt = (uint32_t)column_uint(&k);
	row->started_us = column_uint(&k);
	row->ended_us = column_uint(&k);
	row->chunks = column_uint(&k);
	row->bytes = column_uint(&k);
	row->last_seq = column_uint(&k);
	row->output_seq = column_uint(&k);
	row->ending = column_bytes(&k, &row->ending_len);
	row->spec = column_bytes(&k, &row->spec_len);

	if (sqlite3_errcode(c->db) == SQLITE_NOMEM)
		return -ENOMEM;
	if (!id || id_len != sizeof(row->agent_id.bytes) || state >= _AGENT_STATE_MAX ||
		!row->backend || !row->group || !row->spec)
		return -EBADMSG;
	memcpy(row->agent_id.bytes, id, sizeof(row->agent_id.bytes));
	row->state = (AgentState)state;
	return 0;
}

/* Gives every row of the statement away, and resets it. *ret_n: how many there were. > 0: on_row
 * stopped it. */
static int walk(Catalog *c, sqlite3_stmt *s, CatalogOnRow on_row, void *userdata, uint32_t *ret_n)
{
	int rc, r = 0;
	uint32_t n = 0;

	while (r == 0 && (rc = sqlite3_step(s)) != SQLITE_DONE) {
		CatalogRow row = { 0 };

		r = rc == SQLITE_ROW ? read_row(c, s, &row) : catalog_error(c, rc);
		if (r < 0)
			break;
		n += n < UINT32_MAX;
		r = on_row(&row, userdata);
	}
	(void)sqlite3_reset(s);
	*ret_n = n;
	return r;
}

int catalog_get(Catalog *c, uint64_t seq, CatalogOnRow on_row, void *userdata)
{
	sqlite3_stmt *s;
	CatalogBind b;
	uint32_t n = 0;
	int r = catalog_statement(c, CATALOG_GET, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, seq);
	if ((r = catalog_bind_done(&b, c)) < 0 || (r = walk(c, s, on_row, userdata, &n)) < 0)
		return r;
	return n > 0 ? 0 : -ENOENT;
}

static int find_range(Catalog *c, const Uuid range[2], uint32_t limit, CatalogOnRow on_row,
	void *userdata, uint32_t *ret_n)
{
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, CATALOG_FIND_ID, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uuid(&b, &range[0]);
	catalog_bind_uuid(&b, &range[1]);
	catalog_bind_uint(&b, limit);
	r = catalog_bind_done(&b, c);
	return r < 0 ? r : walk(c, s, on_row, userdata, ret_n);
}

int catalog_get_by_id(Catalog *c, const Uuid *id, CatalogOnRow on_row, void *userdata)
{
	const Uuid range[2] = { *id, *id };
	uint32_t n = 0;
	int r = find_range(c, range, 1, on_row, userdata, &n);

	if (r < 0)
		return r;
	return n > 0 ? 0 : -ENOENT;
}

static int nibble_of(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* The least and the greatest UUID that begin so. False: none does. */
static bool parse_prefix(const char *prefix, Uuid range[2])
{
	size_t nibbles = 0;

	memset(range[0].bytes, 0x00, sizeof(range[0].bytes));
	memset(range[1].bytes, 0xff, sizeof(range[1].bytes));
	for (size_t i = 0; prefix[i] != '\0'; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
		int value = nibble_of(prefix[i]);
		unsigned int shift = nibbles % 2 == 0 ? 4 : 0;
		uint8_t *low, *high;

		if (i >= UUID_TEXT_LEN || hyphen != (prefix[i] == '-') || (!hyphen && value < 0))
			return false;
		if (hyphen)
			continue;
		low = &range[0].bytes[nibbles / 2];
		high = &range[1].bytes[nibbles / 2];
		*low = (uint8_t)(*low | value << shift);
		*high = (uint8_t)((*high & ~(0xf << shift)) | value << shift);
		nibbles++;
	}
	return true;
}

int catalog_find_prefix(
	Catalog *c, const char *prefix, uint32_t limit, CatalogOnRow on_row, void *userdata)
{
	Uuid range[2];
	uint32_t n;
	int r;

	if (!parse_prefix(prefix, range))
		return 0;
	r = find_range(c, range, limit, on_row, userdata, &n);
	return r < 0 ? r : 0;
}

static int write_labels(const CatalogQuery *q, Buf *b)
{
	JsonWriter w;

	jw_init(&w, b);
	jw_object_begin(&w);
	for (size_t i = 0; i < q->n_labels; i++) {
		jw_key_escaped(&w, q->labels[i].key, strlen(q->labels[i].key));
		jw_cstring(&w, q->labels[i].value);
	}
	jw_object_end(&w);
	return jw_finish(&w);
}

static CatalogStatement list_statement(const CatalogQuery *q, uint32_t states)
{
	if (q->correlation_id)
		return CATALOG_LIST_CORRELATION;
	if ((states & ~LIVE_STATES) == 0)
		return CATALOG_LIST_LIVE;
	if ((states & (LIVE_STATES | COMPLETED)) == 0)
		return CATALOG_LIST_FAILED;
	return CATALOG_LIST_ALL;
}

/* The seq down to which there are STRETCH_ROWS rows that the statement looks at. 0: there are no
 * more than that. */
static int find_floor(Catalog *c, const CatalogQuery *q, CatalogStatement which, uint64_t *ret)
{
	sqlite3_stmt *s;
	CatalogBind b;
	int r = catalog_statement(c, which, &s);

	if (r < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, q->before > INT64_MAX ? INT64_MAX : q->before);
	catalog_bind_uint(&b, STRETCH_ROWS);
	if (q->correlation_id) {
		b.next = 7;
		catalog_bind_cstring(&b, q->correlation_id);
	}
	r = catalog_bind_done(&b, c);
	if (r < 0)
		return r;
	*ret = sqlite3_step(s) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
	return catalog_error(c, sqlite3_reset(s));
}

/* The rows of [floor, before) that match. As walk(). */
static int list_down_to(Catalog *c, const CatalogQuery *q, CatalogStatement which, uint32_t states,
	uint64_t floor, CatalogOnRow on_row, void *userdata, uint32_t *ret_n)
{
	_cleanup_buf_ Buf labels = { 0 };
	sqlite3_stmt *s;
	CatalogBind b;
	int r;

	if ((r = write_labels(q, &labels)) < 0 || (r = catalog_statement(c, which, &s)) < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_uint(&b, q->before > INT64_MAX ? INT64_MAX : q->before);
	catalog_bind_uint(&b, states);
	catalog_bind_cstring(&b, q->backend);
	catalog_bind_cstring(&b, q->group);
	catalog_bind_text(&b, q->n_labels > 0 ? labels.data : NULL, labels.len);
	catalog_bind_uint(&b, q->limit);
	catalog_bind_cstring(&b, q->correlation_id);
	catalog_bind_uint(&b, floor);
	r = catalog_bind_done(&b, c);
	return r < 0 ? r : walk(c, s, on_row, userdata, ret_n);
}

int catalog_list_stretch(Catalog *c, CatalogQuery *q, CatalogOnRow on_row, void *userdata)
{
	uint32_t states = q->states == 0 ? ALL_STATES : q->states & ALL_STATES, n = 0;
	CatalogStatement which = list_statement(q, states);
	uint64_t floor = 0;
	int r = find_floor(c, q, which - CATALOG_LIST_ALL + CATALOG_FLOOR_ALL, &floor);

	if (r == 0)
		r = list_down_to(c, q, which, states, floor, on_row, userdata, &n);
	if (r != 0)
		return r < 0 ? r : 0;
	q->before = floor;
	q->limit -= n;
	return floor > 0 && q->limit > 0;
}

int catalog_list(Catalog *c, const CatalogQuery *q, CatalogOnRow on_row, void *userdata)
{
	CatalogQuery left = *q;
	int r;

	do
		r = catalog_list_stretch(c, &left, on_row, userdata);
	while (r > 0);
	return r;
}

int catalog_live(Catalog *c, CatalogOnRow on_row, void *userdata)
{
	sqlite3_stmt *s;
	uint32_t n;
	int r = catalog_statement(c, CATALOG_LIVE, &s);

	if (r < 0)
		return r;
	r = walk(c, s, on_row, userdata, &n);
	return r < 0 ? r : 0;
}

static int read_counts(Catalog *c, sqlite3_stmt *s, CatalogStats *ret)
{
	Columns k = { .statement = s };

	if (sqlite3_step(s) == SQLITE_ROW) {
		ret->spawned = column_uint(&k);
		ret->completed = column_uint(&k);
		ret->failed = column_uint(&k);
		ret->cancelled = column_uint(&k);
		ret->chunks = column_uint(&k);
		ret->bytes = column_uint(&k);
	}
	return catalog_error(c, sqlite3_reset(s));
}

int catalog_stats(Catalog *c, const char *correlation_id, CatalogStats *ret)
{
	CatalogStats counts = { 0 };
	sqlite3_stmt *s;
	CatalogBind b;
	int r;

	if (!correlation_id) {
		*ret = c->state.totals;
		return 0;
	}
	if ((r = catalog_statement(c, CATALOG_STATS, &s)) < 0)
		return r;
	b = catalog_bind(s);
	catalog_bind_cstring(&b, correlation_id);
	if ((r = catalog_bind_done(&b, c)) < 0 || (r = read_counts(c, s, &counts)) < 0)
		return r;
	*ret = counts;
	return 0;
}

/* The structure of the file. 1: there was something to report. */
static int check_integrity(Catalog *c, Buf *report)
{
	bool sound = true;
	sqlite3_stmt *s;
	int r = catalog_statement(c, CATALOG_CHECK_INTEGRITY, &s);

	if (r < 0)
		return r;
	while (r == 0 && sqlite3_step(s) == SQLITE_ROW) {
		const char *line = (const char *)sqlite3_column_text(s, 0);

		if (line && strcmp(line, "ok") == 0)
			continue;
		sound = false;
		r = buf_printf(report, "%s\n", line ? line : "damaged");
	}
	if (r < 0)
		(void)sqlite3_reset(s);
	else
		r = catalog_error(c, sqlite3_reset(s));
	return r < 0 ? r : !sound;
}

/* What was counted along against what is there. One statement, so that both are of one moment. */
static int check_totals(Catalog *c, Buf *report)
{
	bool equal = false;
	sqlite3_stmt *s;
	int r = catalog_statement(c, CATALOG_CHECK_TOTALS, &s);

	if (r < 0)
		return r;
	if (sqlite3_step(s) == SQLITE_ROW)
		equal = sqlite3_column_int(s, 0) == 1;
	r = catalog_error(c, sqlite3_reset(s));
	if (r < 0 || equal)
		return r;
	r = buf_append_str(report, "the totals differ from the sums of the rows\n");
	return r < 0 ? r : 1;
}

int catalog_check(Catalog *c, Buf *report)
{
	int r = check_integrity(c, report);

	if (r == 0)
		r = check_totals(c, report);
	if (r == -EBADMSG)
		(void)!buf_printf(report, "%s\n", sqlite3_errmsg(c->db));
	return r > 0 ? -EBADMSG : r;
}
