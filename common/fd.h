/* File descriptors and whole files.
 *
 * Every descriptor made here is O_CLOEXEC. EINTR is handled.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/buf.h"

int fd_set_nonblocking(int fd, bool nonblocking) _must_check_;
/* Writes all of it, or fails with -errno (a part may have been written by then). */
int fd_write_all(int fd, const void *bytes, size_t n) _must_check_;
/* Reads `n` bytes at `offset`; returns how many there were (less only at the end of the file), or
 * -errno. */
ssize_t fd_pread_all(int fd, void *bytes, size_t n, off_t offset) _must_check_;

/* Appends the file's contents to `b`. -EFBIG if it holds more than `max`. */
int file_read(int dirfd, const char *path, size_t max, Buf *b) _must_check_;
/* Replaces the file atomically and durably: temporary file beside it, fsync, rename, fsync of the
 * directory. Mode 0600. */
int file_replace(int dirfd, const char *name, const void *bytes, size_t n) _must_check_;
/* mkdir -p, new directories with `mode`. */
int dir_make(const char *path, mode_t mode) _must_check_;
