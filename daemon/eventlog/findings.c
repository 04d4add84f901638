#include "daemon/eventlog/findings.h"

#include <inttypes.h>
#include <stdarg.h>

/* What is wrong with one line is often wrong with all that follow. */
#define MAX_SAID 20

void findings_file(Findings *f, const char *file)
{
	if (f->unsaid > 0)
		fprintf(f->out, "%s: %" PRIu64 " more problems\n", f->file, f->unsaid);
	f->file = file;
	f->seq = f->byte = 0;
	f->said = f->unsaid = 0;
}

void findings_at(Findings *f, uint64_t seq, uint64_t byte)
{
	f->seq = seq;
	f->byte = byte;
}

static _printf_(3, 0) void say(Findings *f, const char *kind, const char *format, va_list ap)
{
	fputs(kind, f->out);
	if (f->file)
		fprintf(f->out, "%s: ", f->file);
	if (f->seq > 0)
		fprintf(f->out, "seq %" PRIu64 ", byte %" PRIu64 ": ", f->seq, f->byte);
	vfprintf(f->out, format, ap);
	fputc('\n', f->out);
}

void findings_problem(Findings *f, const char *format, ...)
{
	va_list ap;

	f->problems++;
	if (f->said == MAX_SAID) {
		f->unsaid++;
		return;
	}
	f->said++;
	va_start(ap, format);
	say(f, "", format, ap);
	va_end(ap);
}

void findings_note(Findings *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(f, "note: ", format, ap);
	va_end(ap);
}
