#include "daemon/ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

#define NAME "ballast"

/* What the log's reserve takes at a start, and the catalog's files besides. */
#define MOST_BYTES  (2048U * 1024)
#define LEAST_BYTES (16U * 1024)
#define STEP_BYTES  4096U

/* -errno */
static int open_ballast(int dirfd, int flags, uint64_t *ret_bytes)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (dirfd < 0)
		return -EBADF;
	fd = openat(dirfd, NAME, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	*ret_bytes = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

static int open_dir(const char *state_dir)
{
	return open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void ballast_take(const char *state_dir)
{
	uint64_t bytes = 0;
	_cleanup_close_ int dirfd = open_dir(state_dir);
	_cleanup_close_ int fd = open_ballast(dirfd, O_CREAT, &bytes);

	if (fd < 0)
		return;
	/* Whoever copied it may have made holes of it. */
	if (bytes > 0)
		(void)fallocate(fd, 0, 0, (off_t)bytes);
	/* To the last block: what is left here others take, and each start would find less. */
	for (uint64_t step = MOST_BYTES; step >= STEP_BYTES; step /= 2)
		if (bytes + step <= MOST_BYTES && fallocate(fd, 0, (off_t)bytes, (off_t)step) == 0)
			bytes += step;
	if (bytes < LEAST_BYTES)
		unlinkat(dirfd, NAME, 0);
}

bool ballast_give(const char *state_dir, unsigned keep)
{
	uint64_t bytes = 0;
	_cleanup_close_ int dirfd = open_dir(state_dir);
	_cleanup_close_ int fd = open_ballast(dirfd, 0, &bytes);

	if (fd < 0)
		return false;
	bytes = keep > 0 ? bytes / keep & ~(uint64_t)(STEP_BYTES - 1) : 0;
	/* There are full file systems on which a file can be removed, but not be cut. */
	return (bytes >= LEAST_BYTES && ftruncate(fd, (off_t)bytes) == 0) ||
	       unlinkat(dirfd, NAME, 0) == 0;
}
