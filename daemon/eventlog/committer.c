#include "daemon/eventlog/committer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/probe.h"
#include "daemon/eventlog/crc32c.h"
#include "daemon/eventlog/pending.h"
#include "daemon/eventlog/syncer.h"

/* A batch is closed when it gets this large: main and its subscribers should have something to do
 * meanwhile, and what was just laid out should still be in the cache when it is written. With its
 * table it takes the largest of the Spares. */
#define BATCH_MAX_BYTES (208U * 1024)
#define BATCH_MAX_LINES 1024U

/* Reserved ahead of the end of the segment and of its index, so that agents can still end on a full
 * disk. Less than RESERVE_LEAST_BYTES is not worth asking for. */
#define RESERVE_BYTES       (1024U * 1024)
#define RESERVE_IDX_BYTES   (256U * 1024)
#define RESERVE_LEAST_BYTES 4096U

/* By how much the ceiling of seq is raised: 16 million, at one fsync each. */
#define CEILING_STEP (16ULL * 1024 * 1024)

#define RETRY_MS 250

/* {"seq":N,"time":"T", */
#define SEQ_KEY  "{\"seq\":"
#define TIME_KEY ",\"time\":\""
#define MAX_AROUND                                                                 \
	(sizeof(PROTOCOL_EVENT_PREFIX) + sizeof(SEQ_KEY) + 20 + sizeof(TIME_KEY) + \
		CLOCK_RFC3339_LEN + 4 + sizeof(PROTOCOL_EVENT_SUFFIX))

struct Committer {
	CommitterStart start;
	CommitterHooks hooks;
	Mailbox *mailbox;
	Syncer *syncer;
	pthread_t thread;
	bool running;

	/* The committer's own. */
	Segment *segment;
	uint64_t bytes; /* in the segment */
	uint64_t next_seq;
	uint64_t seq_ceiling;
	uint64_t reserved_bytes; /* up to here in the segment there is room */
	uint64_t reserved_idx_bytes;
	Spares spares;
	Pending pending;
	size_t batch_bytes; /* a batch has at most: less after one that could not be written */
	Buf records;        /* IndexRecords of the batch at hand */
	bool seal_failed;   /* the index of the segment, which is complete, could not be synced */
	bool stopping;
	MailboxItem stop_item;

	/* Between threads. */
	atomic_size_t charged;
	atomic_uint_fast64_t segment_bytes;
	atomic_uint_fast64_t synced_seq;
	atomic_int error, sync_error;
	atomic_bool drained;
	atomic_bool nudged;
	MailboxItem nudge_item;
};

typedef struct Rejected {
	MailboxItem item;
	Committer *committer;
	int error;
	void *owner;
} Rejected;

void batch_free(Batch *b)
{
	if (!b)
		return;
	segment_unref(b->segment);
	free(b->marks);
	spares_give(&b->committer->spares, b, b->cap);
}

static void deliver_batch(MailboxItem *item, void *receiver)
{
	Batch *b = container_of(item, Batch, item);
	const Committer *c = b->committer;

	(void)receiver;
	c->hooks.on_batch(b, c->hooks.userdata);
}

static void deliver_rejected(MailboxItem *item, void *receiver)
{
	Rejected *rejected = container_of(item, Rejected, item);
	const CommitterHooks *hooks = &rejected->committer->hooks;

	(void)receiver;
	hooks->on_rejected(rejected->owner, rejected->error, hooks->userdata);
	free(rejected);
}

/* It cannot be written, or what is written cannot be synced. */
static int error_now(Committer *c)
{
	int error = atomic_load(&c->error);

	return error < 0 ? error : atomic_load(&c->sync_error);
}

/* What is told by its newest value alone. */
static void deliver_nudge(MailboxItem *item, void *receiver)
{
	Committer *c = container_of(item, Committer, nudge_item);

	(void)receiver;
	atomic_store(&c->nudged, false);
	c->hooks.on_state(error_now(c), c->hooks.userdata);
	c->hooks.on_synced(atomic_load(&c->synced_seq), c->hooks.userdata);
	if (atomic_exchange(&c->drained, false))
		c->hooks.on_drained(c->hooks.userdata);
}

static void nudge_main(Committer *c)
{
	if (!atomic_exchange(&c->nudged, true))
		mailbox_post(c->start.main, &c->nudge_item);
}

static void set_error(Committer *c, int error)
{
	int before = atomic_exchange(&c->error, error);

	if (before == error)
		return;
	if (error < 0)
		log_error("the log cannot be written: %s; no agent is accepted until it can",
			strerror(-error));
	else
		log_notice("the log can be written again");
	nudge_main(c);
}

static void on_synced(uint64_t seq, int error, void *userdata)
{
	Committer *c = userdata;

	if (error == 0)
		atomic_store(&c->synced_seq, seq);
	if (atomic_exchange(&c->sync_error, error) == 0 && error < 0)
		log_error("the log cannot be synced: %s; no agent is accepted until it can",
			strerror(-error));
	nudge_main(c);
}

static uint64_t idx_bytes(const Committer *c)
{
	return (c->next_seq - c->segment->base) * sizeof(IndexRecord);
}

/* Only what a full disk says counts: a file system that cannot reserve is none. */
static int reserve(int fd, uint64_t from, uint64_t bytes)
{
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)bytes) < 0 &&
		(errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
		return -errno;
	return 0;
}

/* Room for `len` bytes more, and the reserve behind them. */
static int top_up(int fd, uint64_t from, size_t len, uint64_t bytes, uint64_t *reserved)
{
	int r;

	if (from + len + bytes / 2 <= *reserved)
		return 0;
	r = reserve(fd, from, len + bytes);
	if (r == 0)
		*reserved = from + len + bytes;
	return r;
}

/* Before `len` bytes of lines and their records are written: what would eat the reserve up is not.
 */
static int reserve_ahead(Committer *c, size_t len, size_t records_len)
{
	int r = top_up(c->segment->fd, c->bytes, len, RESERVE_BYTES, &c->reserved_bytes);

	return r < 0 ? r
		     : top_up(c->segment->idx_fd, idx_bytes(c), records_len, RESERVE_IDX_BYTES,
			       &c->reserved_idx_bytes);
}

static uint64_t reserve_some(int fd, uint64_t from, uint64_t bytes)
{
	while (bytes >= RESERVE_LEAST_BYTES && reserve(fd, from, bytes) < 0)
		bytes /= 2;
	return bytes >= RESERVE_LEAST_BYTES ? from + bytes : from;
}

/* The reserve was given back: taken again at once, before others have it, as far as there is any.
 */
static void reserve_again(Committer *c)
{
	c->reserved_idx_bytes = reserve_some(c->segment->idx_fd, idx_bytes(c), RESERVE_IDX_BYTES);
	c->reserved_bytes = reserve_some(c->segment->fd, c->bytes, RESERVE_BYTES);
}

static int rotate(Committer *c)
{
	_cleanup_segment_ Segment *next = NULL;
	Segment *old = c->segment;
	int r = segment_open(c->start.log_dirfd, c->next_seq, true, &next);

	if (r < 0)
		return r;
	/* Gives back what was reserved; a failure costs disk, nothing else. */
	if (ftruncate(old->fd, (off_t)c->bytes) < 0 ||
		ftruncate(old->idx_fd, (off_t)idx_bytes(c)) < 0)
		log_warning("the sealed segment keeps its reserve: %s", strerror(errno));
	if (c->syncer) {
		r = syncer_sealed(c->syncer, old, c->bytes);
	} else {
		r = syncer_sync_index(old, c->seal_failed);
		if (r == 0 && fsync(c->start.log_dirfd) < 0)
			r = -errno;
		c->seal_failed = r < 0;
	}
	if (r < 0) {
		reserve_again(c);
		return r;
	}
	segment_unref(old);
	c->segment = TAKE_PTR(next);
	c->bytes = 0;
	reserve_again(c);
	return 0;
}

static char *put(char *out, const char *bytes, size_t n)
{
	memcpy(out, bytes, n);
	return out + n;
}

#define PUT_LITERAL(out, text) put(out, text, sizeof(text) - 1)

/* The line of one event; `out` has room for MAX_AROUND + body_len. Returns its end. */
static char *format_line(
	char *out, uint64_t seq, const char *time, const char *body, size_t body_len)
{
	out = PUT_LITERAL(out, PROTOCOL_EVENT_PREFIX SEQ_KEY);
	out += jw_format_uint(out, seq);
	out = PUT_LITERAL(out, TIME_KEY);
	out = put(out, time, CLOCK_RFC3339_LEN);
	out = PUT_LITERAL(out, "\",");
	out = put(out, body, body_len);
	return PUT_LITERAL(out, "}" PROTOCOL_EVENT_SUFFIX);
}

/* Without memory it is not traced, and only that. */
static void add_mark(Batch *b, uint64_t seq, uint64_t emitted_us)
{
	TraceMark *marks = reallocarray(b->marks, b->n_marks + 1, sizeof(*marks));

	if (!marks) {
		log_warning("out of memory: event %" PRIu64 " is not traced", seq);
		return;
	}
	marks[b->n_marks++] = (TraceMark){ .seq = seq, .emitted_us = emitted_us };
	b->marks = marks;
}

/* Lays it out; its record comes with index_lines(). */
static void add_line(Batch *b, const EventHead *head, const char *time)
{
	uint64_t seq = b->first_seq + b->n;
	BatchEntry *entry = &b->entries[b->n];
	char *line = b->data + b->len;
	const char *end = format_line(line, seq, time, (const char *)(head + 1), head->body_len);

	*entry = (BatchEntry){
		.meta = head->meta,
		.offset = (uint32_t)b->len,
		.len = (uint32_t)(end - line),
	};
	if (head->meta.type == EVENT_TYPE_AGENT_SPAWNED)
		entry->meta.agent = seq;
	if (head->emitted_us > 0)
		add_mark(b, seq, head->emitted_us);
	b->len += entry->len;
	b->raw_bytes += head->meta.raw_bytes;
	b->n++;
}

static void put_record(IndexRecord *record, const Batch *b, const BatchEntry *e, uint32_t crc)
{
	*record = (IndexRecord){
		.agent = e->meta.agent,
		.end = (uint32_t)(b->offset + e->offset + e->len),
		.crc = crc,
		.raw_bytes = e->meta.raw_bytes,
		.type = e->meta.type,
		.channel = e->meta.channel,
		.code = e->meta.type == EVENT_TYPE_AGENT_ERROR ? e->meta.code : 0,
	};
}

/* The records of the lines that have none yet: a few together, while they are still near. There is
 * room. */
static void index_lines(Buf *records, const Batch *b)
{
	size_t done = records->len / sizeof(IndexRecord);
	IndexRecord *record = (IndexRecord *)(void *)(records->data + records->len);
	const BatchEntry *e = &b->entries[done];
	Crc32cLanes lanes;

	for (size_t i = 0; i < CRC32C_LANES; i++) {
		lanes.bytes[i] = b->data + (done + i < b->n ? e[i].offset : 0);
		lanes.n[i] = done + i < b->n ? e[i].len : 0;
	}
	crc32c_lanes(&lanes);
	for (size_t i = 0; done + i < b->n; i++)
		put_record(&record[i], b, &e[i], lanes.crc[i]);
	records->len = b->n * sizeof(IndexRecord);
}

static bool takes(const EventHead *head, bool ends)
{
	return head->meta.type != EVENT_TYPE_NONE && (!ends || head->ahead);
}

/* What the lines of a batch will need at the most. */
static size_t bound_bytes(const Committer *c, bool ends)
{
	PendingPosition at = pending_start(&c->pending);
	size_t bytes = 0, first;
	const EventHead *head;

	for (MailboxItem *item = c->pending.first; item && bytes < c->batch_bytes;
		item = item->next) {
		const EventBlock *block = container_of(item, EventBlock, item);

		bytes += block->len + block->n * MAX_AROUND;
	}
	if (bytes < c->batch_bytes)
		return bytes;
	/* The first one is taken however long it is. */
	while ((head = pending_at(&at)) && !takes(head, ends))
		pending_step(&at);
	first = head ? head->body_len + MAX_AROUND : 0;
	return first > c->batch_bytes ? first : c->batch_bytes;
}

static int batch_new(Committer *c, bool ends, Batch **ret)
{
	size_t lines = pending_count(&c->pending, BATCH_MAX_LINES);
	size_t table = sizeof(Batch) + lines * sizeof(BatchEntry);
	Buf memory = { 0 };
	Batch *b;
	int r;

	buf_clear(&c->records, BATCH_MAX_LINES * sizeof(IndexRecord));
	r = buf_reserve(&c->records, lines * sizeof(IndexRecord));
	if (r == 0)
		r = spares_reserve(&c->spares, &memory, table + bound_bytes(c, ends));
	if (r != 0)
		return r;
	b = (Batch *)(void *)memory.data;
	*b = (Batch){
		.item.deliver = deliver_batch,
		.committer = c,
		.cap = memory.cap,
		.first_seq = c->next_seq,
		.time_us = clock_realtime_us(),
		.entries = (BatchEntry *)(b + 1),
		.data = memory.data + table,
		.segment = segment_ref(c->segment),
		.offset = c->bytes,
	};
	*ret = b;
	return 0;
}

/* Lays out the events from *at on, as far as the batch and the segment go; `ends`: only those that
 * go ahead. */
static void fill_batch(Committer *c, Batch *b, PendingPosition *at, bool ends)
{
	uint64_t segment_bytes = atomic_load_explicit(&c->segment_bytes, memory_order_relaxed);
	char time[CLOCK_RFC3339_LEN + 1];
	const EventHead *head;

	clock_format_rfc3339(b->time_us, time);
	while ((head = pending_at(at)) && b->n < BATCH_MAX_LINES) {
		uint64_t after = b->len + head->body_len + MAX_AROUND;

		if (takes(head, ends)) {
			if (b->n > 0 && after > c->batch_bytes)
				break;
			if (b->offset + after > segment_bytes && b->offset + b->len > 0)
				break;
			add_line(b, head, time);
			if (b->n % CRC32C_LANES == 0)
				index_lines(&c->records, b);
		}
		pending_step(at);
	}
	if (b->n % CRC32C_LANES > 0)
		index_lines(&c->records, b);
}

static int write_at(int fd, const char *bytes, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t done = pwrite(fd, bytes, n, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		bytes += done;
		n -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

/* All of it, or (as far as anybody will ever see) nothing. */
static int write_batch(Committer *c, Batch *b)
{
	int r = write_at(c->segment->fd, b->data, b->len, b->offset);

	if (r == 0)
		r = write_at(c->segment->idx_fd, c->records.data, c->records.len, idx_bytes(c));
	if (r == 0 && c->start.durability == DURABILITY_FSYNC && fdatasync(c->segment->fd) < 0)
		r = -errno;
	if (r == 0) {
		if (b->n_marks > 0)
			b->committed_us = clock_monotonic_us();
		PROBE3(committed, b->first_seq, b->n, b->len);
		return 0;
	}
	if (ftruncate(c->segment->fd, (off_t)b->offset) < 0 ||
		ftruncate(c->segment->idx_fd, (off_t)idx_bytes(c)) < 0)
		log_error("a batch that failed cannot be taken back: %s", strerror(errno));
	reserve_again(c); /* it went with what was cut off */
	return r;
}

static int raise_ceiling(Committer *c)
{
	uint64_t ceiling = c->next_seq + CEILING_STEP;
	int r;

	if (c->next_seq + BATCH_MAX_LINES <= c->seq_ceiling)
		return 0;
	r = c->start.raise_ceiling(ceiling, c->start.ceiling_userdata);
	if (r == 0)
		c->seq_ceiling = ceiling;
	return r;
}

/* The batch is main's afterwards. */
static void publish(Committer *c, Batch *b)
{
	uint64_t from = c->bytes, now_us = clock_realtime_us();

	b->took_us = now_us > b->time_us ? now_us - b->time_us : 0;
	c->bytes += b->len;
	c->next_seq = batch_end_seq(b);
	mailbox_post(c->start.main, &b->item);
	if (c->syncer) {
		syncer_committed(c->syncer, c->segment, from, c->bytes, c->next_seq - 1);
	} else {
		atomic_store(&c->synced_seq, c->next_seq - 1);
		nudge_main(c);
	}
}

/* What could not be written may fit in smaller pieces. False: it is a single line. */
static bool try_less(Committer *c, const Batch *b)
{
	if (b->n <= 1)
		return false;
	c->batch_bytes = b->len / 8;
	return true;
}

static void release(Committer *c, size_t bytes)
{
	if (!committer_release(c, bytes))
		return;
	atomic_store(&c->drained, true);
	nudge_main(c);
}

/* One batch, or one step towards it. `ends`: only what goes ahead, into the reserve. */
static int commit_one(Committer *c, bool ends)
{
	PendingPosition at = pending_start(&c->pending);
	Batch *b = NULL;
	int r = raise_ceiling(c);

	if (r == 0)
		r = batch_new(c, ends, &b);
	if (r != 0)
		return r;
	fill_batch(c, b, &at, ends);
	if (b->n > 0 && !ends)
		r = reserve_ahead(c, b->len, c->records.len);
	if (r == 0 && b->n > 0)
		r = write_batch(c, b);
	if (r < 0) {
		r = try_less(c, b) ? 0 : r;
		batch_free(b);
		return r;
	}
	if (b->n > 0)
		atomic_fetch_add_explicit(&c->charged, b->cap, memory_order_relaxed);
	if (ends)
		pending_take_out(&c->pending, b->n);
	else
		release(c, pending_advance(&c->pending, &at));
	if (b->n > 0) {
		c->batch_bytes =
			c->batch_bytes < BATCH_MAX_BYTES / 2 ? c->batch_bytes * 2 : BATCH_MAX_BYTES;
		publish(c, b);
		return 0;
	}
	/* Nothing but what was taken out before; or the next line needs a segment of its own. */
	batch_free(b);
	return ends || c->pending.first ? rotate(c) : 0;
}

/* What has not been accepted must not wait for a disk that may never come back. */
static void reject_spawns(Committer *c, int error)
{
	PendingPosition at = pending_start(&c->pending);

	for (EventHead *head; (head = pending_at(&at)); pending_step(&at)) {
		Rejected *rejected;

		if (head->meta.type != EVENT_TYPE_AGENT_SPAWNED)
			continue;
		rejected = malloc(sizeof(*rejected));
		if (!rejected)
			return; /* it is tried again */
		*rejected = (Rejected){
			.item.deliver = deliver_rejected,
			.committer = c,
			.error = error,
			.owner = head->meta.owner,
		};
		head->meta.type = EVENT_TYPE_NONE;
		mailbox_post(c->start.main, &rejected->item);
	}
}

/* The disk is full: into the reserve goes what ends agents. What does not fit waits with the
 * others. */
static void commit_ends(Committer *c)
{
	PendingRoom room = { .line_bytes = MAX_AROUND };
	int r;

	if (c->reserved_bytes > c->bytes)
		room.bytes = c->reserved_bytes - c->bytes;
	if (c->reserved_idx_bytes > idx_bytes(c))
		room.lines = (c->reserved_idx_bytes - idx_bytes(c)) / sizeof(IndexRecord);
	r = pending_choose_ends(&c->pending, room);
	while (r >= 0 && c->pending.n_ahead > 0)
		r = commit_one(c, true);
}

static void commit_pending(Committer *c)
{
	int r = 0;

	while (c->pending.first && r >= 0)
		r = commit_one(c, false);
	if (r >= 0)
		r = reserve_ahead(c, 0, 0);
	if (r < 0) {
		reject_spawns(c, r);
		commit_ends(c);
	}
	set_error(c, r < 0 ? r : 0);
}

static void deliver_block(MailboxItem *item, void *receiver)
{
	pending_add(&((Committer *)receiver)->pending, container_of(item, EventBlock, item));
}

static void deliver_stop(MailboxItem *item, void *receiver)
{
	(void)item;
	((Committer *)receiver)->stopping = true;
}

static void *committer_main(void *userdata)
{
	Committer *c = userdata;

	pthread_setname_np(pthread_self(), "committer");
	reserve_again(
		c); /* on a full disk there may be that of the last daemon, and nothing else */
	while (!c->stopping) {
		MailboxItem *items =
			mailbox_wait(c->mailbox, atomic_load(&c->error) < 0 ? RETRY_MS : -1);

		for (MailboxItem *next; items; items = next) {
			next = items->next;
			items->deliver(items, c);
		}
		commit_pending(c);
	}
	return NULL;
}

static int start_thread(Committer *c)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&c->thread, NULL, committer_main, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	c->running = r == 0;
	return r;
}

int committer_new(const CommitterStart *start, Committer **ret)
{
	Committer *c = calloc(1, sizeof(*c));
	SyncerHooks hooks = { .on_synced = on_synced, .userdata = c };
	int r;

	if (!c)
		return -ENOMEM;
	c->start = *start;
	c->hooks = start->hooks;
	c->segment = start->segment;
	c->bytes = start->bytes;
	c->next_seq = start->next_seq;
	c->seq_ceiling = start->seq_ceiling;
	c->batch_bytes = BATCH_MAX_BYTES;
	pending_init(&c->pending, &c->spares);
	c->nudge_item.deliver = deliver_nudge;
	c->stop_item.deliver = deliver_stop;
	atomic_store(&c->segment_bytes, start->segment_bytes);
	atomic_store(&c->synced_seq, start->next_seq - 1);
	r = spares_init(&c->spares);
	if (r == 0)
		r = mailbox_new(&c->mailbox);
	if (r == 0 && start->durability == DURABILITY_INTERVAL)
		r = syncer_new(start->log_dirfd, start->sync_interval_us, &hooks, &c->syncer);
	if (r == 0)
		r = start_thread(c);
	if (r < 0) {
		committer_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

int committer_stop(Committer *c)
{
	if (!c || !c->running)
		return 0;
	mailbox_post(c->mailbox, &c->stop_item);
	pthread_join(c->thread, NULL);
	c->running = false;
	syncer_free(c->syncer);
	c->syncer = NULL;
	/* The index too: a clean stop says that what the next start finds can be built upon. */
	if (fdatasync(c->segment->fd) < 0 || fdatasync(c->segment->idx_fd) < 0) {
		int r = -errno;

		log_error("the log cannot be synced: %s", strerror(-r));
		return r;
	}
	return pending_is_done(&c->pending) ? atomic_load(&c->sync_error) : atomic_load(&c->error);
}

void committer_free(Committer *c)
{
	if (!c)
		return;
	if (committer_stop(c) < 0)
		log_warning("the log is not stopped in order");
	syncer_free(c->syncer);
	/* What was posted after the end: nobody was shown any of it. */
	if (c->mailbox)
		mailbox_deliver(c->mailbox, c);
	pending_done(&c->pending);
	segment_unref(c->segment);
	spares_done(&c->spares);
	buf_done(&c->records);
	mailbox_free(c->mailbox);
	free(c);
}

void committer_take_block(Committer *c, EventBlock *block)
{
	atomic_fetch_add_explicit(&c->charged, block->cap, memory_order_relaxed);
	block->item.deliver = deliver_block;
	mailbox_post(c->mailbox, &block->item);
}

Spares *committer_spares(Committer *c)
{
	return &c->spares;
}

size_t committer_charged(const Committer *c)
{
	return atomic_load_explicit(&c->charged, memory_order_relaxed);
}

bool committer_is_full(const Committer *c)
{
	return committer_charged(c) >= COMMITTER_HIGH_BYTES;
}

bool committer_release(Committer *c, size_t bytes)
{
	size_t before = atomic_fetch_sub(&c->charged, bytes);

	return before > COMMITTER_LOW_BYTES && before - bytes <= COMMITTER_LOW_BYTES;
}

void committer_sync_durations(Committer *c, Histogram *ret)
{
	if (c->syncer)
		syncer_durations(c->syncer, ret);
	else
		histogram_init_durations(ret);
}

void committer_set_limits(Committer *c, uint64_t sync_interval_us, uint64_t segment_bytes)
{
	atomic_store(&c->segment_bytes, segment_bytes);
	if (c->syncer)
		syncer_set_interval(c->syncer, sync_interval_us);
}
