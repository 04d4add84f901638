/* Where everything goes that liongatectl has to say: one interface, with text (render-text,
 * render-stream) and JSON (render-json) behind it.
 *
 * Standard output is written here and nowhere else. What is put is buffered; the first failure
 * sticks, and output_flush() returns it: -EPIPE where the reader has gone.
 *
 * Owns its buffer. Borrows every json_object. Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

typedef struct Output Output;

/* What a result looks like as text. */
typedef void (*OutputView)(Output *o, json_object *result);

typedef enum StreamMode {
	STREAM_RAW,     /* one agent in the foreground: its bytes as they are, and nothing else */
	STREAM_SINGLE,  /* one agent that is watched: its characters at once, its life as lines */
	STREAM_LINES,   /* many: whole lines with a prefix */
	STREAM_RECORDS, /* one line an event */
} StreamMode;

/* Appends what stands before the lines of an agent. < 0: an error. */
typedef int (*StreamPrefix)(const char *agent_id, Buf *b, void *userdata);

typedef struct StreamStyle {
	StreamMode mode;
	bool timestamps;
	bool each_chunk;     /* LINES: a chunk is a line */
	bool harmless;       /* RAW: on a terminal it is text, as everywhere else */
	bool reasoning;      /* RAW: that channel, too, to standard error */
	uint32_t types;      /* bit (1 << EventType): which are shown; 0: all */
	StreamPrefix prefix; /* NULL: the first eight characters of the id */
	void *userdata;
} StreamStyle;

typedef enum NoticeKind {
	NOTICE_GAP,      /* from, to */
	NOTICE_LOST,     /* the connection */
	NOTICE_BACK,     /* it is there again */
	NOTICE_REPLACED, /* the log is another one */
} NoticeKind;

typedef struct Notice {
	NoticeKind kind;
	uint64_t from, to;
	const char *detail; /* the new log's id, or NULL */
} Notice;

typedef struct OutputOps {
	void (*result)(Output *o, OutputView view, json_object *result);
	int (*stream_begin)(Output *o, const StreamStyle *style);
	int (*event)(Output *o, json_object *event);
	int (*notice)(Output *o, const Notice *notice);
	int (*due_ms)(const Output *o);
	int (*idle)(Output *o);
	int (*stream_end)(Output *o);
	/* `error` is the daemon's error object, or NULL. */
	void (*error)(Output *o, const char *message, json_object *error);
} OutputOps;

extern const OutputOps output_text_ops;
extern const OutputOps output_json_ops;

typedef enum Color {
	COLOR_NONE = 0,
	COLOR_BOLD = 1,
	COLOR_DIM = 2,
	COLOR_RED = 31,
	COLOR_GREEN = 32,
	COLOR_YELLOW = 33,
	COLOR_CYAN = 36,
} Color;

struct RenderStream;

struct Output {
	const OutputOps *ops;
	Buf out;
	int error; /* the first one of standard output */
	bool json;
	bool terminal; /* standard output is one */
	bool color;
	bool stderr_terminal; /* the same of standard error */
	bool stderr_color;
	size_t width; /* of the terminal; 0: no limit */
	StreamStyle style;
	struct RenderStream *stream;
};

/* `color` is "auto", "always" or "never". */
void output_init(Output *o, bool json, const char *color);
void output_done(Output *o);

void output_result(Output *o, OutputView view, json_object *result);
/* A stream of events lies between begin and end; each event and notice is flushed at once. */
int output_stream_begin(Output *o, const StreamStyle *style) _must_check_;
int output_event(Output *o, json_object *event) _must_check_;
int output_notice(Output *o, const Notice *notice) _must_check_;
/* How long something may wait for more at most, until output_idle() is to be called, which shows it
 * as it is; -1: nothing is held back. */
int output_due_ms(const Output *o);
int output_idle(Output *o) _must_check_;
int output_stream_end(Output *o) _must_check_;
/* To standard error. */
void output_error(Output *o, const char *message, json_object *error);

/* Building blocks; what is put is not checked, what is put safe is made harmless and stays one
 * line. */
void output_put(Output *o, const char *bytes, size_t n);
void output_printf(Output *o, const char *format, ...) _printf_(2, 3);
void output_safe(Output *o, const char *text, size_t n);
void output_color(Output *o, Color color);
/* Everything that was put, written. 0 or the first error there ever was. */
int output_flush(Output *o) _must_check_;

/* Standard error, unbuffered and unchecked: when it is gone there is nowhere to say so. */
void output_stderr(const char *bytes, size_t n);
/* "liongatectl: …", made harmless, one line. */
void output_say(const char *format, ...) _printf_(1, 2);
