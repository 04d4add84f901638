/* Memory that goes round between threads: blocks of events from workers to the committer, batches
 * from there to main.
 *
 * What one thread has done with is kept for the next one, since malloc() would give it back to the
 * kernel and fetch it anew, and touching fresh pages costs more than all that is written into them.
 * Pieces are powers of two, so that they fit again; small ones are left to malloc().
 *
 * Owns what is spare: SPARES_MAX_BYTES at the most.
 *
 * Thread: any. */
#pragma once

#include <pthread.h>

#include "common/buf.h"

#define SPARES_MIN_BYTES (16U * 1024)
#define SPARES_CLASSES   6 /* the largest piece: 512 KiB */
#define SPARES_MAX_BYTES (12U * 1024 * 1024)

typedef struct SparePiece SparePiece;

typedef struct Spares {
	pthread_mutex_t lock;
	SparePiece *first[SPARES_CLASSES]; /* newest first: it may still be in a cache */
	size_t bytes;
} Spares;

/* -errno */
int spares_init(Spares *s) _must_check_;
void spares_done(Spares *s);

/* Gives an empty buffer memory for `bytes` at least. -ENOMEM. */
int spares_reserve(Spares *s, Buf *b, size_t bytes) _must_check_;
/* Frees what is spare. */
void spares_drop(Spares *s);
/* Takes memory that malloc() would know, `cap` bytes of it. Bears NULL. */
void spares_give(Spares *s, void *memory, size_t cap);
