#include "daemon/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "common/clock.h"
#include "common/fd.h"
#include "common/log.h"
#include "daemon/agent/orphans.h"
#include "daemon/agent/recovery.h"
#include "daemon/backend/exec-options.h"
#include "daemon/ballast.h"
#include "daemon/control/control.h"
#include "daemon/control/listener.h"
#include "daemon/eventlog/indexer.h"
#include "daemon/provider-set.h"
#include "daemon/reaper/reaper-cgroup.h"
#include "daemon/state-dir.h"

/* How long the last rows may take to get into the catalog; what does not is found again by the next
 * start. */
#define FLUSH_MS 5000

/* How long clients that read may take to be given the last events. */
#define LAST_TURNS_MS 2000

/* Segments are looked at for their age this often. */
#define PRUNE_S 60

/* After the programs were killed: by then whoever is to end has said so, or never will. An agent
 * that is paused with output in its pipes takes its time, unless it is to end at once. */
#define LAST_WORDS_MS         6000
#define LAST_WORDS_AT_ONCE_MS 1000

static const int stop_signals[] = { SIGTERM, SIGINT };

struct Daemon {
	const ConfigOptions *options;
	Config *config;
	Config *started_with; /* the same until a reload */
	Buf for_a_restart;    /* which keys differ from that, and cannot be taken over */
	Reaper reaper;
	struct event_base *base;
	Timers *timers; /* of agents that wait for a provider */
	Mailbox *mailbox;
	struct event *mail_event, *reaper_event;
	struct event *signal_events[ARRAY_SIZE(stop_signals)], *reload_event;
	struct event *grace_timer, *last_words_timer, *watchdog_timer, *prune_timer, *retry_timer;
	struct timeval watchdog_interval;
	uint64_t retry_at_us; /* when the retry timer is due */
	EventLog *log;
	Reader *reader;
	Indexer indexer;
	Orchestrator *orchestrator;
	Control *control;
	Listener *listener;
	Uuid instance_id;
	bool stopping, finished;
	bool last_words_over, worker_broken;
	int error;
};

/* ---- Places ---- */

int daemon_claim_state(const Config *config, char **ret_path, int *ret_lock_fd)
{
	_cleanup_free_ char *path = NULL, *lock_path = NULL;
	_cleanup_close_ int fd = -1;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int r = listener_check(config);

	if (r < 0)
		return r;
	r = state_dir_find(config, &path);
	if (r == 0)
		r = dir_make(path, 0700);
	if (r < 0) {
		log_error("the state directory %s cannot be made: %s", path ? path : "",
			strerror(-r));
		return r;
	}
	if (asprintf(&lock_path, "%s/daemon.lock", path) < 0)
		return -ENOMEM;
	fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = -errno;
		log_error("%s cannot be opened: %s", lock_path, strerror(errno));
		return r;
	}
	/* A lock of the process: the reaper, forked later, does not hold it on when this process
	 * dies. */
	if (fcntl(fd, F_SETLK, &lock) < 0) {
		r = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
		log_error("another liongated is running with the state directory %s", path);
		return r;
	}
	*ret_path = TAKE_PTR(path);
	*ret_lock_fd = TAKE_FD(fd);
	return 0;
}

unsigned daemon_workers(const Config *config)
{
	long cores;

	if (config->workers > 0)
		return config->workers;
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores > 0 ? (unsigned)cores : 1;
}

/* ---- What the parts say ---- */

static void on_batch(const Batch *batch, void *userdata)
{
	Daemon *d = userdata;

	orchestrator_apply(d->orchestrator, batch);
	if (d->control)
		control_batch(d->control, batch);
}

static void on_rejected(void *owner, int error, void *userdata)
{
	Daemon *d = userdata;

	(void)error;
	orchestrator_rejected(d->orchestrator, owner);
}

static void on_log_state(int error, void *userdata)
{
	Daemon *d = userdata;

	orchestrator_log_state(d->orchestrator, error);
}

static void on_synced(uint64_t seq, void *userdata)
{
	Daemon *d = userdata;

	(void)seq;
	orchestrator_synced(d->orchestrator);
}

static void on_drained(void *userdata)
{
	Daemon *d = userdata;

	orchestrator_drained(d->orchestrator);
}

static void on_accepted(Agent *a, void *userdata)
{
	Daemon *d = userdata;

	control_accepted(d->control, a);
}

static void on_all_ended(void *userdata)
{
	Daemon *d = userdata;

	d->finished = true;
}

static void on_mail(evutil_socket_t fd, short what, void *userdata)
{
	Daemon *d = userdata;

	(void)fd;
	(void)what;
	mailbox_deliver(d->mailbox, d);
}

/* ---- Stopping, reloading, watchdog ---- */

static void say_status(const Daemon *d)
{
	AgentCounts counts = orchestrator_counts(d->orchestrator);

	sd_notifyf(0, "STATUS=%s%llu running, %llu queued, %u clients%s%.*s",
		d->stopping ? "Stopping: " : "", (unsigned long long)counts.running,
		(unsigned long long)counts.queued, conn_server_count(d->control->conns),
		d->for_a_restart.len > 0 ? "; only a restart takes over: " : "",
		(int)d->for_a_restart.len, d->for_a_restart.len > 0 ? d->for_a_restart.data : "");
}

static void on_last_words_over(evutil_socket_t fd, short what, void *userdata)
{
	Daemon *d = userdata;

	(void)fd;
	(void)what;
	d->last_words_over = true;
}

static void end_all(Daemon *d, uint32_t kill_grace_ms)
{
	uint64_t ms =
		kill_grace_ms > 0 ? (uint64_t)kill_grace_ms + LAST_WORDS_MS : LAST_WORDS_AT_ONCE_MS;
	struct timeval last_words = {
		.tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * USEC_PER_MSEC),
	};

	orchestrator_end_all(d->orchestrator, kill_grace_ms);
	if (evtimer_add(d->last_words_timer, &last_words) < 0)
		d->last_words_over = true;
}

static void on_grace_over(evutil_socket_t fd, short what, void *userdata)
{
	Daemon *d = userdata;

	(void)fd;
	(void)what;
	log_notice("the grace is over: what still runs is ended");
	end_all(d, d->config->kill_grace_ms);
}

static void stop(Daemon *d, const char *reason)
{
	struct timeval grace = {
		.tv_sec = (time_t)(d->config->stop_grace_us / USEC_PER_SEC),
		.tv_usec = (suseconds_t)(d->config->stop_grace_us % USEC_PER_SEC),
	};

	if (d->stopping) {
		log_notice("%s again: what still runs is killed", reason);
		end_all(d, 0);
		return;
	}
	log_notice("stopping: %s", reason);
	d->stopping = true;
	sd_notify(0, "STOPPING=1");
	say_status(d);
	if (orchestrator_drain(d->orchestrator, reason) < 0)
		log_error("out of memory: DaemonStopping is not in the log");
	if (evtimer_add(d->grace_timer, &grace) < 0)
		end_all(d, d->config->kill_grace_ms);
}

static void on_stop_signal(evutil_socket_t signal, short what, void *userdata)
{
	(void)what;
	stop(userdata, signal == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* Something is gone without which agents cannot be run: to be started anew. */
static void stop_broken(Daemon *d, const char *reason, int error)
{
	log_error("%s; the daemon stops, to be started anew", reason);
	d->error = error;
	if (!d->stopping)
		stop(d, reason);
	end_all(d, 0);
}

/* No program can be started, waited for or ended. */
static void on_reaper_died(evutil_socket_t fd, short what, void *userdata)
{
	Daemon *d = userdata;

	(void)fd;
	(void)what;
	event_del(d->reaper_event);
	if (d->reaper.cgroups.agents_fd >= 0)
		reaper_cgroup_clear(&d->reaper.cgroups);
	/* The next start would not know them: they will have ended. */
	orphans_end(orchestrator_registry(d->orchestrator));
	stop_broken(d, "the reaper has died", -ECHILD);
}

static void on_broken(void *userdata)
{
	Daemon *d = userdata;

	d->worker_broken = true;
	stop_broken(d, "a worker is broken", -EIO);
}

static void plan_prune(Daemon *d)
{
	const struct timeval interval = { .tv_sec = PRUNE_S };

	if (d->config->retain_age_us > 0 && evtimer_add(d->prune_timer, &interval) < 0)
		log_error("out of memory: old segments stay");
}

static EventLogOptions log_options(const Config *config)
{
	return (EventLogOptions){
		.durability = config->durability,
		.sync_interval_us = config->sync_interval_us,
		.segment_bytes = config->segment_bytes,
		.retain_bytes = config->retain_bytes,
		.retain_age_us = config->retain_age_us,
	};
}

/* -errno, said: the providers are those that they were. */
static int set_providers(Daemon *d, const Config *config)
{
	_cleanup_buf_ Buf why = { 0 };
	ProviderSet set;
	int r = provider_set_load(config, &set, &why);

	if (r < 0) {
		log_error("%s", why.len > 0 ? why.data : strerror(-r));
		return r;
	}
	r = providers_configure(orchestrator_providers(d->orchestrator), set.settings, set.n);
	provider_set_done(&set);
	if (r < 0)
		log_error("out of memory: some providers are missing");
	return r;
}

static void take_over(Daemon *d, Config *config)
{
	_cleanup_buf_ Buf changed = { 0 }, fixed = { 0 }, unused = { 0 };
	EventLogOptions options;

	/* What an earlier reload could not take over is not in force by this one. */
	if (config_diff(d->config, config, &changed, &unused) < 0 ||
		config_diff(d->started_with, config, &unused, &fixed) < 0) {
		log_error("out of memory: not reloaded");
		config_free(config);
		return;
	}
	if (changed.len > 0)
		log_notice("reloaded: %.*s", (int)changed.len, changed.data);
	else
		log_notice("reloaded: nothing has changed that can be taken over");
	if (fixed.len > 0)
		log_warning("only a restart takes over: %.*s", (int)fixed.len, fixed.data);
	buf_done(&d->for_a_restart);
	d->for_a_restart = fixed;
	fixed = (Buf){ 0 };
	log_set_level(config->log_level);
	if (orchestrator_configure(d->orchestrator, config) < 0)
		log_error("out of memory: some limits are the old ones");
	config_log_warnings(config);
	if (set_providers(d, config) < 0)
		log_warning("the providers stay as they were");
	control_configure(d->control, config);
	listener_set_config(d->listener, config);
	options = log_options(config);
	eventlog_configure(d->log, &options);
	if (d->config != d->started_with)
		config_free(d->config);
	d->config = config;
	plan_prune(d);
}

static void on_reload_signal(evutil_socket_t signal, short what, void *userdata)
{
	Daemon *d = userdata;
	_cleanup_buf_ Buf errors = { 0 };
	Config *config;
	int r;

	(void)signal;
	(void)what;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_monotonic_us());
	r = config_load(d->options, &config, &errors);
	if (r < 0) {
		log_error("not reloaded, the configuration stays as it was%s",
			errors.len > 0 ? ":" : "");
		config_log_lines(LOG_LEVEL_ERROR, &errors);
	} else {
		take_over(d, config);
	}
	sd_notify(0, "READY=1");
	say_status(d);
}

static void on_watchdog(evutil_socket_t fd, short what, void *userdata)
{
	Daemon *d = userdata;

	(void)fd;
	(void)what;
	sd_notify(0, "WATCHDOG=1");
	say_status(d);
	if (evtimer_add(d->watchdog_timer, &d->watchdog_interval) < 0)
		log_error("out of memory: the watchdog will bite");
}

static void on_prune(evutil_socket_t fd, short what, void *userdata)
{
	Daemon *d = userdata;

	(void)fd;
	(void)what;
	orchestrator_synced(d->orchestrator);
	plan_prune(d);
}

static void on_retry(evutil_socket_t fd, short what, void *userdata)
{
	Daemon *d = userdata;

	(void)fd;
	(void)what;
	orchestrator_synced(d->orchestrator);
}

/* What failed to be written to the catalog is tried again, also where nothing happens that would be
 * a reason to. */
static void plan_retry(Daemon *d)
{
	int64_t us = projection_retry_us(orchestrator_projection(d->orchestrator));
	struct timeval wait = {
		.tv_sec = (time_t)(us / (int64_t)USEC_PER_SEC),
		.tv_usec = (suseconds_t)(us % (int64_t)USEC_PER_SEC),
	};
	uint64_t at_us;

	if (us < 0)
		return;
	at_us = clock_monotonic_us() + (uint64_t)us;
	/* One of two things that fail may be due before the one that it was set for. */
	if (evtimer_pending(d->retry_timer, NULL) && d->retry_at_us <= at_us)
		return;
	d->retry_at_us = at_us;
	if (evtimer_add(d->retry_timer, &wait) < 0)
		log_error("out of memory: the catalog is tried again with the next event");
}

/* ---- Starting ---- */

static int make_base(Daemon *d)
{
	struct event_config *config = event_config_new();

	if (!config)
		return -ENOMEM;
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	d->base = event_base_new_with_config(config);
	event_config_free(config);
	if (!d->base || timers_new(d->base, &d->timers) < 0)
		return -ENOMEM;
	return mailbox_new(&d->mailbox);
}

static int make_events(Daemon *d)
{
	d->mail_event =
		event_new(d->base, mailbox_fd(d->mailbox), EV_READ | EV_PERSIST, on_mail, d);
	d->reaper_event =
		event_new(d->base, d->reaper.alive_fd, EV_READ | EV_PERSIST, on_reaper_died, d);
	d->reload_event = evsignal_new(d->base, SIGHUP, on_reload_signal, d);
	d->grace_timer = evtimer_new(d->base, on_grace_over, d);
	d->last_words_timer = evtimer_new(d->base, on_last_words_over, d);
	d->watchdog_timer = evtimer_new(d->base, on_watchdog, d);
	d->prune_timer = evtimer_new(d->base, on_prune, d);
	d->retry_timer = evtimer_new(d->base, on_retry, d);
	if (!d->mail_event || !d->reaper_event || !d->reload_event || !d->grace_timer ||
		!d->last_words_timer || !d->watchdog_timer || !d->prune_timer || !d->retry_timer)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++) {
		d->signal_events[i] = evsignal_new(d->base, stop_signals[i], on_stop_signal, d);
		if (!d->signal_events[i] || evsignal_add(d->signal_events[i], NULL) < 0)
			return -ENOMEM;
	}
	return event_add(d->mail_event, NULL) < 0 || event_add(d->reaper_event, NULL) < 0 ||
			       evsignal_add(d->reload_event, NULL) < 0
		       ? -ENOMEM
		       : 0;
}

static int open_log(Daemon *d, const char *state_dir, Registry *registry, uint64_t *ret_applied,
	CatalogStats *ret_totals)
{
	EventLogHooks hooks = {
		.on_batch = on_batch,
		.on_rejected = on_rejected,
		.on_state = on_log_state,
		.on_synced = on_synced,
		.on_drained = on_drained,
		.userdata = d,
	};
	Catalog *catalog = NULL;
	EventLogOptions options = log_options(d->config);
	int r = eventlog_open(state_dir, &options, &d->log);

	if (r == 0)
		r = recovery_run(state_dir, d->log, registry, &catalog, ret_applied, ret_totals);
	if (r == 0)
		r = eventlog_start(d->log, d->mailbox, &hooks);
	if (r == 0)
		r = reader_new(eventlog_dirfd(d->log), catalog, d->mailbox, &d->reader);
	if (r < 0) {
		catalog_close(catalog);
		registry_done(registry);
		eventlog_close(d->log);
		d->log = NULL;
		return r;
	}
	indexer_init(&d->indexer, d->log, d->reader);
	return 0;
}

/* The log, the catalog and the threads behind them. */
static int start_log(Daemon *d, const char *state_dir, Registry *registry, uint64_t *ret_applied,
	CatalogStats *ret_totals)
{
	/* What of the ballast stays, of what there still is. */
	static const unsigned keep[] = { 2, 2, 0 };
	int r = open_log(d, state_dir, registry, ret_applied, ret_totals);

	for (size_t i = 0; i < ARRAY_SIZE(keep) && (r == -ENOSPC || r == -EDQUOT); i++) {
		if (!ballast_give(state_dir, keep[i]))
			break;
		if (i == 0)
			log_warning("the disk is full: the daemon starts in the room that was kept "
				    "for that");
		r = open_log(d, state_dir, registry, ret_applied, ret_totals);
	}
	if (r < 0)
		log_error("the log in %s cannot be opened: %s", state_dir, strerror(-r));
	return r;
}

static int start_agents(Daemon *d, Registry *registry, uint64_t applied, const CatalogStats *totals)
{
	OrchestratorStart start = {
		.config = d->config,
		.log = d->log,
		.reader = d->reader,
		.main = d->mailbox,
		.timers = d->timers,
		.registry = registry,
		.applied = applied,
		.totals = *totals,
		.reaper_fds = d->reaper.line_fds,
		.n_workers = (unsigned)d->reaper.n_lines,
		.hooks = {
			.on_accepted = on_accepted,
			.on_all_ended = on_all_ended,
			.on_broken = on_broken,
			.userdata = d,
		},
	};

	int r = orchestrator_new(&start, &d->orchestrator);

	return r == 0 ? set_providers(d, d->config) : r;
}

static int start_control(Daemon *d)
{
	ControlStart start = {
		.base = d->base,
		.config = d->config,
		.log = d->log,
		.reader = d->reader,
		.orchestrator = d->orchestrator,
		.cgroups = &d->reaper.cgroups,
		.instance_id = d->instance_id,
	};
	int r = control_new(&start, &d->control);

	if (r == 0)
		r = listener_new(d->base, d->control->conns, d->config, &d->listener);
	return r;
}

static bool end_turn(Daemon *d)
{
	bool more = orchestrator_end_turn(d->orchestrator);

	more |= control_end_turn(d->control);
	indexer_run(&d->indexer);
	eventlog_trim(d->log);
	plan_retry(d);
	return more;
}

/* What happened before the loop sleeps is dealt with before it does: nobody wakes it for that. */
static int run_turn(Daemon *d)
{
	bool more = end_turn(d) || d->finished;

	/* Without this whoever shares the core with main, be it a worker that has a request to work
	 * on, waits for the kernel's tick, which is longer than all of our turns. Only while
	 * somebody waits for an answer: it costs a place behind programs that only compute. */
	if (more && control_asked_lately(d->control))
		(void)sched_yield();
	return event_base_loop(d->base, EVLOOP_ONCE | (more ? EVLOOP_NONBLOCK : 0)) < 0 ? -EIO : 0;
}

/* What recovery found is in the log before the first client is let in. */
static int settle_recovery(Daemon *d)
{
	uint64_t first = eventlog_end_seq(d->log), events = 0;
	int r = orchestrator_recovered(d->orchestrator, &d->instance_id, &events);

	while (r == 0 && eventlog_end_seq(d->log) < first + events) {
		r = run_turn(d);
		if (eventlog_error(d->log) < 0)
			break; /* clients are told why nothing is accepted */
	}
	return r;
}

static void start_timers(Daemon *d)
{
	uint64_t watchdog_us;

	if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
		d->watchdog_interval.tv_sec = (time_t)(watchdog_us / 2 / USEC_PER_SEC);
		d->watchdog_interval.tv_usec = (suseconds_t)(watchdog_us / 2 % USEC_PER_SEC);
		on_watchdog(-1, 0, d);
	}
	plan_prune(d);
}

int daemon_new(const ConfigOptions *options, Config *config, const char *state_dir, Reaper *reaper,
	Daemon **ret)
{
	Daemon *d = calloc(1, sizeof(*d));
	Registry registry = { 0 };
	CatalogStats totals = { 0 };
	uint64_t applied = 0;
	int r;

	if (!d) {
		reaper_stop(reaper);
		config_free(config);
		return -ENOMEM;
	}
	d->options = options;
	d->config = d->started_with = config;
	d->reaper = *reaper;
	exec_options_allow_processes(delegation_has(&d->reaper.cgroups, CGROUP_PIDS));
	r = uuid_generate(&d->instance_id);
	if (r == 0)
		r = make_base(d);
	if (r == 0)
		r = make_events(d);
	if (r == 0)
		r = start_log(d, state_dir, &registry, &applied, &totals);
	if (r == 0)
		r = start_agents(d, &registry, applied, &totals);
	if (r == 0)
		r = start_control(d);
	if (r == 0)
		r = settle_recovery(d);
	if (r == 0)
		ballast_take(state_dir); /* the log has its reserve: of what is left */
	if (r == 0)
		r = listener_start(d->listener);
	registry_done(&registry);
	if (r < 0) {
		daemon_free(d);
		return r;
	}
	start_timers(d);
	*ret = d;
	return 0;
}

/* ---- Running and ending ---- */

/* Until all who read have what there is, or for so long. */
static void end_last_turns(Daemon *d)
{
	uint64_t until_us = clock_monotonic_us() + LAST_TURNS_MS * USEC_PER_MSEC;

	while (end_turn(d) && clock_monotonic_us() < until_us)
		continue;
}

/* In the order in which what is left flows: workers, log, clients, catalog. */
static void wind_up(Daemon *d)
{
	uint64_t until_us;

	orchestrator_stop_workers(d->orchestrator);
	eventlog_stop(d->log);
	mailbox_deliver(d->mailbox, d);
	end_last_turns(d);
	projection_forgive(orchestrator_projection(d->orchestrator));
	until_us = clock_monotonic_us() + FLUSH_MS * USEC_PER_MSEC;
	while (!projection_idle(orchestrator_projection(d->orchestrator)) &&
		projection_error(orchestrator_projection(d->orchestrator)) == 0 &&
		clock_monotonic_us() < until_us) {
		projection_flush(orchestrator_projection(d->orchestrator));
		for (MailboxItem *item = mailbox_wait(d->mailbox, FLUSH_MS), *next; item;
			item = next) {
			next = item->next;
			item->deliver(item, d);
		}
		end_turn(d);
	}
	reader_stop(d->reader);
	mailbox_deliver(d->mailbox, d);
	end_last_turns(d);
	mailbox_deliver(d->mailbox, d);
	control_finish(d->control);
}

/* Last events that cannot be written, or that a broken worker will never say, are not waited for:
 * the next start finds these agents and says `interrupted`. */
static void give_up_if_due(Daemon *d)
{
	int error = eventlog_error(d->log);

	if (d->finished || !d->last_words_over || (error == 0 && !d->worker_broken))
		return;
	log_error("%s%s: the daemon ends without the last events of %llu agents",
		error < 0 ? "the log cannot be written: " : "a worker is broken",
		error < 0 ? strerror(-error) : "",
		(unsigned long long)orchestrator_counts(d->orchestrator).running);
	if (error < 0)
		d->error = error;
	d->finished = true;
}

int daemon_run(Daemon *d)
{
	log_notice("liongated %s is ready on %s", LIONGATE_VERSION, listener_path(d->listener));
	sd_notify(0, "READY=1");
	say_status(d);
	while (!d->finished) {
		int r = run_turn(d);

		if (r < 0)
			return r;
		give_up_if_due(d);
	}
	wind_up(d);
	log_notice("stopped");
	return d->error;
}

static void free_event(struct event *e)
{
	if (e)
		event_free(e);
}

void daemon_free(Daemon *d)
{
	if (!d)
		return;
	listener_free(d->listener);
	if (d->orchestrator)
		orchestrator_stop_workers(d->orchestrator);
	reader_stop(d->reader);
	if (d->mailbox && d->control)
		mailbox_deliver(d->mailbox, d);
	control_free(d->control);
	orchestrator_free(d->orchestrator);
	reader_free(d->reader);
	eventlog_close(d->log);
	reaper_stop(&d->reaper);
	free_event(d->mail_event);
	free_event(d->reaper_event);
	free_event(d->reload_event);
	free_event(d->grace_timer);
	free_event(d->last_words_timer);
	free_event(d->watchdog_timer);
	free_event(d->prune_timer);
	free_event(d->retry_timer);
	for (size_t i = 0; i < ARRAY_SIZE(stop_signals); i++)
		free_event(d->signal_events[i]);
	mailbox_free(d->mailbox);
	timers_free(d->timers);
	if (d->base)
		event_base_free(d->base);
	if (d->config != d->started_with)
		config_free(d->config);
	config_free(d->started_with);
	buf_done(&d->for_a_restart);
	free(d);
}
