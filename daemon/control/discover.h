/* What rpc.discover answers: an OpenRPC 1.2.6 document, made from the protocol's tables.
 *
 * Thread: any. */
#pragma once

#include "common/buf.h"

/* Appends the document; it is always the same. -ENOMEM. */
int discover_write(Buf *b) _must_check_;
