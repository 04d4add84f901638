/* Server-sent events, as the WHATWG's HTML standard says they are to be parsed: out of a stream's
 * bytes, however they are cut, one event after another. `id` and `retry` are ignored: nothing
 * reconnects here. Bytes are given out as they came; that they are UTF-8 is for the receiver to
 * check.
 *
 * One thing is not the standard's: a field `error`, by which servers of llama.cpp told of one until
 * September 2025, is data of an event that is called "error". The standard would ignore it, and the
 * answer would seem to have been empty.
 *
 * An event that comes whole in one piece is lent from that, and not copied. Else what there is of
 * it is kept in one buffer, which is given back when it has become large.
 *
 * Owns its buffer. Embedded.
 *
 * Thread: worker (any, one at a time). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* More of an event's name is cut off. */
#define SSE_MAX_NAME_BYTES 64U

/* Lent for the duration of the call. */
typedef struct SseEvent {
	const char *name; /* "" where none was given, which means "message" */
	size_t name_len;
	const char *data;
	size_t data_len;
} SseEvent;

/* < 0 stops the parser, which returns it. May not call the parser. */
typedef int (*SseOnEvent)(const SseEvent *event, void *userdata);

typedef struct Sse {
	SseOnEvent on_event;
	void *userdata;
	size_t max_bytes;
	Buf held;         /* the event's data so far, and behind it the line that has begun */
	size_t data_len;  /* of `held`, the data */
	const char *lent; /* the data, where it is one line of what is being fed; else NULL */
	size_t lent_len;
	char name[SSE_MAX_NAME_BYTES];
	size_t name_len;
	bool begun;    /* a line was there: no BOM can come any more */
	bool has_data; /* it may be empty */
	bool after_cr; /* an LF that comes now belongs to the line before */
} Sse;

/* `max_bytes`: of a line, and of one event's data. */
void sse_init(Sse *s, size_t max_bytes, SseOnEvent on_event, void *userdata);
void sse_done(Sse *s);

/* 0; -EMSGSIZE: above the bound; -ENOMEM; what on_event returned. After an error there is nothing
 * to be fed any more. */
int sse_feed(Sse *s, const char *bytes, size_t len) _must_check_;

/* The stream is over. Gives out an event that lacks its blank line, or its last line the end: the
 * standard would drop it, but there are servers that end so. As sse_feed(). */
int sse_end(Sse *s) _must_check_;
