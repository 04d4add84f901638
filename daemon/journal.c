#include "daemon/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/log.h"

#define MAX_FIELDS 6

static void send_record(const LogRecord *record)
{
	_cleanup_buf_ Buf text = { 0 };
	struct iovec fields[MAX_FIELDS];
	size_t starts[MAX_FIELDS + 1], n = 0;
	int r = 0;

#define FIELD(...) (starts[n++] = text.len, r = r < 0 ? r : buf_printf(&text, __VA_ARGS__))
	FIELD("MESSAGE=%s", record->message);
	FIELD("PRIORITY=%d", (int)record->level);
	FIELD("CODE_FILE=%s", record->file);
	FIELD("CODE_LINE=%d", record->line);
	FIELD("CODE_FUNC=%s", record->function);
	if (record->agent_id)
		FIELD("LIONGATE_AGENT_ID=%s", record->agent_id);
#undef FIELD
	starts[n] = text.len;
	for (size_t i = 0; i < n && r == 0; i++)
		fields[i] = (struct iovec){ text.data + starts[i], starts[i + 1] - starts[i] };
	if (r == 0)
		r = sd_journal_sendv(fields, (int)n);
	if (r < 0)
		fprintf(stderr, "%s\n", record->message);
}

void journal_set_up(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char here[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return;
	snprintf(here, sizeof(here), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	if (strcmp(stream, here) == 0)
		log_set_sink(send_record);
}
