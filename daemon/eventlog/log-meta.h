/* STATE/log/log.json: what the log says of itself beside its events. Replaced atomically and
 * durably.
 *
 * Thread: main; log_meta_write() also the committer's (never both at once: main only before it
 * starts and after it ended). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/uuid.h"
#include "daemon/eventlog/durability.h"

typedef struct LogMeta {
	Uuid log_id;
	Uuid boot_id; /* the machine's boot in which it was last written */
	bool clean;   /* the daemon that wrote it has ended in order */
	Durability durability;
	uint64_t seq_ceiling; /* no number from here on was ever given out */
} LogMeta;

/* -ENOENT: there is none. -EBADMSG: there is, but it cannot be read. -errno. */
int log_meta_read(int log_dirfd, LogMeta *ret) _must_check_;
int log_meta_write(int log_dirfd, const LogMeta *meta) _must_check_;
/* Of this boot of the machine (/proc/sys/kernel/random/boot_id). */
int log_meta_boot_id(Uuid *ret) _must_check_;
