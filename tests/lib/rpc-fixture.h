/* rpc over a connection, with methods that answer at once, or when the test does: there is one for
 * each test program. */
#pragma once

#include "daemon/control/rpc.h"

#define MAX_BATCH   5
#define MAX_WAITING 20000

typedef struct RpcFixture {
	struct event_base *base;
	ConnServer *server;
	Rpc *rpc;
	int client;                    /* the client's end; -1: closed by the test */
	Request *waiting[MAX_WAITING]; /* of agent.get, agent.wait and events.read, as they came */
	unsigned n_waiting, n_replied;
	bool heavy_waits;  /* they are made heavy */
	char started[256]; /* the agents that were waited for, one behind the other */
} RpcFixture;

extern RpcFixture rf;

void rpc_fixture_setup(void);
void rpc_fixture_teardown(void);

/* Another client, in place of rf.client. */
void connect_as(Role role);
/* For request_on_replied(), with &rf.n_replied: counts, and says that the subscription is live. */
void on_replied(Conn *c, void *userdata);
/* As many turns of the loop as there is something to do. */
void turn(void);
/* Of rf.waiting[i]. */
void answer(unsigned i, const char *result);
void tell(const char *text);
void tell_bytes(const char *bytes, size_t len);
/* Everything that has come; lent until the next call. */
const char *hear(void);
void expect(const char *text);
/* One line, an error. */
void expect_error(const char *id, int code, const char *reason, const char *more);

#define CALL(id, method) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\"}"
#define CALL_WITH(id, method, p) \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"" method "\",\"params\":" p "}"
#define NOTE(method, p)   "{\"jsonrpc\":\"2.0\",\"method\":\"" method "\",\"params\":" p "}"
#define REPLY(id, result) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":" result "}"
#define WAIT(id, agent)   CALL_WITH(id, "agent.wait", "{\"agent_id\":\"" agent "\"}")
#define LIVE              "{\"jsonrpc\":\"2.0\",\"method\":\"live\",\"params\":{\"seq\":1}}\n"
