#include "daemon/loop/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "tests/lib/check-main.h"

/* What happened on the worker, letter by letter; looked at when it has ended. */
static Buf journal;
static Worker *worker;
static int start_result;
static char thread_name[16];
static sigset_t thread_mask;
static sem_t done;
static unsigned n_turns;

static void note(char c)
{
	ck_assert_int_eq(buf_append_char(&journal, c), 0);
}

static void assert_journal(const char *expected)
{
	ck_assert_int_eq(buf_terminate(&journal), 0);
	ck_assert_str_eq(journal.data, expected);
}

static int on_start(Worker *w, void *userdata)
{
	(void)w;
	ck_assert_ptr_eq(userdata, &journal);
	note('<');
	return start_result;
}

static void on_turn(Worker *w, void *userdata)
{
	(void)userdata;
	n_turns++;
	pthread_getname_np(pthread_self(), thread_name, sizeof(thread_name));
	pthread_sigmask(SIG_SETMASK, NULL, &thread_mask);
	ck_assert_uint_gt(worker_now_us(w), 0);
	ck_assert_uint_eq(worker_now_us(w), worker_now_us(w));
}

static void on_broken(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
	note('!');
	sem_post(&done);
}

static void on_stop(Worker *w, void *userdata)
{
	(void)w;
	(void)userdata;
	note('>');
}

static void setup(void)
{
	const WorkerHooks hooks = {
		.on_start = on_start,
		.on_turn = on_turn,
		.on_broken = on_broken,
		.on_stop = on_stop,
		.userdata = &journal,
	};

	start_result = 0;
	n_turns = 0;
	ck_assert_int_eq(sem_init(&done, 0, 0), 0);
	ck_assert_int_eq(worker_new(7, &hooks, &worker), 0);
	ck_assert_uint_eq(worker_index(worker), 7);
}

static void teardown(void)
{
	worker_free(worker);
	sem_destroy(&done);
	buf_done(&journal);
}

static void wait_done(void)
{
	while (sem_wait(&done) < 0)
		ck_assert_int_eq(errno, EINTR);
}

/* Runs `f` on the worker. */
typedef struct Call {
	MailboxItem item;
	void (*f)(Worker *w);
} Call;

static void deliver_call(MailboxItem *item, void *receiver)
{
	ck_assert_ptr_eq(receiver, worker);
	container_of(item, Call, item)->f(receiver);
}

static void post(Call *call, void (*f)(Worker *w))
{
	*call = (Call){ .item.deliver = deliver_call, .f = f };
	worker_post(worker, &call->item);
}

/* ---- Start and stop ---- */

static void say_done(Worker *w)
{
	(void)w;
	sem_post(&done);
}

START_TEST(test_start_stop)
{
	Call call;

	ck_assert_int_eq(worker_start(worker), 0);
	post(&call, say_done);
	wait_done();
	worker_stop(worker);
	worker_stop(worker);
	assert_journal("<>");
	ck_assert_str_eq(thread_name, "worker-7");
	ck_assert(sigismember(&thread_mask, SIGTERM));
	ck_assert(sigismember(&thread_mask, SIGHUP));
	/* The caller's own mask is as it was. */
	pthread_sigmask(SIG_SETMASK, NULL, &thread_mask);
	ck_assert(!sigismember(&thread_mask, SIGTERM));
}
END_TEST

/* Puts something else where the loop has its epoll. */
static void break_loop(Worker *w)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char link[64], target[64];

	(void)w;
	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, target, sizeof(target) - 1);
		if (n > 0 && memmem(target, (size_t)n, "[eventpoll]", strlen("[eventpoll]")))
			ck_assert_int_eq(dup2(null, fd), fd);
	}
}

/* It says so, and who posts is still heard. */
START_TEST(test_broken_loop)
{
	Call breaks, call;
	unsigned before;

	ck_assert_int_eq(worker_start(worker), 0);
	post(&breaks, break_loop);
	wait_done();
	before = n_turns;
	post(&call, say_done);
	wait_done();
	worker_stop(worker);
	assert_journal("<!>");
	ck_assert_uint_gt(n_turns, before);
}
END_TEST

START_TEST(test_start_fails)
{
	start_result = -EMFILE;
	ck_assert_int_eq(worker_start(worker), -EMFILE);
	worker_stop(worker);
	assert_journal("<>");
}
END_TEST

START_TEST(test_never_started)
{
	worker_stop(worker);
	worker_stop(NULL);
	worker_free(NULL);
}
END_TEST

/* What was posted before is delivered before the end. */
START_TEST(test_posted_before_stop)
{
	Call calls[3];

	ck_assert_int_eq(worker_start(worker), 0);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		post(&calls[i], say_done);
	worker_stop(worker);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		ck_assert_int_eq(sem_trywait(&done), 0);
}
END_TEST

/* ---- What is deferred ---- */

typedef struct Task {
	Deferred deferred;
	char letter;
	unsigned again; /* how often it defers itself anew */
	struct Task *takes_back;
} Task;

static Task tasks[4];

static void run_task(Deferred *d)
{
	Task *t = container_of(d, Task, deferred);

	note(t->letter);
	if (t->takes_back)
		list_remove(&t->takes_back->deferred.node);
	if (t->again > 0) {
		t->again--;
		worker_defer(worker, d);
	} else if (t->letter == 'd') {
		sem_post(&done);
	}
}

static void init_tasks(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
		tasks[i] = (Task){ .deferred.run = run_task, .letter = (char)('a' + i) };
		list_init(&tasks[i].deferred.node);
	}
}

static void defer_all(Worker *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(tasks); i++) {
		worker_defer(w, &tasks[i].deferred);
		worker_defer(w, &tasks[i].deferred); /* no twin */
	}
}

static void run_deferred(const char *expected)
{
	Call call;

	ck_assert_int_eq(worker_start(worker), 0);
	post(&call, defer_all);
	wait_done();
	worker_stop(worker);
	assert_journal(expected);
}

START_TEST(test_deferred_order)
{
	init_tasks();
	run_deferred("<abcd>");
}
END_TEST

/* Who defers itself waits until all others have had their turn. */
START_TEST(test_deferred_again)
{
	init_tasks();
	tasks[0].again = 2;
	tasks[3].again = 3;
	run_deferred("<abcdadadd>");
}
END_TEST

START_TEST(test_deferred_taken_back)
{
	init_tasks();
	tasks[0].takes_back = &tasks[2];
	run_deferred("<abd>");
}
END_TEST

/* One that never stops deferring itself starves neither the mailbox nor the timers. */
START_TEST(test_deferred_forever)
{
	Call first, second;

	init_tasks();
	tasks[0].again = UINT32_MAX;
	ck_assert_int_eq(worker_start(worker), 0);
	post(&first, defer_all);
	wait_done();
	post(&second, say_done);
	wait_done();
	worker_stop(worker);
	ck_assert_uint_gt(n_turns, 0);
}
END_TEST

/* ---- Timers ---- */

static struct event *timers[300];
static struct timeval scratches[300];
static atomic_uint n_fired;

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	(void)userdata;
	if (atomic_fetch_add(&n_fired, 1) + 1 == ARRAY_SIZE(timers))
		sem_post(&done);
}

/* More different delays than libevent has common ones: the rest are plain timers, and all fire. */
static void start_timers(Worker *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
		const struct timeval *tv = worker_timeout(w, i % 250, &scratches[i]);

		ck_assert_int_eq(scratches[i].tv_usec, (suseconds_t)(i % 250 * 1000));
		timers[i] = evtimer_new(worker_base(w), on_timer, NULL);
		ck_assert_int_eq(evtimer_add(timers[i], tv), 0);
	}
	ck_assert_ptr_eq(worker_timeout(w, 5, &scratches[0]), worker_timeout(w, 5, &scratches[1]));
	ck_assert_ptr_eq(worker_timeout(w, 3600, &scratches[0]), &scratches[0]);
	ck_assert_int_eq(scratches[0].tv_sec, 3);
	ck_assert_int_eq(scratches[0].tv_usec, 600000);
}

START_TEST(test_timers)
{
	uint64_t begin = clock_monotonic_us();
	Call call;

	atomic_store(&n_fired, 0);
	ck_assert_int_eq(worker_start(worker), 0);
	post(&call, start_timers);
	wait_done();
	worker_stop(worker);
	/* libevent goes by the coarse clock, which is up to a tick behind: 10 ms at the most. */
	ck_assert_uint_ge(clock_monotonic_us() - begin, (249 - 10) * USEC_PER_MSEC);
	for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
		event_free(timers[i]);
}
END_TEST

START_TEST(test_reaper_slot)
{
	int client;

	ck_assert_ptr_null(worker_reaper(worker));
	worker_set_reaper(worker, &client);
	ck_assert_ptr_eq(worker_reaper(worker), &client);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("worker");
	TCase *tc = tcase_create("worker");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_start_stop);
	tcase_add_test(tc, test_start_fails);
	tcase_add_test(tc, test_broken_loop);
	tcase_add_test(tc, test_never_started);
	tcase_add_test(tc, test_posted_before_stop);
	tcase_add_test(tc, test_deferred_order);
	tcase_add_test(tc, test_deferred_again);
	tcase_add_test(tc, test_deferred_taken_back);
	tcase_add_test(tc, test_deferred_forever);
	tcase_add_test(tc, test_timers);
	tcase_add_test(tc, test_reaper_slot);
	suite_add_tcase(s, tc);
	return s;
}
