/* The daemon: owns every part, starts them in order, runs the main loop, ends them in order.
 *
 * Thread: main. */
#pragma once

#include "daemon/config.h"
#include "daemon/reaper/reaper.h"

typedef struct Daemon Daemon;

/* The state directory of the configuration, or the usual place: made (0700) and locked against a
 * second daemon. The caller closes *ret_lock_fd, at the very end, and frees *ret_path. Nothing is
 * made where a daemon answers at the socket already. -EBUSY: another daemon has the directory.
 * -errno; the reason is logged. */
int daemon_claim_state(const Config *config, char **ret_path, int *ret_lock_fd) _must_check_;
/* As many as the configuration says, or the machine has cores. */
unsigned daemon_workers(const Config *config);

/* Recovers the log and starts everything; when it returns, clients may connect. `options` (for
 * reloads) and `state_dir` lend; takes `config` and `reaper`, also on failure. -errno; the reason
 * is logged. */
int daemon_new(const ConfigOptions *options, Config *config, const char *state_dir, Reaper *reaper,
	Daemon **ret) _must_check_;
/* Until it is told to stop (SIGTERM, SIGINT) and has done so in order. 0, or -errno if something
 * broke. */
int daemon_run(Daemon *d) _must_check_;
/* Bears NULL. */
void daemon_free(Daemon *d);
