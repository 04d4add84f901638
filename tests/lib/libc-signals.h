/* The signals that the C library keeps for itself: sigaction() does not touch them. */
#pragma once

/* Has this process ignore them, and what it starts: so a parent may leave them to the daemon, as
 * one does that uses posix_spawn(). */
void libc_signals_ignore(void);
