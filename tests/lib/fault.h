/* What runs out or fails when the test says so. Works on what is linked with --wrap of the
 * functions named here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* realloc(), which is what every Buf grows by: the next `n` succeed, and those after them fail.
 * Negative: all succeed. */
void fault_realloc_after(int n);
/* The same of calloc(), for the thread that calls it. */
void fault_calloc_after(int n);

/* The disk has no more room than that: fallocate() of more bytes fails with `error`. */
void fault_fallocate_above(size_t bytes, int error);

/* The next `n` calls of fdatasync() fail with EIO. */
void fault_fdatasync(int n);
/* How many of them have. */
int fault_fdatasync_failed(void);
/* Since a failure some file was synced again that nobody had written to meanwhile. Linux has marked
 * its pages clean, so that told of nothing. */
bool fault_fdatasync_believed(void);

/* The next `n` calls of send() fail with `error`. */
void fault_send(int n, int error);
