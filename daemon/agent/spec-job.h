/* Brings back a spec that is too long to be kept in memory: from the log, or from the catalog where
 * retention took that.
 *
 * Thread: main. */
#pragma once

#include "daemon/agent/agent.h"
#include "daemon/eventlog/eventlog.h"
#include "daemon/eventlog/reader.h"

/* On main; the text (the AgentSpawned object) is lent. `error` < 0: there is none. */
typedef void (*OnSpec)(Agent *a, const char *spec, size_t len, int error, void *userdata);

/* The agent is held until then. -ENOMEM. */
int spec_job_post(
	Reader *reader, EventLog *log, Agent *a, OnSpec on_spec, void *userdata) _must_check_;

/* The same on the reader's thread: appends the object's text to `b`. -ENOENT. */
int spec_read(Reader *reader, const LogView *view, uint64_t seq, Buf *b) _must_check_;
