/* Diagnostics to systemd's journal, with their fields, when standard error goes there anyway
 * (sd_journal_stream_fd(3), JOURNAL_STREAM).
 *
 * Thread: any, once set. */
#pragma once

/* Sets the sink of common/log, if it should be. */
void journal_set_up(void);
