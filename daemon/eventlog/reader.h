/* The thread for whatever may have to wait for a disk: it reads old segments, and asks and writes the catalog, so that main never does.
 *
 * Work comes as jobs, done in order; a long one does a slice at a time and lets the others pass.
 *
 * Thread: its own; each function says who may call it. */
#pragma once

#include "daemon/eventlog/catalog.h"
#include "daemon/eventlog/log-view.h"
#include "daemon/eventlog/segment.h"
#include "daemon/loop/mailbox.h"

typedef struct Reader Reader;

/* To be embedded in a struct of one's own, which main makes and done() frees. */
typedef struct ReaderJob {
	MailboxItem item;
	Reader *reader;
	/* On the reader's thread. True: that was a slice, call again after the others. */
	bool (*run)(struct ReaderJob *job, Reader *reader);
	void (*done)(struct ReaderJob *job);
} ReaderJob;

/* Main. Takes the catalog; `log_dirfd` and `main` are lent. -errno. */
int reader_new(int log_dirfd, Catalog *catalog, Mailbox *main, Reader **ret) _must_check_;
/* Main. Finishes what was posted, joins the thread; the jobs' done() have yet to be delivered from main's mailbox. */
void reader_stop(Reader *r);
/* Main. Bears NULL. */
void reader_free(Reader *r);
/* Main. */
void reader_post(Reader *r, ReaderJob *job);

/* On the reader's thread, from run(). */
Catalog *reader_catalog(Reader *r);
int reader_log_dirfd(const Reader *r);
/* The segment, opened and kept for a while; lent until the next call. -ENOENT: retention took it. -errno. */
int reader_segment(Reader *r, uint64_t base, Segment **ret) _must_check_;
