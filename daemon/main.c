/* liongated: options, configuration, the reaper, then the daemon. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/jsonx.h"
#include "common/log.h"
#include "daemon/check.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"
#include "daemon/process.h"

/* How long a dead daemon's programs may take to be gone. */
#define REAPER_LOCK_MS 60000

static void print(FILE *to, const Buf *text)
{
	(void)fwrite(text->data, 1, text->len, to);
}

/* What was asked for and did not get out was not done. */
static int flush_stdout(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "liongated: standard output cannot be written: %s\n", strerror(errno));
	return -EIO;
}

/* The umask that we were started with is for programs, and so for the reaper that they inherit it from. */
static int fork_reaper(const char *state_dir, const Config *config, mode_t given_umask, Reaper *ret)
{
	mode_t ours = umask(given_umask);
	int r = reaper_fork(state_dir, daemon_workers(config), REAPER_LOCK_MS, ret);

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
	return r;
}

/* Takes the configuration. */
static int act(const ConfigOptions *options, Config *config, mode_t given_umask)
{
	_cleanup_buf_ Buf text = { 0 };
	int r = 0;

	switch (options->action) {
	case CONFIG_ACTION_PRINT_CONFIG:
		r = config_print(config, &text);
		print(stdout, &text);
		break;
	case CONFIG_ACTION_CHECK_CONFIG:
		puts("the configuration is good");
		break;
	case CONFIG_ACTION_CHECK:
		r = check_state(config, stdout);
		break;
	default:
		log_set_level(config->log_level);
		return run(options, config, given_umask);
	}
	config_free(config);
	return r < 0 ? r : flush_stdout();
}

/* --help and --version, which need no configuration. */
static int tell(ConfigAction action)
{
	_cleanup_buf_ Buf text = { 0 };
	int r;

	r = action == CONFIG_ACTION_HELP
		    ? config_print_help(&text)
		    : buf_append_str(&text, "liongated " LIONGATE_VERSION "\n");
	if (r < 0)
		return r;
	print(stdout, &text);
	return flush_stdout();
}

/* Everything that is wrong, of options and files alike, in one go. */
static int load(int argc, char *argv[], ConfigOptions *options, Config **ret)
{
	_cleanup_buf_ Buf errors = { 0 };
	Config *config = NULL;
	int r = 0, parsed;

	parsed = config_options_parse(argc, argv, options, &errors);
	if (parsed == 0 && options->action >= CONFIG_ACTION_HELP)
		return 0;
	if (parsed == 0 || parsed == -EINVAL)
		r = config_load(options, &config, &errors);
	if (r == 0)
		r = parsed;
	if (r == 0) {
		*ret = config;
		return 0;
	}
	config_free(config);
	print(stderr, &errors);
	if (r == -ENOMEM)
		fprintf(stderr, "liongated: %s\n", strerror(-r));
	else if (parsed < 0)
		fputs("liongated: --help says which options there are\n", stderr);
	return r;
}

int main(int argc, char *argv[])
{
	_cleanup_(config_options_done) ConfigOptions options = { 0 };
	Config *config = NULL;
	mode_t given_umask = process_set_up();
	int r;

	journal_set_up();
	if (load(argc, argv, &options, &config) < 0)
		return 2;
	r = config ? act(&options, config, given_umask) : tell(options.action);
	jsonx_thread_done();
	libevent_global_shutdown();
	return r < 0 ? 1 : 0;
}
