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
#define LEAST_BYTES (64U * 1024)

static int open_dir(const char *state_dir)
{
	return open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void ballast_take(const char *state_dir)
{
	_cleanup_close_ int dirfd = open_dir(state_dir), fd = -1;
	struct stat st;

	if (dirfd < 0)
		return;
	fd = openat(dirfd, NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size >= MOST_BYTES)
		return;
	for (unsigned bytes = MOST_BYTES; bytes >= LEAST_BYTES; bytes /= 2)
		if (bytes > (uint64_t)st.st_size && fallocate(fd, 0, 0, bytes) == 0)
			return;
	/* Less than what is worth keeping. */
	if ((uint64_t)st.st_size < LEAST_BYTES)
		unlinkat(dirfd, NAME, 0);
}

bool ballast_drop(const char *state_dir)
{
	_cleanup_close_ int dirfd = open_dir(state_dir);

	return dirfd >= 0 && unlinkat(dirfd, NAME, 0) == 0;
}
