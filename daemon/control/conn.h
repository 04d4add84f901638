/* One client's connection: bytes in, lines out.
 *
 * Owns its descriptor, the line buffer that requests gather in, and the buffer that replies wait
 * in. It knows nothing of JSON-RPC (rpc) nor of subscriptions, which hang on it as a stream.
 *
 * Order on the wire: what is in the reply buffer goes out first; only when it is empty the stream
 * may write. So whoever leaves a line half sent puts the rest of it there at once (conn_put_rest),
 * and every other line stands whole. Nothing is written but in conn_server_flush(), at the end of a
 * turn of the loop; nothing is freed but there.
 *
 * How it ends: a client that half-closes is served until it is owed nothing; one that is gone for
 * good (or reads no more) loses its stream and its replies, but what it had sent is still done.
 *
 * Thread: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "daemon/control/access.h"

struct event_base;

typedef struct Conn Conn;
typedef struct ConnServer ConnServer;

/* Clients that have come since the daemon was started. */
typedef struct ConnTotals {
	uint64_t accepted;
	uint64_t without_role, too_many; /* sent away */
} ConnTotals;

/* What a subscription gives its connection. */
typedef struct ConnStream {
	/* The reply buffer is empty and the socket was writable: write up to a turn's worth to
	 * conn_fd(). 0: nothing more for now (conn_kick() when there is). 1: there is more, in
	 * the next turn. -EAGAIN: the socket is full; called again when it is writable. Other
	 * -errno: the connection is broken and gets closed. */
	int (*pump)(Conn *c, void *userdata);
	/* The client is gone, but the output is held: give it back soon. May be NULL. */
	void (*interrupt)(Conn *c, void *userdata);
	/* The client is gone, or the connection goes: forget it. The stream is not set any more.
	 * Never called while the output is held: whoever holds it finds the socket shut down,
	 * and releases it first. */
	void (*closed)(Conn *c, void *userdata);
} ConnStream;

typedef struct ConnHooks {
	/* A whole line, not NUL-terminated, lent. Also of a client that has gone since it sent
	 * it. */
	void (*on_line)(Conn *c, const char *line, size_t len, void *userdata);
	/* Go on with the line that called conn_set_unfinished(): the connection is not full any
	 * more. True: it is finished. NULL: nobody calls that. */
	bool (*on_more)(Conn *c, void *userdata);
	/* A line is longer than max_request_bytes: answer, then conn_close_after_flush(). */
	void (*on_line_too_long)(Conn *c, void *userdata);
	/* The client is gone for good: nothing that is said reaches it, though lines that it has
	 * sent may still come. Not called where the connection goes with it. May be NULL. */
	void (*on_gone)(Conn *c, void *userdata);
	/* The connection goes; nothing of it may be used afterwards. */
	void (*on_closed)(Conn *c, void *userdata);
	void *userdata;
} ConnHooks;

/* All connections. `base` lends. */
int conn_server_new(struct event_base *base, const ConnHooks *hooks, uint64_t max_request_bytes,
	ConnServer **ret) _must_check_;
/* Closes all of them, held ones too: whoever holds one has ended by then. Bears NULL. */
void conn_server_free(ConnServer *s);
/* Writes what the connections have to say: once at the end of each turn of the main loop. True:
 * some have more to say at once (the loop should not sleep). */
bool conn_server_flush(ConnServer *s);
/* Has anybody asked something in the last turns, so that it may still wait for an answer? */
bool conn_server_asked_lately(const ConnServer *s);
/* The last one, when the daemon ends: streams are not asked any more, and replies that a full
 * socket held up get a little time to go out. Nobody may hold an output. */
void conn_server_finish(ConnServer *s);
uint32_t conn_server_count(const ConnServer *s);
/* Counted by whoever accepts. Lends. */
ConnTotals *conn_server_totals(ConnServer *s);
void conn_server_set_max_request_bytes(ConnServer *s, uint64_t max_request_bytes);

/* Takes `fd` (non-blocking, O_CLOEXEC), on success only. -errno. */
int conn_new(ConnServer *s, int fd, const Peer *peer, Conn **ret) _must_check_;

int conn_fd(const Conn *c);
const Peer *conn_peer(const Conn *c);
/* For whoever hangs something on it: rpc. Lends. */
void conn_set_data(Conn *c, void *data);
void *conn_data(const Conn *c);

/* The reply buffer, to append to; then conn_kick(). */
Buf *conn_out(Conn *c);
/* There is something to write: it is done in the next flush that its group has time in. */
void conn_kick(Conn *c);
/* The rest of a line that the stream has half sent: goes before what is in the reply buffer.
 * -ENOMEM: then the connection cannot go on, and has to be closed. */
int conn_put_rest(Conn *c, const char *rest, size_t len) _must_check_;

/* Requests that are not answered yet: what keeps a half-closed connection open. When they weigh
 * too much (CONN_MAX_PENDING, 1 for a small one, and 1 for each KiB of it), or too many bytes of
 * replies wait (CONN_MAX_OUT_BYTES), it is not read from until that is over. What was begun by then
 * may still fill the buffer; above CONN_HARD_OUT_BYTES it is closed. */
#define CONN_MAX_PENDING    16384U
#define CONN_MAX_OUT_BYTES  (1024U * 1024)
#define CONN_HARD_OUT_BYTES (256U * 1024 * 1024)
bool conn_is_full(const Conn *c);
/* Or it has had its share of this turn, and something was begun in that: nothing more of it is
 * begun for now. */
bool conn_must_wait(const Conn *c);
void conn_pending_add(Conn *c, uint32_t weight);
void conn_pending_drop(Conn *c, uint32_t weight);

/* For on_line(): it asks for more than a full connection may have under way. No further line is
 * handed out before on_more() has said that it is finished. */
void conn_set_unfinished(Conn *c);

/* `s` lives as long as the stream is set; NULL: no stream any more (`closed` is not called
 * then). While one is set, a half-closed connection stays open. */
void conn_set_stream(Conn *c, const ConnStream *s, void *userdata);
/* The userdata of that stream; NULL: the connection has none, or another. */
void *conn_stream_userdata(const Conn *c, const ConnStream *s);
/* For a stream that was handed to another thread: nothing is written here (no reply either)
 * until it is released. To be taken in pump() only: nowhere else it is sure that no line is half
 * sent. A connection that is to be closed meanwhile is shut down, and closed once it is
 * released. */
void conn_hold_output(Conn *c, bool hold);

/* Closed once all that waits is written; no more is read. */
void conn_close_after_flush(Conn *c);
/* Closed in the next flush that its group has time in, whatever waits. */
void conn_close(Conn *c);
/* Nothing that is said to this client any more would reach it. */
bool conn_is_closing(const Conn *c);
