/* SIGINT, SIGTERM and SIGHUP as something that can be polled, so that a command can cancel its
 * agents and remove its private daemon before it leaves.
 *
 * A person who presses Ctrl-C again means it: after interrupt_set_patience() signals the process
 * ends at once, whatever it is blocked in.
 *
 * Thread: main. The signal handler owns the counter. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"

/* Installs the handlers; SIGPIPE is ignored from here on: writing says -EPIPE. -errno. */
int interrupt_init(void) _must_check_;
/* SIGQUIT, too, from here on: for who has changed the terminal. -errno. */
int interrupt_catch_quit(void) _must_check_;
/* How many signals end the process from within the handler (2 by default); at once, if as many have
 * come. */
void interrupt_set_patience(int signals);
/* What is said on standard error then: static text, or NULL. */
void interrupt_set_last_words(const char *text);

/* Readable when a signal came that nobody has taken yet. */
int interrupt_fd(void);
/* The signal that came since the last call, or 0. */
int interrupt_take(void);
/* The last that has come. */
int interrupt_last(void);

/* Waits; -EINTR if a signal came before or meanwhile (it is taken with that), else 0. */
int interrupt_sleep(uint64_t ms) _must_check_;
/* The same; -EPIPE as soon as nobody reads standard output any more, which a command that only
 * shows something ends with. */
int interrupt_sleep_watched(uint64_t ms) _must_check_;
