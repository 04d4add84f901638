#include "daemon/eventlog/eventlog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "daemon/eventlog/log-meta.h"
#include "daemon/eventlog/log-recover.h"

/* What main keeps of the newest batches: readers that are less far behind are served from memory.
 */
#define HOT_BYTES (4U * 1024 * 1024)

/* What a dead daemon had not synced is in these, at the end of the log: the sealed one that the
 * syncer has, the one that it was to be given next, and the successor of that, in which nothing is
 * yet. */
#define UNSYNCED_SEGMENTS 3

/* With a longer sync_interval nothing counts as fresh. */
#define FRESH_US (10 * USEC_PER_SEC)

/* So many segments can be begun before there has to be memory to list them. */
#define MAX_BEGUN 16

/* A segment that the committer has begun, and which is not in the table yet. */
typedef struct Begun {
	uint64_t base;
	uint64_t bytes_before; /* in the one that was sealed for it */
} Begun;

struct EventLog {
	EventLogHooks hooks;
	int dirfd;
	LogMeta meta;
	bool power_cut; /* the last daemon did not end in order, and the machine was started anew
			   since */
	uint64_t lost_from, lost_to; /* 0: nothing is to be announced */
	bool stale;                  /* the catalog knew more events than there are */
	EventLogOptions options;

	SegmentTable *table;
	Segment *active; /* until the committer takes it */
	uint64_t active_base;
	uint64_t active_bytes;
	uint64_t sealed_bytes;
	Begun begun[MAX_BEGUN];
	size_t n_begun;
	uint64_t end_seq;
	uint64_t synced_seq;
	int error;
	Committer *committer;
	bool stopped_in_order;
	LogTotals totals;

	/* A ring of the hot batches, oldest first. */
	const Batch **hot;
	size_t hot_cap, hot_head, hot_n;
	size_t hot_bytes;
};

/* ---- Opening ---- */

/* All segments there are, by base, without their ends. */
static int list_segments(EventLog *log)
{
	_cleanup_buf_ Buf bases = { 0 };
	size_t n;
	int r = segment_list(log->dirfd, &bases);

	if (r < 0 || bases.len == 0)
		return r;
	n = bases.len / sizeof(uint64_t);
	log->table = segment_table_copy(NULL, 0, n);
	if (!log->table)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		memcpy(&log->table->infos[i].base, bases.data + i * sizeof(uint64_t),
			sizeof(uint64_t));
	return 0;
}

/* What the last daemon left behind, or a new log. */
static int read_meta(EventLog *log, Durability durability)
{
	Uuid boot_id;
	int r = log_meta_boot_id(&boot_id);

	if (r < 0)
		return r;
	r = log_meta_read(log->dirfd, &log->meta);
	if (r == -ENOENT || r == -EBADMSG) {
		if (r == -EBADMSG || log->table)
			log_warning("log.json is %s: the log gets a new log_id",
				r == -ENOENT ? "missing" : "damaged");
		log->meta = (LogMeta){ .seq_ceiling = 1, .durability = durability };
		log->power_cut = log->table;
		r = uuid_generate(&log->meta.log_id);
	} else if (r == 0) {
		log->power_cut = !log->meta.clean && !uuid_equal(&log->meta.boot_id, &boot_id);
	}
	log->meta.boot_id = boot_id;
	return r;
}

int eventlog_open(const char *state_dir, const EventLogOptions *options, EventLog **ret)
{
	_cleanup_buf_ Buf path = { 0 };
	EventLog *log = calloc(1, sizeof(*log));
	int r;

	if (!log)
		return -ENOMEM;
	log->dirfd = -1;
	log->options = *options;
	log_totals_init(&log->totals);
	r = buf_printf(&path, "%s/log", state_dir);
	if (r == 0)
		r = buf_terminate(&path);
	if (r == 0)
		r = dir_make(path.data, 0700);
	if (r == 0) {
		log->dirfd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = log->dirfd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = list_segments(log);
	if (r == 0)
		r = read_meta(log, options->durability);
	if (r < 0) {
		eventlog_close(log);
		return r;
	}
	*ret = log;
	return 0;
}

/* ---- Recovery ---- */

/* The last segment. */
typedef struct Tail {
	Segment *segment; /* one reference */
	SegmentState state;
} Tail;

/* It may hold what a dead daemon had not synced. */
static bool is_recent(const EventLog *log, size_t i)
{
	return i + UNSYNCED_SEGMENTS >= log->table->n;
}

/* Sealed, synced, and known to the catalog: the sizes of its files say all that is to be known.
 * False: they do not. */
static bool list_segment(const EventLog *log, size_t i, uint64_t from_seq)
{
	SegmentInfo *info = &log->table->infos[i];
	char name[SEGMENT_NAME_LEN + 16];
	struct stat st;
	uint64_t end;

	if (is_recent(log, i) || info[1].base > from_seq)
		return false;
	end = info[1].base;
	segment_name(info->base, ".idx", name);
	if (fstatat(log->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		(uint64_t)st.st_size != (end - info->base) * sizeof(IndexRecord))
		return false;
	segment_name(info->base, ".ndjson", name);
	if (fstatat(log->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size == 0)
		return false;
	info->end = end;
	info->bytes = (uint64_t)st.st_size;
	return true;
}

static int recover_segment(
	EventLog *log, size_t i, uint64_t from_seq, const EventLogRecovery *recovery, Tail *tail)
{
	SegmentInfo *info = &log->table->infos[i];
	bool last = i + 1 == log->table->n;
	char name[SEGMENT_NAME_LEN + 16];
	int r;

	segment_unref(TAKE_PTR(tail->segment));
	/* Its index may become another one. */
	segment_name(info->base, ".post", name);
	(void)unlinkat(log->dirfd, name, 0);
	r = segment_open(log->dirfd, info->base, false, &tail->segment);
	if (r == 0)
		r = segment_recover(tail->segment, log->power_cut && is_recent(log, i), from_seq,
			recovery, &tail->state);
	if (r < 0)
		return r;
	info->end = tail->state.end;
	info->bytes = tail->state.bytes;
	if (!last && info->end > info[1].base) {
		log_error("segment %020" PRIu64 " overlaps the next one", info->base);
		return -EBADMSG;
	}
	if (!last)
		r = segment_cut(log->dirfd, tail->segment, &tail->state);
	/* What a dead daemon had not synced yet is, before anybody builds on it. */
	if (r == 0 && !log->meta.clean && is_recent(log, i) && fdatasync(tail->segment->fd) < 0)
		r = -errno;
	return r;
}

/* All of them. *ret_doubtful: holes from before this one on may not have been announced. */
static int recover_segments(EventLog *log, uint64_t from_seq, const EventLogRecovery *recovery,
	Tail *tail, size_t *ret_doubtful)
{
	size_t n = log->table ? log->table->n : 0;
	size_t doubtful = n > UNSYNCED_SEGMENTS ? n - UNSYNCED_SEGMENTS : 1;

	for (size_t i = 0; i < n; i++) {
		int r = 0;

		if (!list_segment(log, i, from_seq)) {
			r = recover_segment(log, i, from_seq, recovery, tail);
			if (tail->state.lost > 0 && i + 1 < doubtful)
				doubtful = i + 1;
		}
		if (r < 0)
			return r;
		log->end_seq = log->table->infos[i].end;
	}
	*ret_doubtful = doubtful;
	return 0;
}

/* 1: what is missing before segment `i` was told by the daemon that began it, or by one after that.
 */
static int is_announced(const EventLog *log, size_t i)
{
	const SegmentInfo *infos = log->table->infos;
	int r = 0;

	for (size_t j = i; r == 0 && j < log->table->n; j++)
		r = segment_announces(
			log->dirfd, infos[j].base, infos[i - 1].end, infos[i].base - 1);
	return r;
}

/* Where the oldest hole begins that nobody was told of: the last daemon died before it could, or it
 * is new. */
static int note_holes(EventLog *log, size_t doubtful)
{
	size_t n = log->table ? log->table->n : 0;

	for (size_t i = doubtful; i < n && log->lost_from == 0; i++) {
		const SegmentInfo *infos = log->table->infos;
		int r = infos[i].base > infos[i - 1].end ? is_announced(log, i) : 1;

		if (r < 0)
			return r;
		if (r == 0)
			log->lost_from = infos[i - 1].end;
	}
	return 0;
}

/* No number that may have been seen is given out again, whatever became of its event. */
static void pass_over_lost(EventLog *log, uint64_t lost)
{
	uint64_t next = log->end_seq, ceiling = log->meta.seq_ceiling;
	bool unsynced = log->power_cut && log->meta.durability == DURABILITY_INTERVAL;
	bool doubtful = unsynced || log->stale || !log->table;

	if (log->lost_from == 0 && (lost > 0 || (doubtful && ceiling > next)))
		log->lost_from = next;
	if (log->lost_from == 0)
		return;
	next += lost;
	log->end_seq = next > ceiling ? next : ceiling;
	log->lost_to = log->end_seq - 1;
}

static int begin_segment(EventLog *log)
{
	SegmentTable *t;
	int r = segment_open(log->dirfd, log->end_seq, true, &log->active);

	if (r < 0)
		return r;
	t = segment_table_copy(log->table, 0, 1);
	if (!t)
		return -ENOMEM;
	t->infos[t->n - 1] = (SegmentInfo){ .base = log->end_seq, .end = UINT64_MAX };
	segment_table_unref(log->table);
	log->table = t;
	log->active_bytes = 0;
	return 0;
}

/* The place where the log goes on: the last segment, or a new one. What announces a hole is the
 * first event of a segment. */
static int prepare_active(EventLog *log, const Tail *tail)
{
	SegmentInfo *info = log->table ? &log->table->infos[log->table->n - 1] : NULL;

	pass_over_lost(log, tail->state.lost);
	if (!info || info->end != log->end_seq || (log->lost_from > 0 && info->end > info->base))
		return begin_segment(log);
	log->active = segment_ref(tail->segment);
	log->active_bytes = info->bytes;
	info->end = UINT64_MAX;
	info->bytes = 0;
	return 0;
}

static int recover(EventLog *log, uint64_t from_seq, const EventLogRecovery *recovery, Tail *tail)
{
	size_t doubtful = 0;
	int r = recover_segments(log, from_seq, recovery, tail, &doubtful);

	if (r == 0)
		r = note_holes(log, doubtful);
	if (r == 0)
		r = prepare_active(log, tail);
	if (r < 0)
		return r;
	/* Before anything is cut off: that numbers were given out is then said by the name of the
	 * new segment. */
	if (fsync(log->dirfd) < 0)
		return -errno;
	return tail->segment ? segment_cut(log->dirfd, tail->segment, &tail->state) : 0;
}

int eventlog_recover(EventLog *log, uint64_t from_seq, const EventLogRecovery *recovery)
{
	Tail tail = { 0 };
	int r;

	log->end_seq = 1;
	log->lost_from = log->lost_to = 0;
	log->sealed_bytes = 0;
	segment_unref(log->active);
	log->active = NULL;
	r = recover(log, from_seq, recovery, &tail);
	segment_unref(tail.segment);
	if (r < 0)
		return r;
	for (size_t i = 0; i + 1 < log->table->n; i++)
		log->sealed_bytes += log->table->infos[i].bytes;
	if (log->meta.seq_ceiling < log->end_seq)
		log->meta.seq_ceiling = log->end_seq;
	log->stale = from_seq > log->end_seq && from_seq <= log->meta.seq_ceiling;
	return 0;
}

bool eventlog_power_cut(const EventLog *log)
{
	return log->power_cut;
}

bool eventlog_lost(const EventLog *log, uint64_t *ret_from, uint64_t *ret_to)
{
	*ret_from = log->lost_from;
	*ret_to = log->lost_to;
	return log->lost_from > 0;
}

/* ---- The hot batches ---- */

static const Batch **hot_slot(const EventLog *log, size_t at)
{
	return &log->hot[(log->hot_head + at) & (log->hot_cap - 1)];
}

static int hot_grow(EventLog *log)
{
	size_t cap = log->hot_cap > 0 ? log->hot_cap * 2 : 64;
	const Batch **hot = malloc(cap * sizeof(*hot));

	if (!hot)
		return -ENOMEM;
	for (size_t i = 0; i < log->hot_n; i++)
		hot[i] = *hot_slot(log, i);
	free(log->hot);
	log->hot = hot;
	log->hot_cap = cap;
	log->hot_head = 0;
	return 0;
}

static void hot_drop_oldest(EventLog *log)
{
	Batch *b = (Batch *)*hot_slot(log, 0);

	log->hot_head++;
	log->hot_n--;
	log->hot_bytes -= b->cap;
	batch_free(b);
}

/* Without memory for it nothing stays hot: subscriptions read it from the file. */
static bool hot_add(EventLog *log, Batch *b)
{
	if (log->hot_n == log->hot_cap && hot_grow(log) < 0) {
		while (log->hot_n > 0)
			hot_drop_oldest(log);
		return false;
	}
	log->hot_n++;
	*hot_slot(log, log->hot_n - 1) = b;
	log->hot_bytes += b->cap;
	return true;
}

void eventlog_trim(EventLog *log)
{
	uint64_t oldest_seq = eventlog_oldest_seq(log);

	while (log->hot_n > 1 &&
		(log->hot_bytes > HOT_BYTES || batch_end_seq(*hot_slot(log, 0)) <= oldest_seq))
		hot_drop_oldest(log);
}

uint64_t eventlog_hot_seq(const EventLog *log)
{
	uint64_t first_seq = log->hot_n > 0 ? (*hot_slot(log, 0))->first_seq : log->end_seq;
	uint64_t oldest_seq = eventlog_oldest_seq(log);

	/* What retention has taken is gone at once, though its batches go with the end of the turn.
	 */
	return first_seq > oldest_seq ? first_seq : oldest_seq;
}

const Batch *eventlog_hot_find(const EventLog *log, uint64_t seq, size_t *ret_at)
{
	size_t low = 0, high = log->hot_n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (batch_end_seq(*hot_slot(log, middle)) <= seq)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_at = low;
	return eventlog_hot_at(log, low);
}

const Batch *eventlog_hot_at(const EventLog *log, size_t at)
{
	return at < log->hot_n ? *hot_slot(log, at) : NULL;
}

/* ---- Running ---- */

/* The committer has begun a segment. */
static void note_rotation(EventLog *log, uint64_t base)
{
	if (log->n_begun == MAX_BEGUN) {
		log_error("out of memory: segment %020" PRIu64 " is not listed", base);
		return;
	}
	log->begun[log->n_begun++] = (Begun){ .base = base, .bytes_before = log->active_bytes };
	log->active_base = base;
}

/* Without memory for a table it is tried again with the next batch; no view goes beyond the table
 * until then. */
static void list_begun(EventLog *log)
{
	SegmentTable *t = segment_table_copy(log->table, 0, log->n_begun);
	SegmentInfo *info;

	if (!t)
		return;
	info = &t->infos[log->table->n];
	for (size_t i = 0; i < log->n_begun; i++, info++) {
		const Begun *begun = &log->begun[i];

		info[-1].end = begun->base;
		info[-1].bytes = begun->bytes_before;
		info[0] = (SegmentInfo){ .base = begun->base, .end = UINT64_MAX };
		log->sealed_bytes += begun->bytes_before;
	}
	segment_table_unref(log->table);
	log->table = t;
	log->n_begun = 0;
}

static void on_batch(Batch *b, void *userdata)
{
	EventLog *log = userdata;
	size_t charged = b->cap;
	bool hot;

	if (log->active_base != b->segment->base)
		note_rotation(log, b->segment->base);
	if (log->n_begun > 0)
		list_begun(log);
	log->active_bytes = b->offset + b->len;
	log->end_seq = batch_end_seq(b);
	log_totals_add(&log->totals, b);
	hot = hot_add(log, b);
	log->hooks.on_batch(b, log->hooks.userdata);
	if (!hot)
		batch_free(b);
	if (committer_release(log->committer, charged))
		log->hooks.on_drained(log->hooks.userdata);
	/* The sync may have been told of before the batch. */
	if (log->synced_seq + 1 >= log->end_seq)
		log->hooks.on_synced(log->synced_seq, log->hooks.userdata);
}

static void on_drained(void *userdata)
{
	EventLog *log = userdata;

	log->hooks.on_drained(log->hooks.userdata);
}

static void on_rejected(void *owner, int error, void *userdata)
{
	EventLog *log = userdata;

	log->hooks.on_rejected(owner, error, log->hooks.userdata);
}

static void on_state(int error, void *userdata)
{
	EventLog *log = userdata;

	if (log->error == error)
		return;
	log->error = error;
	log->hooks.on_state(error, log->hooks.userdata);
}

static void on_synced(uint64_t seq, void *userdata)
{
	EventLog *log = userdata;

	if (seq <= log->synced_seq)
		return;
	log->synced_seq = seq;
	/* Nothing came for a while: what the last rush needed is given back. */
	if (seq + 1 >= log->end_seq && log->options.durability == DURABILITY_INTERVAL)
		spares_drop(committer_spares(log->committer));
	log->hooks.on_synced(seq, log->hooks.userdata);
}

/* Committer's thread. */
static int raise_ceiling(uint64_t ceiling, void *userdata)
{
	EventLog *log = userdata;
	LogMeta meta = log->meta;
	int r;

	meta.seq_ceiling = ceiling;
	r = log_meta_write(log->dirfd, &meta);
	if (r == 0)
		log->meta.seq_ceiling = ceiling;
	return r;
}

int eventlog_start(EventLog *log, Mailbox *main, const EventLogHooks *hooks)
{
	CommitterStart start = {
		.log_dirfd = log->dirfd,
		.bytes = log->active_bytes,
		.next_seq = log->end_seq,
		.seq_ceiling = log->meta.seq_ceiling,
		.durability = log->options.durability,
		.sync_interval_us = log->options.sync_interval_us,
		.segment_bytes = log->options.segment_bytes,
		.main = main,
		.raise_ceiling = raise_ceiling,
		.ceiling_userdata = log,
		.hooks = {
			.on_batch = on_batch,
			.on_rejected = on_rejected,
			.on_state = on_state,
			.on_synced = on_synced,
			.on_drained = on_drained,
			.userdata = log,
		},
	};
	int r;

	log->hooks = *hooks;
	log->synced_seq = log->end_seq - 1;
	log->meta.clean = false;
	log->meta.durability = log->options.durability;
	r = log_meta_write(log->dirfd, &log->meta);
	if (r < 0)
		return r;
	log->active_base = log->active->base;
	start.segment = TAKE_PTR(log->active);
	return committer_new(&start, &log->committer);
}

void eventlog_stop(EventLog *log)
{
	if (!log->committer)
		return;
	log->stopped_in_order = committer_stop(log->committer) == 0;
}

void eventlog_close(EventLog *log)
{
	if (!log)
		return;
	if (log->committer && log->stopped_in_order) {
		log->meta.clean = true;
		if (log_meta_write(log->dirfd, &log->meta) < 0)
			log_warning("the clean-stop mark could not be written");
	}
	while (log->hot_n > 0)
		hot_drop_oldest(log);
	free(log->hot);
	committer_free(log->committer);
	segment_unref(log->active);
	segment_table_unref(log->table);
	if (log->dirfd >= 0)
		close(log->dirfd);
	free(log);
}

void eventlog_configure(EventLog *log, const EventLogOptions *options)
{
	Durability durability = log->options.durability;

	log->options = *options;
	log->options.durability = durability;
	committer_set_limits(log->committer, options->sync_interval_us, options->segment_bytes);
}

/* ---- What others ask ---- */

const Uuid *eventlog_id(const EventLog *log)
{
	return &log->meta.log_id;
}

int eventlog_dirfd(const EventLog *log)
{
	return log->dirfd;
}

Committer *eventlog_committer(EventLog *log)
{
	return log->committer;
}

int eventlog_error(const EventLog *log)
{
	return log->error;
}

uint64_t eventlog_oldest_seq(const EventLog *log)
{
	for (size_t i = 0; i < log->table->n; i++) {
		const SegmentInfo *info = &log->table->infos[i];
		uint64_t end = info->end < log->end_seq ? info->end : log->end_seq;

		if (info->base < end)
			return info->base;
	}
	return log->end_seq;
}

uint64_t eventlog_end_seq(const EventLog *log)
{
	return log->end_seq;
}

uint64_t eventlog_active_seq(const EventLog *log)
{
	return log->table->infos[log->table->n - 1].base;
}

uint64_t eventlog_synced_seq(const EventLog *log)
{
	return log->synced_seq;
}

uint64_t eventlog_bytes(const EventLog *log)
{
	return log->sealed_bytes + log->active_bytes;
}

const LogTotals *eventlog_totals(const EventLog *log)
{
	return &log->totals;
}

/* From there on the pages of the log are those that were written. After a sync that failed the
 * kernel may have dropped them, and after a long while it has written them itself, and may have
 * read them again. */
static uint64_t fresh_seq(const EventLog *log)
{
	const EventLogOptions *o = &log->options;

	if (o->durability != DURABILITY_INTERVAL || o->sync_interval_us > FRESH_US ||
		log->error < 0)
		return UINT64_MAX;
	return log->synced_seq + 1;
}

LogView eventlog_view(const EventLog *log)
{
	log->table->refs++;
	return (LogView){
		.table = log->table,
		.oldest_seq = eventlog_oldest_seq(log),
		.end_seq = log->n_begun > 0 ? log->begun[0].base : log->end_seq,
		.fresh_seq = fresh_seq(log),
	};
}

void log_view_release(LogView *view)
{
	segment_table_unref(view->table);
	view->table = NULL;
}

/* ---- Retention ---- */

static bool is_old(const EventLog *log, const SegmentInfo *info, uint64_t now_us)
{
	char name[SEGMENT_NAME_LEN + 16];
	struct stat st;

	if (log->options.retain_age_us == 0)
		return false;
	segment_name(info->base, ".ndjson", name);
	if (fstatat(log->dirfd, name, &st, 0) < 0)
		return errno == ENOENT;
	return (uint64_t)st.st_mtime * USEC_PER_SEC + log->options.retain_age_us < now_us;
}

/* The oldest segment, `total` bytes being in the log. The active one never goes. */
static bool is_due(const EventLog *log, size_t at, uint64_t total, uint64_t now_us)
{
	if (at + 1 >= log->table->n)
		return false;
	return (log->options.retain_bytes > 0 && total > log->options.retain_bytes) ||
	       is_old(log, &log->table->infos[at], now_us);
}

bool eventlog_prune_due(const EventLog *log)
{
	return is_due(log, 0, eventlog_bytes(log), clock_realtime_us());
}

int eventlog_prune(EventLog *log, uint64_t projected_seq, uint64_t **ret_bases, size_t *ret_n)
{
	uint64_t total = eventlog_bytes(log), now_us = clock_realtime_us();
	uint64_t *bases;
	SegmentTable *t;
	size_t n = 0;

	while (is_due(log, n, total, now_us) && log->table->infos[n].end <= projected_seq)
		total -= log->table->infos[n++].bytes;
	if (n == 0)
		return 0;
	bases = malloc(n * sizeof(*bases));
	t = segment_table_copy(log->table, n, 0);
	if (!bases || !t) {
		free(bases);
		segment_table_unref(t);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		bases[i] = log->table->infos[i].base;
		log->sealed_bytes -= log->table->infos[i].bytes;
	}
	segment_table_unref(log->table);
	log->table = t;
	*ret_bases = bases;
	*ret_n = n;
	return 0;
}
