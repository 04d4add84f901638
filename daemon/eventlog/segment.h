/* One file of the log, and its index beside it.
 *
 * STATE/log/BASE.ndjson holds the lines of the wire, one behind another; BASE is the seq of its
 * first event, 20 decimal digits. The events of a segment have consecutive numbers: after a hole a
 * new segment begins.
 *
 * STATE/log/BASE.idx holds one IndexRecord for each line, in order, little-endian: so the record of
 * `seq` stands at (seq - BASE) * 24, and the line begins where the one before it ends. It is a
 * projection of the .ndjson: when it is missing or short it is made anew. Its CRC is what tells a
 * rotten line from a good one. An event that was lost to damage between good lines has a record
 * that says nothing but where the damaged bytes end.
 *
 * Thread: a Segment is shared by reference between committer, syncer and main; descriptors and base
 * never change. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/protocol.h"

typedef struct IndexRecord {
	uint64_t agent;     /* seq of its AgentSpawned; 0: about no agent, or not known */
	uint32_t end;       /* where the line ends in the segment, newline included */
	uint32_t crc;       /* CRC-32C of the line, newline included */
	uint32_t raw_bytes; /* AgentPartialOutput: of the chunk */
	uint8_t type;       /* EventType */
	uint8_t channel;    /* AgentPartialOutput: Channel */
	uint8_t code;       /* AgentError: AgentErrorCode */
	uint8_t reserved;
} IndexRecord;

_Static_assert(sizeof(IndexRecord) == 24, "the record is a disk format");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "so is its byte order");

#define SEGMENT_NAME_LEN 20 /* without ".ndjson" */

typedef struct Segment {
	unsigned refs; /* atomic */
	uint64_t base;
	int fd;     /* the lines */
	int idx_fd; /* the index */
} Segment;

/* It stands for an event that is lost. */
static inline bool segment_is_hole(const IndexRecord *record)
{
	return record->end > 0 && record->type == EVENT_TYPE_NONE && record->agent == 0 &&
	       record->crc == 0 && record->raw_bytes == 0 && record->channel == 0 &&
	       record->code == 0;
}

/* As far as can be told without its line, which begins at `start`. */
static inline bool segment_record_makes_sense(const IndexRecord *record, uint64_t start)
{
	return record->end > start && record->type > EVENT_TYPE_NONE &&
	       record->type < _EVENT_TYPE_MAX && record->channel < _CHANNEL_MAX &&
	       record->code < _AGENT_ERROR_MAX;
}

/* The file's name, with a NUL. */
void segment_name(uint64_t base, const char *suffix, char out[SEGMENT_NAME_LEN + 16]);
/* -EINVAL if it is not "BASE.ndjson". */
int segment_parse_name(const char *name, uint64_t *ret_base) _must_check_;

/* The bases of all segments there are, ascending: uint64_t after uint64_t. -errno. */
int segment_list(int log_dirfd, Buf *bases) _must_check_;

/* Opens both files for reading and appending, and makes them (0600) if `create`. -errno. */
int segment_open(int log_dirfd, uint64_t base, bool create, Segment **ret) _must_check_;
/* For reading only; one reference. -ENOENT where retention took it. */
int segment_open_readonly(int log_dirfd, uint64_t base, Segment **ret) _must_check_;
Segment *segment_ref(Segment *s);
/* Bears NULL; closes the files with the last reference. */
void segment_unref(Segment *s);

DEFINE_CLEANUP(Segment *, segment_unref)
#define _cleanup_segment_ _cleanup_(segment_unref_p)

/* Reads records [first, first + n) of the index; returns how many there were, or -errno. */
ssize_t segment_read_index(
	const Segment *s, uint64_t first, IndexRecord *records, size_t n) _must_check_;
/* Where the line of record `i` begins. -EBADMSG if the index does not say. */
int segment_line_start(const Segment *s, uint64_t i, uint32_t *ret) _must_check_;
