/* An error on its way to a client: what travels as the out parameter `RpcError *reterr`.
 *
 * A plain value: owns nothing but `data`.
 *
 * Thread: any. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* In the order of the table in rpc-error.c, which has the code and the name of each. */
typedef enum RpcReason {
	RPC_PARSE_ERROR,
	RPC_INVALID_REQUEST,
	RPC_LINE_TOO_LONG,
	RPC_METHOD_NOT_FOUND,
	RPC_INVALID_PARAMS,
	RPC_INTERNAL_ERROR,
	RPC_PERMISSION_DENIED,
	RPC_NOT_FOUND,
	RPC_TIMEOUT,
	RPC_ALREADY_EXISTS,
	RPC_ALREADY_SUBSCRIBED,
	RPC_NOT_RUNNING,
	RPC_AMBIGUOUS,
	RPC_LOG_REPLACED,
	RPC_PRUNED,
	RPC_TOO_LARGE,
	RPC_QUEUE_FULL,
	RPC_LOG_UNAVAILABLE,
	RPC_SHUTTING_DOWN,
	_RPC_REASON_MAX,
} RpcReason;

typedef struct RpcError {
	RpcReason reason;
	char message[256];
	Buf data; /* further members of `data`, as JSON text: `"param":"x","limit":3` */
} RpcError;

#define _cleanup_rpc_error_ _cleanup_(rpc_error_done)

void rpc_error_done(RpcError *e);

const char *rpc_reason_to_string(RpcReason reason);
int rpc_reason_code(RpcReason reason);
bool rpc_reason_retryable(RpcReason reason);

/* Sets reason and message (cut to what fits, never inside a character) and empties data. Always
 * returns -EINVAL, so that `return rpc_error_set(…)` reads well; `e` may be NULL. */
int rpc_error_set(RpcError *e, RpcReason reason, const char *format, ...) _printf_(3, 4);
/* `invalid_params`, with data.param: "PARAM WHAT". -EINVAL; `e` may be NULL. */
int rpc_error_refuse(RpcError *e, const char *param, const char *what);
/* Adds a member to data. Best effort: without memory the member is missing. */
void rpc_error_add_string(RpcError *e, const char *key, const char *value);
void rpc_error_add_uint(RpcError *e, const char *key, unsigned long long value);

/* Appends the error object: {"code":…,"message":…,"data":{"reason":…,"retryable":…,…}}. */
int rpc_error_write(const RpcError *e, Buf *b) _must_check_;
