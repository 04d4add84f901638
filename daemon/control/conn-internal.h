/* What conn.c (a connection's life, and its input) and conn-write.c (its output, and its end)
 * share.
 *
 * Thread: main. */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include "common/line-buffer.h"
#include "common/list.h"
#include "daemon/control/conn-group.h"
#include "daemon/control/conn.h"
#include "daemon/control/hangup.h"

/* How much, and how long, is read and forgotten of a client that was told that its line is too
 * long. If its connection were closed while it writes, it would never read the answer. */
#define CONN_LINGER_BYTES (64U * 1024 * 1024)
#define CONN_LINGER_US    2000000U

/* How long the last replies may take: all of them, and while no client reads any. */
#define CONN_FINISH_MS      5000U
#define CONN_FINISH_IDLE_MS 1000

typedef enum ConnState {
	CONN_OPEN,
	CONN_FINISHING, /* to be closed once the reply buffer is written */
	CONN_LINGERING, /* all was written: reads past what the client still sends */
	CONN_CLOSED,    /* to be freed in the flush */
} ConnState;

struct ConnServer {
	struct event_base *base;
	ConnHooks hooks;
	size_t max_line_bytes;
	Hangup *hangup;
	ListNode conns;
	ConnGroups groups;
	ListNode dirty; /* the groups of those that conn_server_flush() has to look at */
	ConnTotals totals;
	uint32_t n_conns;
	bool lines_wait; /* of one that has had its share */
	size_t in_bytes; /* in all line buffers */
	bool finishing;  /* conn_server_finish() */
};

struct Conn {
	ConnServer *server;
	ConnGroup *group;
	ListNode node;
	ListNode dirty_node;   /* of group->dirty, or group->served */
	uint64_t flushed_turn; /* of groups.turn: when it was looked at last */
	int fd;
	Peer peer;
	ConnState state;
	bool reading;       /* read_event is added */
	bool blocked;       /* the socket is full: write_event is added */
	bool eof;           /* its read side has ended */
	bool deaf;          /* it hears nothing any more: what would be written is dropped */
	bool held;          /* the output is another thread's */
	bool lines_wait;    /* in the line buffer or the socket, for conn_must_wait() to end */
	bool unfinished;    /* the last line that was handed out, likewise */
	bool began;         /* something was begun in the share that it has */
	bool hangup_is_set; /* in server->hangup */
	uint32_t pending;
	uint64_t share_ends_us;
	struct event read_event;
	struct event write_event;
	LineBuffer in;
	size_t in_bytes;      /* of server->in_bytes */
	uint64_t in_since_us; /* they lie there, and no line was handed out; 0: there are none */
	Buf out;
	size_t out_sent; /* bytes of `out` that were written */
	uint64_t linger_until_us;
	uint64_t lingered_bytes;
	const ConnStream *stream;
	void *stream_userdata;
	void *data;
};

static inline size_t conn_out_waiting(const Conn *c)
{
	return c->out.len - c->out_sent;
}

/* Those that have come, as far as the connection bears them and has its turn. */
void conn_hand_out_lines(Conn *c);
/* Those, and what can be read now. */
void conn_serve(Conn *c);
/* Frees what it has sent. */
void conn_drop_input(Conn *c);
/* Adds the read event or removes it, as things stand. */
void conn_update_reading(Conn *c);
/* Whoever has gone reads no reply: drops them, and the stream. */
void conn_become_deaf(Conn *c);
/* Now: to be called where nothing of it is used any more. */
void conn_destroy(Conn *c);

void conn_on_writable(evutil_socket_t fd, short what, void *userdata);
