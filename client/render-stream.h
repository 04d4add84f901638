/* A stream of events as text: what the agents write, and what becomes of them.
 *
 * Agents' output is not trusted: on a terminal it is made harmless, except for the one program that
 * was spawned in the foreground, whose bytes are passed on as they are.
 *
 * Thread: main. */
#pragma once

#include "client/output.h"

typedef struct RenderStream RenderStream;

/* Bears NULL. */
void render_stream_free(RenderStream *s);

int render_stream_begin(Output *o, const StreamStyle *style) _must_check_;
int render_stream_event(Output *o, json_object *event) _must_check_;
int render_stream_notice(Output *o, const Notice *notice) _must_check_;
/* What is held back of unfinished lines is given out. */
int render_stream_end(Output *o) _must_check_;

/* See output_due_ms() and output_idle(). */
int render_stream_due_ms(const Output *o);
int render_stream_idle(Output *o) _must_check_;
