/* A connection to the daemon: JSON-RPC 2.0, one JSON text a line, over its socket.
 *
 * Blocking, with poll(): every wait ends early when a signal has come (-EINTR). What arrives is
 * checked before anybody sees it: valid JSON, an object, of version 2.0, of a bounded length.
 *
 * Owns its descriptor. Thread: main. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"

typedef struct Call Call;

/* No deadline, for call_receive(). */
#define CALL_FOREVER (-1)

/* -errno of connect(2). */
int call_connect(const char *socket_path, Call **ret) _must_check_;
/* The same, but -EAGAIN where it takes longer than that to be connected, or later on to send: a
 * daemon that is stopped accepts nobody, and a socket's queue is short. `timeout_ms`: > 0, or
 * CALL_FOREVER.
 */
int call_connect_within(const char *socket_path, int timeout_ms, Call **ret) _must_check_;
/* Bears NULL. */
void call_free(Call *c);
DEFINE_CLEANUP(Call *, call_free)

/* To poll for what arrives; what has arrived by then may be in the connection's buffer already. */
int call_fd(const Call *c);

/* While it waits for a message: -EPIPE as soon as nobody reads standard output any more. */
void call_watch_stdout(Call *c);

/* Sends a request; `params` is the text of an object, or empty. *ret_id is what its reply will
 * bear. -ECONNRESET where the daemon has gone; -EILSEQ if the parameters are not UTF-8. */
int call_send(Call *c, const char *method, const Buf *params, uint64_t *ret_id) _must_check_;

/* The next message, whatever it is; the caller puts it. -ECONNRESET, -ETIME, -EINTR, -EPIPE (see
 * above), -EBADMSG. */
int call_receive(Call *c, int timeout_ms, json_object **ret) _must_check_;

/* What a message is. */
typedef enum CallMessage {
	CALL_RESULT,
	CALL_ERROR,
	CALL_NOTIFICATION,
} CallMessage;

/* CALL_RESULT and CALL_ERROR with *ret_id and the result or the error object, CALL_NOTIFICATION
 * with *ret_method and the params; lent from the message. An error that belongs to no request (the
 * daemon's refusal of the connection itself) has the id 0. -EBADMSG. */
int call_classify(json_object *message, uint64_t *ret_id, const char **ret_method,
	json_object **ret_payload) _must_check_;

/* Sends and waits for the reply; what else arrives meanwhile is dropped. 0 with *ret_result, or 1
 * with *ret_error (the daemon's error object); the caller puts either. Errors as above. */
int call_request(Call *c, const char *method, const Buf *params, json_object **ret_result,
	json_object **ret_error) _must_check_;
/* The second half of it: the reply to what was sent. */
int call_reply(
	Call *c, uint64_t id, json_object **ret_result, json_object **ret_error) _must_check_;
