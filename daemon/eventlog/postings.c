#include "daemon/eventlog/postings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/fd.h"
#include "daemon/eventlog/crc32c.h"

/* One at a time is written; what a daemon that was killed left of it is written over. */
#define TEMPORARY "postings.new"

/* Where there is less, it is the log's. */
#define ROOM_BYTES (64ULL * 1024 * 1024)

/* What a file consists of that was not written before the power went. */
#define BLOCK_BYTES 512U

void postings_done(Postings *p)
{
	free(p->entries);
	free(p->places);
}

static size_t table_bytes(const PostingsHeader *h)
{
	return h->n_agents * sizeof(PostingsEntry);
}

static size_t places_bytes(const PostingsHeader *h)
{
	return h->n_events * sizeof(uint32_t);
}

/* ---- Places ---- */

void places_clear(Places *p)
{
	free(p->at);
	p->at = NULL;
	p->n = 0;
	p->base = 0;
}

size_t places_before(const Places *p, uint32_t place)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->at[mid] < place)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- Writing ---- */

static bool has_room(int log_dirfd)
{
	struct statvfs fs;

	return fstatvfs(log_dirfd, &fs) == 0 && fs.f_bavail * fs.f_frsize >= ROOM_BYTES;
}

static int write_file(const Postings *p, int log_dirfd)
{
	_cleanup_close_ int fd = openat(
		log_dirfd, TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, &p->header, sizeof(p->header));
	if (r == 0)
		r = fd_write_all(fd, p->entries, table_bytes(&p->header));
	return r < 0 ? r : fd_write_all(fd, p->places, places_bytes(&p->header));
}

/* Whole, or as it was: unless the machine goes down, since it is not synced. */
int postings_save(const Postings *p, int log_dirfd)
{
	char name[SEGMENT_NAME_LEN + 16];
	int r;

	/* Retention is the reader's too: what is there now stays until this is done. */
	segment_name(p->header.base, ".ndjson", name);
	if (faccessat(log_dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!has_room(log_dirfd))
		return -ENOSPC;
	segment_name(p->header.base, ".post", name);
	r = write_file(p, log_dirfd);
	if (r == 0 && renameat(log_dirfd, TEMPORARY, log_dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(log_dirfd, TEMPORARY, 0);
	return r;
}

/* ---- Reading ---- */

static int read_exactly(int fd, void *bytes, size_t n, size_t offset)
{
	ssize_t got = fd_pread_all(fd, bytes, n, (off_t)offset);

	if (got < 0)
		return (int)got;
	return (size_t)got == n ? 0 : -EBADMSG;
}

/* Is it of the segment as it is now? */
static int check_header(const PostingsHeader *h, const Segment *s, uint32_t n_events)
{
	IndexRecord last;
	ssize_t n;

	if (memcmp(h->magic, POSTINGS_MAGIC, sizeof(h->magic)) != 0 ||
		h->crc != crc32c(h, offsetof(PostingsHeader, crc)) || h->base != s->base ||
		h->n_events != n_events || n_events == 0 || h->n_agents > n_events)
		return -EBADMSG;
	n = segment_read_index(s, n_events - 1, &last, 1);
	if (n < 0)
		return (int)n;
	return n == 1 && last.end == h->last_end && last.crc == h->last_crc ? 0 : -EBADMSG;
}

/* Header and entries. -EBADMSG: they are not what they should be. */
static int load(int fd, const Segment *s, uint32_t n_events, Postings *ret)
{
	PostingsHeader *h = &ret->header;
	int r = read_exactly(fd, h, sizeof(*h), 0);

	if (r == 0)
		r = check_header(h, s, n_events);
	if (r < 0)
		return r;
	ret->entries = malloc(table_bytes(h));
	if (!ret->entries)
		return -ENOMEM;
	r = read_exactly(fd, ret->entries, table_bytes(h), sizeof(*h));
	if (r == 0 && crc32c(ret->entries, table_bytes(h)) != h->table_crc)
		r = -EBADMSG;
	return r;
}

static int open_file(int log_dirfd, const Segment *s)
{
	char name[SEGMENT_NAME_LEN + 16];
	int fd;

	segment_name(s->base, ".post", name);
	fd = openat(log_dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 ? fd : -errno;
}

/* ---- Asking ---- */

static const PostingsEntry *find_entry(const Postings *p, uint64_t agent)
{
	size_t low = 0, high = p->header.n_agents;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->entries[mid].agent < agent)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->header.n_agents && p->entries[low].agent == agent ? &p->entries[low] : NULL;
}

/* `fd`: where the places are if they are not in memory. */
static int add_places(const Postings *p, int fd, uint64_t agent, Places *ret)
{
	const PostingsHeader *h = &p->header;
	const PostingsEntry *e = find_entry(p, agent);
	size_t bytes;
	uint32_t *at;
	int r = 0;

	if (!e || e->n == 0)
		return 0;
	if (e->first > h->n_events || e->n > h->n_events - e->first)
		return -EBADMSG;
	at = reallocarray(ret->at, ret->n + e->n, sizeof(*at));
	if (!at)
		return -ENOMEM;
	ret->at = at;
	at += ret->n;
	bytes = e->n * sizeof(*at);
	if (p->places)
		memcpy(at, p->places + e->first, bytes);
	else
		r = read_exactly(
			fd, at, bytes, sizeof(*h) + table_bytes(h) + e->first * sizeof(*at));
	if (r < 0)
		return r;
	ret->n += e->n;
	return crc32c(at, bytes) == e->crc ? 0 : -EBADMSG;
}

static int compare_places(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int add_all(const Postings *p, int fd, Places *ret)
{
	int r = add_places(p, fd, 0, ret);

	for (size_t i = 0; i < ret->n_agents && r == 0; i++)
		if (i == 0 || ret->agents[i] != ret->agents[i - 1])
			r = add_places(p, fd, ret->agents[i], ret);
	if (r == 0 && ret->n > 1)
		qsort(ret->at, ret->n, sizeof(*ret->at), compare_places);
	if (r == 0 && ret->n > 0 && ret->at[ret->n - 1] >= p->header.n_events)
		r = -EBADMSG;
	/* That there are none is known, too. */
	if (r == 0 && !ret->at) {
		ret->at = malloc(sizeof(*ret->at));
		r = ret->at ? 0 : -ENOMEM;
	}
	return r;
}

/* -EBADMSG, -ENOENT, -errno: it has to be made. */
static int find_in_file(int log_dirfd, const Segment *s, uint32_t n_events, Places *ret)
{
	_cleanup_postings_ Postings p = { 0 };
	_cleanup_close_ int fd = open_file(log_dirfd, s);
	int r = fd < 0 ? fd : load(fd, s, n_events, &p);

	return r < 0 ? r : add_all(&p, fd, ret);
}

/* What cannot be saved serves this once. */
static int find_anew(int log_dirfd, const Segment *s, uint32_t n_events, Places *ret)
{
	_cleanup_postings_ Postings p = { 0 };
	int r = postings_build(s, n_events, &p);

	if (r < 0)
		return r;
	(void)!postings_save(&p, log_dirfd);
	return add_all(&p, -1, ret);
}

int postings_find(int log_dirfd, const Segment *s, uint32_t n_events, Places *p)
{
	int r;

	places_clear(p);
	r = find_in_file(log_dirfd, s, n_events, p);
	/* Whatever is the matter with the file: nothing is lost with it. */
	if (r < 0 && r != -ENOMEM) {
		places_clear(p);
		r = find_anew(log_dirfd, s, n_events, p);
	}
	if (r < 0)
		places_clear(p);
	p->base = s->base;
	return r;
}

/* ---- Checking ---- */

/* Is there a block of zeros in it? In good ones there is none: agents count from 1, and places go
 * up. */
static bool has_empty_block(const char *bytes, size_t n)
{
	static const char zeros[BLOCK_BYTES];

	for (size_t i = 0; i < n; i += BLOCK_BYTES) {
		size_t len = n - i < BLOCK_BYTES ? n - i : BLOCK_BYTES;

		if (len >= sizeof(PostingsEntry) && memcmp(bytes + i, zeros, len) == 0)
			return true;
	}
	return false;
}

/* `wanted`: as the file should be. */
static int compare(const char *bytes, size_t n, const Postings *wanted)
{
	const PostingsHeader *h = &wanted->header;
	size_t table = table_bytes(h), places = places_bytes(h);

	if (n >= sizeof(*h) + table + places)
		return n == sizeof(*h) + table + places && memcmp(bytes, h, sizeof(*h)) == 0 &&
				       memcmp(bytes + sizeof(*h), wanted->entries, table) == 0 &&
				       memcmp(bytes + sizeof(*h) + table, wanted->places, places) ==
					       0
			       ? 0
			       : -EBADMSG;
	/* Less than all of it, that may be, but of this. */
	return n < sizeof(*h) || memcmp(bytes, h, sizeof(*h)) == 0 ? -ENODATA : -EBADMSG;
}

int postings_check(int log_dirfd, const Segment *s, uint32_t n_events)
{
	_cleanup_postings_ Postings wanted = { 0 };
	_cleanup_buf_ Buf bytes = { 0 };
	char name[SEGMENT_NAME_LEN + 16];
	int r;

	segment_name(s->base, ".post", name);
	r = file_read(log_dirfd, name,
		sizeof(PostingsHeader) +
			(sizeof(PostingsEntry) + sizeof(uint32_t)) * (size_t)POSTINGS_MAX_EVENTS,
		&bytes);
	if (r == -ENOENT)
		return 0;
	if (r == -EFBIG)
		return -EBADMSG;
	if (r == 0)
		r = postings_build(s, n_events, &wanted);
	if (r == 0)
		r = compare(bytes.data, bytes.len, &wanted);
	if (r == -EBADMSG && has_empty_block(bytes.data, bytes.len))
		r = -ENODATA;
	return r < 0 ? r : 1;
}
