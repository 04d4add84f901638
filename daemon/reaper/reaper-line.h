/* The reaper's end of one line: requests in, with their descriptors; replies out, queued where
 * the worker is slow to read. Never blocks.
 *
 * Owns its descriptor and the replies that wait. Embedded.
 *
 * Thread: the reaper's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/list.h"
#include "daemon/reaper/reaper-proto.h"

typedef struct ReaperLine {
	int fd; /* -1: broken */
	ListNode replies;
	uint64_t retry_us; /* when the kernel may have room again; 0: the socket will tell */
} ReaperLine;

/* Takes `fd`. */
void reaper_line_init(ReaperLine *l, int fd);
void reaper_line_done(ReaperLine *l);

/* 1: *ret is a request, and `fds` its descriptors (those of a start; else, and where the process
 * had none left, -1), which are the caller's. 0: none is there. -EPIPE: the line is broken. */
int reaper_line_receive(ReaperLine *l, ReaperRequest *ret, int fds[_REAPER_FD_MAX]) _must_check_;

/* On a broken line it is dropped: nobody is left to read it. */
void reaper_line_send(ReaperLine *l, const ReaperReply *reply);
/* True while replies wait for the socket to become writable. */
bool reaper_line_waiting(const ReaperLine *l);
/* How long until they are to be tried again without that; -1: they are not. */
int64_t reaper_line_timeout_us(const ReaperLine *l);
/* Sends what waits, as far as the socket takes it. */
void reaper_line_flush(ReaperLine *l);
