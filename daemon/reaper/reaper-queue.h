/* A worker's way of sending requests to the reaper without ever blocking: straight away where
 * the socket takes them, else from a queue, in order.
 *
 * Lends the descriptor. Embedded in a ReaperClient.
 *
 * Thread: the worker's. */
#pragma once

#include <event2/event.h>

#include "common/cleanup.h"
#include "common/list.h"
#include "daemon/reaper/reaper-proto.h"

typedef struct QueuedRequest {
	ListNode node; /* to be initialised */
	ReaperRequest request;
	int fds[_REAPER_FD_MAX];
	/* It has left the queue, sent or not. */
	void (*on_left)(struct QueuedRequest *q);
} QueuedRequest;

typedef struct ReaperQueue {
	int fd;
	struct event *write_event, *retry_event;
	ListNode requests;
} ReaperQueue;

/* -ENOMEM: to be done with all the same. */
int reaper_queue_init(ReaperQueue *q, struct event_base *base, int fd) _must_check_;
void reaper_queue_done(ReaperQueue *q);
/* Drops what waits. */
void reaper_queue_clear(ReaperQueue *q);

/* A start; `fds` are lent. -errno: it was not sent, and will not be. */
int reaper_queue_start(ReaperQueue *q, const ReaperRequest *request, const int *fds) _must_check_;
/* An end, which cannot fail for want of memory: where it has to wait, it waits in `end`, whose
 * request is filled in. It must not be in the queue. */
void reaper_queue_end(ReaperQueue *q, QueuedRequest *end);
