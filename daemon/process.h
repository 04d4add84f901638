/* What the process as a whole is set to.
 *
 * Thread: main, before there is another. */
#pragma once

#include <sys/types.h>

/* The allocator, the signals that are ignored, the umask. Returns the umask that we were started
 * with. */
mode_t process_set_up(void);
/* As many open files as the hard limit allows. Once the reaper is forked: programs get the limit
 * that we were started with. */
void process_raise_open_files(void);
