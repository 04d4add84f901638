#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/protocol.h"
#include "common/utf8.h"
#include "daemon/backend/backend.h"
#include "daemon/loop/worker.h"
#include "tests/lib/check-main.h"

#define SPARKLE "\xe2\x9c\xa8" /* three bytes */

static Worker *worker;
static BackendRun *run;
static sem_t ended, posted, paused;
static Buf told;         /* what was said, a word each; the worker's until it has ended */
static uint64_t last_us; /* when */
static unsigned n_events, n_turns;
static void (*on_chunk)(void); /* done within the call, at the first chunk */

/* ---- The runner's part ---- */

static void tell(const char *what, const char *text, size_t len)
{
	ck_assert_int_eq(buf_append_str(&told, what), 0);
	ck_assert_int_eq(buf_append(&told, text, len), 0);
}

static void on_event(const BackendEvent *e, void *userdata)
{
	uint64_t now_us = clock_monotonic_us();

	ck_assert_ptr_eq(userdata, &told);
	n_events++;
	switch (e->type) {
	case BACKEND_START:
		ck_assert_int_eq(e->pid, 0);
		tell("start", "", 0);
		break;
	case BACKEND_PARTIAL_OUTPUT:
		ck_assert_int_eq(e->channel, CHANNEL_OUTPUT);
		ck_assert(utf8_valid(e->chunk, e->chunk_len));
		tell("|", e->chunk, e->chunk_len);
		if (on_chunk) {
			void (*f)(void) = on_chunk;

			on_chunk = NULL;
			f();
		}
		break;
	case BACKEND_DONE:
		tell("|done", "", 0);
		break;
	case BACKEND_ANSWERED:
	case BACKEND_RETRY:
		ck_abort_msg("a mock calls nobody");
		break;
	case BACKEND_ERROR:
		ck_assert_ptr_nonnull(e->message);
		tell("|error ", agent_error_to_string(e->code),
			strlen(agent_error_to_string(e->code)));
		break;
	}
	last_us = now_us;
	if (e->type == BACKEND_DONE || e->type == BACKEND_ERROR)
		sem_post(&ended);
}

static void on_turn(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
	n_turns++;
}

static void on_stop(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
	if (run)
		backend_mock.free(run);
	run = NULL;
}

static void setup(void)
{
	const WorkerHooks hooks = { .on_turn = on_turn, .on_stop = on_stop };

	on_chunk = NULL;
	n_events = n_turns = 0;
	ck_assert_int_eq(sem_init(&ended, 0, 0), 0);
	ck_assert_int_eq(sem_init(&posted, 0, 0), 0);
	ck_assert_int_eq(sem_init(&paused, 0, 0), 0);
	ck_assert_int_eq(worker_new(0, &hooks, &worker), 0);
	ck_assert_int_eq(worker_start(worker), 0);
}

static void teardown(void)
{
	worker_free(worker);
	buf_done(&told);
	sem_destroy(&ended);
	sem_destroy(&posted);
	sem_destroy(&paused);
}

static void wait_for(sem_t *s)
{
	while (sem_wait(s) < 0)
		ck_assert_int_eq(errno, EINTR);
}

typedef struct Call {
	MailboxItem item;
	void (*f)(void);
} Call;

static void deliver_call(MailboxItem *item, void *receiver)
{
	(void)receiver;
	container_of(item, Call, item)->f();
	sem_post(&posted);
}

/* On the worker; returns when it is done. */
static void call(void (*f)(void))
{
	Call c = { .item.deliver = deliver_call, .f = f };

	worker_post(worker, &c.item);
	wait_for(&posted);
}

static void start(void)
{
	run->worker = worker;
	run->on_event = on_event;
	run->userdata = &told;
	backend_mock.start(run);
}

static void cancel(void)
{
	backend_mock.cancel(run, 1000);
}

static void pause_run(void)
{
	backend_mock.pause(run);
}

static void resume(void)
{
	backend_mock.resume(run);
}

static void make_run(const char *options, const char *prompt)
{
	_cleanup_json_ json_object *o = NULL;
	_cleanup_rpc_error_ RpcError e = { 0 };
	BackendSpec spec = { .attempt = 1, .prompt = prompt, .prompt_len = strlen(prompt) };
	JsonxError why;

	ck_assert_int_eq(jsonx_parse(options, strlen(options), &o, &why), 0);
	ck_assert_msg(schema_check(protocol_backend_find("mock")->options, o, "", &e) == 0, "%s",
		e.message);
	spec.options = o;
	ck_assert_int_eq(backend_mock.run_new(&spec, &run), 0);
	ck_assert_ptr_eq(run->backend, &backend_mock);
}

/* Nothing comes after the end; what was said was this. */
static void assert_told(const char *expected)
{
	worker_stop(worker);
	ck_assert_int_eq(buf_terminate(&told), 0);
	ck_assert_str_eq(told.data ? told.data : "", expected);
}

/* ---- Whole runs ---- */

static const struct {
	const char *options, *prompt, *expected;
} cases[] = {
	{ "{\"delay_ms\":0}", "x", "start|Partial 1 from x|Partial 2 from x|Final from x|done" },
	{ "{\"delay_ms\":1}", "x", "start|Partial 1 from x|Partial 2 from x|Final from x|done" },
	{ "{\"delay_ms\":0,\"chunks\":1}", "", "start|Final from |done" },
	{ "{\"delay_ms\":0,\"chunks\":0}", "x", "start|done" },
	{ "{\"delay_ms\":5,\"chunks\":0}", "x", "start|done" },
	{ "{\"delay_ms\":0,\"fail_after\":0}", "x", "start|error provider" },
	{ "{\"delay_ms\":0,\"fail_after\":2}", "x",
		"start|Partial 1 from x|Partial 2 from x|error provider" },
	{ "{\"delay_ms\":0,\"fail_after\":3}", "x",
		"start|Partial 1 from x|Partial 2 from x|Final from x|error provider" },
	{ "{\"delay_ms\":0,\"fail_after\":4}", "x",
		"start|Partial 1 from x|Partial 2 from x|Final from x|done" },
	{ "{\"delay_ms\":0,\"chunks\":2,\"chunk_bytes\":20}", "x",
		"start|Partial 1 from x....|Final from x........|done" },
	{ "{\"delay_ms\":0,\"chunks\":2,\"chunk_bytes\":7}", "x", "start|Partial|Final f|done" },
	{ "{\"delay_ms\":0,\"chunks\":1,\"chunk_bytes\":1}", "x", "start|F|done" },
	/* Never inside a character. */
	{ "{\"delay_ms\":0,\"chunks\":1,\"chunk_bytes\":13}", SPARKLE, "start|Final from ..|done" },
	{ "{\"delay_ms\":0,\"chunks\":1,\"chunk_bytes\":14}", SPARKLE,
		"start|Final from " SPARKLE "|done" },
	{ "{\"script\":[]}", "x", "start|done" },
	{ "{\"script\":[{\"chunk\":\"a\"},{\"chunk\":\"\"},{\"after_ms\":3,\"chunk\":\"b" SPARKLE
	  "\"}]}",
		"x", "start|a||b" SPARKLE "|done" },
	{ "{\"script\":[{\"chunk\":\"a\"},{\"chunk\":\"b\"}],\"fail_after\":1}", "x",
		"start|a|error provider" },
	/* The rest counts for nothing then. */
	{ "{\"script\":[{\"chunk\":\"a\"}],\"chunks\":9,\"chunk_bytes\":3}", "x", "start|a|done" },
};

START_TEST(test_runs)
{
	make_run(cases[_i].options, cases[_i].prompt);
	call(start);
	wait_for(&ended);
	assert_told(cases[_i].expected);
}
END_TEST

/* Above what is made on the stack. */
START_TEST(test_large)
{
	static char prompt[100001];

	memset(prompt, 'y', sizeof(prompt) - 1);
	make_run("{\"delay_ms\":0,\"chunks\":2}", prompt);
	call(start);
	wait_for(&ended);
	worker_stop(worker);
	ck_assert_uint_eq(told.len, strlen("start|Partial 1 from |Final from |done") + 200000);
	ck_assert_uint_eq(n_events, 4);
}
END_TEST

START_TEST(test_large_chunk_bytes)
{
	make_run("{\"delay_ms\":0,\"chunks\":3,\"chunk_bytes\":4194304}", "p");
	call(start);
	wait_for(&ended);
	worker_stop(worker);
	ck_assert_uint_eq(told.len, strlen("start||||done") + 3UL * 4194304);
}
END_TEST

START_TEST(test_many_chunks)
{
	make_run("{\"delay_ms\":0,\"chunks\":5000,\"chunk_bytes\":1}", "p");
	call(start);
	wait_for(&ended);
	worker_stop(worker);
	ck_assert_uint_eq(n_events, 5002);
}
END_TEST

/* Without delay it never waits, and the loop's turns end all the same. */
START_TEST(test_starves_nobody)
{
	make_run("{\"delay_ms\":0,\"chunks\":100000000,\"chunk_bytes\":1}", "p");
	call(start);
	call(cancel);
	wait_for(&ended);
	worker_stop(worker);
	ck_assert_uint_lt(n_events, 100000000);
	ck_assert_uint_gt(n_turns, 0);
}
END_TEST

START_TEST(test_delay)
{
	uint64_t begin = clock_monotonic_us();

	make_run("{\"script\":[{\"after_ms\":60,\"chunk\":\"a\"},{\"after_ms\":40,\"chunk\":\"b\"}]"
		 "}",
		"p");
	call(start);
	wait_for(&ended);
	assert_told("start|a|b|done");
	/* libevent looks at CLOCK_MONOTONIC_COARSE: each timer may be early by a tick of the kernel
	 * (4 ms, or 10). */
	ck_assert_uint_ge(last_us - begin, 80 * USEC_PER_MSEC);
}
END_TEST

/* ---- Cancelling ---- */

START_TEST(test_cancel)
{
	make_run(_i == 0 ? "{\"delay_ms\":100000}" : "{\"delay_ms\":0,\"chunks\":100000000}", "p");
	call(start);
	call(cancel);
	wait_for(&ended);
	call(cancel);
	call(pause_run);
	call(resume);
	worker_stop(worker);
	ck_assert_mem_eq(told.data, "start|", 6);
	ck_assert_mem_eq(told.data + told.len - 16, "|error cancelled", 16);
}
END_TEST

START_TEST(test_cancel_within)
{
	on_chunk = cancel;
	make_run("{\"delay_ms\":0,\"chunks\":10}", "p");
	call(start);
	wait_for(&ended);
	assert_told("start|Partial 1 from p|error cancelled");
}
END_TEST

/* What has ended by itself is not ended again. */
START_TEST(test_cancel_too_late)
{
	make_run("{\"delay_ms\":0,\"chunks\":1}", "p");
	call(start);
	wait_for(&ended);
	call(cancel);
	assert_told("start|Final from p|done");
}
END_TEST

START_TEST(test_cancel_paused)
{
	make_run("{\"delay_ms\":60000,\"chunks\":10}", "p");
	call(start);
	call(pause_run);
	call(cancel);
	wait_for(&ended);
	call(resume);
	assert_told("start|error cancelled");
}
END_TEST

/* ---- Pausing ---- */

static void sleep_ms(unsigned ms)
{
	struct timespec ts = { .tv_nsec = (long)ms * 1000000 };

	nanosleep(&ts, NULL);
}

static void pause_and_tell(void)
{
	pause_run();
	sem_post(&paused);
}

/* Nothing comes while it is paused, however often that is said, and then it goes on where it was.
 */
START_TEST(test_pause)
{
	unsigned before;

	make_run(_i == 0 ? "{\"delay_ms\":20}" : "{\"delay_ms\":0}", "p");
	on_chunk = pause_and_tell;
	call(start);
	wait_for(&paused);
	call(pause_run);
	before = n_events;
	sleep_ms(60);
	call(pause_run);
	ck_assert_uint_eq(n_events, before);
	ck_assert_uint_eq(n_events, 2);
	call(resume);
	call(resume);
	wait_for(&ended);
	assert_told("start|Partial 1 from p|Partial 2 from p|Final from p|done");
}
END_TEST

/* A held timer does not run: what was left of it is what is left of it. */
START_TEST(test_pause_holds_timer)
{
	uint64_t before_us = clock_monotonic_us(), ran_us, resumed_us;

	make_run("{\"delay_ms\":100,\"chunks\":1}", "p");
	call(start);
	sleep_ms(20);
	call(pause_run);
	ran_us = clock_monotonic_us() - before_us; /* at the most */
	sleep_ms(200);
	resumed_us = clock_monotonic_us();
	call(resume);
	wait_for(&ended);
	if (ran_us < 100 * USEC_PER_MSEC)
		ck_assert_uint_ge(last_us - resumed_us + ran_us, 100 * USEC_PER_MSEC);
	assert_told("start|Final from p|done");
}
END_TEST

/* The last chunk may come with a pause: the end is no intake. */
START_TEST(test_pause_at_the_end)
{
	make_run("{\"delay_ms\":0,\"chunks\":1}", "p");
	on_chunk = pause_run;
	call(start);
	wait_for(&ended);
	assert_told("start|Final from p|done");
}
END_TEST

/* ---- Ends without an end ---- */

START_TEST(test_never_started)
{
	make_run("{\"script\":[{\"chunk\":\"a\"}]}", "p");
	backend_mock.free(run);
	run = NULL;
	backend_mock.free(NULL);
}
END_TEST

/* The daemon ends at once, with a timer or a turn still to come. */
START_TEST(test_freed_running)
{
	make_run(_i == 0 ? "{\"delay_ms\":100000}" : "{\"delay_ms\":0,\"chunks\":100000000}", "p");
	call(start);
	worker_stop(worker);
	ck_assert_ptr_null(run);
}
END_TEST

START_TEST(test_table)
{
	ck_assert_ptr_eq(backend_find("mock"), &backend_mock);
	ck_assert(!backend_mock.send);
	for (const char *const *name = protocol_backend_names(); *name; name++) {
		const Backend *b = backend_find(*name);

		ck_assert_ptr_nonnull(b);
		ck_assert_str_eq(b->name, *name);
		ck_assert(b->run_new && b->start && b->cancel && b->pause && b->resume && b->free);
	}
	ck_assert_ptr_null(backend_find("nothing"));
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("mock");
	TCase *tc = tcase_create("mock");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, test_runs, 0, ARRAY_SIZE(cases));
	tcase_add_test(tc, test_large);
	tcase_add_test(tc, test_large_chunk_bytes);
	tcase_add_test(tc, test_many_chunks);
	tcase_add_test(tc, test_starves_nobody);
	tcase_add_test(tc, test_delay);
	tcase_add_loop_test(tc, test_cancel, 0, 2);
	tcase_add_test(tc, test_cancel_within);
	tcase_add_test(tc, test_cancel_too_late);
	tcase_add_test(tc, test_cancel_paused);
	tcase_add_loop_test(tc, test_pause, 0, 2);
	tcase_add_test(tc, test_pause_holds_timer);
	tcase_add_test(tc, test_pause_at_the_end);
	tcase_add_test(tc, test_never_started);
	tcase_add_loop_test(tc, test_freed_running, 0, 2);
	tcase_add_test(tc, test_table);
	suite_add_tcase(s, tc);
	return s;
}
