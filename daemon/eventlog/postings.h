/* Which events of a sealed segment are which agent's, so that whoever asks for one agent's need not
 * walk all of them.
 *
 * STATE/log/BASE.post, little-endian: a PostingsHeader, a PostingsEntry for each agent, by agent,
 * and the places of each (event - BASE, uint32_t, ascending), in the order of the entries. Agent 0
 * has those that are about none, or may be about any: holes, and records that make no sense. It is
 * a projection of the index, never synced, and never needed: where it is missing, torn or of
 * another state of the segment it is made anew when somebody asks, or done without.
 *
 * Thread: the reader's; postings_check() any. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "daemon/eventlog/segment.h"

#define POSTINGS_MAGIC      "LGPOST1\n"
/* Larger segments have none and are walked: it bounds what making them takes, of the reader's time
 * and of memory. */
#define POSTINGS_MAX_EVENTS (1U << 19)

typedef struct PostingsHeader {
	char magic[8];
	uint64_t base;
	uint32_t n_events, n_agents;
	uint32_t last_end,
		last_crc;   /* of the last index record: which state of the segment it is of */
	uint32_t table_crc; /* CRC-32C of the entries */
	uint32_t crc;       /* of all before it */
} PostingsHeader;

typedef struct PostingsEntry {
	uint64_t agent;
	uint32_t first, n; /* of the places */
	uint32_t crc;      /* of its places */
	uint32_t reserved;
} PostingsEntry;

_Static_assert(sizeof(PostingsHeader) == 40, "the header is a disk format");
_Static_assert(sizeof(PostingsEntry) == 24, "so is the entry");

/* What is in the file. */
typedef struct Postings {
	PostingsHeader header;
	PostingsEntry *entries; /* header.n_agents */
	uint32_t *places;       /* header.n_events; NULL: they are in the file */
} Postings;

/* Safe on a zeroed one. */
void postings_done(Postings *p);
#define _cleanup_postings_ _cleanup_(postings_done)

/* From the index of a segment with so many events, at most POSTINGS_MAX_EVENTS. -EBADMSG: the index
 * is shorter. -ENOMEM, -errno. */
int postings_build(const Segment *s, uint32_t n_events, Postings *ret) _must_check_;
/* Writes the file. -ENOENT: the segment has gone meanwhile. -ENOSPC: also where there is little
 * room left. -errno. */
int postings_save(const Postings *p, int log_dirfd) _must_check_;

/* Where in one segment the events of some agents are, and those that are nobody's. */
typedef struct Places {
	const uint64_t *agents; /* lent; ascending */
	size_t n_agents;
	uint64_t base; /* of the segment; 0: of none yet */
	uint32_t *at;  /* ascending; NULL: not known */
	size_t n;
} Places;

/* Forgets what they are of; the agents stay. Safe on a zeroed one. */
void places_clear(Places *p);
/* How many of them lie before `place`. */
size_t places_before(const Places *p, uint32_t place);

/* Fills in the places in that segment, and makes the postings where there are none that fit.
 * -EBADMSG, -ENOMEM, -errno. */
int postings_find(int log_dirfd, const Segment *s, uint32_t n_events, Places *p) _must_check_;
/* Compares the file with the index. 1: they fit. 0: there is no file. -EBADMSG: they do not.
 * -ENODATA: it is torn, as a power cut leaves it. -ENOMEM, -errno. */
int postings_check(int log_dirfd, const Segment *s, uint32_t n_events) _must_check_;
