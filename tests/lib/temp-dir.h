/* A directory for one test, which goes with all that is in it.
 *
 * Owns the directory: `TempDir dir` between temp_dir_init() and temp_dir_done(). */
#pragma once

#include <stddef.h>

typedef struct TempDir {
	char path[64];
	int fd;
} TempDir;

/* Fails the test if there is none to be had. */
void temp_dir_init(TempDir *d);
void temp_dir_done(TempDir *d);
/* `name` in the directory, in memory of the module's own: good for the next eight calls. */
const char *temp_dir_path(const TempDir *d, const char *name);
