/* One of a program's two outputs: reads the pipe and cuts what comes into chunks.
 *
 * Raw: what came, but for the first bytes of a character that is not complete yet. By line: one
 * chunk a line, newline included; a line above PROTOCOL_MAX_CHUNK_BYTES in pieces. Between two
 * reads it holds back no more than that, and a line that has begun.
 *
 * Owns the descriptor. Embedded in a run.
 *
 * Thread: worker. */
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/protocol.h"

typedef struct ExecStream ExecStream;

struct ExecStream {
	/* False: no more for now. May close the stream. */
	bool (*on_chunk)(ExecStream *s, const char *bytes, size_t len);
	void *userdata;
	Channel channel;
	bool by_line;
	int fd; /* -1: not open, or read to its end */
	struct event *event;
	Buf held;
	bool bounded; /* no more than `left` is read */
	size_t left;
	bool ended; /* all of it was given out */
};

void exec_stream_init(ExecStream *s, Channel channel, bool by_line);
void exec_stream_done(ExecStream *s);

/* Takes `fd`. `on_readable` gets `userdata`. -ENOMEM. */
int exec_stream_open(ExecStream *s, struct event_base *base, int fd, event_callback_fn on_readable,
	void *userdata) _must_check_;
void exec_stream_listen(ExecStream *s, bool on);

/* Reads and gives out what there is, within a turn's bounds. True: there is more to give out
 * without another look at the pipe. */
bool exec_stream_pump(ExecStream *s) _must_check_;
/* Ends the stream behind what is in the pipe now, which is at once if nothing is: whoever may still
 * hold it is no part of the agent. */
void exec_stream_bound(ExecStream *s);
/* Ends it here; what is held is dropped. */
void exec_stream_close(ExecStream *s);
