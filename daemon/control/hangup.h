/* Tells when the peers of half-closed connections go for good.
 *
 * A connection whose read side has ended cannot be watched for reading any more: it would be ready
 * at every turn. The full close that may follow shows as EPOLLHUP alone, which epoll reports
 * unasked; but libevent has no way to watch a descriptor for nothing else. So these are in an epoll
 * instance of their own, which is a single descriptor to libevent.
 *
 * Thread: main. */
#pragma once

#include "common/cleanup.h"

struct event_base;

typedef struct Hangup Hangup;

/* on_hangup is called once for each item; its watch is over by then. -errno. */
int hangup_new(struct event_base *base, void (*on_hangup)(void *item), Hangup **ret) _must_check_;
/* Bears NULL. */
void hangup_free(Hangup *h);

/* -errno */
int hangup_watch(Hangup *h, int fd, void *item) _must_check_;
/* To be called before `fd` is closed, if it is still watched. */
void hangup_forget(Hangup *h, int fd);
