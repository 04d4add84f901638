#include "daemon/eventlog/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "tests/lib/check-main.h"
#include "tests/lib/temp-dir.h"

static TempDir dir;
static Mailbox *mailbox;
static Reader *reader;
static Catalog *catalog;
static char journal[256]; /* of the reader's thread; looked at when it has ended */

typedef struct Job {
	ReaderJob job;
	char letter;
	unsigned slices; /* that are left */
	bool waits;      /* for main, in its first slice */
	bool done;
} Job;

/* Holds the reader's thread up in a job that waits, while main prepares what comes next. */
static sem_t running, go_on;

static bool run(ReaderJob *job, Reader *r)
{
	Job *j = container_of(job, Job, job);

	ck_assert_ptr_eq(r, reader);
	ck_assert_ptr_eq(job->reader, reader);
	ck_assert_ptr_eq(reader_catalog(r), catalog);
	ck_assert_int_eq(reader_log_dirfd(r), dir.fd);
	if (strlen(journal) < sizeof(journal) - 1)
		journal[strlen(journal)] = j->letter;
	if (j->waits) {
		j->waits = false;
		sem_post(&running);
		sem_wait(&go_on);
	}
	return j->slices-- > 1;
}

static void done(ReaderJob *job)
{
	container_of(job, Job, job)->done = true;
}

static void setup(void)
{
	static const Uuid log_id = { { 1 } };

	memset(journal, 0, sizeof(journal));
	sem_init(&running, 0, 0);
	sem_init(&go_on, 0, 0);
	temp_dir_init(&dir);
	ck_assert_int_eq(mailbox_new(&mailbox), 0);
	ck_assert_int_eq(catalog_open(dir.path, &log_id, &catalog), 0);
	ck_assert_int_eq(reader_new(dir.fd, catalog, mailbox, &reader), 0);
}

static void teardown(void)
{
	reader_free(reader);
	mailbox_free(mailbox);
	temp_dir_done(&dir);
}

static Job make_job(char letter, unsigned slices)
{
	return (Job){
		.job = { .run = run, .done = done },
		.letter = letter,
		.slices = slices,
	};
}

START_TEST(test_order)
{
	Job jobs[20];

	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i] = make_job((char)('a' + i), 1);
		reader_post(reader, &jobs[i].job);
	}
	reader_stop(reader);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		ck_assert(!jobs[i].done);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), ARRAY_SIZE(jobs));
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		ck_assert(jobs[i].done);
	ck_assert_str_eq(journal, "abcdefghijklmnopqrst");
}
END_TEST

/* A long one is not interrupted, but lets the others pass between its slices; it is finished before
 * the end. */
START_TEST(test_slices)
{
	Job jobs[3] = { make_job('a', 20), make_job('b', 20), make_job('c', 1) };
	size_t a = 0, b = 0;

	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		reader_post(reader, &jobs[i].job);
	reader_stop(reader);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 3);
	ck_assert_uint_eq(strlen(journal), 41);
	ck_assert_ptr_nonnull(strchr(journal, 'c'));
	for (const char *p = journal; *p; p++) {
		a += *p == 'a';
		b += *p == 'b';
		/* Once both are there they take turns. */
		if (b > 0 && a < 20)
			ck_assert_uint_le(p[0] == p[1], 0);
	}
	ck_assert_uint_eq(a, 20);
	ck_assert_uint_eq(b, 20);
}
END_TEST

/* Short ones that come wait for one slice at the most, however many long ones there are. */
START_TEST(test_short_ones_pass)
{
	Job first = make_job('-', 1), jobs[10], late = make_job('!', 1);

	first.waits = true;
	reader_post(reader, &first.job);
	sem_wait(&running);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i] = make_job((char)('a' + i), 3);
		jobs[i].job.kind = READER_JOB_LONG;
		jobs[i].waits = i == 0;
		reader_post(reader, &jobs[i].job);
	}
	sem_post(&go_on);
	sem_wait(&running);
	reader_post(reader, &late.job);
	sem_post(&go_on);
	reader_stop(reader);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), ARRAY_SIZE(jobs) + 2);
	ck_assert_str_eq(journal, "-a!bcdefghijabcdefghijabcdefghij");
}
END_TEST

/* A turn comes between two slices, and the short ones between those. */
START_TEST(test_turns)
{
	Job first = make_job('-', 1), jobs[9];

	first.waits = true;
	reader_post(reader, &first.job);
	sem_wait(&running);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i] = make_job("LLLTTTsss"[i], i < 3 ? 2 : 1);
		jobs[i].job.kind = i < 3   ? READER_JOB_LONG
				   : i < 6 ? READER_JOB_TURN
					   : READER_JOB_SHORT;
		reader_post(reader, &jobs[i].job);
	}
	sem_post(&go_on);
	reader_stop(reader);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), ARRAY_SIZE(jobs) + 1);
	ck_assert_str_eq(journal, "-sssTLTLTLLLL");
}
END_TEST

/* So many begin; the others do when one of them is done. */
START_TEST(test_few_begin)
{
	Job first = make_job('-', 1), jobs[70];

	first.waits = true;
	reader_post(reader, &first.job);
	sem_wait(&running);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		jobs[i] = make_job(i < 64 ? 'a' : 'b', 2);
		jobs[i].job.kind = READER_JOB_LONG;
		reader_post(reader, &jobs[i].job);
	}
	sem_post(&go_on);
	reader_stop(reader);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), ARRAY_SIZE(jobs) + 1);
	ck_assert_uint_eq(strlen(journal), 1 + 2 * ARRAY_SIZE(jobs));
	ck_assert_uint_ge(strcspn(journal, "b"), 1 + 64);
}
END_TEST

/* Nobody wants its result any more, be it that it has not begun or that it would go on for ever. */
START_TEST(test_dropped)
{
	Job endless = make_job('e', UINT_MAX), fresh = make_job('f', 1);

	endless.job.kind = READER_JOB_LONG;
	endless.waits = true;
	reader_post(reader, &endless.job);
	sem_wait(&running);
	reader_post(reader, &fresh.job);
	reader_job_drop(&endless.job);
	reader_job_drop(&fresh.job);
	sem_post(&go_on);
	while (!endless.done || !fresh.done)
		mailbox_deliver(mailbox, NULL);
	ck_assert_str_eq(journal, "e");
	ck_assert_int_eq(endless.job.error, -ECANCELED);
	ck_assert_int_eq(fresh.job.error, -ECANCELED);
}
END_TEST

/* The end waits for no client's job, but does all of the others. */
START_TEST(test_stop_drops_what_is_for_clients)
{
	Job endless = make_job('e', UINT_MAX), list = make_job('l', 1), own = make_job('o', 5);

	endless.job.kind = own.job.kind = READER_JOB_LONG;
	endless.job.for_client = list.job.for_client = true;
	endless.waits = true;
	reader_post(reader, &endless.job);
	sem_wait(&running);
	reader_post(reader, &own.job);
	sem_post(&go_on);
	reader_stop(reader);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 2);
	ck_assert_int_eq(endless.job.error, -ECANCELED);
	ck_assert_int_eq(own.job.error, 0);
	ck_assert_uint_eq(own.slices, 0);
	/* What comes too late is done at once, or dropped. */
	own = make_job('O', 2);
	reader_post(reader, &own.job);
	reader_post(reader, &list.job);
	ck_assert_uint_eq(own.slices, 0);
	ck_assert(!own.done && !list.done);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 2);
	ck_assert(own.done && list.done);
	ck_assert_int_eq(list.job.error, -ECANCELED);
	ck_assert_ptr_null(strchr(journal, 'l'));
}
END_TEST

/* What the thread has had of a processor, which others may need as well. */
static uint64_t worked_us(void)
{
	struct timespec ts;

	ck_assert_int_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static bool run_until_over(ReaderJob *job, Reader *r)
{
	Job *j = container_of(job, Job, job);
	uint64_t begin_us = worked_us();

	while (!reader_slice_over(r))
		continue;
	ck_assert_uint_le(worked_us() - begin_us, 2 * USEC_PER_SEC);
	return j->slices-- > 1;
}

START_TEST(test_a_slice_ends)
{
	Job j = make_job('s', 3);

	j.job.run = run_until_over;
	j.job.kind = READER_JOB_LONG;
	reader_post(reader, &j.job);
	reader_stop(reader);
	ck_assert_uint_eq(j.slices, 0);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 1);
}
END_TEST

START_TEST(test_free_null)
{
	reader_free(NULL);
	reader_stop(NULL);
	reader_stop(reader);
	reader_stop(reader);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("reader");
	TCase *tc = tcase_create("reader");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_slices);
	tcase_add_test(tc, test_short_ones_pass);
	tcase_add_test(tc, test_turns);
	tcase_add_test(tc, test_few_begin);
	tcase_add_test(tc, test_dropped);
	tcase_add_test(tc, test_stop_drops_what_is_for_clients);
	tcase_add_test(tc, test_a_slice_ends);
	tcase_add_test(tc, test_free_null);
	suite_add_tcase(s, tc);
	return s;
}
