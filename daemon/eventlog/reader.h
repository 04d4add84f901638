/* The thread for whatever may have to wait for a disk: it reads old segments, and asks and writes
 * the catalog, so that main never does.
 *
 * Work comes as jobs. Short ones are done in order, before all others; then come one turn, of a
 * cursor, and one slice of a long job, and the short ones that have come meanwhile. So nobody waits
 * for more than that, however many long ones there are; a few of those take turns, and the others
 * have not begun yet and cost next to nothing.
 *
 * Thread: its own; each function says who may call it. */
#pragma once

#include "daemon/eventlog/catalog.h"
#include "daemon/eventlog/log-view.h"
#include "daemon/eventlog/segment.h"
#include "daemon/loop/mailbox.h"

typedef struct Reader Reader;

typedef enum ReaderJobKind {
	READER_JOB_SHORT,
	READER_JOB_TURN, /* a slice, too, but whoever posted it comes back with the next */
	READER_JOB_LONG,
} ReaderJobKind;

/* To be embedded in a struct of one's own, which main makes and done() frees. */
typedef struct ReaderJob {
	MailboxItem item;
	Reader *reader;
	/* On the reader's thread. True: that was a slice, call again after the others. */
	bool (*run)(struct ReaderJob *job, Reader *reader);
	/* On main. Not every job that began was run to its end: it releases whatever run() has
	 * left. */
	void (*done)(struct ReaderJob *job);
	ReaderJobKind kind;
	bool for_client; /* nobody needs it done once the reader is being stopped */
	bool dropped;    /* atomic */
	int error;       /* run()'s, for done(); -ECANCELED: it was dropped */
} ReaderJob;

/* Main. Takes the catalog; `log_dirfd` and `main` are lent. -errno. */
int reader_new(int log_dirfd, Catalog *catalog, Mailbox *main, Reader **ret) _must_check_;
/* Main. Finishes what was posted, drops what is for clients, joins the thread; the jobs' done()
 * have yet to be delivered from main's mailbox. */
void reader_stop(Reader *r);
/* Main. Bears NULL. */
void reader_free(Reader *r);
/* Main. Once the reader is stopped the job is done at once, here; done() comes from main's mailbox
 * all the same. */
void reader_post(Reader *r, ReaderJob *job);
/* Main, between reader_post() and done(). It is not run any more; done() comes as always. */
void reader_job_drop(ReaderJob *job);

/* On the reader's thread, from run(). */
Catalog *reader_catalog(Reader *r);
int reader_log_dirfd(const Reader *r);
/* Others have waited long enough: to be asked after each step, and no step may take long. */
bool reader_slice_over(Reader *r);
/* One does, for all that: the clock is looked at after it. */
void reader_long_step(Reader *r);
/* The segment, opened and kept for a while; lent until the next call. -ENOENT: retention took it.
 * -errno. */
int reader_segment(Reader *r, uint64_t base, Segment **ret) _must_check_;
/* Those that begin below `seq` are not kept open any more: their files are gone, and the disk is to
 * have them back. */
void reader_forget(Reader *r, uint64_t seq);
