/* liongated: options, configuration, the reaper, then the daemon. */
#include <event2/event.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "daemon/backend/secret.h"
#include "daemon/ballast.h"
#include "daemon/command-line.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"
#include "daemon/process.h"

/* How long a dead daemon's programs may take to be gone. */
#define REAPER_LOCK_MS 60000

/* The umask that we were started with is for programs, and so for the reaper that they inherit it
 * from. */
static int fork_reaper(const char *state_dir, const Config *config, mode_t given_umask, Reaper *ret)
{
	mode_t ours = umask(given_umask);
	int r = reaper_fork(
		state_dir, daemon_workers(config), REAPER_LOCK_MS, config->cgroups, ret);

	umask(ours);
	if (r < 0)
		log_error("the reaper cannot be started: %s", strerror(-r));
	return r;
}

static int run(const ConfigOptions *options, Config *config, mode_t given_umask)
{
	_cleanup_free_ char *state_dir = NULL;
	_cleanup_close_ int lock_fd = -1;
	Reaper reaper = { 0 };
	Daemon *d = NULL;
	int r = daemon_claim_state(config, &state_dir, &lock_fd);

	/* Programs run as our user, and could read it off the reaper. */
	if (config_has_env_secret(config))
		secret_hide_process();
	if (r == 0)
		r = fork_reaper(state_dir, config, given_umask, &reaper);
	if (r < 0) {
		config_free(config);
		return r;
	}
	process_raise_open_files();
	r = daemon_new(options, config, state_dir, &reaper, &d);
	if (r == 0)
		r = daemon_run(d);
	daemon_free(d);
	ballast_take(state_dir);
	return r;
}

/* Takes the configuration. */
static int act(const ConfigOptions *options, Config *config, mode_t given_umask)
{
	int r;

	if (options->action == CONFIG_RUN) {
		log_set_level(config->log_level);
		config_log_warnings(config);
		return run(options, config, given_umask);
	}
	r = command_line_tell(options->action, config);
	config_free(config);
	return r;
}

int main(int argc, char *argv[])
{
	_cleanup_(config_options_done) ConfigOptions options = { 0 };
	Config *config = NULL;
	mode_t given_umask = process_set_up();
	int r;

	journal_set_up();
	if (command_line_load(argc, argv, &options, &config) < 0)
		return 2;
	r = act(&options, config, given_umask);
	libevent_global_shutdown();
	return r < 0 ? 1 : 0;
}
