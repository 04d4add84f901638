#include "tests/lib/temp-dir.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void temp_dir_init(TempDir *d)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(d->path, sizeof(d->path), "%s/liongate-test-XXXXXX", base);
	ck_assert_ptr_nonnull(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(d->fd, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void temp_dir_done(TempDir *d)
{
	close(d->fd);
	nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *temp_dir_path(const TempDir *d, const char *name)
{
	static char paths[8][512];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", d->path, name);
	return path;
}
