/* Has the reader make the postings of each segment that is sealed while the daemon runs, one after
 * the other. Those that are missing from before are made when somebody asks for them.
 *
 * Thread: main. */
#pragma once

#include "daemon/eventlog/eventlog.h"
#include "daemon/eventlog/reader.h"

typedef struct Indexer {
	EventLog *log;
	Reader *reader;
	uint64_t next_seq; /* segments that begin before it are done with */
	bool busy;         /* the reader has a job of ours */
	ReaderJob job;
	LogView view;
	size_t at; /* the segment, in the view */
} Indexer;

/* Both are lent. The reader has to have given all jobs back before they go. */
void indexer_init(Indexer *i, EventLog *log, Reader *reader);
/* At the end of a turn. */
void indexer_run(Indexer *i);
