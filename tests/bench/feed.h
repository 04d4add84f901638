/* A subscriber's stream: how one subscribes at Liongate and at its peers, and what comes then. All
 * of it is verified: each message has the number that follows the last one's. Knows as little of
 * each protocol as that takes, so that nobody is held back by the reader.
 *
 * A feed owns its descriptor and the rest of a message that has not all come. Whatever is wrong is
 * fatal.
 *
 * Thread: one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/bench.h"

/* The longest message that is read. */
#define FEED_MESSAGE_MAX 8192

typedef struct FeedOptions {
	const char *address; /* as bench_connect() takes it */
	const char *params;  /* lines: members of events.subscribe's parameters; "" */
	uint64_t count;      /* messages that each is to get */
	uint64_t bytes;      /* of a payload */
	uint64_t filtered;   /* lines: of one agent, whose chunks are numbered */
	uint64_t stamps;     /* take the time from making to reading of each */
} FeedOptions;

typedef struct Feed Feed;

typedef struct FeedKind {
	const char *name;
	/* Subscribes on a connection, and waits until that is confirmed. */
	void (*subscribe)(Feed *f);
	/* Takes whole messages off the front, up to the last that is awaited. Returns how many
	 * bytes they have. */
	size_t (*take)(Feed *f, const char *data, size_t len);
} FeedKind;

struct Feed {
	const FeedKind *kind;
	const FeedOptions *options;
	int fd;
	uint64_t taken;
	char next[PAYLOAD_STAMP_LEN]; /* the number that comes next, in digits */
	size_t next_len;
	size_t last_len;  /* lines: how long the last one was */
	uint64_t entries; /* redis-stream: still to come in this reply */
	char last_id[48]; /* redis-stream: of the last one */
	char rest[FEED_MESSAGE_MAX];
	size_t rest_len;
	uint64_t now_ns;     /* when the data came */
	uint32_t *delays_us; /* with `stamps`: one for each message */
};

extern const FeedKind feed_lines, feed_redis_channel, feed_redis_stream, feed_jetstream;

/* Sets the number that comes next, written in `digits` digits, or in as many as it takes (0). */
void feed_expect(Feed *f, uint64_t number, size_t digits);
/* A message came whose number these digits are. Dies if it is another than expected. */
void feed_take_number(Feed *f, const char *digits);
/* Counts a message, whose payload this is; it is looked at only for the stamp. */
void feed_take_payload(Feed *f, const char *payload);

/* For subscribe(), to read answers; what comes behind them stays for take(). Reads up to `end`;
 * returns how many bytes of `rest` that is, `end` included. */
size_t feed_read_until(Feed *f, const char *end);
bool feed_has(const Feed *f, size_t len, const char *words);
void feed_drop(Feed *f, size_t len);
