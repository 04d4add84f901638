#include "daemon/loop/mailbox.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/lib/check-main.h"

#define N_THREADS 4
#define N_EACH    20000U

typedef struct Message {
	MailboxItem item;
	unsigned from, number;
} Message;

static Mailbox *mailbox;
static Message messages[N_THREADS][N_EACH];
static unsigned next_number[N_THREADS];
static unsigned n_delivered;
static void *receiver_seen;

static void deliver(MailboxItem *item, void *receiver)
{
	Message *m = container_of(item, Message, item);

	ck_assert_uint_eq(m->number, next_number[m->from]++);
	n_delivered++;
	receiver_seen = receiver;
}

static void setup(void)
{
	ck_assert_int_eq(mailbox_new(&mailbox), 0);
	for (unsigned t = 0; t < N_THREADS; t++) {
		next_number[t] = 0;
		for (unsigned i = 0; i < N_EACH; i++)
			messages[t][i] =
				(Message){ .item.deliver = deliver, .from = t, .number = i };
	}
	n_delivered = 0;
}

static void teardown(void)
{
	mailbox_free(mailbox);
}

static bool readable(void)
{
	struct pollfd p = { .fd = mailbox_fd(mailbox), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

START_TEST(test_order)
{
	int receiver;

	ck_assert_ptr_null(mailbox_take(mailbox));
	ck_assert(!readable());
	for (unsigned i = 0; i < 100; i++)
		mailbox_post(mailbox, &messages[0][i].item);
	ck_assert(readable());
	ck_assert_uint_eq(mailbox_deliver(mailbox, &receiver), 100);
	ck_assert_ptr_eq(receiver_seen, &receiver);
	ck_assert(!readable());
	ck_assert_uint_eq(mailbox_deliver(mailbox, &receiver), 0);
}
END_TEST

/* The descriptor is written when the first item comes, not with each. */
START_TEST(test_one_wake_up)
{
	uint64_t count;

	ck_assert(!readable());
	for (unsigned i = 0; i < 50; i++)
		mailbox_post(mailbox, &messages[0][i].item);
	ck_assert_int_eq(read(mailbox_fd(mailbox), &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 1);
	/* Not empty still, so that no more wake-ups come, and nothing is lost. */
	mailbox_post(mailbox, &messages[0][50].item);
	ck_assert(!readable());
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 51);
	mailbox_post(mailbox, &messages[0][51].item);
	ck_assert(readable());
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 1);
}
END_TEST

/* A list goes over whole, behind what was posted before it, and can be filled again. */
START_TEST(test_list)
{
	MailboxList list;
	uint64_t count;

	mailbox_list_init(&list);
	mailbox_post_list(mailbox, &list);
	ck_assert(!readable());
	mailbox_post(mailbox, &messages[0][0].item);
	for (unsigned i = 1; i < 50; i++)
		mailbox_list_add(&list, &messages[0][i].item);
	mailbox_post_list(mailbox, &list);
	ck_assert_ptr_null(list.head);
	mailbox_list_add(&list, &messages[0][50].item);
	mailbox_post_list(mailbox, &list);
	mailbox_post(mailbox, &messages[0][51].item);
	ck_assert_int_eq(read(mailbox_fd(mailbox), &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 52);
}
END_TEST

static void post_again(MailboxItem *item, void *receiver)
{
	(void)receiver;
	item->deliver = deliver;
	mailbox_post(mailbox, item);
}

/* What is posted while items are delivered waits for the next time; an item may be used again at
 * once. */
START_TEST(test_posted_while_delivered)
{
	ck_assert(!readable());
	messages[0][0].item.deliver = post_again;
	mailbox_post(mailbox, &messages[0][0].item);
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 1);
	ck_assert_uint_eq(n_delivered, 0);
	ck_assert(readable());
	ck_assert_uint_eq(mailbox_deliver(mailbox, NULL), 1);
	ck_assert_uint_eq(n_delivered, 1);
}
END_TEST

/* Nobody pays for a descriptor that nobody looks at. */
START_TEST(test_not_watched)
{
	mailbox_post(mailbox, &messages[0][0].item);
	ck_assert(!readable());
	ck_assert_ptr_eq(mailbox_wait(mailbox, -1), &messages[0][0].item);
	mailbox_post(mailbox, &messages[0][1].item);
	ck_assert(readable());
}
END_TEST

START_TEST(test_wait_times_out)
{
	uint64_t begin = clock_monotonic_us();

	ck_assert_ptr_null(mailbox_wait(mailbox, 0));
	ck_assert_ptr_null(mailbox_wait(mailbox, 20));
	ck_assert_uint_ge(clock_monotonic_us() - begin, 20 * USEC_PER_MSEC);
	mailbox_post(mailbox, &messages[0][0].item);
	ck_assert_ptr_eq(mailbox_wait(mailbox, -1), &messages[0][0].item);
}
END_TEST

static void *post_all(void *userdata)
{
	Message *own = userdata;

	for (unsigned i = 0; i < N_EACH; i++)
		mailbox_post(mailbox, &own[i].item);
	return NULL;
}

/* Every item of every thread comes, in the order of its thread, and the reader never sleeps while
 * there is one. */
START_TEST(test_threads)
{
	pthread_t threads[N_THREADS];

	for (unsigned t = 0; t < N_THREADS; t++)
		ck_assert_int_eq(pthread_create(&threads[t], NULL, post_all, messages[t]), 0);
	while (n_delivered < N_THREADS * N_EACH) {
		MailboxItem *item = mailbox_wait(mailbox, 30000);

		ck_assert_ptr_nonnull(item);
		for (MailboxItem *next; item; item = next) {
			next = item->next;
			item->deliver(item, NULL);
		}
	}
	for (unsigned t = 0; t < N_THREADS; t++)
		pthread_join(threads[t], NULL);
	ck_assert_ptr_null(mailbox_take(mailbox));
}
END_TEST

START_TEST(test_free_null)
{
	mailbox_free(NULL);
}
END_TEST

Suite *test_suite(void)
{
	Suite *s = suite_create("mailbox");
	TCase *tc = tcase_create("mailbox");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_order);
	tcase_add_test(tc, test_one_wake_up);
	tcase_add_test(tc, test_list);
	tcase_add_test(tc, test_posted_while_delivered);
	tcase_add_test(tc, test_not_watched);
	tcase_add_test(tc, test_wait_times_out);
	tcase_add_test(tc, test_threads);
	tcase_add_test(tc, test_free_null);
	suite_add_tcase(s, tc);
	return s;
}
