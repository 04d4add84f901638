#include "client/output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client/render-stream.h"
#include "client/text.h"

#define KEEP_BYTES  (256U * 1024)
#define FLUSH_BYTES (64U * 1024)

static bool want_color(const char *color, bool terminal)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (strcmp(color, "always") == 0)
		return true;
	if (strcmp(color, "never") == 0 || (no_color && *no_color))
		return false;
	return terminal && term && strcmp(term, "dumb") != 0;
}

void output_init(Output *o, bool json, const char *color)
{
	struct winsize ws;

	*o = (Output){
		.ops = json ? &output_json_ops : &output_text_ops,
		.json = json,
		.terminal = isatty(STDOUT_FILENO) == 1,
		.stderr_terminal = isatty(STDERR_FILENO) == 1,
	};
	o->color = !json && want_color(color, o->terminal);
	o->stderr_color = !json && want_color(color, o->stderr_terminal);
	if (o->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0)
		o->width = ws.ws_col;
}

void output_done(Output *o)
{
	render_stream_free(o->stream);
	o->stream = NULL;
	buf_done(&o->out);
}

void output_result(Output *o, OutputView view, json_object *result)
{
	o->ops->result(o, view, result);
}

int output_stream_begin(Output *o, const StreamStyle *style)
{
	o->style = *style;
	return o->ops->stream_begin(o, style);
}

int output_event(Output *o, json_object *event)
{
	int r = o->ops->event(o, event);

	return r < 0 ? r : output_flush(o);
}

int output_notice(Output *o, const Notice *notice)
{
	int r = o->ops->notice(o, notice);

	return r < 0 ? r : output_flush(o);
}

int output_due_ms(const Output *o)
{
	return o->ops->due_ms(o);
}

int output_idle(Output *o)
{
	int r = o->ops->idle(o);

	return r < 0 ? r : output_flush(o);
}

int output_stream_end(Output *o)
{
	int r = o->ops->stream_end(o);

	return r < 0 ? r : output_flush(o);
}

void output_error(Output *o, const char *message, json_object *error)
{
	/* What the command had said before stands before what went wrong. */
	if (output_flush(o) < 0)
		buf_clear(&o->out, 0);
	o->ops->error(o, message, error);
}

static void note(Output *o, int r)
{
	if (r < 0 && o->error == 0)
		o->error = r;
}

void output_put(Output *o, const char *bytes, size_t n)
{
	if (o->error != 0)
		return;
	note(o, buf_append(&o->out, bytes, n));
	if (o->out.len >= FLUSH_BYTES)
		note(o, output_flush(o));
}

void output_printf(Output *o, const char *format, ...)
{
	va_list ap;

	if (o->error != 0)
		return;
	va_start(ap, format);
	note(o, buf_vprintf(&o->out, format, ap));
	va_end(ap);
}

void output_safe(Output *o, const char *text, size_t n)
{
	if (o->error == 0)
		note(o, text_append_safe(&o->out, text, n, false));
}

void output_color(Output *o, Color color)
{
	if (!o->color)
		return;
	output_printf(o, "\033[%dm", (int)color);
}

/* As fd_write_all(), but bears a standard output that somebody else made non-blocking. */
static int write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = write(fd, bytes, n);

		if (written >= 0) {
			bytes += written;
			n -= (size_t)written;
		} else if (errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			(void)poll(&p, 1, -1);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int output_flush(Output *o)
{
	if (o->error == 0 && o->out.len > 0)
		note(o, write_all(STDOUT_FILENO, o->out.data, o->out.len));
	buf_clear(&o->out, KEEP_BYTES);
	return o->error;
}

void output_stderr(const char *bytes, size_t n)
{
	(void)!write_all(STDERR_FILENO, bytes, n);
}

void output_say(const char *format, ...)
{
	_cleanup_buf_ Buf text = { 0 }, line = { 0 };
	va_list ap;
	int r;

	va_start(ap, format);
	r = buf_vprintf(&text, format, ap);
	va_end(ap);
	if (r == 0)
		r = buf_append_str(&line, "liongatectl: ");
	if (r == 0)
		r = text_append_safe(&line, text.data, text.len, false);
	if (r == 0)
		r = buf_append_char(&line, '\n');
	if (r == 0)
		output_stderr(line.data, line.len);
}
