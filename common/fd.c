#include "common/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_READ_BYTES 4096

int fd_set_nonblocking(int fd, bool nonblocking)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;

	int wanted = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;

	if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0)
		return -errno;
	return 0;
}

int fd_write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (done == 0)
			return -EIO;
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

ssize_t fd_pread_all(int fd, void *bytes, size_t n, off_t offset)
{
	char *p = bytes;
	size_t total = 0;

	while (total < n) {
		ssize_t done = pread(fd, p + total, n - total, offset + (off_t)total);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (done == 0)
			break;
		total += (size_t)done;
	}
	return (ssize_t)total;
}

static int open_retrying(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(dirfd, path, flags | O_CLOEXEC | O_NOCTTY, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

/* Reads to the end, and one byte beyond `max` to see that there is none. */
static int read_to_end(int fd, size_t max, Buf *b)
{
	size_t begin = b->len;

	for (;;) {
		int r = buf_reserve(b, FILE_READ_BYTES);

		if (r < 0)
			return r;

		ssize_t n = read(fd, b->data + b->len, b->cap - b->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		b->len += (size_t)n;
		if (b->len - begin > max)
			return -EFBIG;
	}
}

int file_read(int dirfd, const char *path, size_t max, Buf *b)
{
	_cleanup_close_ int fd = open_retrying(dirfd, path, O_RDONLY, 0);
	size_t old_len = b->len;

	if (fd < 0)
		return fd;

	int r = read_to_end(fd, max, b);

	if (r < 0)
		b->len = old_len;
	return r;
}

static int write_and_sync(int dirfd, const char *name, const void *bytes, size_t n)
{
	_cleanup_close_ int fd = open_retrying(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	if (fd < 0)
		return fd;

	int r = fd_write_all(fd, bytes, n);

	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

/* `parent` is the directory that holds `name`. */
static int replace_in(int parent, const char *name, const void *bytes, size_t n)
{
	_cleanup_free_ char *temporary = NULL;

	/* The thread's id sets concurrent writers apart, and lets what a crash left behind be found
	 * and removed by whoever has that id next. */
	if (asprintf(&temporary, ".%s.%ld.tmp", name, (long)gettid()) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	if (unlinkat(parent, temporary, 0) < 0 && errno != ENOENT)
		return -errno;

	int r = write_and_sync(parent, temporary, bytes, n);

	if (r == 0 && renameat(parent, temporary, parent, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(parent, temporary, 0);
		return r;
	}
	return fsync(parent) < 0 ? -errno : 0;
}

int file_replace(int dirfd, const char *name, const void *bytes, size_t n)
{
	const char *slash = strrchr(name, '/');
	_cleanup_free_ char *dir = slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");

	if (!dir)
		return -ENOMEM;

	_cleanup_close_ int parent = open_retrying(dirfd, dir, O_RDONLY | O_DIRECTORY, 0);

	if (parent < 0)
		return parent;
	return replace_in(parent, slash ? slash + 1 : name, bytes, n);
}

static int make_one(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int dir_make(const char *path, mode_t mode)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy; *p; p++) {
		if (*p != '/' || p == copy)
			continue;
		*p = '\0';

		int r = make_one(copy, mode);

		*p = '/';
		if (r < 0)
			return r;
	}
	return make_one(copy, mode);
}
