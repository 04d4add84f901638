/* A connection that asks much and reads all: for the programs that load a daemon and measure it.
 *
 * It never waits for an answer before it sends the next request, and reads whatever comes while it
 * writes, so that the daemon always has something to do. What arrives is looked at with memmem(),
 * not parsed: the program that measures must not be what is slow.
 *
 * Owns its descriptor. Whatever goes wrong is fatal, as in bench.h. Thread: one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/line-buffer.h"
#include "common/uuid.h"

typedef struct LoadClient {
	int fd;
	LineBuffer in;
	Buf out; /* requests that are not written yet */
} LoadClient;

/* What a line from the daemon is. A reply with an error is fatal. */
typedef enum LoadLine {
	LOAD_RESULT,
	LOAD_EVENT,
	LOAD_OTHER, /* live, gap, end */
} LoadLine;

void load_client_init(LoadClient *c, const char *socket_path);
void load_client_done(LoadClient *c);

/* Asks for further agents (params of agent.spawn, the text of an object), until *asked is `wanted`
 * or enough waits to be written. */
void load_client_spawn_ahead(LoadClient *c, const char *params, uint64_t wanted, uint64_t *asked);
/* Asks for the events of these types (the text of an array) from now on, and waits until that
 * holds. */
void load_client_subscribe(LoadClient *c, const char *types);
/* Waits until one of the n connections can be read or written, and does so. */
void load_client_turn(LoadClient *clients, size_t n);
/* The next line, without its end, lent until the next call; false: there is none. */
bool load_client_next(LoadClient *c, const char **ret_line, size_t *ret_len);

LoadLine load_line_kind(const char *line, size_t len);
/* Whether the event is of this type. */
bool load_line_is(const char *line, size_t len, const char *type);
/* The first member of this name, wherever it stands, which is to be a number; `key` is `"name":`.
 */
uint64_t load_line_uint(const char *line, size_t len, const char *key);
Uuid load_line_agent(const char *line, size_t len);
