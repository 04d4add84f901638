/* A queue between threads: a list under a mutex, swapped out whole by its one reader, who is woken
 * only when it was empty, or not at all where it does not sleep.
 *
 * Posting never blocks and never fails: the item brings its own node. A reader with an event loop
 * watches mailbox_fd(); one without calls mailbox_wait(), which costs fewer system calls.
 *
 * Thread: post from any; the rest from the one reader. */
#pragma once

#include <stddef.h>

#include "common/cleanup.h"
#include "common/list.h"

/* To be embedded in a message, which thereby knows what is to be done with it: deliver() is called
 * on the thread of the receiver, owns the message from then on, and is given what that receiver is
 * (a Worker, …). */
typedef struct MailboxItem {
	struct MailboxItem *next;
	void (*deliver)(struct MailboxItem *item, void *receiver);
} MailboxItem;

/* Items that are to be posted together. */
typedef struct MailboxList {
	MailboxItem *head, **tail;
} MailboxList;

typedef struct Mailbox Mailbox;

int mailbox_new(Mailbox **ret) _must_check_;
/* What is still in it is not freed: drain it first. Bears NULL. */
void mailbox_free(Mailbox *m);

/* Any thread. Items of one thread are read in the order in which it posted them. */
void mailbox_post(Mailbox *m, MailboxItem *item);

/* Of whoever posts: a whole turn's items cost one look at the lock, and wake the reader once. */
void mailbox_list_init(MailboxList *list);
void mailbox_list_add(MailboxList *list, MailboxItem *item);
/* Any thread. Leaves the list empty. */
void mailbox_post_list(Mailbox *m, MailboxList *list);

/* Readable while something may be there that was posted after the first call. */
int mailbox_fd(Mailbox *m);
/* Everything that has come, oldest first, linked by `next`; NULL: nothing. Resets the descriptor.
 */
MailboxItem *mailbox_take(Mailbox *m);
/* The same, but waits for something first, at most `timeout_ms` (-1: for ever); NULL when that has
 * passed. */
MailboxItem *mailbox_wait(Mailbox *m, int timeout_ms);
/* Takes everything and delivers it. Returns how many there were. */
size_t mailbox_deliver(Mailbox *m, void *receiver);
