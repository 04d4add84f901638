#include "daemon/agent/runner.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/lib/check-main.h"
#include "tests/lib/fault.h"
#include "tests/lib/log-fixture.h"

static LogFixture f;
static Runner *runner;
static int reaper_fd;                /* the other end of its line */
static bool on_trial, says_too_much; /* the runs that new_run() makes */
static void *answered;
static unsigned n_answers;

/* ---- A backend that does as it is told ---- */

static void say(BackendRun *run, BackendEventType type)
{
	const BackendEvent event = { .type = type };

	run->on_event(&event, run->userdata);
}

/* Two chunks for which there is no memory. */
static void say_too_much(BackendRun *run)
{
	static const char chunk[PROTOCOL_MAX_CHUNK_BYTES];
	const BackendEvent event = {
		.type = BACKEND_PARTIAL_OUTPUT,
		.chunk = chunk,
		.chunk_len = sizeof(chunk),
	};

	fault_realloc_after(0);
	run->on_event(&event, run->userdata);
	run->on_event(&event, run->userdata);
	fault_realloc_after(-1);
}

static void toy_start(BackendRun *run)
{
	say(run, BACKEND_START);
	say(run, BACKEND_ANSWERED);
	if (says_too_much)
		say_too_much(run);
}

static void toy_pause(BackendRun *run)
{
	(void)run;
}

/* Ends well, in a moment in which there is no memory to say so. */
static void toy_cancel(BackendRun *run, uint32_t kill_grace_ms)
{
	(void)kill_grace_ms;
	fault_realloc_after(0);
	say(run, BACKEND_DONE);
	fault_realloc_after(-1);
}

static void toy_free(BackendRun *run)
{
	free(run);
}

static const Backend toy = {
	.name = "toy",
	.start = toy_start,
	.pause = toy_pause,
	.resume = toy_pause,
	.cancel = toy_cancel,
	.free = toy_free,
};

static AgentRun *new_run(void *owner)
{
	const Uuid id = { .bytes = { 1 } };
	AgentRunSpec spec = {
		.owner = owner,
		.agent = 1,
		.id = &id,
		.attempt = 1,
		.on_trial = on_trial,
	};
	AgentRun *run;

	spec.backend_run = calloc(1, sizeof(*spec.backend_run));
	spec.backend_run->backend = &toy;
	ck_assert_int_eq(agent_run_new(&spec, &run), 0);
	return run;
}

/* ---- Tests ---- */

static void on_broken(void *userdata)
{
	(void)userdata;
	ck_abort_msg("the worker is broken");
}

static void on_answered(void *owner, void *userdata)
{
	ck_assert_ptr_eq(userdata, &f);
	answered = owner;
	n_answers++;
}

static void setup(void)
{
	RunnerStart start = {
		.hooks = { .on_broken = on_broken, .on_answered = on_answered, .userdata = &f },
	};
	int pair[2];

	on_trial = says_too_much = false;
	answered = NULL;
	n_answers = 0;
	log_fixture_init(&f);
	log_set_level(0);
	log_fixture_start(&f);
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	reaper_fd = pair[1];
	start.committer = eventlog_committer(f.log);
	start.main = f.main;
	start.reaper_fd = pair[0];
	ck_assert_int_eq(runner_new(&start, &runner), 0);
}

static void teardown(void)
{
	runner_free(runner);
	close(reaper_fd);
	log_fixture_done(&f);
}

static const EventMeta *newest(void)
{
	uint64_t seq = eventlog_end_seq(f.log) - 1;
	size_t at;
	const Batch *b = eventlog_hot_find(f.log, seq, &at);

	return &b->entries[seq - b->first_seq].meta;
}

/* An agent has a last event, whatever becomes of what it was to say. */
START_TEST(test_end_without_memory)
{
	AgentRun *run = new_run(&f);

	runner_start(runner, run);
	runner_flush(runner);
	log_fixture_wait(&f, 1);
	ck_assert_int_eq(newest()->type, EVENT_TYPE_AGENT_STARTED);
	ck_assert_int_eq(runner_stop_run(runner, run, (AgentStop){ .code = AGENT_ERROR_NONE }), 0);
	runner_flush(runner);
	log_fixture_wait(&f, 2);
	ck_assert_int_eq(newest()->type, EVENT_TYPE_AGENT_ERROR);
	ck_assert_int_eq(newest()->code, AGENT_ERROR_RESOURCE_LIMIT);
	ck_assert_ptr_eq(newest()->owner, &f);
	runner_free_run(runner, run);
	ck_assert_uint_eq(runner_load(runner), 0);
}
END_TEST

/* Output is never lost in silence: it is counted, and its agent ends. */
START_TEST(test_output_without_memory)
{
	AgentRun *run = new_run(&f);

	says_too_much = true;
	runner_start(runner, run);
	runner_flush(runner);
	log_fixture_wait(&f, 2);
	ck_assert_int_eq(newest()->type, EVENT_TYPE_AGENT_ERROR);
	ck_assert_int_eq(newest()->code, AGENT_ERROR_RESOURCE_LIMIT);
	ck_assert_uint_eq(runner_lost_events(runner), 2);
	runner_free_run(runner, run);
}
END_TEST

/* Whoever has ended, and whoever has not: the worker frees all that main has not. */
START_TEST(test_stop_frees_all)
{
	AgentRun *ended = new_run(NULL), *running = new_run(NULL);

	runner_start(runner, ended);
	runner_start(runner, running);
	runner_flush(runner);
	log_fixture_wait(&f, 2);
	ck_assert_int_eq(
		runner_stop_run(runner, ended, (AgentStop){ .code = AGENT_ERROR_NONE }), 0);
	runner_flush(runner);
	log_fixture_wait(&f, 3);
	runner_stop(runner);
}
END_TEST

/* Main hears of the answer before anything that the log brings, and of those alone that are on
 * trial. */
START_TEST(test_answers)
{
	int owners[2];

	runner_start(runner, new_run(&owners[0]));
	on_trial = true;
	runner_start(runner, new_run(&owners[1]));
	runner_flush(runner);
	log_fixture_wait(&f, 2);
	ck_assert_uint_eq(n_answers, 1);
	ck_assert_ptr_eq(answered, &owners[1]);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("runner");
	TCase *tc = tcase_create("runner");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_end_without_memory);
	tcase_add_test(tc, test_output_without_memory);
	tcase_add_test(tc, test_stop_frees_all);
	tcase_add_test(tc, test_answers);
	suite_add_tcase(s, tc);
	return s;
}
