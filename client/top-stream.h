/* The newest lines of one agent, for who has opened it.
 *
 * What came before it was opened is read page by page (events.read), and until that has caught up
 * with the subscription, what the subscription brings is passed over: it comes with the pages. So
 * no event is missing, and none is there twice.
 *
 * Owns its lines: TOP_STREAM_LINES of them, none longer than TOP_STREAM_BYTES. Embedded; all zero
 * is a closed one. Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/protocol.h"

#define TOP_STREAM_LINES 1000
#define TOP_STREAM_BYTES 2048
/* How far back from the agent's newest event the first page begins at most: it is to be read at
 * once. */
#define TOP_STREAM_BACK  50000U
#define TOP_STREAM_PAGE  1000U

typedef enum TopStreamKind {
	TOP_STREAM_OUTPUT,
	TOP_STREAM_ERROR,
	TOP_STREAM_REASONING,
	TOP_STREAM_TOOL_CALL,
	TOP_STREAM_LIFE, /* what becomes of the agent */
} TopStreamKind;

typedef struct TopStreamLine {
	char *text; /* as it came, but for tabs */
	size_t len;
	size_t columns; /* as far as tabs are concerned: its characters */
	TopStreamKind kind;
	bool ended;
} TopStreamLine;

typedef struct TopStream {
	char agent_id[64];                     /* "": closed */
	TopStreamLine lines[TOP_STREAM_LINES]; /* a ring */
	size_t n, next;
	uint64_t begun;       /* lines, ever */
	uint64_t seq;         /* of the newest event that is in it, or was looked at */
	bool reading;         /* the past: there are pages to come */
	size_t scroll;        /* rows from the end; 0: it moves on with what comes */
	uint64_t drawn_begun; /* as of when it was drawn last */
	size_t drawn_rows;    /* of the newest line then */
	Buf scratch;
} TopStream;

/* Closes what is open. `first_seq` is where the agent begins, `last_seq` its newest event that is
 * known. -ENOMEM. */
int top_stream_open(
	TopStream *s, const char *agent_id, uint64_t first_seq, uint64_t last_seq) _must_check_;
void top_stream_close(TopStream *s);
static inline bool top_stream_is_open(const TopStream *s)
{
	return s->agent_id[0] != '\0';
}

/* The parameters of the next page. */
int top_stream_write_page(const TopStream *s, Buf *params) _must_check_;
/* A page has come; `newest_seq` is how far the subscription has come. 1: the next one is there
 * already. -ENOMEM. */
int top_stream_add_page(TopStream *s, json_object *page, uint64_t newest_seq) _must_check_;
/* The events up to `to` are not to be had, and a line says so: "events 6 to 9 are gone". */
int top_stream_skip(TopStream *s, uint64_t to, const char *what) _must_check_;
/* The subscription brings an event, of whatever agent. -ENOMEM. */
int top_stream_event(TopStream *s, json_object *event) _must_check_;

/* The line that is so many before the newest; NULL: there is none. */
const TopStreamLine *top_stream_line(const TopStream *s, size_t age);
