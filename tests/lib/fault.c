#include "tests/lib/fault.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
int __real_fallocate64(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t n, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset);

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

ssize_t __real_send(int fd, const void *bytes, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t n, int flags);

static int left = -1;
static atomic_size_t room = SIZE_MAX;
static atomic_int room_error;
static atomic_int fdatasync_left, fdatasync_failed;
static atomic_bool believed;

/* The file of which the last sync failed, until it is written to; 0: none. */
static atomic_uintmax_t unsynced_ino;
static _Thread_local int callocs_left = -1;

/* True: this one fails. */
static bool strikes(int *n)
{
	if (*n == 0) {
		errno = ENOMEM;
		return true;
	}
	if (*n > 0)
		--*n;
	return false;
}
static int sends_to_fail, send_error;

void fault_realloc_after(int n)
{
	left = n;
}

void fault_calloc_after(int n)
{
	callocs_left = n;
}

void *__wrap_realloc(void *p, size_t n)
{
	return strikes(&left) ? NULL : __real_realloc(p, n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return strikes(&callocs_left) ? NULL : __real_calloc(n, size);
}

void fault_fallocate_above(size_t bytes, int error)
{
	atomic_store(&room_error, error);
	atomic_store(&room, bytes);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len)
{
	if ((size_t)len <= atomic_load(&room))
		return __real_fallocate64(fd, mode, offset, len);
	errno = atomic_load(&room_error);
	return -1;
}

void fault_fdatasync(int n)
{
	atomic_store(&fdatasync_left, n);
}

int fault_fdatasync_failed(void)
{
	return atomic_load(&fdatasync_failed);
}

bool fault_fdatasync_believed(void)
{
	return atomic_load(&believed);
}

/* The time of its last change would not do: it has the resolution of the kernel's ticks. */
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t n, off_t offset)
{
	ssize_t done = __real_pwrite64(fd, bytes, n, offset);
	uintmax_t ino = atomic_load(&unsynced_ino);
	struct stat st;

	if (done > 0 && ino > 0 && fstat(fd, &st) == 0 && st.st_ino == ino)
		atomic_compare_exchange_strong(&unsynced_ino, &ino, 0);
	return done;
}

int __wrap_fdatasync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_ino == atomic_load(&unsynced_ino))
		atomic_store(&believed, true);
	if (atomic_load(&fdatasync_left) <= 0)
		return __real_fdatasync(fd);
	atomic_fetch_sub(&fdatasync_left, 1);
	atomic_fetch_add(&fdatasync_failed, 1);
	atomic_store(&unsynced_ino, st.st_ino);
	errno = EIO;
	return -1;
}

void fault_send(int n, int error)
{
	sends_to_fail = n;
	send_error = error;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t n, int flags)
{
	if (sends_to_fail > 0) {
		sends_to_fail--;
		errno = send_error;
		return -1;
	}
	return __real_send(fd, bytes, n, flags);
}
