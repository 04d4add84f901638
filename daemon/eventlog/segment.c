#include "daemon/eventlog/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/fd.h"

void segment_name(uint64_t base, const char *suffix, char out[SEGMENT_NAME_LEN + 16])
{
	snprintf(out, SEGMENT_NAME_LEN + 16, "%020" PRIu64 "%s", base, suffix);
}

int segment_parse_name(const char *name, uint64_t *ret_base)
{
	uint64_t base = 0;

	for (int i = 0; i < SEGMENT_NAME_LEN; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(base, 10, &base) ||
			__builtin_add_overflow(base, (uint64_t)(name[i] - '0'), &base))
			return -EINVAL;
	}
	if (strcmp(name + SEGMENT_NAME_LEN, ".ndjson") != 0 || base == 0)
		return -EINVAL;
	*ret_base = base;
	return 0;
}

static int compare_bases(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int read_names(DIR *dir, Buf *bases)
{
	struct dirent *entry;
	int r = 0;

	/* A list that ends too early would have the log go on in the middle. */
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		uint64_t base;

		if (segment_parse_name(entry->d_name, &base) == 0)
			r = buf_append(bases, &base, sizeof(base));
	}
	return r < 0 ? r : -errno;
}

int segment_list(int log_dirfd, Buf *bases)
{
	int fd = openat(log_dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	r = read_names(dir, bases);
	closedir(dir);
	if (r == 0 && bases->len > 0)
		qsort(bases->data, bases->len / sizeof(uint64_t), sizeof(uint64_t), compare_bases);
	return r;
}

static int open_pair(int log_dirfd, uint64_t base, int flags, Segment **ret)
{
	char name[SEGMENT_NAME_LEN + 16];
	Segment *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	*s = (Segment){ .refs = 1, .base = base, .fd = -1, .idx_fd = -1 };
	segment_name(base, ".ndjson", name);
	s->fd = openat(log_dirfd, name, flags | O_CLOEXEC, 0600);
	if (s->fd >= 0) {
		segment_name(base, ".idx", name);
		/* The index can always be made anew. */
		if ((flags & O_ACCMODE) != O_RDONLY)
			flags |= O_CREAT;
		s->idx_fd = openat(log_dirfd, name, flags | O_CLOEXEC, 0600);
	}
	if (s->idx_fd < 0) {
		r = -errno;
		segment_unref(s);
		return r;
	}
	*ret = s;
	return 0;
}

int segment_open(int log_dirfd, uint64_t base, bool create, Segment **ret)
{
	return open_pair(log_dirfd, base, O_RDWR | (create ? O_CREAT : 0), ret);
}

int segment_open_readonly(int log_dirfd, uint64_t base, Segment **ret)
{
	return open_pair(log_dirfd, base, O_RDONLY, ret);
}

Segment *segment_ref(Segment *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void segment_unref(Segment *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->idx_fd >= 0)
		close(s->idx_fd);
	free(s);
}

ssize_t segment_read_index(const Segment *s, uint64_t first, IndexRecord *records, size_t n)
{
	ssize_t got = fd_pread_all(
		s->idx_fd, records, n * sizeof(*records), (off_t)(first * sizeof(*records)));

	return got < 0 ? got : got / (ssize_t)sizeof(*records);
}

int segment_line_start(const Segment *s, uint64_t i, uint32_t *ret)
{
	IndexRecord before;
	ssize_t n;

	if (i == 0) {
		*ret = 0;
		return 0;
	}
	n = segment_read_index(s, i - 1, &before, 1);
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -EBADMSG;
	*ret = before.end;
	return 0;
}
