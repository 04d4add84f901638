#include "daemon/eventlog/syncer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

/* After a sync that failed. */
#define RETRY_US (250 * USEC_PER_MSEC)

/* Of what is written again. */
#define PIECE_BYTES 65536U

struct Syncer {
	SyncerHooks hooks;
	int log_dirfd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* for the thread */
	pthread_cond_t sealed_done;
	/* Under the lock. */
	uint64_t interval_us;
	Segment *segment; /* the newest that was committed to; one reference */
	Segment *sealed;  /* complete, to be synced first; one reference */
	uint64_t committed_seq, committed_bytes;
	uint64_t synced_bytes;        /* of `segment` */
	uint64_t sealed_synced_bytes; /* of `sealed` */
	uint64_t sealed_bytes;
	uint64_t dirty_since_us; /* 0: all is synced */
	bool failed;             /* the last sync */
	Histogram took_us;       /* those that went well */
	bool stopping;
};

/* One piece, and how much that was. What was dropped from memory reads as zeros, which no text has.
 */
static ssize_t rewrite_piece(int fd, uint64_t from, uint64_t to, bool text)
{
	char piece[PIECE_BYTES];
	size_t len = to - from < sizeof(piece) ? (size_t)(to - from) : sizeof(piece);
	ssize_t n = pread(fd, piece, len, (off_t)from);

	if (n < 0)
		return -errno;
	if (n == 0 || (text && memchr(piece, '\0', (size_t)n)))
		return -EIO;
	n = pwrite(fd, piece, (size_t)n, (off_t)from);
	return n < 0 ? -errno : n;
}

/* After a sync that failed: Linux has told of the error once and has marked the pages clean, so
 * that the next sync would find nothing to do. The same bytes are written once more; then it has.
 */
static int rewrite(int fd, uint64_t from, uint64_t to, bool text)
{
	while (from < to) {
		ssize_t n = rewrite_piece(fd, from, to, text);

		if (n < 0 && n != -EINTR)
			return (int)n;
		from += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

static int rewrite_index(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return rewrite(fd, 0, (uint64_t)st.st_size, false);
}

/* `again`: it has failed before. */
static int sync_segment(const Segment *segment, uint64_t from, uint64_t to, bool again)
{
	int r = again ? rewrite(segment->fd, from, to, true) : 0;

	if (r == 0 && fdatasync(segment->fd) < 0)
		r = -errno;
	return r;
}

int syncer_sync_index(const Segment *segment, bool again)
{
	int r = again ? rewrite_index(segment->idx_fd) : 0;

	if (r == 0 && fdatasync(segment->idx_fd) < 0)
		r = -errno;
	return r;
}

/* Lock held. */
static void note_result(Syncer *s, uint64_t began_us, int r)
{
	s->failed = r < 0;
	if (!s->failed)
		histogram_add(&s->took_us, clock_monotonic_us() - began_us);
}

/* Lock held; dropped meanwhile. */
static void sync_sealed(Syncer *s)
{
	Segment *sealed = s->sealed;
	uint64_t from = s->sealed_synced_bytes, to = s->sealed_bytes;
	uint64_t began_us = clock_monotonic_us();
	bool again = s->failed;
	int r;

	pthread_mutex_unlock(&s->lock);
	r = sync_segment(sealed, from, to, again);
	if (r == 0)
		r = syncer_sync_index(sealed, again);
	/* The directory too: the successor's entry was made before the seal was told. */
	if (r == 0 && fsync(s->log_dirfd) < 0)
		r = -errno;
	if (r < 0)
		s->hooks.on_synced(0, r, s->hooks.userdata);
	pthread_mutex_lock(&s->lock);
	note_result(s, began_us, r);
	if (!s->failed) { /* else nothing after it counts as durable: it is tried again */
		segment_unref(sealed);
		s->sealed = NULL;
	}
	pthread_cond_broadcast(&s->sealed_done);
}

/* Lock held; dropped meanwhile. */
static void sync_active(Syncer *s)
{
	Segment *segment = segment_ref(s->segment);
	uint64_t seq = s->committed_seq, from = s->synced_bytes, to = s->committed_bytes;
	uint64_t began_us = clock_monotonic_us();
	bool again = s->failed;
	int r;

	s->dirty_since_us = 0;
	pthread_mutex_unlock(&s->lock);
	r = sync_segment(segment, from, to, again);
	s->hooks.on_synced(seq, r, s->hooks.userdata);
	pthread_mutex_lock(&s->lock);
	note_result(s, began_us, r);
	if (s->failed && s->dirty_since_us == 0)
		s->dirty_since_us = clock_monotonic_us();
	if (!s->failed && s->segment == segment)
		s->synced_bytes = to;
	segment_unref(segment);
}

/* Lock held. */
static void wait_until(Syncer *s, uint64_t due_us)
{
	struct timespec ts = {
		.tv_sec = (time_t)(due_us / USEC_PER_SEC),
		.tv_nsec = (long)(due_us % USEC_PER_SEC * 1000),
	};

	pthread_cond_timedwait(&s->wake, &s->lock, &ts);
}

static void *syncer_main(void *userdata)
{
	Syncer *s = userdata;

	pthread_setname_np(pthread_self(), "syncer");
	pthread_mutex_lock(&s->lock);
	for (;;) {
		uint64_t due = s->dirty_since_us + s->interval_us;

		if (s->failed && s->stopping)
			break;
		if (s->failed)
			wait_until(s, clock_monotonic_us() + RETRY_US);
		if (s->sealed)
			sync_sealed(s);
		else if (s->dirty_since_us > 0 && (s->stopping || clock_monotonic_us() >= due))
			sync_active(s);
		else if (s->stopping)
			break;
		else if (s->dirty_since_us > 0)
			wait_until(s, due);
		else
			pthread_cond_wait(&s->wake, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int syncer_new(int log_dirfd, uint64_t interval_us, const SyncerHooks *hooks, Syncer **ret)
{
	Syncer *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	sigset_t all, old;
	int r;

	if (!s)
		return -ENOMEM;
	s->hooks = *hooks;
	s->log_dirfd = log_dirfd;
	s->interval_us = interval_us;
	histogram_init_durations(&s->took_us);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_cond_init(&s->sealed_done, NULL);
	pthread_condattr_destroy(&attr);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&s->thread, NULL, syncer_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void syncer_free(Syncer *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	segment_unref(s->segment);
	segment_unref(s->sealed);
	pthread_cond_destroy(&s->wake);
	pthread_cond_destroy(&s->sealed_done);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void syncer_committed(Syncer *s, Segment *segment, uint64_t from, uint64_t to, uint64_t seq)
{
	pthread_mutex_lock(&s->lock);
	s->committed_seq = seq;
	s->committed_bytes = to;
	if (s->segment != segment) {
		segment_unref(s->segment);
		s->segment = segment_ref(segment);
		s->synced_bytes = from;
	}
	if (s->dirty_since_us == 0) {
		s->dirty_since_us = clock_monotonic_us();
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
}

int syncer_sealed(Syncer *s, Segment *segment, uint64_t bytes)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	while (s->sealed && !s->failed)
		pthread_cond_wait(&s->sealed_done, &s->lock);
	if (s->sealed) {
		r = -EIO;
	} else {
		s->sealed = segment_ref(segment);
		s->sealed_bytes = bytes;
		/* Nothing was committed to it: what it holds was synced by the start. */
		s->sealed_synced_bytes = s->segment == segment ? s->synced_bytes : bytes;
		pthread_cond_signal(&s->wake);
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

void syncer_set_interval(Syncer *s, uint64_t interval_us)
{
	pthread_mutex_lock(&s->lock);
	s->interval_us = interval_us;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void syncer_durations(Syncer *s, Histogram *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->took_us;
	pthread_mutex_unlock(&s->lock);
}
